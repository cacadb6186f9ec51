//! A small society: members with two devices each, some of them malicious, who write and exchange commits at random.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use seal::pki::Role;
use seal::{DeviceId, DeviceKey, MemberId, Timestamp};
use serde_bytes::ByteBuf;
use testkit::{Dice, TestCircle};

use crate::ledger::chains::{Past, Spot};
use crate::ledger::rules::Rules;
use crate::ledger::*;

/// Members of the society.
pub(super) const MEMBERS: usize = 5;
/// Its devices: two of each member.
pub(super) const DEVICES: usize = 2 * MEMBERS;
/// When everything happens.
pub(super) const NOW: Timestamp = testkit::circle::FOUNDED;

/// Keys and certificates. The same for all worlds, because making them takes longer than using them.
pub(super) struct People {
    pub(super) root: Vec<u8>,
    pub(super) keys: Vec<DeviceKey>,
    pub(super) chains: Vec<Vec<ByteBuf>>,
    pub(super) members: Vec<MemberId>,
}

pub(super) fn people() -> &'static People {
    static PEOPLE: OnceLock<People> = OnceLock::new();
    PEOPLE.get_or_init(|| {
        let mut circle = TestCircle::new(99);
        let names = ["Ada", "Bob", "Carl", "Dora", "Eve"];
        let members: Vec<_> = names.iter().map(|name| circle.member(name, Role::Editor)).collect();
        let (mut keys, mut chains) = (Vec::new(), Vec::new());
        for member in &members {
            for name in ["desk", "phone"] {
                let device = circle.device(member, name);
                chains.push(der(&device.chain));
                keys.push(device.key);
            }
        }
        let members = members.iter().map(|member| member.id()).collect();
        People { root: circle.root.der().to_vec(), keys, chains, members }
    })
}

fn der(chain: &[seal::pki::Certificate]) -> Vec<ByteBuf> {
    chain.iter().map(|certificate| ByteBuf::from(certificate.der())).collect()
}

pub(super) fn entry(device: usize) -> Entry {
    Entry { chain: people().chains[device].clone(), sealing: Vec::new() }
}

pub(super) fn genesis() -> &'static Commit {
    static GENESIS: OnceLock<Commit> = OnceLock::new();
    GENESIS.get_or_init(|| {
        let body = Control::Genesis { root: ByteBuf::from(people().root.clone()), entry: entry(0) };
        let header = blank(people().keys[0].id(), Kind::Genesis);
        Commit::make(&people().keys[0], header, body.to_bytes()).unwrap()
    })
}

/// A header of a chain's first commit that has seen nothing.
pub(super) fn blank(device: DeviceId, kind: Kind) -> Header {
    Header { kind, ..Header::genesis(device, NOW) }
}

/// What one device knows.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) ledger: Ledger,
    pub(super) shelf: MemoryShelf,
    /// What the actions said that counts, and does not.
    pub(super) said: BTreeMap<CommitId, Verdict>,
    pub(super) evidence: BTreeSet<DeviceId>,
    pub(super) actions: usize,
}

impl Node {
    pub(super) fn new(rules: Rules) -> Self {
        let ledger = Ledger::open_with(genesis().clone(), rules).unwrap();
        let (shelf, said, evidence) = Default::default();
        let mut node = Self { ledger, shelf, said, evidence, actions: 0 };
        node.perform();
        node
    }

    pub(super) fn take(&mut self, commit: &Commit) -> Result<Taken, crate::Misbehaved> {
        self.ledger.handle(commit.clone(), None, NOW, &self.shelf)
    }

    pub(super) fn perform(&mut self) {
        while let Some(action) = self.ledger.poll(&self.shelf) {
            self.actions += 1;
            match action {
                Action::Store(shelved) => self.shelf.store(*shelved),
                Action::Effective(id) => {
                    assert_eq!(self.said.insert(id, Verdict::Effective), None, "announced twice");
                }
                Action::Again(id) => {
                    let before = self.said.insert(id, Verdict::Effective);
                    assert!(matches!(before, Some(Verdict::Void(_))), "again, but it was {before:?}");
                }
                Action::Void(id, why) => {
                    self.said.insert(id, Verdict::Void(why));
                }
                Action::Evidence(proof) => {
                    let commits = [proof.one, proof.other].map(|id| self.shelf.commit(&id));
                    if let [Some(one), Some(other)] = &commits {
                        assert!(Equivocation::proven(one, other).is_some());
                    }
                    self.evidence.insert(proof.device);
                }
                Action::Refused { offence, .. } => panic!("a waiting commit was refused: {offence}"),
                Action::Ask(..) | Action::ClockAhead(_) => {}
            }
        }
    }

    pub(super) fn has(&self, id: &CommitId) -> bool {
        self.shelf.stored(id).is_some()
    }

    fn after(&self, id: CommitId) -> Past {
        let stored = self.shelf.stored(&id).unwrap();
        self.ledger.plane.after(stored.header.device, id, stored.branch, &self.shelf).unwrap()
    }
}

/// What to write, and on what.
pub(super) struct Plan {
    /// The own commit that it continues.
    pub(super) base: Option<CommitId>,
    /// Something else that it has seen, with all before it.
    pub(super) seen: Option<CommitId>,
    pub(super) realm: RealmId,
    pub(super) cap: CommitId,
    pub(super) epoch: CommitId,
}

pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) nodes: Vec<Node>,
    pub(super) all: BTreeMap<CommitId, Commit>,
    pub(super) evil: BTreeSet<usize>,
    counter: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let nodes = (0..DEVICES).map(|_| Node::new(Rules::ALL)).collect();
        let evil = (0..dice.below(3)).map(|_| 1 + dice.below(MEMBERS as u64 - 1) as usize).collect();
        let all = BTreeMap::from([(genesis().id(), genesis().clone())]);
        Self { dice, nodes, all, evil, counter: 0 }
    }

    /// A whole random history.
    pub(super) fn history(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.begin();
        for _ in 0..15 + world.dice.below(50) {
            world.step();
        }
        world
    }

    /// A key, some grants, so that there is something to fight about.
    pub(super) fn begin(&mut self) {
        self.rekey(0, RealmId::ROOT);
        for member in 1..=2 {
            self.grant(0, member, RealmId::ROOT, SpaceRole::Owner);
        }
        self.grant(0, 3, RealmId::ROOT, SpaceRole::Editor);
        for device in 1..DEVICES {
            self.give(0, device);
        }
    }

    fn pick(&mut self, below: usize) -> usize {
        self.dice.below(below as u64) as usize
    }

    fn step(&mut self) {
        let device = self.pick(DEVICES);
        match self.dice.below(10) {
            0..=3 => {
                let from = self.pick(DEVICES);
                if self.evil.contains(&(from / 2)) { self.leak(from, device) } else { self.give(from, device) }
            }
            _ if self.evil.contains(&(device / 2)) => self.misbehave(device),
            _ => self.behave(device),
        }
    }

    /// Everything that `from` has.
    pub(super) fn give(&mut self, from: usize, to: usize) {
        let commits: Vec<_> = self.nodes[from].shelf.commits().cloned().collect();
        self.deliver(commits, to);
    }

    /// Some of it.
    fn leak(&mut self, from: usize, to: usize) {
        let commits: Vec<_> = self.nodes[from].shelf.commits().cloned().collect();
        let dice = &mut self.dice;
        let commits = commits.into_iter().filter(|_| dice.permille(700)).collect();
        self.deliver(commits, to);
    }

    fn deliver(&mut self, mut commits: Vec<Commit>, to: usize) {
        self.dice.shuffle(&mut commits);
        for commit in commits {
            self.nodes[to].take(&commit).unwrap();
            if self.dice.permille(300) {
                self.nodes[to].perform();
            }
        }
        self.nodes[to].perform();
    }

    /// What an honest device writes.
    fn behave(&mut self, device: usize) {
        if !self.enter(device) {
            return;
        }
        let realm = self.any_realm(device);
        let member = self.pick(MEMBERS);
        match self.dice.below(20) {
            0..=7 => self.write(device, realm),
            8..=11 => {
                let roles =
                    [SpaceRole::Owner, SpaceRole::Owner, SpaceRole::Editor, SpaceRole::Reader, SpaceRole::Storage];
                let role = roles[self.pick(5)];
                self.grant(device, member, realm, role)
            }
            12..=13 => self.revoke(device, Target::Member(people().members[member]), realm),
            14 => self.revoke(device, Target::Device(people().keys[2 * member].id()), realm),
            15 if self.dice.permille(300) => self.own_lost(device),
            15..=16 => self.make_realm(device, realm),
            17 => self.rekey(device, realm),
            _ => self.settle_fork(device),
        };
    }

    /// What a malicious device writes: anything that will be accepted, from anywhere in its past.
    fn misbehave(&mut self, device: usize) {
        if !self.enter(device) {
            return;
        }
        for _ in 0..4 {
            if self.try_evil(device, true) {
                return;
            }
        }
    }

    /// One malicious attempt. True: the device itself would accept it.
    pub(super) fn try_evil(&mut self, device: usize, care: bool) -> bool {
        let id = people().keys[device].id();
        let node = &self.nodes[device];
        let own: Vec<_> = node.shelf.commits().filter(|commit| commit.device() == id).map(Commit::id).collect();
        let others: Vec<_> = node.shelf.commits().filter(|commit| commit.device() != id).map(Commit::id).collect();
        let tip = node.ledger.plane.chains.of(id).last().map(|branch| branch.tip.id);
        let me = people().members[device / 2];
        let caps: Vec<_> = node.ledger.judgement().grants().filter(|(_, g)| g.member == me).map(|(id, _)| id).collect();
        let base = if self.dice.permille(650) { tip } else { Some(own[self.pick(own.len())]) };
        let seen = self.dice.permille(500).then(|| others[self.pick(others.len())]);
        let cap = if caps.is_empty() { CommitId::ZERO } else { caps[self.pick(caps.len())] };
        let realm = self.any_realm(device);
        let keys: Vec<_> = self.nodes[device].ledger.judgement().epochs(realm);
        let epoch = if keys.is_empty() { CommitId::ZERO } else { keys[self.pick(keys.len())].id };
        let clear = Plan { base, seen, realm, cap, epoch: CommitId::ZERO };
        let member = people().members[self.pick(MEMBERS)];
        let victim = people().keys[self.pick(DEVICES)].id();
        let reason = RevokeReason::Cheated;
        match self.dice.below(12) {
            0..=4 => self.write_on(device, &Plan { epoch, ..clear }, None),
            5..=6 => self.write_on(device, &clear, Some(Control::Grant { member, role: SpaceRole::Owner })),
            7 => self.write_on(device, &clear, Some(Control::Grant { member: me, role: SpaceRole::Owner })),
            8 => {
                let target = Target::Member(member);
                self.write_on(device, &clear, Some(Control::Revoke { target, reason }))
            }
            9 => {
                let target = Target::Device(victim);
                self.write_on(device, &clear, Some(Control::Revoke { target, reason }))
            }
            10 if care => {
                let target = Target::OwnDevice(people().keys[device ^ 1].id());
                let plan = Plan { realm: RealmId::ROOT, cap: CommitId::ZERO, ..clear };
                self.write_on(device, &plan, Some(Control::Revoke { target, reason }))
            }
            10 => self.write_on(
                device,
                &clear,
                Some(Control::Realm { inherit: true, file: self.dice.clone().permille(300) }),
            ),
            _ => {
                let keep = own[self.pick(own.len())];
                self.write_on(device, &clear, Some(Control::Resolve { device: id, keep }))
            }
        }
        .is_some()
    }

    /// Signs what was planned; keeps it if the device itself accepts it.
    pub(super) fn write_on(&mut self, device: usize, plan: &Plan, control: Option<Control>) -> Option<CommitId> {
        let header = self.header_on(device, plan, control.as_ref().map_or(Kind::Data, Control::kind))?;
        self.publish(device, header, control)
    }

    fn publish(&mut self, device: usize, header: Header, control: Option<Control>) -> Option<CommitId> {
        self.counter += 1;
        let body = control.map_or_else(|| self.counter.to_be_bytes().to_vec(), |control| control.to_bytes());
        let commit = Commit::make(&people().keys[device], header, body).unwrap();
        let taken = self.nodes[device].take(&commit);
        self.nodes[device].perform();
        if taken != Ok(Taken::Accepted) {
            return None;
        }
        self.all.insert(commit.id(), commit.clone());
        Some(commit.id())
    }

    fn header_on(&self, device: usize, plan: &Plan, kind: Kind) -> Option<Header> {
        let (node, id) = (&self.nodes[device], people().keys[device].id());
        let chains = &node.ledger.plane.chains;
        let base = plan.base.map(|base| node.after(base)).unwrap_or_default();
        let mut past = base.clone();
        for (other, spot) in plan.seen.map(|seen| node.after(seen)).unwrap_or_default().0 {
            let newer = past.of(other).is_none_or(|known| chains.reaches(other, spot, known));
            if other != id && newer {
                past.0.insert(other, spot);
            }
        }
        let seen = past.frontier().since(&base.frontier());
        let lamport = |id: &CommitId| node.shelf.stored(id).map(|stored| stored.header.lamport);
        let latest =
            seen.iter().filter_map(|seen| lamport(&seen.id)).chain(plan.base.and_then(|id| lamport(&id))).max();
        Some(Header {
            ledger: genesis().id(),
            seq: base.of(id).map_or(0, |spot: Spot| spot.seq + 1),
            previous: plan.base.unwrap_or(CommitId::ZERO),
            seen,
            frontier: past.frontier().hash(),
            lamport: latest? + 1,
            cap: plan.cap,
            realm: plan.realm,
            epoch: plan.epoch,
            ..blank(id, kind)
        })
    }

    /// True if the device is in.
    pub(super) fn enter(&mut self, device: usize) -> bool {
        let key = &people().keys[device];
        self.nodes[device].ledger.knows(key.id()) || {
            self.honest(device, RealmId::ROOT, CommitId::ZERO, CommitId::ZERO, Some(Control::Enter(entry(device))))
                .is_some()
        }
    }

    fn any_realm(&mut self, device: usize) -> RealmId {
        let realms: Vec<_> = self.nodes[device].ledger.plane.realms.iter().map(|(id, _)| id).collect();
        if realms.is_empty() || self.dice.permille(500) { RealmId::ROOT } else { realms[self.pick(realms.len())] }
    }

    /// The next commit of a device that has seen all it could.
    fn honest(
        &mut self,
        device: usize,
        realm: RealmId,
        cap: CommitId,
        epoch: CommitId,
        control: Option<Control>,
    ) -> Option<CommitId> {
        let kind = control.as_ref().map_or(Kind::Data, Control::kind);
        let draft = Draft { kind, realm, cap, epoch, time: NOW, sure: true };
        let header = self.nodes[device].ledger.next_header(people().keys[device].id(), &draft).ok()?;
        let written = self.publish(device, header, control);
        assert!(written.is_some(), "an honest commit was refused");
        written
    }

    pub(super) fn cap(&self, device: usize, realm: RealmId, role: SpaceRole) -> Option<CommitId> {
        self.nodes[device].ledger.judgement().cap_for(people().keys[device].id(), realm, role)
    }

    /// A control commit of an owner. `None`: it is none.
    pub(super) fn own(&mut self, device: usize, realm: RealmId, control: Control) -> Option<CommitId> {
        self.enter(device);
        let cap = self.cap(device, realm, SpaceRole::Owner)?;
        self.honest(device, realm, cap, CommitId::ZERO, Some(control))
    }

    pub(super) fn write(&mut self, device: usize, realm: RealmId) -> Option<CommitId> {
        self.enter(device);
        let cap = self.cap(device, realm, SpaceRole::Editor)?;
        let epoch = self.nodes[device].ledger.judgement().writers_epoch(realm)?;
        self.honest(device, realm, cap, epoch.id, None)
    }

    pub(super) fn grant(&mut self, device: usize, member: usize, realm: RealmId, role: SpaceRole) -> Option<CommitId> {
        self.own(device, realm, Control::Grant { member: people().members[member], role })
    }

    pub(super) fn revoke(&mut self, device: usize, target: Target, realm: RealmId) -> Option<CommitId> {
        self.own(device, realm, Control::Revoke { target, reason: RevokeReason::Withdrawn })
    }

    pub(super) fn own_lost(&mut self, device: usize) -> Option<CommitId> {
        let target = Target::OwnDevice(people().keys[device ^ 1].id());
        let control = Control::Revoke { target, reason: RevokeReason::Lost };
        self.honest(device, RealmId::ROOT, CommitId::ZERO, CommitId::ZERO, Some(control))
    }

    pub(super) fn make_realm(&mut self, device: usize, realm: RealmId) -> Option<CommitId> {
        let file = self.dice.clone().permille(300);
        let inherit = self.dice.permille(500);
        let made = self.own(device, realm, Control::Realm { inherit, file })?;
        self.rekey(device, RealmId::made_by(made));
        Some(made)
    }

    pub(super) fn rekey(&mut self, device: usize, realm: RealmId) -> Option<CommitId> {
        let readers: Vec<_> = self.nodes[device].ledger.judgement().readers(realm).into_iter().collect();
        self.rekey_for(device, realm, &readers, [None; 2])
    }

    /// A key for these devices, that leads back to the first epoch of `links` and lies under the second.
    pub(super) fn rekey_for(
        &mut self,
        device: usize,
        realm: RealmId,
        readers: &[DeviceId],
        links: [Option<EpochId>; 2],
    ) -> Option<CommitId> {
        let wrap = |device: &DeviceId| Wrap { device: *device, algorithm: 0, enc: ByteBuf::new(), ct: ByteBuf::new() };
        let readers: BTreeSet<_> = readers.iter().collect();
        let wraps = readers.into_iter().map(wrap).collect();
        let [back, parent] = links.map(|epoch| epoch.map(|epoch| Link { epoch, sealed: ByteBuf::new() }));
        self.own(device, realm, Control::Rekey(Rekey { number: 0, commitment: [0; 32], wraps, back, parent }))
    }

    /// The founding member picks one branch of a fork that it knows.
    fn settle_fork(&mut self, device: usize) -> Option<CommitId> {
        let node = &self.nodes[device];
        let forked: Vec<_> = node.ledger.judgement().forked().collect();
        if device / 2 != 0 || forked.is_empty() {
            return None;
        }
        let about = forked[self.pick(forked.len())];
        let branches = self.nodes[device].ledger.plane.chains.of(about);
        let keep: Vec<_> = branches.iter().flat_map(|branch| [Some(branch.first), branch.rival]).flatten().collect();
        let keep = keep[self.pick(keep.len())];
        self.own(device, RealmId::ROOT, Control::Resolve { device: about, keep })
    }
}
