//! The sending engine: one run of one transfer.
//!
//! The tasks around it feed it what the scan finds ([`Sender::scanned`]) and what the receiver says
//! ([`Sender::handle`]); readers take work ([`Sender::next_work`]), read and hash it, and report ([`Sender::read`],
//! [`Sender::confirm`], [`Sender::changed`], [`Sender::unreadable`]).
//!
//! An error of [`Sender::handle`] is an offence of the receiver, and the run must end.

use super::hash::{FileHash, Value, block_count, block_len};
use super::lane::PARCEL_PIECES;
use super::limits::{
    BACKLOG, BATCH_BYTES, GENERATIONS, INLINE_ENTRIES, INLINE_MAX, REFETCHES, REPORT_EVERY, WINDOW, WINDOW_BYTES,
};
use super::listing::{Entry, Kind, Listing, Mtime};
use super::message::{FromReceiver, FromSender, Held, Offer, Reason, Token, Totals};
use super::outcome::{Outcome, Outcomes};
use super::path::RelPath;
use super::rate::Bucket;
use super::receipt::SignedReceipt;
use super::receiver::weight;
use crate::Misbehaved;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// One block to be read and hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Which file.
    pub entry: u32,
    /// Which reading of it.
    pub generation: u8,
    /// Which block.
    pub block: u32,
    /// Size of the whole file, as it was listed or noticed last.
    pub size: u64,
    /// Bytes in the block.
    pub len: u32,
    /// What the receiver holds at this place: if the block has this value, it need not travel.
    pub held: Option<Value>,
}

impl Job {
    /// True if the block is the whole file: then the file must be found unchanged before the block is sent.
    pub fn is_whole(&self) -> bool {
        block_count(self.size) == 1
    }
}

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
    Outgrown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Offered,
    Running,
    Ended,
}

/// What the receiver said about its blocks of a file.
#[derive(Debug, Default)]
struct TheirHeld {
    said: u32,
    end: bool,
    values: BTreeMap<u32, Value>,
}

/// A file that the receiver has not confirmed.
#[derive(Debug)]
struct Outgoing {
    size: u64,
    generation: u8,
    /// First block that was not given to a reader.
    next: u32,
    hash: FileHash,
    /// `None` where nothing can be there: everything is sent.
    held: Option<TheirHeld>,
    queued: bool,
}

impl Outgoing {
    fn new(size: u64) -> Self {
        Self { size, generation: 0, next: 0, hash: FileHash::new(size), held: None, queued: false }
    }

    fn is_dispatched(&self) -> bool {
        u64::from(self.next) >= block_count(self.size)
    }

    /// Whether its next block may be read now.
    fn is_ready(&self) -> bool {
        self.held.as_ref().is_none_or(|held| held.end || self.next < held.said)
    }

    fn job(&mut self, entry: u32) -> Job {
        let block = self.next;
        self.next += 1;
        let held = self.held.as_mut().and_then(|held| held.values.remove(&block));
        let len = block_len(self.size, block);
        Job { entry, generation: self.generation, block, size: self.size, len, held }
    }
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

    /// Takes a control message of the receiver. A receipt's signature must have been checked before.
    pub fn handle(&mut self, message: FromReceiver) -> Result<(), Misbehaved> {
        match message {
            FromReceiver::Pending if self.phase == Phase::Offered => self.tell(SenderAction::Pending),
            FromReceiver::Accept { resume, token } if self.phase == Phase::Offered => {
                self.phase = Phase::Running;
                self.resume = resume;
                self.tell(SenderAction::Accepted { resume, token })
            }
            FromReceiver::Reject(reason) if self.phase == Phase::Offered => self.end(SenderAction::Rejected(reason)),
            // A transfer that was finished in an earlier run, whose receipt was lost on the way.
            FromReceiver::Receipt(receipt) => self.receipt(receipt),
            FromReceiver::Stuck(reason) => self.end(SenderAction::Stuck(reason)),
            FromReceiver::Cancel(reason) => self.end(SenderAction::Cancelled(reason)),
            FromReceiver::Pause => self.paused_there(true),
            FromReceiver::Resume => self.paused_there(false),
            FromReceiver::Limit(limit) => {
                self.limit_there = limit;
                Ok(())
            }
            _ if self.phase != Phase::Running => Err(Misbehaved::FrameOutOfTurn),
            FromReceiver::Held(list) => list.into_iter().try_for_each(|held| self.held(held)),
            FromReceiver::Refetch { entry, generation, block } => self.refetch(entry, generation, block),
            FromReceiver::Skipped { entry, reason } => self.skipped(entry, reason),
            FromReceiver::Progress { done_below, done } => self.progress(done_below, done),
            FromReceiver::Landing => self.tell(SenderAction::Landing),
            FromReceiver::Pending | FromReceiver::Accept { .. } | FromReceiver::Reject(_) => {
                Err(Misbehaved::FrameOutOfTurn)
            }
        }
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

    fn paused_there(&mut self, paused: bool) -> Result<(), Misbehaved> {
        self.paused_there = paused;
        self.tell(SenderAction::Paused(paused))
    }

    fn held(&mut self, held: Held) -> Result<(), Misbehaved> {
        if held.entry >= self.sent {
            return Err(Misbehaved::UnknownEntry);
        }
        let Some(file) = self.files.get_mut(&held.entry) else {
            return if self.outcomes.knows(held.entry) { Ok(()) } else { Err(Misbehaved::UnknownEntry) };
        };
        if held.generation < file.generation {
            return Ok(());
        }
        let blocks = block_count(file.size);
        let Some(ours) = file.held.as_mut().filter(|ours| held.generation == file.generation && !ours.end) else {
            return Err(Misbehaved::FrameOutOfTurn);
        };
        if held.first != ours.said {
            return Err(Misbehaved::FrameOutOfTurn);
        }
        if u64::from(held.first) + held.values.len() as u64 > blocks {
            return Err(Misbehaved::BlockBeyondEnd);
        }
        ours.said += held.values.len() as u32;
        ours.values.extend((held.first..).zip(held.values));
        ours.end = held.end;
        Ok(())
    }

    fn refetch(&mut self, entry: u32, generation: u8, block: u32) -> Result<(), Misbehaved> {
        self.refetches += 1;
        if self.refetches > REFETCHES {
            return Err(Misbehaved::RefetchFlood);
        }
        let Some(file) = self.files.get(&entry) else {
            let gone = entry < self.sent && self.outcomes.knows(entry);
            return if gone { Ok(()) } else { Err(Misbehaved::UnknownEntry) };
        };
        if generation != file.generation {
            return Ok(());
        }
        if block >= file.next {
            return Err(Misbehaved::BlockBeyondEnd);
        }
        let (size, len) = (file.size, block_len(file.size, block));
        self.refetch.push_back(Job { entry, generation, block, size, len, held: None });
        Ok(())
    }

    fn skipped(&mut self, entry: u32, reason: Reason) -> Result<(), Misbehaved> {
        if entry >= self.sent || entry < self.outcomes.next() {
            return Err(Misbehaved::UnknownEntry);
        }
        self.files.remove(&entry);
        self.outcomes.set(entry, Outcome::Skipped);
        self.tell(SenderAction::Warn { entry, reason })
    }

    fn progress(&mut self, done_below: u32, done: Totals) -> Result<(), Misbehaved> {
        if done_below > self.sent || done_below < self.outcomes.next() || done.bytes > self.dispatched {
            return Err(Misbehaved::ProgressUntrue);
        }
        self.confirm_below(done_below)?;
        self.done = done;
        Ok(())
    }

    fn confirm_below(&mut self, end: u32) -> Result<(), Misbehaved> {
        let before = self.outcomes.next();
        if self.outcomes.advance(end) != end {
            return Err(Misbehaved::ProgressUntrue);
        }
        for _ in before..end {
            self.window_weight -= self.window.pop_front().unwrap_or_default();
        }
        self.files = self.files.split_off(&end);
        Ok(())
    }

    fn receipt(&mut self, signed: SignedReceipt) -> Result<(), Misbehaved> {
        let receipt = signed.receipt;
        if receipt.id != self.offer.id || receipt.sender != self.me || self.phase == Phase::Ended {
            return Err(Misbehaved::BadReceipt);
        }
        if self.phase == Phase::Running {
            let all = self.listing.next();
            let complete = self.end_sent && self.confirm_below(all).is_ok();
            if !complete || receipt.root != self.outcomes.root(&self.listing.hash()) {
                return Err(Misbehaved::BadReceipt);
            }
        }
        self.done = receipt.done;
        self.end(SenderAction::Done(Box::new(signed)))
    }

    /// What a reader should do next.
    pub fn next_work(&mut self) -> Work {
        match self.phase {
            Phase::Ended => return Work::Over,
            Phase::Offered => return Work::Wait,
            Phase::Running if self.paused_here || self.paused_there => return Work::Wait,
            Phase::Running => {}
        }
        let most = if self.is_inline() { INLINE_MAX } else { super::hash::BLOCK };
        let (mut jobs, mut bytes) = (Vec::new(), 0);
        while jobs.len() < PARCEL_PIECES {
            let Some(job) = self.next_job(most - bytes) else { break };
            bytes += u64::from(job.len);
            jobs.push(job);
        }
        if jobs.is_empty() { Work::Wait } else { Work::Jobs(jobs) }
    }

    /// The next block that is ready and at most `room` long.
    fn next_job(&mut self, room: u64) -> Option<Job> {
        if let Some(job) = self.refetch.front() {
            return if u64::from(job.len) <= room { self.refetch.pop_front() } else { None };
        }
        let job = self.next_of(true, room).or_else(|| self.next_of(false, room))?;
        self.dispatched += u64::from(job.len);
        Some(job)
    }

    fn next_of(&mut self, again: bool, room: u64) -> Option<Job> {
        let queue = if again { &mut self.again } else { &mut self.queue };
        loop {
            let entry = *queue.front()?;
            let Some(file) = self.files.get_mut(&entry).filter(|file| !file.is_dispatched()) else {
                queue.pop_front();
                continue;
            };
            // A file that changed moves to the other queue.
            if (file.generation > 0) != again {
                queue.pop_front();
                continue;
            }
            let fits = u64::from(block_len(file.size, file.next)) <= room;
            return (file.is_ready() && fits).then(|| file.job(entry));
        }
    }

    /// A block was read and has this value.
    pub fn read(&mut self, job: &Job, value: Value) -> ReadState {
        let Some(file) = self.files.get_mut(&job.entry).filter(|file| file.generation == job.generation) else {
            return ReadState::Stale;
        };
        if file.hash.has(job.block) {
            return ReadState::More;
        }
        file.hash.set(job.block, value);
        if file.hash.finish().is_some() { ReadState::Complete } else { ReadState::More }
    }

    /// The file was read completely and did not change meanwhile. False if it was given up.
    pub fn confirm(&mut self, entry: u32, generation: u8) -> bool {
        let Some(file) = self.files.get(&entry).filter(|file| file.generation == generation) else { return false };
        let Some(hash) = file.hash.finish() else { return false };
        let several = block_count(file.size) > 1;
        self.outcomes.set(entry, Outcome::File(hash));
        if several {
            self.send(FromSender::FileHash { entry, generation, hash });
        }
        true
    }

    /// The file is not any more what it was when this reading began: it is read again, a few times. True if a new
    /// reading begins.
    pub fn changed(&mut self, entry: u32, generation: u8, size: u64, mtime: Mtime) -> bool {
        if self.files.get(&entry).is_none_or(|file| file.generation != generation) {
            return false;
        }
        let next = generation + 1;
        if next >= GENERATIONS {
            self.unreadable(entry, Reason::Other("the file keeps changing".into()));
            return false;
        }
        if self.is_inline() && size > INLINE_MAX {
            self.phase = Phase::Ended;
            self.actions.push_back(SenderAction::Outgrown);
            return false;
        }
        let anew = Outgoing { generation: next, held: Some(TheirHeld::default()), ..Outgoing::new(size) };
        self.files.insert(entry, anew);
        if size == 0 {
            self.outcomes.set(entry, Outcome::File(*blake3::hash(b"").as_bytes()));
        }
        self.again.push_back(entry);
        self.send(FromSender::Changed { entry, generation: next, size, mtime });
        true
    }

    /// The file cannot be sent.
    pub fn unreadable(&mut self, entry: u32, reason: Reason) {
        if self.files.remove(&entry).is_some() {
            self.outcomes.set(entry, Outcome::Failed);
            self.send(FromSender::Failed { entry, reason: reason.clone() });
            self.actions.push_back(SenderAction::Warn { entry, reason });
        }
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

    /// Asks to send so many bytes: `Some(when)` to ask again then, `None` to send them now.
    pub fn pace(&mut self, bytes: u64, now: Duration) -> Option<Duration> {
        let limit = self.limit_here.into_iter().chain(self.limit_there).min();
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

    fn advance_listing(&mut self, now: Duration) {
        if self.phase == Phase::Ended || self.end_sent {
            return;
        }
        if self.phase == Phase::Running {
            if self.send_entries() {
                return;
            }
            if self.scan_ended && self.backlog.is_empty() {
                self.end_sent = true;
                let (totals, hash) = (self.listing.totals(), self.listing.hash());
                return self.send(FromSender::ListingEnd { totals, hash });
            }
        }
        let found = (self.listing.totals(), self.scan_ended);
        if found != self.found_sent && !self.found_sent.1 && (self.scan_ended || now >= self.found_after) {
            let grows = found.0.files >= self.found_sent.0.files && found.0.bytes >= self.found_sent.0.bytes;
            if grows {
                self.found_sent = found;
                self.found_after = now + REPORT_EVERY;
                self.send(FromSender::Found { found: found.0, complete: found.1 });
            }
        }
    }

    /// Sends the next entries that fit the window; false if there are none.
    fn send_entries(&mut self) -> bool {
        let (first, mut entries, mut bytes) = (self.sent, Vec::new(), 0);
        while let Some((_, weight)) = self.backlog.front() {
            let full = self.window.len() >= WINDOW as usize
                || (self.window_weight > 0 && self.window_weight + weight > WINDOW_BYTES);
            if full || bytes > BATCH_BYTES {
                break;
            }
            let Some((entry, weight)) = self.backlog.pop_front() else { break };
            bytes += 40 + weight;
            self.window.push_back(weight);
            self.window_weight += weight;
            self.enqueue(self.sent);
            self.sent += 1;
            entries.push(entry);
        }
        let some = !entries.is_empty();
        if some {
            self.send(FromSender::Entries { first, entries });
        }
        some
    }

    fn enqueue(&mut self, entry: u32) {
        let Some(file) = self.files.get_mut(&entry).filter(|file| !file.queued) else { return };
        file.queued = true;
        if self.resume && file.generation == 0 {
            file.held = Some(TheirHeld::default());
        }
        self.queue.push_back(entry);
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
