//! A small society that writes one ledger at random, some of it twice under one number.

use std::sync::OnceLock;

use logic::ledger::{
    Action, Commit, CommitId, Control, Draft, Entry, Header, Kind, Ledger, MemoryShelf, RealmId, Rekey, RevokeReason,
    SpaceRole, Target, Wrap,
};
use seal::pki::Role;
use seal::{DeviceKey, MemberId, Timestamp};
use serde_bytes::ByteBuf;
use testkit::{Dice, TestCircle};

pub const NOW: Timestamp = testkit::circle::FOUNDED;
const DEVICES: usize = 6;

struct People {
    keys: Vec<DeviceKey>,
    entries: Vec<Entry>,
    members: Vec<MemberId>,
    genesis: Commit,
}

fn people() -> &'static People {
    static PEOPLE: OnceLock<People> = OnceLock::new();
    PEOPLE.get_or_init(|| {
        let mut circle = TestCircle::new(7);
        let members: Vec<_> = ["Ada", "Bob", "Eve"].iter().map(|name| circle.member(name, Role::Editor)).collect();
        let (mut keys, mut entries) = (Vec::new(), Vec::new());
        for member in &members {
            for name in ["desk", "phone"] {
                let device = circle.device(member, name);
                let chain = device.chain.iter().map(|certificate| ByteBuf::from(certificate.der())).collect();
                entries.push(Entry { chain, sealing: Vec::new() });
                keys.push(device.key);
            }
        }
        let body = Control::Genesis { root: ByteBuf::from(circle.root.der()), entry: entries[0].clone() };
        let genesis = Commit::make(&keys[0], Header::genesis(keys[0].id(), NOW), body.to_bytes()).unwrap();
        People { keys, entries, members: members.iter().map(|member| member.id()).collect(), genesis }
    })
}

pub fn genesis() -> &'static Commit {
    &people().genesis
}

struct Device {
    ledger: Ledger,
    shelf: MemoryShelf,
}

impl Device {
    fn take(&mut self, commit: &Commit) {
        self.ledger.handle(commit.clone(), None, NOW, &self.shelf).unwrap();
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(action) = self.ledger.poll(&self.shelf) {
            if let Action::Store(shelved) = action {
                self.shelf.store(*shelved);
            }
        }
    }
}

/// All commits of a random history.
pub fn history(seed: u64) -> Vec<Commit> {
    let mut dice = Dice::new(seed);
    let device = |_| {
        let mut device = Device { ledger: Ledger::open(genesis().clone()).unwrap(), shelf: MemoryShelf::default() };
        device.settle();
        device
    };
    let mut devices: Vec<Device> = (0..DEVICES).map(device).collect();
    let mut all = vec![genesis().clone()];
    let readers = people().keys.iter().map(DeviceKey::id).collect::<std::collections::BTreeSet<_>>();
    let wrap = |device| Wrap { device, algorithm: 0, enc: ByteBuf::new(), ct: ByteBuf::new() };
    let wraps = readers.into_iter().map(wrap).collect();
    let rekey = Control::Rekey(Rekey { number: 0, commitment: [0; 32], wraps, back: None, parent: None });
    act(&mut devices[0], 0, Some(rekey), SpaceRole::Owner, 0, &mut all);
    for member in 1..3 {
        let grant = Control::Grant { member: people().members[member], role: SpaceRole::Owner };
        act(&mut devices[0], 0, Some(grant), SpaceRole::Owner, 0, &mut all);
    }
    for round in 0..100u64 {
        let who = dice.below(DEVICES as u64) as usize;
        let other = people().members[dice.below(3) as usize];
        let device = &mut devices[who];
        match dice.below(20) {
            0..=4 => all.iter().filter(|_| dice.permille(800)).for_each(|commit| device.take(commit)),
            5 => {
                let grant = Control::Grant { member: other, role: SpaceRole::Editor };
                act(device, who, Some(grant), SpaceRole::Owner, round, &mut all);
            }
            6 if dice.permille(300) => {
                let target = Target::Member(other);
                let revoke = Control::Revoke { target, reason: RevokeReason::Withdrawn };
                act(device, who, Some(revoke), SpaceRole::Owner, round, &mut all);
            }
            7 if dice.permille(200) => {
                // Continues from what it was before, as from an old backup: a fork.
                let old = (device.ledger.clone(), device.shelf.clone());
                act(device, who, None, SpaceRole::Editor, round, &mut all);
                (device.ledger, device.shelf) = old;
                act(device, who, None, SpaceRole::Editor, round + 1000, &mut all);
            }
            _ => act(device, who, None, SpaceRole::Editor, round, &mut all),
        }
    }
    all
}

/// Writes, if the device may; enters first, if it has not.
fn act(device: &mut Device, who: usize, control: Option<Control>, role: SpaceRole, salt: u64, all: &mut Vec<Commit>) {
    let key = &people().keys[who];
    if !device.ledger.knows(key.id()) {
        sign(device, who, CommitId::ZERO, CommitId::ZERO, Some(Control::Enter(people().entries[who].clone())), 0, all);
    }
    let Some(cap) = device.ledger.judgement().cap_for(key.id(), RealmId::ROOT, role) else { return };
    let epoch = match (&control, device.ledger.judgement().writers_epoch(RealmId::ROOT)) {
        (Some(_), _) => CommitId::ZERO,
        (None, Some(epoch)) => epoch.id,
        (None, None) => return,
    };
    sign(device, who, cap, epoch, control, salt, all);
}

fn sign(
    device: &mut Device,
    who: usize,
    cap: CommitId,
    epoch: CommitId,
    control: Option<Control>,
    salt: u64,
    all: &mut Vec<Commit>,
) {
    let kind = control.as_ref().map_or(Kind::Data, Control::kind);
    let draft = Draft { kind, realm: RealmId::ROOT, cap, epoch, time: NOW, sure: true };
    let Ok(header) = device.ledger.next_header(people().keys[who].id(), &draft) else { return };
    let body = control.map_or_else(|| salt.to_be_bytes().to_vec(), |control| control.to_bytes());
    let commit = Commit::make(&people().keys[who], header, body).unwrap();
    device.take(&commit);
    all.push(commit);
}
