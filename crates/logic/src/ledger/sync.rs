//! Exchange by difference of frontiers.
//!
//! Each side says what it has ([`summary`]: the tips of all branches). Whoever sees tips that it does not know asks for
//! them and says by a few commits of that chain what it has already ([`wants`]). The answer ([`serve`]) is in an order in
//! which nothing has to wait, and bounded: the next question goes on behind it. Nothing is remembered between questions,
//! so an exchange can be cut anywhere and resumed with anybody, and several peers can be asked for different chains.
//! Everything received goes through [`Commit::read`] and [`Ledger::handle`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use seal::DeviceId;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::chains::Spot;
use super::commit::Commit;
use super::engine::Ledger;
use super::frontier::Frontier;
use super::header::Seen;
use super::id::CommitId;
use super::shelf::Shelf;
use crate::Misbehaved;
use crate::limits::{LEDGER_FRAME, SYNC_BATCH_BYTES, SYNC_COMMITS, SYNC_LOCATOR, SYNC_TIPS, SYNC_WANTS};
use crate::wire::{self, Frame, FrameTooBig};

/// A chain, up to a commit that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The commit.
    pub goal: Seen,
    /// Commits of that chain that are here, newest first, ever further apart.
    pub here: Vec<CommitId>,
}

/// What devices say to each other about one ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The tips of what the sender has.
    Have(Vec<Seen>),
    /// What the sender would like.
    Want(Vec<Want>),
    /// Commits, as [`Commit::read`] takes them.
    Commits {
        /// In an order in which nothing waits.
        commits: Vec<ByteBuf>,
        /// There is more: ask again.
        more: bool,
    },
    /// A statement of what the sender holds, as [`super::HeadStatement::read`] takes it.
    Head(ByteBuf),
}

impl Message {
    /// The message as a frame.
    ///
    /// # Errors
    /// [`FrameTooBig`] where it was not made by this module.
    pub fn frame(&self) -> Result<Frame, FrameTooBig> {
        wire::encode(self, LEDGER_FRAME)
    }

    /// Reads the body of a frame.
    ///
    /// # Errors
    /// The first offence.
    pub fn read(body: &[u8]) -> Result<Self, Misbehaved> {
        if body.len() > LEDGER_FRAME.bytes() {
            return Err(Misbehaved::FrameTooLong);
        }
        let message: Self = wire::decode(body)?;
        let fits = match &message {
            Self::Have(tips) => tips.len() <= SYNC_TIPS,
            Self::Want(wants) => wants.len() <= SYNC_WANTS && wants.iter().all(|want| want.here.len() <= SYNC_LOCATOR),
            Self::Commits { commits, .. } => commits.len() <= SYNC_COMMITS,
            Self::Head(_) => true,
        };
        if fits { Ok(message) } else { Err(Misbehaved::SyncTooLong) }
    }
}

/// The tips of everything that was accepted, all branches of forked chains included.
pub fn summary(ledger: &Ledger) -> Vec<Seen> {
    let chains = ledger.plane.chains.0.iter();
    let tips = chains.flat_map(|(device, branches)| branches.iter().map(|branch| (*device, branch.tip)));
    tips.map(|(device, tip)| Seen { device, seq: tip.seq, id: tip.id }).take(SYNC_TIPS).collect()
}

/// The frontier that a summary shows, to compare with what its sender signed ([`super::Heads::withheld`]).
pub fn shown(tips: &[Seen]) -> Frontier {
    let mut frontier = Frontier::default();
    for tip in tips {
        if !frontier.covers(tip.device, tip.seq) {
            frontier.set(tip.device, tip.seq, tip.id);
        }
    }
    frontier
}

/// What to ask somebody for who has these tips.
pub fn wants(ledger: &Ledger, shelf: &dyn Shelf, theirs: &[Seen]) -> Vec<Want> {
    let unknown = theirs.iter().filter(|tip| shelf.stored(&tip.id).is_none()).take(SYNC_WANTS);
    unknown.map(|goal| Want { goal: *goal, here: here(ledger, shelf, goal.device) }).collect()
}

/// Commits of a device that are here: tips first, then going back in steps that double.
fn here(ledger: &Ledger, shelf: &dyn Shelf, device: DeviceId) -> Vec<CommitId> {
    let branches = ledger.plane.chains.of(device);
    let mut here: Vec<_> = branches.iter().rev().map(|branch| branch.tip.id).take(SYNC_LOCATOR / 4).collect();
    let newest = branches.iter().map(|branch| branch.tip.seq).max().unwrap_or(0);
    let mut step = 1;
    while step <= newest && here.len() < SYNC_LOCATOR {
        here.extend(shelf.at(device, newest - step).first());
        step *= 2;
    }
    here
}

/// What of the wanted is here, at most one answer's worth, and whether there is more.
pub fn serve(ledger: &Ledger, shelf: &dyn Shelf, wants: &[Want]) -> Message {
    let mut ways: Vec<_> = wants.iter().take(SYNC_WANTS).filter_map(|want| Way::new(ledger, shelf, want)).collect();
    // Logical time first: a commit comes after everything that it names.
    let mut heap = BinaryHeap::new();
    for (number, way) in ways.iter_mut().enumerate() {
        heap.extend(way.next(ledger, shelf).map(|(lamport, id)| Reverse((lamport, id, number))));
    }
    let (mut commits, mut bytes, mut last) = (Vec::<ByteBuf>::new(), 0, None);
    while let Some(Reverse((_, id, number))) = heap.pop() {
        if commits.len() >= SYNC_COMMITS || bytes >= SYNC_BATCH_BYTES {
            return Message::Commits { commits, more: true };
        }
        if let Some(commit) = shelf.commit(&id).filter(|_| last != Some(id)) {
            let commit = commit.to_bytes();
            bytes += commit.len();
            commits.push(ByteBuf::from(commit));
        }
        last = Some(id);
        if let Some(way) = ways.get_mut(number) {
            heap.extend(way.next(ledger, shelf).map(|(lamport, id)| Reverse((lamport, id, number))));
        }
    }
    Message::Commits { commits, more: false }
}

/// The way up a chain, from what the other side has to what it wants.
struct Way {
    device: DeviceId,
    goal: Spot,
    next: u64,
}

impl Way {
    fn new(ledger: &Ledger, shelf: &dyn Shelf, want: &Want) -> Option<Self> {
        let spot = |id: &CommitId| {
            let stored = shelf.stored(id)?;
            Some((stored.header.device, Spot { seq: stored.header.seq, id: *id, branch: stored.branch }))
        };
        let (device, goal) = spot(&want.goal.id)?;
        let known = want.here.iter().take(SYNC_LOCATOR).filter_map(spot).filter(|(owner, _)| *owner == device);
        let below = known.filter(|(_, here)| ledger.plane.chains.reaches(device, goal, *here));
        let next = below.map(|(_, here)| here.seq + 1).max().unwrap_or(0);
        Some(Self { device, goal, next })
    }

    /// The next commit, with its logical time.
    fn next(&mut self, ledger: &Ledger, shelf: &dyn Shelf) -> Option<(u64, CommitId)> {
        if self.next > self.goal.seq {
            return None;
        }
        let here = shelf.at(self.device, self.next).into_iter();
        self.next += 1;
        let stored = here.filter_map(|id| Some((id, shelf.stored(&id)?)));
        let mut on_it = stored.filter(|(id, stored)| {
            let spot = Spot { seq: stored.header.seq, id: *id, branch: stored.branch };
            ledger.plane.chains.reaches(self.device, self.goal, spot)
        });
        on_it.next().map(|(id, stored)| (stored.header.lamport, id))
    }
}

/// Reads the commits of an answer.
///
/// # Errors
/// The first offence.
pub fn read_commits(commits: &[ByteBuf]) -> Result<Vec<Commit>, Misbehaved> {
    commits.iter().map(|bytes| Commit::read(bytes)).collect()
}
