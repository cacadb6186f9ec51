//! What must hold: after every step of the device that took it ([`Oracle::look`]), and of all honest devices when they were
//! left in peace ([`Oracle::judge`]). It knows what no device knows: who cheats, and what everybody signed.

use std::collections::{BTreeMap, BTreeSet};

use seal::{DeviceId, MemberId};
use serde_bytes::ByteBuf;
use testkit::Dice;

use super::alarm::{Alarm, Happened, Reason};
use super::device::Device;
use super::keys;
use super::people::{BEGIN, DEVICES, people};
use crate::ledger::evidence::{self, Piece, Signed};
use crate::ledger::rules::Rules;
use crate::ledger::tests::check::Case;
use crate::ledger::{
    Action, Commit, CommitId, Control, EpochId, Frontier, HeadStatement, Kind, Ledger, MemoryShelf, RealmId, Rollback,
    Shelf, SpaceRole, Verdict, sync,
};
use crate::limits::{WAITING_BYTES, WAITING_COMMITS};
use crate::space::{Change, MemoryRows, Node, Origin, Tree};

macro_rules! hold {
    ($condition:expr, $($words:tt)*) => {
        if !$condition { return Err(format!($($words)*)); }
    };
}

/// Something that was written under a key.
struct Wrote {
    epoch: EpochId,
    lamport: u64,
    readers: BTreeSet<DeviceId>,
    /// What who wrote it had.
    knew: Frontier,
}

pub(super) struct Oracle {
    honest: BTreeSet<usize>,
    /// Their disk was put back to an older one.
    put_back: BTreeSet<usize>,
    /// Their clock was moved.
    moved: BTreeSet<usize>,
    signed: BTreeSet<CommitId>,
    places: BTreeMap<(DeviceId, u64), BTreeSet<CommitId>>,
    had: BTreeMap<usize, Frontier>,
    statements: BTreeMap<DeviceId, HeadStatement>,
    wrote: Vec<Wrote>,
    pub(super) alarms: BTreeSet<(usize, Alarm)>,
}

impl Oracle {
    pub(super) fn new(honest: &[usize]) -> Self {
        let (put_back, moved, signed, places, had, statements, wrote, alarms) = Default::default();
        let honest = honest.iter().copied().collect();
        Self { honest, put_back, moved, signed, places, had, statements, wrote, alarms }
    }

    pub(super) fn commits(&self) -> usize {
        self.signed.len()
    }

    pub(super) fn put_back(&mut self, number: usize) {
        self.put_back.insert(number);
        self.had.remove(&number);
    }

    pub(super) fn moved_clock(&mut self, number: usize) {
        self.moved.insert(number);
    }

    fn is_honest(&self, device: DeviceId) -> bool {
        people().number(device).is_some_and(|number| self.honest.contains(&number))
    }

    /// After every step.
    pub(super) fn look(&mut self, device: &Device, log: Vec<Happened>) -> Result<(), String> {
        let number = device.number;
        let honest = self.honest.contains(&number);
        for happened in log {
            match happened {
                Happened::Signed(id) => drop(self.signed.insert(id)),
                Happened::Stored(id, author, seq) if honest => {
                    hold!(self.signed.contains(&id), "{number} took a commit that nobody signed: {id:?}");
                    let place = self.places.entry((author, seq)).or_default();
                    place.insert(id);
                    let twice = place.len() > 1 && self.is_honest(author);
                    hold!(!twice, "an honest device signed {seq} twice: {:?}", people().number(author));
                }
                Happened::Stated(statement) if honest => {
                    let before = self.statements.insert(device.id, statement.clone());
                    let lie = before.and_then(|before| Rollback::proven(&before, &statement));
                    hold!(lie.is_none(), "the honest {number} signed that it holds less than before: {lie:?}");
                }
                Happened::Wrote { epoch, clean, readers } if honest && clean => {
                    let Some(knew) = device.ledger().map(Ledger::frontier) else { continue };
                    let Some((_, tip)) = knew.of(device.id) else { continue };
                    let lamport = device.db.shelf.stored(&tip).map_or(0, |stored| stored.header.lamport);
                    self.wrote.push(Wrote { epoch, lamport, readers, knew });
                }
                Happened::Noticed(alarm) if honest => {
                    self.is_just(number, &alarm)?;
                    self.alarms.insert((number, alarm));
                }
                _ => {}
            }
        }
        if honest { self.look_back(device) } else { Ok(()) }
    }

    /// I6: what a device shows never grows less, whatever crashed. I17: what waits is bounded.
    fn look_back(&mut self, device: &Device) -> Result<(), String> {
        let Some(ledger) = device.ledger() else { return Ok(()) };
        let shown = sync::shown(&sync::summary(ledger));
        if let Some(before) = self.had.get(&device.number) {
            hold!(shown.dominates(before), "{} shows less than it did", device.number);
        }
        self.had.insert(device.number, shown);
        let (commits, bytes) = ledger.waiting();
        let bound = commits <= WAITING_COMMITS * DEVICES && bytes <= WAITING_BYTES * DEVICES;
        hold!(bound, "{commits} commits of {bytes} bytes wait");
        Ok(())
    }

    /// Nobody honest is accused of anything.
    fn is_just(&self, number: usize, alarm: &Alarm) -> Result<(), String> {
        let honest = |device: &DeviceId| self.is_honest(*device);
        let unjust = match alarm {
            Alarm::Offence(from, _) | Alarm::NotGiven(from) => self.honest.contains(from),
            Alarm::Withheld(from) => self.honest.contains(from) && !self.put_back.contains(from),
            Alarm::Fork(device)
            | Alarm::Rollback(device)
            | Alarm::WrongKey(device)
            | Alarm::Unreadable(device)
            | Alarm::Refused(device) => honest(device),
            Alarm::Void(device, why) => {
                honest(device) && !matches!(why, Reason::Revoked | Reason::Cap | Reason::Circular)
            }
            Alarm::ClockAhead(device) => {
                honest(device) && !people().number(*device).is_some_and(|number| self.moved.contains(&number))
            }
            Alarm::OlderDisk => !self.put_back.contains(&number),
            Alarm::Gap | Alarm::KeyMissing => false,
        };
        hold!(!unjust, "{number} accuses somebody honest: {alarm:?}");
        Ok(())
    }

    /// When everybody was left in peace.
    pub(super) fn judge(&self, devices: &[&Device], dice: &mut Dice) -> Result<(), String> {
        let Some(first) = devices.first() else { return Ok(()) };
        let all: BTreeMap<CommitId, Commit> =
            first.db.shelf.commits().map(|commit| (commit.id(), commit.clone())).collect();
        for device in devices {
            self.is_the_same(first, device)?;
            self.shows_the_same(first, device)?;
            self.knows_of_forks(device)?;
            self.reads_what_it_may(device, &all)?;
            self.is_blind(device)?;
        }
        let member = |number: usize| (people().id(number), people().member(number));
        let members: BTreeMap<DeviceId, MemberId> = (0..DEVICES).map(member).collect();
        Case::of(&all, first.db.worth.clone(), members, people().members[0]).check()?;
        is_any_order_good(&all, first, dice)?;
        self.keeps_secrets(devices, &all)?;
        is_the_past_as_it_was(first, &all, dice)
    }

    /// Same commits, same worth, same rights.
    fn is_the_same(&self, first: &Device, device: &Device) -> Result<(), String> {
        let (one, other) = (first.number, device.number);
        let ids = |device: &Device| device.db.shelf.commits().map(Commit::id).collect::<BTreeSet<_>>();
        let (mine, theirs) = (ids(first), ids(device));
        let missing: Vec<_> = mine.symmetric_difference(&theirs).take(3).collect();
        hold!(missing.is_empty(), "{one} and {other} do not hold the same: {missing:?}");
        let counts = |device: &Device| {
            device.db.worth.iter().map(|(id, worth)| (*id, *worth == Verdict::Effective)).collect::<BTreeMap<_, _>>()
        };
        hold!(counts(first) == counts(device), "{one} and {other} do not agree what counts");
        hold!(rights(first) == rights(device), "{one} and {other} do not agree who may do what");
        Ok(())
    }

    /// The tree follows from what was applied, and from nothing else.
    fn shows_the_same(&self, first: &Device, device: &Device) -> Result<(), String> {
        let tree = tree_of(device, device.db.applied.iter().copied());
        hold!(tree.rows() == device.db.tree.rows(), "{} shows what does not follow from the commits", device.number);
        let same = first.db.applied != device.db.applied || first.db.tree.rows() == device.db.tree.rows();
        hold!(same, "{} and {} do not show the same", first.number, device.number);
        for node in device.db.tree.subtree(Node::ROOT).expect("rows in memory") {
            let path = device.db.tree.path(node).expect("rows in memory");
            hold!(path.is_some(), "{node:?} is shown and has no path");
        }
        Ok(())
    }

    /// I16: whoever holds both sides of a fork knows that it is one, and can prove it to anybody.
    fn knows_of_forks(&self, device: &Device) -> Result<(), String> {
        let mut places: BTreeMap<_, Vec<&Commit>> = BTreeMap::new();
        for commit in device.db.shelf.commits() {
            places.entry((commit.device(), commit.header().seq)).or_default().push(commit);
        }
        let entry =
            |device: DeviceId| places.get(&(device, 0)).and_then(|first| first.first()).map(|first| first.to_bytes());
        for ((author, _), commits) in &places {
            let [one, other, ..] = commits[..] else { continue };
            hold!(device.db.forks.contains(author), "{} did not notice a fork", device.number);
            let signed = Signed::Fork { one: ByteBuf::from(one.to_bytes()), other: ByteBuf::from(other.to_bytes()) };
            let entry = ByteBuf::from(entry(*author).unwrap_or_default());
            let proof = evidence::write(&people().genesis, vec![Piece { entry, signed }]);
            hold!(proof.is_ok(), "a fork that cannot be proven: {proof:?}");
        }
        Ok(())
    }

    /// What counts and can be opened is in the tree.
    fn reads_what_it_may(&self, device: &Device, all: &BTreeMap<CommitId, Commit>) -> Result<(), String> {
        for (id, commit) in all.iter().filter(|(_, commit)| commit.header().kind == Kind::Data) {
            let header = commit.header();
            let counts = device.db.worth.get(id) == Some(&Verdict::Effective);
            let opens = device.db.keys.get(&header.epoch).is_some_and(|key| {
                let plain = keys::open_body(key, header, commit.body());
                plain.is_some_and(|plain| Change::read_all(&plain).is_ok())
            });
            let shown = device.db.applied.contains(id);
            hold!(shown == (counts && opens), "{}: {commit:?} counts: {counts}, shown: {shown}", device.number);
            hold!(
                opens || !device.db.keys.contains_key(&header.epoch) || !self.is_honest(header.device),
                "{commit:?} does not open"
            );
        }
        Ok(())
    }

    /// I10: who has no key has no name.
    fn is_blind(&self, device: &Device) -> Result<(), String> {
        if !device.db.keys.is_empty() {
            return Ok(());
        }
        hold!(device.db.tree.rows().is_empty(), "{} shows something without any key", device.number);
        for commit in device.db.shelf.commits() {
            let name = commit.body().windows(6).any(|window| window == b"canary");
            hold!(!name, "{} can read a name in {commit:?}", device.number);
        }
        Ok(())
    }

    /// True if somebody gave a device a key, and with it what that leads to, and who wrote did not know of it.
    fn is_given_unseen(&self, device: &Device, wrote: &Wrote, all: &BTreeMap<CommitId, Commit>) -> bool {
        let is_gift = |commit: &Commit| match commit.control() {
            Some(Control::Rekey(rekey)) => rekey.wraps.iter().any(|wrap| wrap.device == device.id),
            _ => false,
        };
        all.values().any(|commit| is_gift(commit) && !wrote.knew.covers(commit.device(), commit.header().seq))
    }

    /// I13: nobody has the key of what was written when it might not read, as far as who wrote could know, and was not
    /// granted anything later.
    fn keeps_secrets(&self, devices: &[&Device], all: &BTreeMap<CommitId, Commit>) -> Result<(), String> {
        let granted = |device: &Device, since: u64| {
            let member = people().member(device.number);
            all.values().any(|commit| {
                let to = matches!(commit.control(), Some(Control::Grant { member: to, .. }) if *to == member);
                to && commit.header().lamport >= since
            })
        };
        for wrote in &self.wrote {
            for device in devices.iter().filter(|device| device.db.keys.contains_key(&wrote.epoch)) {
                let realm = all.get(&wrote.epoch).map_or(RealmId::ROOT, |commit| commit.header().realm);
                let reads =
                    device.ledger().is_some_and(|ledger| ledger.judgement().readers(realm).contains(&device.id));
                let may = reads || wrote.readers.contains(&device.id) || granted(device, wrote.lamport);
                let later = || self.wrote.iter().any(|w| w.lamport > wrote.lamport && w.readers.contains(&device.id));
                let unseen = || self.is_given_unseen(device, wrote, all);
                hold!(
                    may || later() || unseen(),
                    "{} has the key {:?} of what was written behind its back\n{}",
                    device.number,
                    wrote.epoch,
                    device.words_on_keys(realm)
                );
            }
        }
        Ok(())
    }
}

/// Who may do what, for all members and realms.
fn rights(device: &Device) -> Vec<String> {
    let Some(ledger) = device.ledger() else { return Vec::new() };
    let judgement = ledger.judgement();
    let realms = judgement.realms().map(|(realm, _)| realm).chain([RealmId::ROOT]);
    let of = |realm| {
        let roles: Vec<Option<SpaceRole>> =
            people().members.iter().map(|member| judgement.role_of(*member, realm)).collect();
        format!("{roles:?} {:?} {:?}", judgement.readers(realm), judgement.epochs(realm))
    };
    realms.map(of).collect()
}

/// A tree of some commits of a device, made anew.
fn tree_of(device: &Device, commits: impl Iterator<Item = CommitId>) -> Tree<MemoryRows> {
    let mut tree = Tree::default();
    for commit in commits.filter_map(|id| device.db.shelf.commit(&id)) {
        let header = commit.header();
        let plain = device.db.keys.get(&header.epoch).and_then(|key| keys::open_body(key, header, commit.body()));
        let Some(changes) = plain.and_then(|plain| Change::read_all(&plain).ok()) else { continue };
        tree.apply(&Origin::of(commit.id(), header), &changes).expect("rows in memory");
    }
    tree
}

/// I1, I2, I7: whoever gets everything in another order, some of it twice, comes to the same; and so does whoever reads
/// its own memory.
fn is_any_order_good(all: &BTreeMap<CommitId, Commit>, first: &Device, dice: &mut Dice) -> Result<(), String> {
    let rules: Rules = first.habits.rules;
    let mut ledger = Ledger::open_with(people().genesis.clone(), rules).map_err(|offence| offence.to_string())?;
    let mut shelf = MemoryShelf::default();
    let mut worth = BTreeMap::new();
    let mut order: Vec<_> = all.values().chain(all.values().filter(|_| dice.permille(200))).cloned().collect();
    dice.shuffle(&mut order);
    let mut perform = |ledger: &mut Ledger, shelf: &mut MemoryShelf| {
        while let Some(action) = ledger.poll(shelf) {
            match action {
                Action::Store(shelved) => shelf.store(*shelved),
                Action::Effective(id) | Action::Again(id) => drop(worth.insert(id, Verdict::Effective)),
                Action::Void(id, why) => drop(worth.insert(id, Verdict::Void(why))),
                _ => {}
            }
        }
    };
    for commit in order {
        ledger.handle(commit, None, BEGIN, &shelf).map_err(|offence| format!("refused in another order: {offence}"))?;
        if dice.permille(200) {
            perform(&mut ledger, &mut shelf);
        }
    }
    perform(&mut ledger, &mut shelf);
    let counts = |worth: &BTreeMap<CommitId, Verdict>| {
        worth.iter().map(|(id, worth)| (*id, *worth == Verdict::Effective)).collect::<BTreeMap<_, _>>()
    };
    hold!(counts(&worth) == counts(&first.db.worth), "another order gives other commits that count");
    let again = Ledger::from_bytes_with(&ledger.to_bytes(), &shelf, rules).map_err(|error| error.to_string())?;
    hold!(again.judgement() == ledger.judgement(), "another judgement after reading its memory");
    Ok(())
}

/// I14: the past of any commit is shown as it was then.
fn is_the_past_as_it_was(device: &Device, all: &BTreeMap<CommitId, Commit>, dice: &mut Dice) -> Result<(), String> {
    if !device.db.forks.is_empty() {
        return Ok(());
    }
    let own: Vec<_> = all.values().filter(|commit| commit.device() == device.id).map(Commit::id).collect();
    let frontier = device.past_of(own[dice.below(own.len() as u64) as usize]);
    let then = |id: &CommitId| all.get(id).is_some_and(|commit| frontier.covers(commit.device(), commit.header().seq));
    let tree = tree_of(device, device.db.applied.iter().copied().filter(then));
    let view = device.db.tree.at(&frontier);
    let mut open = vec![Node::ROOT];
    while let Some(dir) = open.pop() {
        let (was, is) = (tree.list(dir).expect("rows in memory"), view.list(dir).expect("rows in memory"));
        hold!(was == is, "the past of {dir:?} is not what it was: {was:?}, {is:?}");
        open.extend(was.into_iter().map(|entry| entry.node));
    }
    Ok(())
}
