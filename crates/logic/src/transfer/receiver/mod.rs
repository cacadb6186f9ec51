//! The receiving engine: one run of one transfer.
//!
//! The tasks around it hand it every control message ([`Receiver::handle`]), ask it where each piece of content belongs
//! ([`Receiver::admit`]), report what was verified and written ([`Receiver::placed`], [`Receiver::spoiled`]) and what
//! else they did ([`Receiver::performed`], [`Receiver::refused`], [`Receiver::read_back`]), and carry out what
//! [`Receiver::poll`] gives.
//!
//! An error of any call is an offence of the sender: the run must end, and nothing that the message asked for was done.

mod content;
mod file;
mod hearing;
mod orders;

use super::hash::Value;
use super::limits::{REPORT_ENTRIES, REPORT_EVERY, SKIPPED_MAX};
use super::listing::{Entry, Kind, Listing};
use super::message::{FromReceiver, Held, Offer, Reason, Token, Totals, TransferId};
use super::outcome::{Outcome, Outcomes};
use super::path::{Naming, RelPath};
use super::receipt::Receipt;
use crate::Misbehaved;
use file::{Incoming, Then};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub use orders::{Admit, Effect, ReceiverAction, Target};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Offered,
    Running,
    Landing,
    Ended,
}

/// An outcome that waits for its effect.
#[derive(Debug)]
struct Pending {
    outcome: Outcome,
    path: RelPath,
    weight: usize,
    bytes: u64,
}

/// The receiving engine.
#[derive(Debug)]
pub struct Receiver {
    id: TransferId,
    naming: Naming,
    phase: Phase,
    resume: bool,
    found: Totals,
    complete: bool,
    /// Bytes that the listing may have, where a rule or a complete offer says so.
    ceiling: Option<u64>,
    bytes_listed: u64,
    listing: Listing,
    listing_ended: bool,
    files: BTreeMap<u32, Incoming>,
    pending: BTreeMap<u32, Pending>,
    outcomes: Outcomes,
    /// Entries that were given up by one of the sides; content for them may still be on its way.
    dropped: BTreeSet<u32>,
    weight: usize,
    held_values: usize,
    held_out: Vec<Held>,
    held_bytes: usize,
    bad_blocks: u32,
    done: Totals,
    wire: u64,
    kept: u64,
    reported: (u32, Totals),
    report_after: Duration,
    actions: VecDeque<ReceiverAction>,
}

impl Receiver {
    /// For an offer that came from a peer.
    pub fn new(offer: &Offer, naming: Naming) -> Result<Self, Misbehaved> {
        offer.check()?;
        Ok(Self {
            id: offer.id,
            naming,
            phase: Phase::Offered,
            resume: false,
            found: offer.found,
            complete: offer.complete,
            ceiling: None,
            bytes_listed: 0,
            listing: Listing::default(),
            listing_ended: false,
            files: BTreeMap::new(),
            pending: BTreeMap::new(),
            outcomes: Outcomes::default(),
            dropped: BTreeSet::new(),
            weight: 0,
            held_values: 0,
            held_out: Vec::new(),
            held_bytes: 0,
            bad_blocks: 0,
            done: Totals::default(),
            wire: 0,
            kept: 0,
            reported: (0, Totals::default()),
            report_after: Duration::ZERO,
            actions: VecDeque::new(),
        })
    }

    /// Accepts the offer. `resume`: something of it may lie here already. `ceiling`: most bytes that were agreed to without
    /// knowing how much it is, see [`ReceiverAction::Over`]; above what a complete offer announces is an offence.
    pub fn accept(&mut self, resume: bool, token: Token, ceiling: Option<u64>) {
        if self.phase == Phase::Offered {
            self.phase = Phase::Running;
            self.resume = resume;
            self.ceiling = ceiling;
            self.send(FromReceiver::Accept { resume, token });
        }
    }

    fn tell(&mut self, action: ReceiverAction) -> Result<(), Misbehaved> {
        self.actions.push_back(action);
        Ok(())
    }

    fn send(&mut self, message: FromReceiver) {
        self.actions.push_back(ReceiverAction::Send(message));
    }

    /// Does `then` once no block of this file is being written.
    fn drain(&mut self, entry: u32, then: Then) {
        let Some(file) = self.files.get_mut(&entry) else { return };
        file.draining = Some(then);
        if !file.admitted.is_empty() {
            return;
        }
        file.draining = None;
        let path = file.path.clone();
        match then {
            Then::ReadBack => {
                let (generation, size) = (file.generation, file.size);
                self.actions.push_back(ReceiverAction::Do(Effect::ReadBack { entry, generation, path, size }));
            }
            Then::Remove(outcome) => {
                self.retire(entry, outcome);
                self.drop_entry(entry);
                self.actions.push_back(ReceiverAction::Do(Effect::Remove { entry, path }));
            }
        }
    }

    /// Moves a file from those that are open to those whose last effect is under way.
    fn retire(&mut self, entry: u32, outcome: Outcome) {
        if let Some(file) = self.files.remove(&entry) {
            let Incoming { path, weight, verified: bytes, .. } = file;
            self.pending.insert(entry, Pending { outcome, path, weight, bytes });
        }
    }

    fn pend(&mut self, entry: u32, path: &RelPath, weight: usize, outcome: Outcome) {
        self.pending.insert(entry, Pending { outcome, path: path.clone(), weight, bytes: 0 });
    }

    fn drop_entry(&mut self, entry: u32) {
        self.dropped.insert(entry);
        // The oldest are long settled: content for them cannot be on its way any more.
        while self.dropped.len() > SKIPPED_MAX {
            self.dropped.pop_first();
        }
    }

    fn report_skip(&mut self, entry: u32, path: RelPath, reason: Reason) {
        self.send(FromReceiver::Skipped { entry, reason: reason.clone() });
        self.actions.push_back(ReceiverAction::Warn { path, reason });
    }

    /// An effect was carried out.
    pub fn performed(&mut self, entry: u32) {
        if let Some(pending) = self.pending.remove(&entry) {
            self.weight -= pending.weight;
            self.outcomes.set(entry, pending.outcome);
            self.settle();
        }
    }

    /// This entry cannot exist here (its name, for example, or something is in its way): it is left out, and what was
    /// written of it is removed. `block`: the admitted block that could not be written, if it was one.
    pub fn refused(&mut self, entry: u32, block: Option<u32>, reason: Reason) {
        if let Some(file) = self.files.get_mut(&entry) {
            if let Some(block) = block {
                file.admitted.remove(&block);
            }
            if matches!(file.draining, Some(Then::Remove(_))) {
                return self.drain(entry, Then::Remove(Outcome::Skipped));
            }
            let (path, verified) = (file.path.clone(), file.verified);
            let held = file.held.as_ref().map_or(0, |held| held.values.len());
            self.done.bytes -= verified;
            self.held_values -= held;
            self.report_skip(entry, path, reason);
            self.drain(entry, Then::Remove(Outcome::Skipped));
        } else if let Some(pending) = self.pending.get_mut(&entry) {
            let path = pending.path.clone();
            if matches!(pending.outcome, Outcome::File(_)) {
                self.done.files -= 1;
                self.done.bytes -= pending.bytes;
                pending.outcome = Outcome::Skipped;
                self.actions.push_back(ReceiverAction::Do(Effect::Remove { entry, path: path.clone() }));
            } else {
                pending.outcome = Outcome::Skipped;
                self.performed(entry);
            }
            self.drop_entry(entry);
            self.report_skip(entry, path, reason);
        }
    }

    /// Moves on where nothing is missing any more.
    fn settle(&mut self) {
        let next = self.outcomes.advance(self.listing.next());
        self.done.entries = u64::from(next);
        if self.phase == Phase::Running && self.listing_ended && next == self.listing.next() {
            self.phase = Phase::Landing;
            self.send(FromReceiver::Landing);
            self.actions.push_back(ReceiverAction::Land);
        }
    }

    /// The receipt to be signed, once everything is durable and in its place.
    pub fn landed(&self, sender: Value, at: i64) -> Receipt {
        let root = self.outcomes.root(&self.listing.hash());
        Receipt { id: self.id, sender, root, done: self.done, at }
    }

    /// The next thing to do.
    pub fn poll(&mut self, now: Duration) -> Option<ReceiverAction> {
        self.flush_held();
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        let far = self.outcomes.next() - self.reported.0 >= REPORT_ENTRIES;
        if self.phase == Phase::Running && self.news() && (far || now >= self.report_after) {
            self.report_after = now + REPORT_EVERY;
            self.reported = (self.outcomes.next(), self.done);
            let message = FromReceiver::Progress { done_below: self.outcomes.next(), done: self.done };
            return Some(ReceiverAction::Send(message));
        }
        None
    }

    /// What the sender does not know yet of what is complete, for the end of a run that cannot go on.
    pub fn last_report(&mut self) -> Option<FromReceiver> {
        let news = self.news();
        self.reported = (self.outcomes.next(), self.done);
        news.then(|| FromReceiver::Progress { done_below: self.outcomes.next(), done: self.done })
    }

    fn news(&self) -> bool {
        self.reported != (self.outcomes.next(), self.done)
    }

    /// When [`Receiver::poll`] will have something to say although nothing happens.
    pub fn wake_at(&self) -> Option<Duration> {
        (self.phase == Phase::Running && self.news()).then_some(self.report_after)
    }

    /// Which transfer.
    pub fn id(&self) -> TransferId {
        self.id
    }

    /// What the sender announced so far, and whether that is all.
    pub fn announced(&self) -> (Totals, bool) {
        (self.found, self.complete)
    }

    /// What is complete and verified.
    pub fn done(&self) -> Totals {
        self.done
    }

    /// Bytes of content that came over the wire in this run.
    pub fn wire(&self) -> u64 {
        self.wire
    }

    /// Bytes of content that an earlier run had brought, as far as the sender has confirmed them.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Ends the run: whatever comes now is refused.
    pub fn stop(&mut self) {
        self.phase = Phase::Ended;
    }

    /// True while content may come.
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }
}

/// What an entry weighs in the window: both sides count the same.
pub(super) fn weight(entry: &Entry, path: &RelPath) -> usize {
    let target = match &entry.kind {
        Kind::Link { target, .. } => target.len(),
        Kind::Dir { .. } | Kind::File { .. } => 0,
    };
    path.as_bytes().len() + target
}
