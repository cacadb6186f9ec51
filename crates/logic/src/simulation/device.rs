//! A device that keeps the rules: the real engines around a disk that a crash may cut off at any write.
//!
//! It does what `node::spaces` does with them, in fewer words: whatever comes goes through the ledger, what it hands out is
//! stored, what counts and opens goes into the tree, and nothing is said before that is durable. The disk is a database
//! whose transactions are there as a whole or not at all, and the mark beside it that guards against older copies.

use std::collections::{BTreeMap, BTreeSet};

use seal::{DeviceId, Timestamp};

use super::alarm::{Alarm, Happened};
use super::keys::{self, Key};
use super::people::people;
use crate::Misbehaved;
use crate::ledger::rules::Rules;
use crate::ledger::session::{Begin, Newcomer, Out, Session};
use crate::ledger::sync::{self, Message};
use crate::ledger::{
    Action, Commit, CommitId, Control, Draft, EpochId, Frontier, HeadStatement, Header, Heads, Heard, Kind, Ledger,
    MemoryShelf, RealmId, Shelf, SpaceRole, Taken, Verdict,
};
use crate::space::{Change, Effect, MemoryRows, NodeId, Origin, Tree};

/// How long a peer may show less than it signed, and a commit be missing, before it is told.
pub(super) const PATIENCE_MS: i64 = 30_000;

/// What was signed: `store::space::Watermark`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark {
    pub(super) commits: u64,
    pub(super) tip: Option<CommitId>,
    pub(super) statements: u64,
}

/// What a transaction writes to.
#[derive(Clone, Default)]
pub(super) struct Db {
    pub(super) shelf: MemoryShelf,
    /// The ledger's memory, as it was when the device stopped; empty: it has not learned of the ledger.
    ledger: Vec<u8>,
    pub(super) tree: Tree<MemoryRows>,
    pub(super) worth: BTreeMap<CommitId, Verdict>,
    /// In the tree.
    pub(super) applied: BTreeSet<CommitId>,
    /// Counts, and its key is not here.
    waits: BTreeMap<EpochId, BTreeSet<CommitId>>,
    pub(super) keys: BTreeMap<EpochId, Key>,
    pub(super) heads: BTreeMap<DeviceId, HeadStatement>,
    pub(super) forks: BTreeSet<DeviceId>,
    mark: Mark,
    /// Nodes that somebody made, to do something with.
    pub(super) nodes: BTreeMap<RealmId, Vec<NodeId>>,
}

/// A disk as it can be copied, and put back.
#[derive(Clone)]
pub(super) struct Image {
    pub(super) db: Db,
    pub(super) mark: Mark,
}

enum Talk {
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
pub(super) struct Habits {
    pub(super) rules: Rules,
    /// It looks at its mark before it signs.
    pub(super) guard: bool,
    /// It says nothing before it is durable.
    pub(super) durable: bool,
    /// It compares what a peer shows with what it signed.
    pub(super) compare: bool,
}

impl Habits {
    pub(super) const GOOD: Self = Self { rules: Rules::ALL, guard: true, durable: true, compare: true };
}

pub(super) struct Device {
    pub(super) number: usize,
    pub(super) id: DeviceId,
    pub(super) db: Db,
    pub(super) mark: Mark,
    mind: Option<Mind>,
    pub(super) habits: Habits,
    /// What its clock is wrong by, in milliseconds.
    pub(super) skew: i64,
    pub(super) log: Vec<Happened>,
    pub(super) out: Vec<(usize, Message)>,
    raised: bool,
}

/// The realm and the grant to act under.
fn draft(kind: Kind, realm: RealmId, cap: CommitId, epoch: EpochId, time: Timestamp) -> Draft {
    Draft { kind, realm, cap, epoch, time, sure: true }
}

impl Device {
    pub(super) fn new(number: usize, habits: Habits) -> Self {
        let (db, mark, log, out) = Default::default();
        let id = people().id(number);
        let mut device = Self { number, id, db, mark, mind: None, habits, skew: 0, log, out, raised: false };
        device.power_on();
        device
    }

    pub(super) fn is_on(&self) -> bool {
        self.mind.is_some()
    }

    pub(super) fn ledger(&self) -> Option<&Ledger> {
        self.mind.as_ref()?.ledger.as_ref()
    }

    pub(super) fn heads(&self) -> Option<&Heads> {
        self.mind.as_ref().map(|mind| &mind.heads)
    }

    pub(super) fn suspects(&self) -> bool {
        self.mind.as_ref().is_some_and(|mind| !mind.suspects.is_empty())
    }

    /// The disk, as a copy of it would be.
    pub(super) fn image(&self) -> Image {
        let mut db = self.db.clone();
        if let Some(ledger) = self.ledger() {
            db.ledger = ledger.to_bytes();
        }
        Image { db, mark: self.mark }
    }

    /// Stops. What is in memory is gone.
    pub(super) fn power_off(&mut self) {
        if let Some(ledger) = self.ledger() {
            self.db.ledger = ledger.to_bytes();
        }
        (self.mind, self.raised) = (None, false);
        self.out.clear();
    }

    /// Stops in the middle of a transaction, or with another disk.
    pub(super) fn power_off_with(&mut self, image: Image) {
        (self.mind, self.raised) = (None, false);
        self.out.clear();
        (self.db, self.mark) = (image.db, image.mark);
    }

    /// Starts: what is known is read from the disk.
    pub(super) fn power_on(&mut self) {
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
    pub(super) fn adopt(&mut self, genesis: Commit) -> Result<(), Misbehaved> {
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
    pub(super) fn is_ahead_of_its_mark(&self) -> bool {
        self.db.mark.commits > self.mark.commits || self.db.mark.statements > self.mark.statements
    }

    /// The end of a transaction: the mark follows.
    pub(super) fn mirror(&mut self) {
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

    /// A link to a peer is there.
    pub(super) fn link_up(&mut self, peer: usize) {
        let Some(mind) = &mut self.mind else { return };
        let talk = match mind.ledger {
            Some(_) => Talk::Talking { session: Session::new(people().ledger()), told: BTreeMap::new(), keeps: false },
            None => Talk::Learning { newcomer: Newcomer::new(people().ledger()), asked: false },
        };
        mind.talks.insert(peer, talk);
        mind.changed = true;
    }

    /// The link is gone.
    pub(super) fn link_down(&mut self, peer: usize) {
        if let Some(mind) = &mut self.mind {
            mind.talks.remove(&peer);
        }
    }

    /// Takes a message. `distrust`: the peer may offend, and then nothing of the message may stay.
    pub(super) fn hear(
        &mut self,
        from: usize,
        message: Message,
        now: Timestamp,
        distrust: bool,
    ) -> Result<(), Misbehaved> {
        let Some(mind) = &mut self.mind else { return Ok(()) };
        let Some(talk) = mind.talks.remove(&from) else { return Ok(()) };
        let mut shows = false;
        let talk = match talk {
            Talk::Learning { newcomer, asked } => self.hear_as_newcomer(from, newcomer, asked, message)?,
            Talk::Talking { mut session, told, keeps } => {
                let Some(ledger) = &mind.ledger else { return Ok(()) };
                let outs = session.handle(message, ledger, &self.db.shelf)?;
                let showed = outs.iter().any(|out| matches!(out, Out::Shown(_)));
                for out in outs {
                    self.perform(from, &mut session, out, now, distrust)?;
                }
                if let Some(mind) = self.mind.as_mut().filter(|_| showed && !keeps) {
                    mind.changed = true;
                }
                shows = showed;
                Talk::Talking { session, told, keeps: keeps || showed }
            }
        };
        if let Some(mind) = &mut self.mind {
            mind.talks.insert(from, talk);
        }
        if shows {
            self.suspect(from, now);
        }
        Ok(())
    }

    fn hear_as_newcomer(
        &mut self,
        from: usize,
        mut newcomer: Newcomer,
        asked: bool,
        message: Message,
    ) -> Result<Talk, Misbehaved> {
        match newcomer.handle(message)? {
            Begin::Wait => Ok(Talk::Learning { newcomer, asked }),
            Begin::Send(message) => {
                let asked = asked || matches!(message, Message::Want(_));
                self.out.push((from, message));
                Ok(Talk::Learning { newcomer, asked })
            }
            Begin::Found(genesis, mut session) => {
                if self.ledger().is_none() {
                    self.adopt(*genesis)?;
                }
                let mind = self.mind.as_mut().expect("it hears");
                let ledger = mind.ledger.as_ref().expect("it was adopted");
                if let Some(Out::Send(message)) = session.begin(ledger, &self.db.shelf) {
                    self.out.push((from, message));
                }
                for talk in mind.talks.values_mut() {
                    if let Talk::Learning { asked: false, .. } = talk {
                        let session = Session::new(people().ledger());
                        *talk = Talk::Talking { session, told: BTreeMap::new(), keeps: false };
                    }
                }
                mind.changed = true;
                Ok(Talk::Talking { session, told: BTreeMap::new(), keeps: false })
            }
        }
    }

    fn perform(
        &mut self,
        from: usize,
        session: &mut Session,
        out: Out,
        now: Timestamp,
        distrust: bool,
    ) -> Result<(), Misbehaved> {
        match out {
            Out::Send(message) => self.out.push((from, message)),
            Out::Take(commits) => {
                let accepted = self.take(from, commits, now, distrust)?;
                let mind = self.mind.as_ref().expect("it hears");
                let ledger = mind.ledger.as_ref().expect("there is a session");
                if let Some(next) = session.taken(accepted, ledger, &self.db.shelf) {
                    self.perform(from, session, next, now, distrust)?;
                }
            }
            Out::Shown(frontier) => {
                if let Some(mind) = &mut self.mind {
                    mind.shown.insert(from, frontier);
                }
            }
            Out::Head(head) => self.hear_head(*head),
            Out::Settled => {}
            Out::Withheld(_) => self.notice(Alarm::NotGiven(from)),
        }
        Ok(())
    }

    /// Gives commits to the ledger: all of a message, or after an offence none.
    fn take(&mut self, from: usize, commits: Vec<Commit>, now: Timestamp, distrust: bool) -> Result<usize, Misbehaved> {
        let mind = self.mind.as_mut().expect("it hears");
        let ledger = mind.ledger.as_mut().expect("there is a session");
        let before = distrust.then(|| ledger.clone());
        let (peer, mut accepted) = (people().id(from), 0);
        for commit in commits {
            match ledger.handle(commit, Some(peer), now, &self.db.shelf) {
                Ok(taken) => accepted += usize::from(taken == Taken::Accepted),
                Err(offence) => {
                    *ledger = before.unwrap_or_else(|| panic!("{from} is honest and was refused: {offence}"));
                    return Err(offence);
                }
            }
        }
        self.settle();
        Ok(accepted)
    }

    fn hear_head(&mut self, statement: HeadStatement) {
        let device = statement.held().device;
        let Some(mind) = &mut self.mind else { return };
        let speaks = mind.ledger.as_ref().is_some_and(|ledger| ledger.knows(device));
        // What this device itself has signed comes back from others where the own disk was put back.
        let known = mind.heads.of(device).map_or(0, |head| head.held().counter);
        if !speaks || (device == self.id && statement.held().counter <= known) {
            return;
        }
        let heard = mind.heads.hear(statement);
        if heard == Heard::Known {
            return;
        }
        if let Some(newest) = mind.heads.of(device) {
            self.db.heads.insert(device, newest.clone());
        }
        mind.changed = true;
        if let Heard::Rollback(_) = heard {
            self.notice(Alarm::Rollback(device));
        }
    }

    /// Compares what a peer shows with what it signed.
    fn suspect(&mut self, peer: usize, now: Timestamp) {
        let Some(mind) = &mut self.mind else { return };
        let Some(frontier) = mind.shown.get(&peer).filter(|_| self.habits.compare) else { return };
        if mind.heads.withheld(people().id(peer), frontier).is_empty() || !mind.talks.contains_key(&peer) {
            mind.suspects.remove(&peer);
            return;
        }
        let since = *mind.suspects.entry(peer).or_insert(now);
        if now.0 - since.0 >= PATIENCE_MS {
            mind.suspects.remove(&peer);
            if mind.noted.insert(peer) {
                self.notice(Alarm::Withheld(peer));
            }
        }
    }

    /// What is done when it was quiet for a while.
    pub(super) fn tick(&mut self, now: Timestamp, fresh: Key) {
        let peers: Vec<_> = self.mind.iter().flat_map(|mind| mind.suspects.keys().copied()).collect();
        for peer in peers {
            self.suspect(peer, now);
        }
        self.enter(now);
        self.rekey_due(now, fresh);
        self.state(now);
        let (mut missing, mut lacks) = (false, false);
        if let Some(mind) = &mut self.mind
            && let Some(ledger) = &mind.ledger
        {
            for gap in ledger.gaps().filter(|gap| now.0 - gap.since.0 >= PATIENCE_MS) {
                missing |= mind.gaps.insert(gap.wanted.id);
            }
            let epoch = ledger.judgement().writers_epoch(RealmId::ROOT);
            let reads = ledger.judgement().cap_for(self.id, RealmId::ROOT, SpaceRole::Reader).is_some();
            let missing = reads && epoch.is_some_and(|epoch| !self.db.keys.contains_key(&epoch.id));
            lacks = missing && !std::mem::replace(&mut mind.lacks, missing);
        }
        if missing {
            self.notice(Alarm::Gap);
        }
        if lacks {
            self.notice(Alarm::KeyMissing);
        }
    }

    /// True if something is to be done in a while: gaps or suspects to look at again.
    pub(super) fn is_waiting(&self) -> bool {
        self.suspects() || self.ledger().is_some_and(|ledger| ledger.gaps().next().is_some())
    }

    fn enter(&mut self, now: Timestamp) {
        let Some(ledger) = self.ledger().filter(|ledger| !ledger.knows(self.id)) else { return };
        let realms = ledger.judgement().realms().map(|(realm, _)| realm).chain([RealmId::ROOT]);
        let member = people().member(self.number);
        if realms.into_iter().any(|realm| ledger.judgement().role_of(member, realm).is_some()) {
            let body = Control::Enter(people().entry(self.number)).to_bytes();
            let none = CommitId::ZERO;
            self.sign(&draft(Kind::Enter, RealmId::ROOT, none, none, self.clock(now)), now, |_| body);
        }
    }

    /// The time by its clock.
    pub(super) fn clock(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0 + self.skew)
    }

    /// New keys where somebody lacks one who may read, or has one who may not.
    fn rekey_due(&mut self, now: Timestamp, fresh: Key) {
        let Some(ledger) = self.ledger() else { return };
        let inside = ledger.judgement().realms().map(|(realm, _)| realm);
        let realms: Vec<_> = std::iter::once(RealmId::ROOT).chain(inside).collect();
        for realm in realms {
            let owns = |ledger: &Ledger| ledger.judgement().cap_for(self.id, realm, SpaceRole::Owner).is_some();
            if self.ledger().is_some_and(|ledger| owns(ledger) && is_due(ledger, realm)) {
                self.rekey(realm, now, fresh, |_, _| {});
            }
        }
    }

    /// Who may read a realm, and who can have its newest keys, for whoever looks for a fault.
    pub(super) fn words_on_keys(&self, realm: RealmId) -> String {
        let Some(judgement) = self.ledger().map(Ledger::judgement) else { return String::new() };
        let names = |devices: &BTreeSet<DeviceId>| devices.iter().map(|id| people().number(*id)).collect::<Vec<_>>();
        let epoch = |epoch: &crate::ledger::Epoch| {
            let rekey = self.ledger().and_then(|ledger| ledger.control(&epoch.id)?.control());
            let Some(Control::Rekey(rekey)) = rekey else { return String::new() };
            let wraps: BTreeSet<_> = rekey.wraps.iter().map(|wrap| wrap.device).collect();
            let links = [&rekey.back, &rekey.parent].map(|link| link.as_ref().map(|link| link.epoch));
            let holders = judgement.holders(realm, epoch.id).map(names);
            format!("\n  {epoch:?} for {:?}, back and parent {links:?}, held by {holders:?}", names(&wraps))
        };
        let all = judgement.epochs(realm);
        let epochs: String = all.iter().rev().take(4).map(epoch).collect();
        let (count, readers) = (all.len(), names(&judgement.readers(realm)));
        format!(
            "{realm:?}: {count} keys, due: {:?}, readers {readers:?}{epochs}",
            self.ledger().map(|l| is_due(l, realm))
        )
    }

    /// A new key for a realm; `twist` is what a cheat makes of it.
    pub(super) fn rekey(
        &mut self,
        realm: RealmId,
        now: Timestamp,
        fresh: Key,
        twist: impl FnOnce(&mut crate::ledger::Rekey, &Key),
    ) -> Option<CommitId> {
        let fresh = blake3::derive_key("warren simulation epoch", &[&fresh[..], realm.as_bytes()].concat());
        let ledger = self.ledger()?;
        let judgement = ledger.judgement();
        let cap = judgement.cap_for(self.id, realm, SpaceRole::Owner)?;
        let number = judgement.epochs(realm).len() as u64 + 1;
        let wraps =
            judgement.readers(realm).into_iter().map(|device| keys::wrap(device, realm, number, &fresh)).collect();
        let link =
            |epoch: EpochId, outer: &Key, key: &Key| crate::ledger::Link { epoch, sealed: keys::under(outer, key) };
        let before = judgement.epochs(realm).last().map(|epoch| epoch.id);
        let back = before.and_then(|epoch| Some(link(epoch, &fresh, self.db.keys.get(&epoch)?)));
        let around = judgement.realm(realm).filter(|facts| facts.inherit).map(|facts| facts.parent);
        // Not under a key that somebody can have who may not read inside.
        let outer = around.and_then(|parent| {
            let epoch = judgement.writers_epoch(parent)?.id;
            judgement.holders(parent, epoch)?.is_subset(&judgement.readers(realm)).then_some(epoch)
        });
        let parent = outer.and_then(|epoch| Some(link(epoch, self.db.keys.get(&epoch)?, &fresh)));
        let commitment = keys::commitment(&fresh);
        let mut rekey = crate::ledger::Rekey { number, commitment, wraps, back, parent };
        twist(&mut rekey, &fresh);
        let body = Control::Rekey(rekey).to_bytes();
        self.sign(&draft(Kind::Rekey, realm, cap, CommitId::ZERO, self.clock(now)), now, |_| body)
    }

    /// Signs what it holds, unless it is what was signed last. Nothing is signed on a disk that may be older.
    fn state(&mut self, now: Timestamp) {
        let time = self.clock(now);
        if self.db.mark != self.mark && !self.raised {
            return;
        }
        let Some(mind) = &mut self.mind else { return };
        let Some(ledger) = mind.ledger.as_ref().filter(|ledger| ledger.knows(self.id)) else { return };
        let held = sync::shown(&sync::summary(ledger));
        let last = mind.heads.of(self.id).map(HeadStatement::held);
        // Unknown what was signed last, or not all of it is here again: the disk was put back.
        let known = last.map_or(0, |last| last.counter) == self.db.mark.statements || !self.habits.guard;
        let more = last.is_none_or(|last| held.dominates(&last.frontier) && last.frontier != held);
        if !known || (!more && self.habits.guard) {
            return;
        }
        let counter = self.db.mark.statements + 1;
        let key = &people().keys[self.number];
        let statement = HeadStatement::make(key, people().ledger(), counter, time, held);
        mind.heads.hear(statement.clone());
        mind.changed = true;
        self.db.heads.insert(self.id, statement.clone());
        self.log.push(Happened::Stated(statement));
        self.raise(Mark { statements: counter, ..self.db.mark });
    }

    /// Tells peers what they do not know. Once for everything that an event changed.
    pub(super) fn tell_news(&mut self) {
        let Some(mind) = &mut self.mind else { return };
        if !std::mem::take(&mut mind.changed) {
            return;
        }
        let Some(ledger) = &mind.ledger else { return };
        for (peer, talk) in &mut mind.talks {
            let Talk::Talking { session, told, keeps } = talk else { continue };
            self.out.extend(session.news(ledger).map(|have| (*peer, have)));
            for statement in mind.heads.all().filter(|_| *keeps) {
                let held = statement.held();
                let known = told.insert(held.device, held.counter);
                if known.is_none_or(|counter| counter < held.counter) {
                    let bytes = serde_bytes::ByteBuf::from(statement.as_bytes());
                    self.out.push((*peer, Message::Head(bytes)));
                }
            }
        }
    }

    /// Signs and takes a commit. `None`: it may not, or its disk is older than what it signed.
    pub(super) fn sign(
        &mut self,
        draft: &Draft,
        now: Timestamp,
        body: impl FnOnce(&Header) -> Vec<u8>,
    ) -> Option<CommitId> {
        let header = self.ledger()?.next_header(self.id, draft).ok()?;
        self.sign_header(header, now, body)
    }

    /// Signs whatever header, as far as the own ledger takes it.
    pub(super) fn sign_header(
        &mut self,
        header: Header,
        now: Timestamp,
        body: impl FnOnce(&Header) -> Vec<u8>,
    ) -> Option<CommitId> {
        let older = header.seq < self.mark.commits || self.db.mark.statements < self.mark.statements;
        if self.habits.guard && older {
            // Once: whoever tries again and again has nothing new to say.
            if self.mind.as_mut().is_some_and(|mind| !std::mem::replace(&mut mind.older, true)) {
                self.notice(Alarm::OlderDisk);
            }
            return None;
        }
        let body = body(&header);
        let commit = Commit::make(&people().keys[self.number], header, body).expect("within limits");
        let (id, seq) = (commit.id(), commit.header().seq);
        let ledger = self.mind.as_mut()?.ledger.as_mut()?;
        if ledger.handle(commit, None, now, &self.db.shelf) != Ok(Taken::Accepted) {
            return None;
        }
        self.log.push(Happened::Signed(id));
        self.raise(Mark { commits: seq + 1, tip: Some(id), ..self.db.mark });
        self.settle();
        Some(id)
    }

    /// What an own commit had seen, itself included.
    pub(super) fn past_of(&self, id: CommitId) -> Frontier {
        let (mut way, mut at, mut past) = (Vec::new(), Some(id), Frontier::default());
        while let Some(commit) = at.and_then(|id| self.db.shelf.commit(&id)) {
            at = Some(commit.header().previous);
            way.push(commit);
        }
        for commit in way.into_iter().rev() {
            commit.header().seen.iter().for_each(|seen| past.set(seen.device, seen.seq, seen.id));
            past.set(self.id, commit.header().seq, commit.id());
        }
        past
    }

    /// A control commit under the best grant.
    pub(super) fn decide(&mut self, realm: RealmId, control: &Control, now: Timestamp) -> Option<CommitId> {
        let cap = self.ledger()?.judgement().cap_for(self.id, realm, SpaceRole::Owner)?;
        let body = control.to_bytes();
        self.sign(&draft(control.kind(), realm, cap, CommitId::ZERO, self.clock(now)), now, |_| body)
    }

    /// Takes an own device away; no role is needed.
    pub(super) fn drop_own(&mut self, control: &Control, now: Timestamp) -> Option<CommitId> {
        let body = control.to_bytes();
        let none = CommitId::ZERO;
        self.sign(&draft(Kind::Revoke, RealmId::ROOT, none, none, self.clock(now)), now, |_| body)
    }

    /// Writes changes to a realm, under a key that only those have who may read.
    pub(super) fn write(
        &mut self,
        realm: RealmId,
        now: Timestamp,
        fresh: Key,
        changes: impl FnOnce(&Self, u64) -> Vec<Change>,
    ) -> Option<CommitId> {
        let judgement = self.ledger()?.judgement();
        let cap = judgement.cap_for(self.id, realm, SpaceRole::Editor)?;
        if judgement.cap_for(self.id, realm, SpaceRole::Owner).is_some() && is_due(self.ledger()?, realm) {
            self.rekey(realm, now, fresh, |_, _| {})?;
        }
        let judgement = self.ledger()?.judgement();
        let epoch = judgement.writers_epoch(realm)?;
        let key = *self.db.keys.get(&epoch.id)?;
        let readers = judgement.readers(realm);
        let draft = draft(Kind::Data, realm, cap, epoch.id, self.clock(now));
        let header = self.ledger()?.next_header(self.id, &draft).ok()?;
        let plain = Change::write_all(&changes(self, header.seq)).ok()?;
        let id = self.sign_header(header, now, |header| keys::seal_body(&key, header, &plain))?;
        self.log.push(Happened::Wrote { epoch: epoch.id, clean: epoch.clean, readers });
        Some(id)
    }
}

/// True if somebody may read a realm and has not got its newest key, or can have it and may not.
pub(super) fn is_due(ledger: &Ledger, realm: RealmId) -> bool {
    let judgement = ledger.judgement();
    let Some(epoch) = judgement.writers_epoch(realm).filter(|epoch| epoch.clean) else { return true };
    let Some(Control::Rekey(rekey)) = ledger.control(&epoch.id).and_then(Commit::control) else { return true };
    let has = |device: &DeviceId| rekey.wraps.iter().any(|wrap| wrap.device == *device);
    !judgement.readers(realm).iter().all(has)
}
