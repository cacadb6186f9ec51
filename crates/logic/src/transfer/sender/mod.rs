//! The sending engine: one run of one transfer.
//!
//! The tasks around it feed it what the scan finds ([`Sender::scanned`]) and what the receiver says
//! ([`Sender::handle`]); readers take work ([`Sender::next_work`]), read and hash it, and report ([`Sender::read`],
//! [`Sender::confirm`], [`Sender::changed`], [`Sender::unreadable`]).
//!
//! An error of [`Sender::handle`] is an offence of the receiver, and the run must end.

mod announcing;
mod file;
mod hearing;
mod reading;

use super::hash::Value;
use super::limits::{BACKLOG, INLINE_ENTRIES, INLINE_MAX};
use super::listing::{Entry, Kind, Listing};
use super::message::{FromSender, Offer, Reason, Token, Totals};
use super::outcome::{Outcome, Outcomes};
use super::path::RelPath;
use super::rate::Bucket;
use super::receipt::SignedReceipt;
use super::receiver::weight;
use crate::Misbehaved;
use file::Outgoing;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub use file::Job;

/// What a reader should do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Read these, and send them as one parcel.
    Jobs(Vec<Job>),
    /// Nothing now: ask again after the next event.
    Wait,
    /// The run is over.
    Over,
}

/// Whether a file has been read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadState {
    /// Blocks are missing.
    More,
    /// That was the last one: see whether the file changed meanwhile, then [`Sender::confirm`] or [`Sender::changed`].
    Complete,
    /// The file is being read anew, or was given up: do not send the block.
    Stale,
}

/// What the tasks around the engine have to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SenderAction {
    /// Send this on the control stream.
    Send(FromSender),
    /// The receiver asks its user.
    Pending,
    /// Content may flow. Lanes must begin with the token.
    Accepted {
        /// True if the receiver may hold some of it already.
        resume: bool,
        /// For the lanes.
        token: Token,
    },
    /// The receiver said no.
    Rejected(Reason),
    /// Tell the user that this entry will be missing, or was, and why.
    Warn {
        /// Number in the listing.
        entry: u32,
        /// Why.
        reason: Reason,
    },
    /// Tell the user that this file changed while it was being sent, and is sent again.
    Changed {
        /// Number in the listing.
        entry: u32,
    },
    /// The receiver makes everything durable.
    Landing,
    /// Everything is there, proven by this receipt.
    Done(Box<SignedReceipt>),
    /// The receiver cannot go on now.
    Stuck(Reason),
    /// The receiver paused, or goes on.
    Paused(bool),
    /// The receiver gave up.
    Cancelled(Reason),
    /// What was offered as small has grown: the run is over, and the next one scans and offers anew.
    Outgrown {
        /// Number in the listing of the file that grew.
        entry: u32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Offered,
    Running,
    Ended,
}

/// The sending engine.
#[derive(Debug)]
pub struct Sender {
    offer: Offer,
    me: Value,
    phase: Phase,
    resume: bool,
    listing: Listing,
    scan_ended: bool,
    end_sent: bool,
    found_sent: (Totals, bool),
    found_after: Duration,
    /// Scanned and not yet sent.
    backlog: VecDeque<(Entry, usize)>,
    sent: u32,
    /// Weights of what was sent and is not confirmed; the front is the first unconfirmed entry.
    window: VecDeque<usize>,
    window_weight: usize,
    files: BTreeMap<u32, Outgoing>,
    /// Files in the order of the listing whose blocks are not all given to readers.
    queue: VecDeque<u32>,
    /// The same, for files that changed.
    again: VecDeque<u32>,
    refetch: VecDeque<Job>,
    refetches: u32,
    outcomes: Outcomes,
    dispatched: u64,
    done: Totals,
    paused_here: bool,
    paused_there: bool,
    limit_here: Option<u64>,
    limit_there: Option<u64>,
    bucket: Bucket,
    actions: VecDeque<SenderAction>,
}

impl Sender {
    /// A run of the transfer that `offer` describes (its totals are filled in from the scan); `me` is this device's id,
    /// which the receipt must name.
    pub fn new(offer: Offer, me: Value) -> Self {
        Self {
            me,
            phase: Phase::Offered,
            resume: false,
            listing: Listing::default(),
            scan_ended: false,
            end_sent: false,
            found_sent: (offer.found, offer.complete),
            found_after: Duration::ZERO,
            backlog: VecDeque::new(),
            sent: 0,
            window: VecDeque::new(),
            window_weight: 0,
            files: BTreeMap::new(),
            queue: VecDeque::new(),
            again: VecDeque::new(),
            refetch: VecDeque::new(),
            refetches: 0,
            outcomes: Outcomes::default(),
            dispatched: 0,
            done: Totals::default(),
            paused_here: false,
            paused_there: false,
            limit_here: None,
            limit_there: None,
            bucket: Bucket::default(),
            actions: VecDeque::new(),
            offer,
        }
    }

    /// Takes the next entry that the scan found and gives its number and path.
    ///
    /// # Errors
    /// What a receiver would object to; the entry is not taken.
    pub fn scanned(&mut self, entry: Entry) -> Result<(u32, RelPath), Misbehaved> {
        let number = self.listing.next();
        let path = self.listing.push(&entry)?;
        match entry.kind {
            Kind::File { size: 0, .. } => self.outcomes.set(number, Outcome::File(*blake3::hash(b"").as_bytes())),
            Kind::File { size, .. } => {
                self.files.insert(number, Outgoing::new(size));
            }
            Kind::Dir { .. } | Kind::Link { .. } => self.outcomes.set(number, Outcome::Made),
        }
        let weight = weight(&entry, &path);
        self.backlog.push_back((entry, weight));
        Ok((number, path))
    }

    /// True while the scan may go on; else wait until the receiver has confirmed something.
    pub fn has_room(&self) -> bool {
        self.backlog.len() < BACKLOG
    }

    /// Sends the offer, with what the scan found so far. To be called once, after the scan has begun.
    pub fn make_offer(&mut self) {
        (self.offer.found, self.offer.complete) = self.found();
        self.found_sent = self.found();
        self.send(FromSender::Offer(self.offer.clone()));
    }

    /// The scan found everything.
    pub fn scan_ended(&mut self) {
        self.scan_ended = true;
    }

    fn tell(&mut self, action: SenderAction) -> Result<(), Misbehaved> {
        self.actions.push_back(action);
        Ok(())
    }

    fn end(&mut self, action: SenderAction) -> Result<(), Misbehaved> {
        self.phase = Phase::Ended;
        self.tell(action)
    }

    fn send(&mut self, message: FromSender) {
        self.actions.push_back(SenderAction::Send(message));
    }

    /// Pauses or goes on, by this side's wish.
    pub fn pause(&mut self, paused: bool) {
        if self.paused_here != paused {
            self.paused_here = paused;
            self.send(if paused { FromSender::Pause } else { FromSender::Resume });
        }
    }

    /// Ends the run, by this side's wish.
    pub fn cancel(&mut self, reason: Reason) {
        self.phase = Phase::Ended;
        self.send(FromSender::Cancel(reason));
    }

    /// Ends the run without a word: whatever comes now is refused.
    pub fn stop(&mut self) {
        self.phase = Phase::Ended;
    }

    /// Limits the speed by this side's wish, in bytes per second.
    pub fn limit(&mut self, limit: Option<u64>) {
        self.limit_here = limit;
    }

    /// The limit that holds now: the lower one of both sides'.
    pub fn rate_limit(&self) -> Option<u64> {
        self.limit_here.into_iter().chain(self.limit_there).min()
    }

    /// Asks to send so many bytes: `Some(when)` to ask again then, `None` to send them now.
    pub fn pace(&mut self, bytes: u64, now: Duration) -> Option<Duration> {
        let limit = self.rate_limit();
        if limit != self.bucket.rate() {
            self.bucket.set(limit, now);
        }
        let wait = self.bucket.wait(now);
        if wait.is_none() {
            self.bucket.take(bytes, now);
        }
        wait
    }

    /// The next thing to do.
    pub fn poll(&mut self, now: Duration) -> Option<SenderAction> {
        if self.actions.is_empty() {
            self.advance_listing(now);
        }
        self.actions.pop_front()
    }

    /// True if everything is so small that it travels on the control stream.
    pub fn is_inline(&self) -> bool {
        self.offer.complete && self.offer.found.bytes <= INLINE_MAX && self.offer.found.entries <= INLINE_ENTRIES
    }

    /// What the receiver has confirmed.
    pub fn done(&self) -> Totals {
        self.done
    }

    /// What was found so far, and whether that is all.
    pub fn found(&self) -> (Totals, bool) {
        (self.listing.totals(), self.scan_ended)
    }

    /// The first entry that the receiver has not confirmed: what is before it can be forgotten.
    pub fn first_unconfirmed(&self) -> u32 {
        self.outcomes.next()
    }

    /// True once the run is over.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Ended
    }
}
