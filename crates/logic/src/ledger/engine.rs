//! The engine: commits go in, what is to be done comes out.

use std::collections::VecDeque;

use seal::{DeviceId, Timestamp};
use thiserror::Error;

use super::accept::{Not, Placed, found};
use super::chains::{NewTip, Spot};
use super::commit::Commit;
use super::control::SpaceRole;
use super::frontier::Frontier;
use super::header::{Header, Kind, Seen, VERSION};
use super::id::{CommitId, EpochId, RealmId};
use super::judge::judge;
use super::judgement::{Judgement, Verdict, Why};
use super::plane::{Plane, Ruled};
use super::rules::Rules;
use super::shelf::{Desk, MemoryShelf, SNAPSHOT_EVERY, Shelf, Shelved, Stored};
use super::waiting::{Gap, WaitingRoom};
use crate::Misbehaved;
use crate::limits::{CLOCK_AHEAD, COMMIT_SEEN};

/// Two different commits with which one device continued one commit: proof by two signatures that it cheats, or that its
/// disk was put back to an older state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equivocation {
    /// Whose.
    pub device: DeviceId,
    /// Their number.
    pub seq: u64,
    /// The one that was known.
    pub one: CommitId,
    /// The one that came.
    pub other: CommitId,
}

impl Equivocation {
    /// Takes two commits, if they are a proof.
    pub fn proven(one: &Commit, other: &Commit) -> Option<Self> {
        let (a, b) = (one.header(), other.header());
        let proof = a.device == b.device && a.ledger == b.ledger && a.seq == b.seq && one.id() != other.id();
        proof.then(|| Self { device: a.device, seq: a.seq, one: one.id(), other: other.id() })
    }
}

/// What is to be done. Perform each before asking for the next.
#[derive(Debug, Clone)]
pub enum Action {
    /// Store it, durably, before acknowledging.
    Store(Box<Shelved>),
    /// It is stored, and counts.
    Effective(CommitId),
    /// It is stored, and does not count: from the beginning, or no more, or for another reason than was said before.
    Void(CommitId, Why),
    /// It counted once, then not, and counts again.
    Again(CommitId),
    /// Somebody forked its chain. Both commits are stored.
    Evidence(Equivocation),
    /// Commits wait for these. Whom the one that named them came from may have them.
    Ask(Option<DeviceId>, Vec<Seen>),
    /// A commit that had waited breaks a rule.
    Refused {
        /// Which.
        id: CommitId,
        /// Whose.
        author: DeviceId,
        /// Who sent it.
        from: Option<DeviceId>,
        /// Which rule.
        offence: Misbehaved,
    },
    /// Its time lies ahead of this device's clock: one of the two is wrong.
    ClockAhead(CommitId),
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Accepted.
    Accepted,
    /// It was here before.
    Known,
    /// It waits for others.
    Waiting,
    /// It would have to wait, and there is no room. It comes again.
    NoRoom,
}

/// Why this device cannot write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CannotWrite {
    /// Its own chain is forked and not settled: a restored backup. It needs a new device key.
    #[error("this device's own chain is forked, so nothing more that it writes would count")]
    Forked,
    /// It has not entered, or tries to enter twice.
    #[error("this device has not entered the space, or enters it twice")]
    OutOfTurn,
    /// More devices are new to it than a commit can name.
    #[error("too many devices")]
    TooMany,
}

/// What a device wants to write, besides the body.
#[derive(Debug, Clone, Copy)]
pub struct Draft {
    /// What it is.
    pub kind: Kind,
    /// The realm that it is about.
    pub realm: RealmId,
    /// The grant to act under, from [`Judgement::cap_for`]; zero where none is needed.
    pub cap: CommitId,
    /// The key that the body is sealed under; zero for control.
    pub epoch: EpochId,
    /// This device's clock.
    pub time: Timestamp,
    /// Whether it trusts it.
    pub sure: bool,
}

/// One ledger, as one device knows it.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(super) plane: Plane,
    pub(super) judgement: Judgement,
    rules: Rules,
    room: WaitingRoom,
    actions: VecDeque<Action>,
    /// Accepted since the last action was taken, so that the shelf may not have it yet.
    fresh: MemoryShelf,
    /// Accepted and not judged yet.
    unjudged: Vec<(CommitId, Stored)>,
    stale: bool,
}

impl Ledger {
    /// Begins with the first commit, whose id says which ledger it is: compare it with what the invitation says.
    ///
    /// # Errors
    /// The first offence.
    pub fn open(genesis: Commit) -> Result<Self, Misbehaved> {
        Self::open_with(genesis, Rules::ALL)
    }

    pub(crate) fn open_with(genesis: Commit, rules: Rules) -> Result<Self, Misbehaved> {
        let (plane, placed) = found(&genesis)?;
        let judgement = judge(&plane, rules);
        let mut ledger = Self {
            plane,
            judgement,
            rules,
            room: WaitingRoom::default(),
            actions: VecDeque::new(),
            fresh: MemoryShelf::default(),
            unjudged: Vec::new(),
            stale: false,
        };
        ledger.keep(genesis, placed, None);
        Ok(ledger)
    }

    /// A ledger around what [`super::state`] read.
    pub(super) fn around(plane: Plane, rules: Rules) -> Self {
        let judgement = judge(&plane, rules);
        let (room, actions, fresh, unjudged) = Default::default();
        Self { plane, judgement, rules, room, actions, fresh, unjudged, stale: false }
    }

    /// Takes a commit, from a peer or from this device itself (`None`).
    ///
    /// # Errors
    /// The first offence, of its author and of whoever passed it on: honest devices do not store such commits.
    pub fn handle(
        &mut self,
        commit: Commit,
        from: Option<DeviceId>,
        now: Timestamp,
        shelf: &dyn Shelf,
    ) -> Result<Taken, Misbehaved> {
        let id = commit.id();
        if id == self.plane.genesis || (Desk { shelf, fresh: &self.fresh }).stored(&id).is_some() {
            return Ok(Taken::Known);
        }
        if self.room.holds(&id) {
            return Ok(Taken::Waiting);
        }
        let desk = Desk { shelf, fresh: &self.fresh };
        match self.plane.place(&commit, &desk) {
            Ok(placed) => {
                let rival = self.rival(&commit, &placed, shelf);
                self.watch_clock(&commit, now);
                self.keep(commit, placed, rival);
                self.let_in(id, now, shelf);
                Ok(Taken::Accepted)
            }
            Err(Not::Ever(offence)) => {
                self.room.refused(id);
                Err(offence)
            }
            Err(Not::Yet(missing)) => {
                let ask: Vec<_> = missing.iter().filter(|seen| !self.room.holds(&seen.id)).copied().collect();
                if !self.room.admit(commit, from, missing, now) {
                    return Ok(Taken::NoRoom);
                }
                self.actions.push_back(Action::Ask(from, ask));
                Ok(Taken::Waiting)
            }
        }
    }

    /// Accepts those that waited for a commit, and so on.
    fn let_in(&mut self, arrived: CommitId, now: Timestamp, shelf: &dyn Shelf) {
        let mut arrived = vec![arrived];
        while let Some(id) = arrived.pop() {
            for guest in self.room.arrived(id) {
                let (commit, from) = (guest.commit, guest.from);
                let desk = Desk { shelf, fresh: &self.fresh };
                match self.plane.place(&commit, &desk) {
                    Ok(placed) => {
                        arrived.push(commit.id());
                        let rival = self.rival(&commit, &placed, shelf);
                        self.watch_clock(&commit, now);
                        self.keep(commit, placed, rival);
                    }
                    Err(Not::Ever(offence)) => {
                        let (id, author) = (commit.id(), commit.device());
                        self.room.refused(id);
                        self.actions.push_back(Action::Refused { id, author, from, offence });
                    }
                    Err(Not::Yet(missing)) => {
                        self.room.admit(commit, from, missing, now);
                    }
                }
            }
        }
    }

    /// Where a commit begins a branch: another commit with the same predecessor.
    fn rival(&self, commit: &Commit, placed: &Placed, shelf: &dyn Shelf) -> Option<CommitId> {
        let (device, seq) = (commit.device(), commit.header().seq);
        let Some(previous) = placed.previous else {
            return self.plane.chains.of(device).first().map(|branch| branch.first);
        };
        if self.plane.chains.ending_in(device, previous.id).is_some() {
            return None;
        }
        let desk = Desk { shelf, fresh: &self.fresh };
        let others = desk.at(device, seq).into_iter();
        let mut on_it = others.filter(|id| desk.stored(id).is_some_and(|stored| stored.branch == previous.branch));
        on_it.next()
    }

    /// Takes an accepted commit into the books.
    fn keep(&mut self, commit: Commit, placed: Placed, rival: Option<CommitId>) {
        let Placed { previous, before, member, rank } = placed;
        let header = commit.header();
        let (id, device, seq) = (commit.id(), header.device, header.seq);
        let branches = self.plane.chains.of(device).len();
        let tip = NewTip { seq, id, lamport: header.lamport, before: before.clone(), rival, member, rank };
        let branch = self.plane.chains.extend(device, previous, tip);
        let new_branch = self.plane.chains.of(device).len() > branches;
        if let (true, Some(one)) = (new_branch, rival) {
            self.actions.push_back(Action::Evidence(Equivocation { device, seq, one, other: id }));
        }
        let stored = Stored { header: header.clone(), branch };
        let snapshot = commit.control().is_some() || seq.is_multiple_of(SNAPSHOT_EVERY);
        let after = snapshot.then(|| before.clone().with(device, Spot { seq, id, branch }));
        let shelved = Shelved { commit: commit.clone(), branch, after };
        self.fresh.store(shelved.clone());
        self.actions.push_back(Action::Store(Box::new(shelved)));
        if commit.control().is_some() {
            let (depth, above) = self.plane.standing(stored.header.cap);
            self.plane.add(Ruled { commit, branch, before, member, rank, depth, above });
            self.stale = true;
        }
        self.stale |= new_branch && branch > 0;
        self.unjudged.push((id, stored));
    }

    fn watch_clock(&mut self, commit: &Commit, now: Timestamp) {
        if commit.header().time > now.plus(CLOCK_AHEAD) {
            self.actions.push_back(Action::ClockAhead(commit.id()));
        }
    }

    /// The next thing to do. Everything accepted so far is judged when there is nothing else left.
    pub fn poll(&mut self, shelf: &dyn Shelf) -> Option<Action> {
        if self.actions.is_empty() {
            self.fresh = MemoryShelf::default();
            self.settle(shelf);
        }
        self.actions.pop_front()
    }

    /// Judges what is not judged, and says what changed.
    fn settle(&mut self, shelf: &dyn Shelf) {
        let unjudged = std::mem::take(&mut self.unjudged);
        if std::mem::take(&mut self.stale) {
            let before = std::mem::replace(&mut self.judgement, judge(&self.plane, self.rules));
            self.announce_changes(&before, &unjudged, shelf);
        }
        for (id, stored) in unjudged {
            let verdict = match stored.header.kind {
                Kind::Data => self.judgement.counts(&stored),
                _ => self.judgement.control(&id).unwrap_or(Verdict::Effective),
            };
            self.actions.push_back(match verdict {
                Verdict::Effective => Action::Effective(id),
                Verdict::Void(why) => Action::Void(id, why),
            });
        }
    }

    /// Says which commits that were judged before are worth something else now.
    fn announce_changes(&mut self, before: &Judgement, unjudged: &[(CommitId, Stored)], shelf: &dyn Shelf) {
        let after = &self.judgement;
        let controls = after.controls().filter_map(|(id, new)| Some((id, before.control(&id)?, new)));
        let mut changes: Vec<_> = controls.collect();
        let new: std::collections::BTreeSet<_> = unjudged.iter().map(|(id, _)| *id).collect();
        for (device, branches) in &self.plane.chains.0 {
            let Some(from) = after.changed(before, *device) else { continue };
            let last = branches.iter().map(|branch| branch.tip.seq).max().unwrap_or(0);
            for id in (from..=last).flat_map(|seq| shelf.at(*device, seq)).filter(|id| !new.contains(id)) {
                let data = shelf.stored(&id).filter(|stored| stored.header.kind == Kind::Data);
                changes.extend(data.map(|data| (id, before.counts(&data), after.counts(&data))));
            }
        }
        for (id, old, new) in changes {
            match (old, new) {
                (old, Verdict::Void(why)) if old != new => self.actions.push_back(Action::Void(id, why)),
                (Verdict::Void(_), Verdict::Effective) => self.actions.push_back(Action::Again(id)),
                _ => {}
            }
        }
    }

    /// The header of this device's next commit: it has seen everything that counts here. For the first one of a device
    /// the kind must be [`Kind::Enter`].
    ///
    /// # Errors
    /// [`CannotWrite`].
    pub fn next_header(&self, device: DeviceId, draft: &Draft) -> Result<Header, CannotWrite> {
        let branches = self.plane.chains.of(device);
        if branches.is_empty() != (draft.kind == Kind::Enter) {
            return Err(CannotWrite::OutOfTurn);
        }
        let own = match self.judgement.line(device) {
            None => branches.first(),
            Some(line) => {
                let end = line.last().filter(|part| part.until == u64::MAX).ok_or(CannotWrite::Forked)?;
                self.plane.chains.branch(device, end.branch)
            }
        };
        let (seen, past) = self.news(device, own.map(|branch| branch.tip));
        if seen.len() > COMMIT_SEEN {
            return Err(CannotWrite::TooMany);
        }
        let lamports = past.entries().filter_map(|entry| self.lamport(entry));
        Ok(Header {
            version: VERSION,
            ledger: self.plane.genesis,
            device,
            seq: own.map_or(0, |branch| branch.tip.seq + 1),
            previous: own.map_or(CommitId::ZERO, |branch| branch.tip.id),
            seen,
            frontier: past.hash(),
            lamport: lamports.chain(own.map(|branch| branch.lamport)).max().unwrap_or(0).saturating_add(1),
            time: draft.time,
            sure: draft.sure,
            cap: draft.cap,
            realm: draft.realm,
            epoch: draft.epoch,
            kind: draft.kind,
            body_len: 0,
            body_hash: [0; 32],
        })
    }

    fn lamport(&self, entry: Seen) -> Option<u64> {
        let tip = self.plane.chains.ending_in(entry.device, entry.id).map(|branch| branch.lamport);
        tip.or_else(|| self.plane.ruled.get(&entry.id).map(|ruled| ruled.header().lamport))
    }

    /// What is new since the device's own tip, and all of it.
    fn news(&self, own: DeviceId, tip: Option<Spot>) -> (Vec<Seen>, Frontier) {
        let chains = &self.plane.chains;
        let base =
            tip.and_then(|tip| chains.ending_in(own, tip.id)).map(|branch| branch.after.clone()).unwrap_or_default();
        let mut past = base.clone();
        let mut queue: Vec<_> =
            chains.0.keys().filter(|device| **device != own).filter_map(|d| self.best(*d)).collect();
        while let Some((device, spot)) = queue.pop() {
            let known = past.of(device);
            let next = known.map_or(spot, |known| self.preferred(device, known, spot));
            if device == own || known == Some(next) {
                continue;
            }
            past.0.insert(device, next);
            let branch = chains.branch(device, next.branch).filter(|branch| branch.tip.id == next.id);
            queue.extend(branch.into_iter().flat_map(|branch| branch.after.0.iter().map(|(d, s)| (*d, *s))));
        }
        let (base, all) = (base.frontier(), past.frontier());
        (all.since(&base), all)
    }

    /// The tip of the branch of a device that counts, or of any.
    fn best(&self, device: DeviceId) -> Option<(DeviceId, Spot)> {
        let line = self.judgement.line(device).and_then(|line| line.last()).map_or(0, |part| part.branch);
        self.plane.chains.branch(device, line).map(|branch| (device, branch.tip))
    }

    /// The later one of two commits, or where they lie on two branches, the one that counts, or the first.
    fn preferred(&self, device: DeviceId, known: Spot, other: Spot) -> Spot {
        let chains = &self.plane.chains;
        let apart = !chains.reaches(device, known, other) && !chains.reaches(device, other, known);
        let kept = self.judgement.line(device).and_then(|line| line.last()).filter(|part| part.until == u64::MAX);
        match kept {
            Some(part) if apart && part.branch == other.branch => other,
            _ => chains.later(device, known, other),
        }
    }

    /// Which ledger this is.
    pub fn id(&self) -> CommitId {
        self.plane.genesis
    }

    /// What counts, as of the last [`Self::poll`] that returned nothing.
    pub fn judgement(&self) -> &Judgement {
        &self.judgement
    }

    /// What is accepted, of forked chains the branch that counts or came first.
    pub fn frontier(&self) -> Frontier {
        let mut frontier = Frontier::default();
        for (device, spot) in self.plane.chains.0.keys().filter_map(|device| self.best(*device)) {
            frontier.set(device, spot.seq, spot.id);
        }
        frontier
    }

    /// A control commit.
    pub fn control(&self, id: &CommitId) -> Option<&Commit> {
        self.plane.ruled.get(id).map(|ruled| &ruled.commit)
    }

    /// True if a device speaks here, or did.
    pub fn knows(&self, device: DeviceId) -> bool {
        !self.plane.chains.of(device).is_empty()
    }

    /// What accepted and waiting commits name and nobody sent: gaps. An old one is being withheld.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.room.gaps()
    }

    /// Commits and bytes that wait.
    pub fn waiting(&self) -> (usize, usize) {
        self.room.load()
    }

    /// Forgets commits that have waited since before `then`.
    pub fn forget_waiting(&mut self, then: Timestamp) {
        self.room.close(then);
    }

    /// The role that a device has on a realm now.
    pub fn role_of(&self, device: DeviceId, realm: RealmId) -> Option<SpaceRole> {
        let roles = [SpaceRole::Owner, SpaceRole::Editor, SpaceRole::Reader, SpaceRole::Storage];
        roles.into_iter().find(|role| self.judgement.cap_for(device, realm, *role).is_some())
    }
}
