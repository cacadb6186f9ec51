//! One run: devices, a network in virtual time, and everything that goes wrong, out of one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use seal::Timestamp;
use serde_bytes::ByteBuf;
use testkit::{Conditions, Dice, Happening, Network, Packet};

use super::alarm::{Alarm, Happened};
use super::cheats::Cheat;
use super::deeds::Deed;
use super::device::{Device, Habits, Image, PATIENCE_MS};
use super::oracle::Oracle;
use super::people::{BEGIN, people};
use crate::Misbehaved;
use crate::ledger::sync::Message;
use crate::ledger::{CommitId, Control, RealmId, RevokeReason, Shelf, SpaceRole, Target};
use crate::limits::LEDGER_FRAME;
use crate::space::{Change, Content, Kind as NodeOf, NodeId, NodeKind, Written};

/// The node of the network that stands for chance.
const FATE: usize = usize::MAX;
/// Names that meet each other. Whoever cannot read must not have any of them.
const NAMES: [&[u8]; 6] =
    [b"canary-a", b"CANARY-A", b"canary-b", "canary-\u{e9}".as_bytes(), "canary-e\u{301}".as_bytes(), b"canary.txt"];

/// Commits that may be signed when everybody is left in peace.
const LATE: usize = 400;

/// What a run is made of.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) devices: usize,
    /// Steps before everybody is left in peace.
    pub(super) steps: u64,
    /// Events that end in a crash, in ten thousand.
    pub(super) crashes: u64,
    /// Disks are put back to older states.
    pub(super) backups: bool,
    /// What each of the cheats does.
    pub(super) cheats: Vec<Vec<Deed>>,
    pub(super) habits: Habits,
}

impl Plan {
    /// Everything that goes wrong without anybody's meaning it.
    pub(super) fn honest(seed: u64) -> Self {
        let devices = 3 + (seed % 6) as usize;
        Self { seed, devices, steps: 3000, crashes: 40, backups: true, cheats: Vec::new(), habits: Habits::GOOD }
    }

    /// One cheat among five honest devices.
    pub(super) fn alone(deed: Deed, seed: u64) -> Self {
        let cheats = if deed == Deed::Backup { Vec::new() } else { vec![vec![deed]] };
        Self { cheats, devices: 6, steps: 2000, ..Self::honest(seed) }
    }

    /// Up to three cheats, with up to four deeds each.
    pub(super) fn mixed(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x000d_eed5);
        let mut deeds = |_| (0..=dice.below(4)).map(|_| Deed::ALL[dice.below(32) as usize]).collect();
        let cheats = (0..=seed % 3).map(&mut deeds).collect();
        Self { cheats, devices: 5 + (seed % 4) as usize, ..Self::honest(seed) }
    }
}

/// What a run showed.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) steps: u64,
    pub(super) commits: usize,
    /// Who noticed what.
    pub(super) alarms: BTreeSet<(usize, Alarm)>,
    pub(super) cheats: Vec<usize>,
}

/// How a crash cuts off what a device was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    /// Before the transaction: nothing of it is there.
    Before,
    /// After the transaction, before the mark.
    Between,
    /// After the mark, before anything was said.
    After,
}

type Fault = Result<(), String>;

pub(super) struct World {
    plan: Plan,
    dice: Dice,
    net: Network,
    /// By their numbers among the people.
    devices: BTreeMap<usize, Device>,
    cheats: BTreeMap<usize, Cheat>,
    links: BTreeSet<(usize, usize)>,
    cuts: BTreeSet<(usize, usize)>,
    /// Whose timer is set.
    waking: BTreeSet<usize>,
    backups: BTreeMap<usize, Image>,
    oracle: Oracle,
    steps: u64,
    peace: bool,
    /// What was signed since there is peace.
    late: Vec<CommitId>,
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut dice = Dice::new(plan.seed);
        let conditions = if dice.permille(300) {
            Conditions { delay_max: Duration::from_secs(4), ..Conditions::stream() }
        } else {
            Conditions::stream()
        };
        let net = Network::new(dice.roll(), conditions, BEGIN);
        // One device of each member, then second ones.
        let cast: Vec<usize> = (0..plan.devices).map(|n| if n < 25 { 2 * n } else { 2 * (n - 25) + 1 }).collect();
        let mut cast = cast;
        if plan.devices < 25 && dice.permille(300) {
            cast.push(2 * dice.below(plan.devices as u64) as usize + 1);
        }
        let mut devices = BTreeMap::new();
        let mut cheats = BTreeMap::new();
        // The founding member keeps the rules: nobody could be right against it.
        for (deeds, number) in plan.cheats.iter().zip(cast.iter().skip(1)) {
            cheats.insert(*number, Cheat::new(*number, deeds.clone()));
        }
        for number in &cast {
            let mut habits = plan.habits;
            habits.guard &= !cheats.contains_key(number);
            devices.insert(*number, Device::new(*number, habits));
        }
        let honest: Vec<_> = cast.iter().copied().filter(|number| !cheats.contains_key(number)).collect();
        let oracle = Oracle::new(&honest);
        let (links, cuts, waking, backups) = Default::default();
        Self {
            plan,
            dice,
            net,
            devices,
            cheats,
            links,
            cuts,
            waking,
            backups,
            oracle,
            steps: 0,
            peace: false,
            late: Vec::new(),
        }
    }

    /// A whole run. An error says what did not hold.
    pub(super) fn run(plan: Plan) -> Result<Report, String> {
        let mut world = Self::new(plan);
        let done = world.begin().and_then(|()| world.go_on()).and_then(|()| world.rest());
        match done {
            Ok(()) => {
                let commits = world.oracle.commits();
                let alarms = std::mem::take(&mut world.oracle.alarms);
                let cheats = world.cheats.keys().copied().collect();
                Ok(Report { steps: world.steps, commits, alarms, cheats })
            }
            Err(fault) => Err(format!("seed {:#x}, step {}: {fault}\n{:?}", world.plan.seed, world.steps, world.plan)),
        }
    }

    fn begin(&mut self) -> Fault {
        self.on(0, |device, _, _| device.adopt(people().genesis.clone()))?;
        self.on(0, |device, dice, now| {
            device.tick(now, dice.bytes());
            Ok(())
        })?;
        let members: BTreeMap<usize, SpaceRole> = self.roles();
        for (member, role) in members {
            let control = Control::Grant { member: people().members[member], role };
            self.on(0, |device, _, now| {
                device.decide(RealmId::ROOT, &control, now);
                Ok(())
            })?;
        }
        let numbers: Vec<_> = self.devices.keys().copied().collect();
        self.separate_newcomer(&numbers);
        for (at, a) in numbers.iter().enumerate() {
            for b in &numbers[at + 1..] {
                self.link(*a, *b)?;
            }
        }
        self.net.wake(FATE, BEGIN);
        Ok(())
    }

    /// Somebody whom only a cheat knows at first, where that is what it cheats with.
    fn separate_newcomer(&mut self, numbers: &[usize]) {
        let Some(last) = numbers.last().copied().filter(|last| !self.cheats.contains_key(last)) else { return };
        let Some(cheat) = self.cheats.values_mut().find(|cheat| cheat.deeds.contains(&Deed::OlderToNewcomer)) else {
            return;
        };
        cheat.newcomer = Some(last);
        let others = numbers.iter().filter(|number| **number != last && **number != cheat.number);
        self.cuts.extend(others.map(|other| pair(*other, last)));
    }

    /// Roles of the members besides the founding one.
    fn roles(&mut self) -> BTreeMap<usize, SpaceRole> {
        let mut roles = BTreeMap::new();
        for number in self.devices.keys().filter(|number| **number / 2 > 0) {
            let usual = [SpaceRole::Owner, SpaceRole::Editor, SpaceRole::Editor, SpaceRole::Reader, SpaceRole::Storage];
            let deeds = self.cheats.get(number).map(|cheat| &cheat.deeds[..]).unwrap_or_default();
            let needed = deeds.iter().filter(|deed| deed.is_here()).map(|deed| deed.role()).max();
            let role = needed.unwrap_or(usual[self.dice.below(5) as usize]);
            roles.entry(number / 2).or_insert(role);
        }
        // Somebody has to write, and to duel with.
        let free: Vec<_> = roles.keys().copied().filter(|member| !self.cheats.contains_key(&(2 * member))).collect();
        for (member, role) in free.into_iter().zip([SpaceRole::Editor, SpaceRole::Owner]) {
            roles.insert(member, role);
        }
        roles
    }

    /// Until the time is over.
    fn go_on(&mut self) -> Fault {
        while self.steps < self.plan.steps {
            self.step()?;
        }
        Ok(())
    }

    /// One thing happens. False: nothing is left to happen.
    fn step(&mut self) -> Result<bool, String> {
        let Some(happening) = self.net.step() else { return Ok(false) };
        self.steps += 1;
        match happening {
            Happening::Arrival(packet) => self.arrive(packet)?,
            Happening::Timer(FATE) if self.peace => {}
            Happening::Timer(FATE) => {
                self.fate()?;
                let pause = self.dice.duration(Duration::from_millis(50), Duration::from_secs(4));
                self.net.wake(FATE, self.net.now().plus(pause));
            }
            Happening::Timer(number) => {
                self.waking.remove(&number);
                self.on(number, |device, dice, now| {
                    device.tick(now, dice.bytes());
                    Ok(())
                })?;
            }
        }
        Ok(true)
    }

    fn arrive(&mut self, packet: Packet) -> Fault {
        let Packet { from, to, bytes } = packet;
        let distrust = self.cheats.contains_key(&from);
        let mut offence = None;
        self.on(to, |device, _, now| {
            let heard = Message::read(&bytes).and_then(|message| device.hear(from, message, now, distrust));
            offence = heard.err();
            if let Some(offence) = offence {
                device.log.push(Happened::Noticed(Alarm::Offence(from, offence)));
            }
            Ok(())
        })?;
        if offence.is_some() {
            self.unlink(from, to);
        }
        Ok(())
    }

    /// Lets a device do something, all of it or up to a crash; then looks at what it did and sends what it says.
    fn on(
        &mut self,
        number: usize,
        does: impl FnOnce(&mut Device, &mut Dice, Timestamp) -> Result<(), Misbehaved>,
    ) -> Fault {
        let now = self.net.now();
        let crash = (!self.peace && self.steps > 0 && self.dice.below(10_000) < self.plan.crashes)
            .then(|| [Crash::Before, Crash::Between, Crash::After][self.dice.below(3) as usize]);
        let Some(device) = self.devices.get_mut(&number).filter(|device| device.is_on()) else { return Ok(()) };
        let image = (crash == Some(Crash::Before)).then(|| device.image());
        let mark = device.mark;
        does(device, &mut self.dice, now).map_err(|offence| format!("{number} refused its own: {offence}"))?;
        device.tell_news();
        if crash != Some(Crash::Between) {
            device.mirror();
        }
        let out = std::mem::take(&mut device.out);
        let said = crash.is_none() || !device.habits.durable;
        match (crash, image) {
            (Some(_), Some(image)) => {
                device.log.retain(|happened| !device.habits.durable && matches!(happened, Happened::Signed(_)));
                device.power_off_with(image);
            }
            (Some(crash), None) => {
                device.power_off();
                if crash == Crash::Between {
                    device.mark = mark;
                }
            }
            (None, _) => {}
        }
        if said {
            self.send(number, out);
        }
        if crash.is_some() {
            self.went_off(number);
        }
        self.look(number)
    }

    fn send(&mut self, from: usize, out: Vec<(usize, Message)>) {
        for (to, message) in out {
            if !self.links.contains(&pair(from, to)) {
                continue;
            }
            match self.cheats.get_mut(&from) {
                Some(cheat) => {
                    for body in cheat.twist(&self.devices[&from], to, message, &mut self.dice) {
                        self.net.send(from, to, body);
                    }
                }
                None => {
                    let frame = message.frame().expect("an honest message fits into its frame");
                    assert!(frame.body().len() <= LEDGER_FRAME.bytes());
                    self.net.send(from, to, frame.body().to_vec());
                }
            }
        }
    }

    /// What must hold after every step of the device that took it.
    fn look(&mut self, number: usize) -> Fault {
        let Some(device) = self.devices.get_mut(&number) else { return Ok(()) };
        let log = std::mem::take(&mut device.log);
        let busy = !log.is_empty();
        let device = &self.devices[&number];
        if self.peace {
            let signed = log.iter().filter_map(|happened| match happened {
                Happened::Signed(id) => Some(*id),
                _ => None,
            });
            self.late.extend(signed);
            if self.late.len() > LATE {
                return Err(self.unrest(device));
            }
        }
        self.oracle.look(device, log)?;
        if device.is_on() && (busy || (device.is_waiting() && !self.peace)) && self.waking.insert(number) {
            let wait = if busy { 2000 + 300 * number as i64 } else { PATIENCE_MS + 1000 };
            let wait = if self.peace { wait } else { wait + self.dice.below(2000) as i64 };
            self.net.wake(number, Timestamp(self.net.now().0 + wait));
        }
        Ok(())
    }

    /// What does not come to rest.
    fn unrest(&self, device: &Device) -> String {
        let mut last = BTreeMap::new();
        for commit in self.late.iter().rev().take(LATE / 2).filter_map(|id| device.db.shelf.commit(id)) {
            let header = commit.header();
            let worth = device.db.worth.get(&commit.id());
            let what = (people().number(header.device), header.kind, header.realm);
            last.entry(what).or_insert_with(|| (0, commit.id(), worth)).0 += 1;
        }
        let realms: BTreeSet<_> = last.keys().map(|(.., realm)| *realm).collect();
        let keys: Vec<_> = realms.into_iter().map(|realm| device.words_on_keys(realm)).collect();
        format!("they never come to rest: {last:#?}\n{}", keys.join("\n"))
    }

    fn link(&mut self, a: usize, b: usize) -> Fault {
        let on = |number: usize| self.devices.get(&number).is_some_and(Device::is_on);
        if self.cuts.contains(&pair(a, b)) || !on(a) || !on(b) || !self.links.insert(pair(a, b)) {
            return Ok(());
        }
        self.net.heal(a, b);
        for (one, other) in [(a, b), (b, a)] {
            if let Some(device) = self.devices.get_mut(&one) {
                device.link_up(other);
            }
        }
        for number in [a, b] {
            self.on(number, |_, _, _| Ok(()))?;
        }
        Ok(())
    }

    fn unlink(&mut self, a: usize, b: usize) {
        if !self.links.remove(&pair(a, b)) {
            return;
        }
        self.net.cut(a, b);
        for (one, other) in [(a, b), (b, a)] {
            if let Some(device) = self.devices.get_mut(&one) {
                device.link_down(other);
            }
        }
    }

    fn went_off(&mut self, number: usize) {
        let links: Vec<_> = self.links.iter().copied().filter(|(a, b)| *a == number || *b == number).collect();
        for (a, b) in links {
            self.unlink(a, b);
        }
    }

    fn any(&mut self) -> usize {
        let numbers: Vec<_> = self.devices.keys().copied().collect();
        numbers[self.dice.below(numbers.len() as u64) as usize]
    }

    /// What nobody asked for, and what people do.
    fn fate(&mut self) -> Fault {
        let number = self.any();
        if self.dice.permille(300) {
            self.cheat()?;
        }
        match self.dice.below(100) {
            0..=54 => self.act(number)?,
            55..=60 => {
                let other = self.any();
                if number != other {
                    self.unlink(number, other);
                    self.cuts.insert(pair(number, other));
                }
            }
            // Two halves that do not hear of each other.
            61 => {
                let numbers: Vec<_> = self.devices.keys().copied().collect();
                let half: BTreeSet<_> = numbers.iter().copied().filter(|_| self.dice.permille(500)).collect();
                for a in &half {
                    for b in numbers.iter().filter(|b| !half.contains(b)) {
                        self.unlink(*a, *b);
                        self.cuts.insert(pair(*a, *b));
                    }
                }
            }
            62..=69 => {
                let cuts: Vec<_> = self.cuts.iter().copied().collect();
                for (a, b) in cuts {
                    if self.dice.permille(400) {
                        self.cuts.remove(&pair(a, b));
                    }
                }
            }
            // A link breaks, and is there again soon.
            70..=73 => {
                let other = self.any();
                self.unlink(number, other);
            }
            74..=75 => {
                if let Some(device) = self.devices.get_mut(&number) {
                    device.power_off();
                    self.went_off(number);
                }
            }
            76..=83 => self.power_on(number)?,
            84..=85 if self.plan.backups => {
                let image = self.devices[&number].image();
                self.backups.insert(number, image);
            }
            86 if self.plan.backups => self.put_back(number),
            87..=88 => {
                if let Some(device) = self.devices.get_mut(&number) {
                    let jumps = [0, -3_600_000, 3_600_000, -30 * 365 * 86_400_000, 174 * 365 * 86_400_000];
                    device.skew = jumps[self.dice.below(5) as usize];
                    self.oracle.moved_clock(number);
                }
            }
            _ => {
                let numbers: Vec<_> = self.devices.keys().copied().collect();
                for (at, a) in numbers.iter().enumerate() {
                    for b in &numbers[at + 1..] {
                        if self.dice.permille(300) {
                            self.link(*a, *b)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn power_on(&mut self, number: usize) -> Fault {
        let Some(device) = self.devices.get_mut(&number).filter(|device| !device.is_on()) else { return Ok(()) };
        device.power_on();
        self.look(number)
    }

    /// The database is put back to what it was once; the mark beside it is not.
    fn put_back(&mut self, number: usize) {
        let Some(image) = self.backups.get(&number).cloned() else { return };
        let Some(device) = self.devices.get_mut(&number).filter(|_| !self.cheats.contains_key(&number)) else { return };
        if device.is_ahead_of_its_mark() {
            return;
        }
        let mark = device.mark;
        device.power_off_with(Image { mark, ..image });
        self.oracle.put_back(number);
        self.went_off(number);
    }

    /// A cheat does what only cheats do.
    fn cheat(&mut self) -> Fault {
        let numbers: Vec<_> = self.cheats.keys().copied().collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let number = numbers[self.dice.below(numbers.len() as u64) as usize];
        let Some(mut cheat) = self.cheats.remove(&number) else { return Ok(()) };
        let deeds = cheat.deeds.clone();
        let mut done = self.on(number, |device, dice, now| {
            cheat.act(device, now, dice);
            Ok(())
        });
        if deeds.contains(&Deed::OlderWorld) && self.dice.permille(60) {
            if let Some(image) = cheat.image.take() {
                if let Some(device) = self.devices.get_mut(&number) {
                    device.power_off_with(image);
                    device.power_on();
                }
                self.went_off(number);
            } else {
                cheat.image = self.devices.get(&number).map(Device::image);
            }
        }
        self.cheats.insert(number, cheat);
        let member = people().member(number);
        let removal = Control::Revoke { target: Target::Member(member), reason: RevokeReason::Cheated };
        let removed = [Deed::WriteAfterRevoke, Deed::Backdate, Deed::Sybils];
        if deeds.iter().any(|deed| removed.contains(deed)) && self.dice.permille(60) {
            done = done.and_then(|()| {
                self.on(0, |device, _, now| {
                    device.decide(RealmId::ROOT, &removal, now);
                    Ok(())
                })
            });
        }
        if deeds.contains(&Deed::Duel) && self.dice.permille(60) {
            done = done.and_then(|()| self.duel(number, &removal));
        }
        done
    }

    /// Two owners revoke each other in the same moment.
    fn duel(&mut self, number: usize, removal: &Control) -> Fault {
        let owner = |device: &&Device| {
            let role = device.ledger().and_then(|ledger| ledger.role_of(device.id, RealmId::ROOT));
            device.number / 2 != 0 && device.number != number && role == Some(SpaceRole::Owner)
        };
        let Some(other) = self.devices.values().find(owner).map(|device| device.number) else { return Ok(()) };
        let target = Target::Member(people().member(other));
        let back = Control::Revoke { target, reason: RevokeReason::Cheated };
        for (who, control) in [(number, &back), (other, removal)] {
            self.on(who, |device, _, now| {
                device.decide(RealmId::ROOT, control, now);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Somebody uses a device.
    fn act(&mut self, number: usize) -> Fault {
        let members: Vec<_> = self.devices.keys().map(|number| people().member(*number)).collect();
        let numbers: Vec<_> = self.devices.keys().map(|number| people().id(*number)).collect();
        self.on(number, |device, dice, now| {
            let member = members[dice.below(members.len() as u64) as usize];
            let other = numbers[dice.below(numbers.len() as u64) as usize];
            let realm = realm(device, dice);
            let reason = RevokeReason::Withdrawn;
            match dice.below(100) {
                0..=5 => {
                    let roles =
                        [SpaceRole::Owner, SpaceRole::Editor, SpaceRole::Editor, SpaceRole::Reader, SpaceRole::Storage];
                    let role = roles[dice.below(5) as usize];
                    device.decide(realm, &Control::Grant { member, role }, now);
                }
                6 => drop(device.decide(realm, &Control::Revoke { target: Target::Member(member), reason }, now)),
                7 => drop(device.decide(realm, &Control::Revoke { target: Target::Device(other), reason }, now)),
                8..=9 => {
                    let file = dice.clone().permille(400);
                    let control = Control::Realm { inherit: dice.permille(500), file };
                    if let Some(made) = device.decide(realm, &control, now) {
                        device.rekey(RealmId::made_by(made), now, dice.bytes(), |_, _| {});
                    }
                }
                10 => drop(device.rekey(realm, now, dice.bytes(), |_, _| {})),
                11..=13 => settle_fork(device, now, dice),
                14 if dice.permille(100) => {
                    let target = Target::OwnDevice(people().id(device.number ^ 1));
                    device.drop_own(&Control::Revoke { target, reason: RevokeReason::Lost }, now);
                }
                _ => {
                    let fresh = dice.bytes();
                    device.write(realm, now, fresh, |device, seq| changes(device, realm, seq, dice));
                }
            }
            Ok(())
        })
    }

    /// Everybody is left in peace, the cheats are gone: all honest devices must come to the same.
    fn rest(&mut self) -> Fault {
        self.peace = true;
        let cheats: Vec<_> = self.cheats.keys().copied().collect();
        for number in cheats {
            if let Some(device) = self.devices.get_mut(&number) {
                device.power_off();
            }
            self.went_off(number);
        }
        self.cuts.clear();
        let honest: Vec<_> = self.devices.keys().copied().filter(|number| !self.cheats.contains_key(number)).collect();
        for number in &honest {
            self.power_on(*number)?;
        }
        for (at, a) in honest.iter().enumerate() {
            for b in &honest[at + 1..] {
                self.unlink(*a, *b);
                self.link(*a, *b)?;
            }
        }
        for round in 0.. {
            let before = self.steps;
            while self.step()? {
                if self.steps - before > 20_000 {
                    return Err("they never fall silent".into());
                }
            }
            for number in &honest {
                self.on(*number, |device, dice, now| {
                    device.tick(now, dice.bytes());
                    Ok(())
                })?;
            }
            if !self.step()? {
                break;
            }
            if round > 20 {
                return Err("they never come to an end".into());
            }
        }
        let settled: Vec<_> = honest.iter().map(|number| &self.devices[number]).collect();
        self.oracle.judge(&settled, &mut self.dice)
    }
}

/// A realm that the device may do something in.
fn realm(device: &Device, dice: &mut Dice) -> RealmId {
    let inside = device.ledger().map(|ledger| ledger.judgement().realms().map(|(realm, _)| realm).collect::<Vec<_>>());
    match inside {
        Some(realms) if !realms.is_empty() && dice.permille(300) => realms[dice.below(realms.len() as u64) as usize],
        _ => RealmId::ROOT,
    }
}

/// The founding member says which branch counts.
fn settle_fork(device: &mut Device, now: Timestamp, dice: &mut Dice) {
    let Some(ledger) = device.ledger() else { return };
    let forked: Vec<_> = ledger.judgement().forked().collect();
    if device.number / 2 != 0 || forked.is_empty() {
        return;
    }
    let about = forked[dice.below(forked.len() as u64) as usize];
    let theirs: Vec<_> = device.db.shelf.commits().filter(|commit| commit.device() == about).collect();
    let twice = |seq: u64| theirs.iter().filter(|commit| commit.header().seq == seq).count() > 1;
    let keep = theirs.iter().find(|commit| twice(commit.header().seq)).map(|commit| commit.id());
    if let Some(keep) = keep {
        device.decide(RealmId::ROOT, &Control::Resolve { device: about, keep }, now);
    }
}

/// One thing that somebody does with files.
fn changes(device: &Device, realm: RealmId, seq: u64, dice: &mut Dice) -> Vec<Change> {
    let of = |node| crate::space::Node { realm, id: node };
    let heads = |node| device.db.tree.heads(of(node)).expect("rows in memory");
    let judgement = device.ledger().map(|ledger| ledger.judgement());
    let realms: Vec<_> = judgement.iter().flat_map(|judgement| judgement.realms()).collect();
    if realms.iter().any(|(id, facts)| *id == realm && facts.file) {
        return vec![put(NodeId::FILE, heads(NodeId::FILE), dice)];
    }
    let known = device.db.nodes.get(&realm).map(Vec::as_slice).unwrap_or_default();
    let name = |dice: &mut Dice| ByteBuf::from(NAMES[dice.below(NAMES.len() as u64) as usize]);
    let dirs: Vec<_> = known.iter().copied().filter(|node| node.kind() == Some(NodeKind::Dir)).collect();
    let parent = match dirs.is_empty() || dice.permille(300) {
        true => NodeId::ROOT,
        false => dirs[dice.below(dirs.len() as u64) as usize],
    };
    let fresh = |index, kind| NodeId::of(&device.id, seq, index, kind);
    let file = |index, parent, dice: &mut Dice| {
        let node = fresh(index, NodeKind::File);
        [Change::Make { node, kind: NodeOf::File, parent, name: name(dice) }, put(node, Vec::new(), dice)]
    };
    if known.len() < 3 || dice.permille(250) {
        let node = fresh(0, NodeKind::Dir);
        return match dice.below(3) {
            0 => {
                let dir = Change::Make { node, kind: NodeOf::Dir, parent, name: name(dice) };
                [vec![dir], file(1, node, dice).to_vec()].concat()
            }
            _ => file(0, parent, dice).to_vec(),
        };
    }
    let inside = realms.iter().find(|(_, facts)| facts.file && facts.parent == realm).map(|(id, _)| *id);
    if let Some(alone) = inside.filter(|_| dice.clone().permille(200)) {
        let node = fresh(0, NodeKind::FileRealm);
        return vec![Change::Make { node, kind: NodeOf::FileRealm(alone), parent, name: name(dice) }];
    }
    let any = known[dice.below(known.len() as u64) as usize];
    let parent = if parent == any { NodeId::ROOT } else { parent };
    match dice.below(8) {
        0..=3 => vec![put(any, heads(any), dice)],
        4..=5 => vec![Change::Move { node: any, parent, name: name(dice) }],
        6 => vec![put(any, heads(any), dice), Change::Move { node: any, parent, name: name(dice) }],
        _ => vec![device.db.tree.deletion(of(any)).expect("rows in memory")],
    }
}

fn put(node: NodeId, bases: Vec<crate::space::VersionId>, dice: &mut Dice) -> Change {
    let content = match node.kind() {
        Some(NodeKind::File) => Content::File { size: dice.below(9999), hash: dice.bytes(), manifest: ByteBuf::new() },
        _ => Content::Nothing,
    };
    Change::Put { node, bases, written: Written { content, ..Written::default() } }
}
