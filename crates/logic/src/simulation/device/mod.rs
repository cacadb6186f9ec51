//! A device that keeps the rules: the real engines around a disk that a crash may cut off at any write.
//!
//! It does what `node::spaces` does with them, in fewer words: whatever comes goes through the ledger, what it hands out is
//! stored, what counts and opens goes into the tree, and nothing is said before that is durable. The disk is a database
//! whose transactions are there as a whole or not at all, and the mark beside it that guards against older copies.

mod acts;
mod talk;

use std::collections::{BTreeMap, BTreeSet};

use seal::{DeviceId, Timestamp};

use super::alarm::{Alarm, Happened};
use super::keys::{self, Key};
use super::people::people;
use crate::Misbehaved;
use crate::ledger::rules::Rules;
use crate::ledger::session::{Newcomer, Session};
use crate::ledger::sync::Message;
use crate::ledger::{
    Action, Commit, CommitId, Control, Draft, EpochId, Frontier, HeadStatement, Heads, Kind, Ledger, MemoryShelf,
    RealmId, Shelf, Verdict,
};
use crate::space::{Change, Effect, MemoryRows, NodeId, Origin, Tree};

/// How long a peer may show less than it signed, and a commit be missing, before it is told.
pub(in crate::simulation) const PATIENCE_MS: i64 = 30_000;

/// What was signed: `store::space::Watermark`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::simulation) struct Mark {
    pub(in crate::simulation) commits: u64,
    pub(in crate::simulation) tip: Option<CommitId>,
    pub(in crate::simulation) statements: u64,
}

/// What a transaction writes to.
#[derive(Clone, Default)]
pub(in crate::simulation) struct Db {
    pub(in crate::simulation) shelf: MemoryShelf,
    /// The ledger's memory, as it was when the device stopped; empty: it has not learned of the ledger.
    ledger: Vec<u8>,
    pub(in crate::simulation) tree: Tree<MemoryRows>,
    pub(in crate::simulation) worth: BTreeMap<CommitId, Verdict>,
    /// In the tree.
    pub(in crate::simulation) applied: BTreeSet<CommitId>,
    /// Counts, and its key is not here.
    waits: BTreeMap<EpochId, BTreeSet<CommitId>>,
    pub(in crate::simulation) keys: BTreeMap<EpochId, Key>,
    pub(in crate::simulation) heads: BTreeMap<DeviceId, HeadStatement>,
    pub(in crate::simulation) forks: BTreeSet<DeviceId>,
    mark: Mark,
    /// Nodes that somebody made, to do something with.
    pub(in crate::simulation) nodes: BTreeMap<RealmId, Vec<NodeId>>,
}

/// A disk as it can be copied, and put back.
#[derive(Clone)]
pub(in crate::simulation) struct Image {
    pub(in crate::simulation) db: Db,
    pub(in crate::simulation) mark: Mark,
}

pub(in crate::simulation) enum Talk {
    Learning { newcomer: Newcomer, asked: bool },
    Talking { session: Session, told: BTreeMap<DeviceId, u64>, keeps: bool },
}

/// What a crash takes away.
struct Mind {
    ledger: Option<Ledger>,
    talks: BTreeMap<usize, Talk>,
    heads: Heads,
    shown: BTreeMap<usize, Frontier>,
    suspects: BTreeMap<usize, Timestamp>,
    noted: BTreeSet<usize>,
    gaps: BTreeSet<CommitId>,
    /// It has said that it lacks a key.
    lacks: bool,
    /// It has said that its disk is older than what it signed.
    older: bool,
    changed: bool,
}

/// Parts of a device that can be left out, to see that they are missed.
#[derive(Debug, Clone, Copy)]
pub(in crate::simulation) struct Habits {
    pub(in crate::simulation) rules: Rules,
    /// It looks at its mark before it signs.
    pub(in crate::simulation) guard: bool,
    /// It says nothing before it is durable.
    pub(in crate::simulation) durable: bool,
    /// It compares what a peer shows with what it signed.
    pub(in crate::simulation) compare: bool,
}

impl Habits {
    pub(in crate::simulation) const GOOD: Self = Self { rules: Rules::ALL, guard: true, durable: true, compare: true };
}

pub(in crate::simulation) struct Device {
    pub(in crate::simulation) number: usize,
    pub(in crate::simulation) id: DeviceId,
    pub(in crate::simulation) db: Db,
    pub(in crate::simulation) mark: Mark,
    mind: Option<Mind>,
    pub(in crate::simulation) habits: Habits,
    /// What its clock is wrong by, in milliseconds.
    pub(in crate::simulation) skew: i64,
    pub(in crate::simulation) log: Vec<Happened>,
    pub(in crate::simulation) out: Vec<(usize, Message)>,
    raised: bool,
}

/// The realm and the grant to act under.
fn draft(kind: Kind, realm: RealmId, cap: CommitId, epoch: EpochId, time: Timestamp) -> Draft {
    Draft { kind, realm, cap, epoch, time, sure: true }
}

impl Device {
    pub(in crate::simulation) fn new(number: usize, habits: Habits) -> Self {
        let (db, mark, log, out) = Default::default();
        let id = people().id(number);
        let mut device = Self { number, id, db, mark, mind: None, habits, skew: 0, log, out, raised: false };
        device.power_on();
        device
    }

    pub(in crate::simulation) fn is_on(&self) -> bool {
        self.mind.is_some()
    }

    pub(in crate::simulation) fn ledger(&self) -> Option<&Ledger> {
        self.mind.as_ref()?.ledger.as_ref()
    }

    pub(in crate::simulation) fn heads(&self) -> Option<&Heads> {
        self.mind.as_ref().map(|mind| &mind.heads)
    }

    pub(in crate::simulation) fn suspects(&self) -> bool {
        self.mind.as_ref().is_some_and(|mind| !mind.suspects.is_empty())
    }

    /// The disk, as a copy of it would be.
    pub(in crate::simulation) fn image(&self) -> Image {
        let mut db = self.db.clone();
        if let Some(ledger) = self.ledger() {
            db.ledger = ledger.to_bytes();
        }
        Image { db, mark: self.mark }
    }

    /// Stops. What is in memory is gone.
    pub(in crate::simulation) fn power_off(&mut self) {
        if let Some(ledger) = self.ledger() {
            self.db.ledger = ledger.to_bytes();
        }
        (self.mind, self.raised) = (None, false);
        self.out.clear();
    }

    /// Stops in the middle of a transaction, or with another disk.
    pub(in crate::simulation) fn power_off_with(&mut self, image: Image) {
        (self.mind, self.raised) = (None, false);
        self.out.clear();
        (self.db, self.mark) = (image.db, image.mark);
    }

    /// Starts: what is known is read from the disk.
    pub(in crate::simulation) fn power_on(&mut self) {
        let ledger = (!self.db.ledger.is_empty()).then(|| {
            let ledger = Ledger::from_bytes_with(&self.db.ledger, &self.db.shelf, self.habits.rules);
            ledger.expect("what it has written itself")
        });
        let mut heads = Heads::default();
        for statement in self.db.heads.values() {
            heads.hear(statement.clone());
        }
        let older = if self.db.mark.commits >= self.mark.commits && self.db.mark.statements >= self.mark.statements {
            self.mark = self.db.mark;
            false
        } else {
            self.log.push(Happened::Noticed(Alarm::OlderDisk));
            true
        };
        let (talks, shown, suspects, noted, gaps, lacks, changed) = Default::default();
        self.mind = Some(Mind { ledger, talks, heads, shown, suspects, noted, gaps, lacks, older, changed });
        self.catch_up();
        self.mirror();
    }

    /// Begins a ledger of which the first commit is here.
    pub(in crate::simulation) fn adopt(&mut self, genesis: Commit) -> Result<(), Misbehaved> {
        let root = match genesis.control() {
            Some(Control::Genesis { root, .. }) => root,
            _ => return Err(Misbehaved::CommitFirstWrong),
        };
        if root[..] != people().root[..] {
            return Err(Misbehaved::CertificateForeign);
        }
        let own = genesis.device() == self.id;
        let tip = genesis.id();
        let ledger = Ledger::open_with(genesis, self.habits.rules)?;
        if let Some(mind) = &mut self.mind {
            mind.ledger = Some(ledger);
        }
        if own {
            self.log.push(Happened::Signed(tip));
            self.raise(Mark { commits: 1, tip: Some(tip), statements: 0 });
        }
        self.settle();
        Ok(())
    }

    fn raise(&mut self, mark: Mark) {
        self.db.mark = mark;
        self.raised = true;
    }

    /// True if what was signed last is on its disk and was told to nobody: it went off before its mark was written.
    pub(in crate::simulation) fn is_ahead_of_its_mark(&self) -> bool {
        self.db.mark.commits > self.mark.commits || self.db.mark.statements > self.mark.statements
    }

    /// The end of a transaction: the mark follows.
    pub(in crate::simulation) fn mirror(&mut self) {
        if std::mem::take(&mut self.raised) {
            self.mark = self.db.mark;
        }
    }

    fn notice(&mut self, alarm: Alarm) {
        self.log.push(Happened::Noticed(alarm));
    }

    /// Stores and judges what the ledger has taken, then brings keys and tree up to date.
    fn settle(&mut self) {
        let (mut new_keys, mut todo) = (Vec::new(), BTreeSet::new());
        let Some(mind) = self.mind.as_mut() else { return };
        let Some(ledger) = mind.ledger.as_mut() else { return };
        let (db, log) = (&mut self.db, &mut self.log);
        while let Some(action) = ledger.poll(&db.shelf) {
            mind.changed = true;
            match action {
                Action::Store(shelved) => {
                    let header = shelved.commit.header();
                    log.push(Happened::Stored(shelved.commit.id(), header.device, header.seq));
                    if header.kind == Kind::Rekey {
                        new_keys.push(shelved.commit.id());
                    }
                    db.shelf.store(*shelved);
                }
                Action::Effective(id) => {
                    assert_eq!(db.worth.insert(id, Verdict::Effective), None, "announced twice");
                    todo.insert(id);
                }
                Action::Again(id) => {
                    let before = db.worth.insert(id, Verdict::Effective);
                    assert!(matches!(before, Some(Verdict::Void(_))), "again, but it was {before:?}");
                    todo.insert(id);
                }
                Action::Void(id, why) => {
                    db.worth.insert(id, Verdict::Void(why));
                    todo.insert(id);
                    let author = db.shelf.stored(&id).map(|stored| stored.header.device);
                    log.extend(author.map(|author| Happened::Noticed(Alarm::Void(author, why.into()))));
                }
                Action::Evidence(proof) => {
                    db.forks.insert(proof.device);
                    log.push(Happened::Noticed(Alarm::Fork(proof.device)));
                }
                Action::Refused { from, offence, .. } => {
                    let from = from.and_then(|from| people().number(from)).unwrap_or(self.number);
                    log.push(Happened::Noticed(Alarm::Offence(from, offence)));
                }
                Action::ClockAhead(id) => {
                    let author = db.shelf.stored(&id).map(|stored| stored.header.device);
                    log.extend(author.map(|author| Happened::Noticed(Alarm::ClockAhead(author))));
                }
                Action::Ask(..) => {}
            }
        }
        for epoch in new_keys {
            todo.extend(self.learn(epoch));
        }
        for id in todo {
            self.work_off(id);
        }
        self.catch_up();
    }

    /// A disk that was put back has its own chain again, as far as it was ever signed: it may go on.
    fn catch_up(&mut self) {
        if self.db.mark == self.mark || self.raised {
            return;
        }
        let (mark, own) = (self.mark, self.ledger().and_then(|ledger| ledger.frontier().of(self.id)));
        let Some((seq, tip)) = own else { return };
        let last = mark.commits.checked_sub(1);
        let there = last.is_some_and(|last| self.db.shelf.at(self.id, last).into_iter().any(|id| Some(id) == mark.tip));
        if there && seq + 1 >= mark.commits {
            self.raise(Mark { commits: seq + 1, tip: Some(tip), statements: mark.statements });
        }
    }

    /// Takes every key out of a commit and those that it leads to; gives what waited for them.
    fn learn(&mut self, from: EpochId) -> BTreeSet<CommitId> {
        let (mut ready, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(epoch) = open.pop() {
            let Some(ledger) = self.mind.as_ref().and_then(|mind| mind.ledger.as_ref()) else { break };
            let rekey_of = |epoch: &EpochId| match ledger.control(epoch).map(|commit| (commit, commit.control())) {
                Some((commit, Some(Control::Rekey(rekey)))) => Some((commit, rekey)),
                _ => None,
            };
            let Some((commit, rekey)) = rekey_of(&epoch) else { continue };
            let known = self.db.keys.get(&epoch).copied();
            let own = keys::unwrap(self.id, commit.header().realm, rekey);
            if let (None, Some(Err(()))) = (known, &own) {
                self.log.push(Happened::Noticed(Alarm::WrongKey(commit.device())));
            }
            let under = rekey
                .parent
                .as_ref()
                .and_then(|link| keys::beneath(self.db.keys.get(&link.epoch)?, &link.sealed, &rekey.commitment));
            let Some(key) = known.or(own.and_then(Result::ok)).or(under) else { continue };
            if let Some(link) = rekey.back.as_ref().filter(|link| !self.db.keys.contains_key(&link.epoch)) {
                let older =
                    rekey_of(&link.epoch).and_then(|(_, older)| keys::beneath(&key, &link.sealed, &older.commitment));
                if let Some(older) = older {
                    self.db.keys.insert(link.epoch, older);
                    ready.extend(self.db.waits.remove(&link.epoch).unwrap_or_default());
                    open.push(link.epoch);
                }
            }
            if known.is_none() {
                self.db.keys.insert(epoch, key);
                ready.extend(self.db.waits.remove(&epoch).unwrap_or_default());
            }
            let all = ledger.judgement().controls().map(|(id, _)| id);
            let inside = |id: &EpochId| {
                rekey_of(id).is_some_and(|(_, rekey)| rekey.parent.as_ref().is_some_and(|link| link.epoch == epoch))
            };
            open.extend(all.filter(inside).filter(|id| !self.db.keys.contains_key(id)));
        }
        ready
    }

    /// Brings the tree up to date with one commit.
    fn work_off(&mut self, id: CommitId) {
        let Some(commit) = self.db.shelf.commit(&id).filter(|commit| commit.header().kind == Kind::Data) else {
            return;
        };
        let counts = self.db.worth.get(&id) == Some(&Verdict::Effective);
        if counts == self.db.applied.contains(&id) {
            return;
        }
        let header = commit.header();
        let Some(key) = self.db.keys.get(&header.epoch) else {
            if counts {
                self.db.waits.entry(header.epoch).or_default().insert(id);
            }
            return;
        };
        let opened = keys::open_body(key, header, commit.body()).and_then(|plain| Change::read_all(&plain).ok());
        let Some(changes) = opened else { return self.notice(Alarm::Unreadable(header.device)) };
        let origin = Origin::of(id, header);
        if !counts {
            self.db.applied.remove(&id);
            self.db.tree.retract(&origin, &changes).expect("rows in memory");
            return;
        }
        self.db.applied.insert(id);
        let made = changes.iter().filter(|change| matches!(change, Change::Make { .. })).map(Change::node);
        self.db.nodes.entry(header.realm).or_default().extend(made);
        for effect in self.db.tree.apply(&origin, &changes).expect("rows in memory") {
            if let Effect::Refused { .. } = effect {
                self.notice(Alarm::Refused(header.device));
            }
        }
    }
}

/// True if somebody may read a realm and has not got its newest key, or can have it and may not.
pub(in crate::simulation) fn is_due(ledger: &Ledger, realm: RealmId) -> bool {
    let judgement = ledger.judgement();
    let Some(epoch) = judgement.writers_epoch(realm).filter(|epoch| epoch.clean) else { return true };
    let Some(Control::Rekey(rekey)) = ledger.control(&epoch.id).and_then(Commit::control) else { return true };
    let has = |device: &DeviceId| rekey.wraps.iter().any(|wrap| wrap.device == *device);
    !judgement.readers(realm).iter().all(has)
}
