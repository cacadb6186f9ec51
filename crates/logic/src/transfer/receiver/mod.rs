//! The receiving engine: one run of one transfer.
//!
//! The tasks around it hand it every control message ([`Receiver::handle`]), ask it where each piece of content belongs
//! ([`Receiver::admit`]), report what was verified and written ([`Receiver::placed`], [`Receiver::spoiled`]) and what
//! else they did ([`Receiver::performed`], [`Receiver::refused`], [`Receiver::read_back`]), and carry out what
//! [`Receiver::poll`] gives.
//!
//! An error of any call is an offence of the sender: the run must end, and nothing that the message asked for was done.

mod file;

use super::hash::{FileHash, Value, VerifiedBlock};
use super::lane::{Piece, PieceKind};
use super::limits::{
    BAD_BLOCKS, BATCH_BYTES, GENERATIONS, GROWTH, HELD_VALUES, REPORT_ENTRIES, REPORT_EVERY, SKIPPED_MAX, WINDOW,
    WINDOW_BYTES,
};
use super::listing::{Entry, Kind, Listing, Mtime};
use super::message::{FromReceiver, FromSender, Held, Offer, Reason, Token, Totals, TransferId};
use super::outcome::{Outcome, Outcomes};
use super::path::{Naming, RelPath};
use super::receipt::Receipt;
use crate::Misbehaved;
use file::{Incoming, Then};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Something to be done on the disk. All but `ReadBack` are answered by [`Receiver::performed`] or
/// [`Receiver::refused`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make a directory; set its time at the very end.
    Dir {
        /// Which entry.
        entry: u32,
        /// Where.
        path: RelPath,
        /// Modification time.
        mtime: Mtime,
    },
    /// Make a symbolic link at the very end, so that nothing is ever written through it.
    Link {
        /// Which entry.
        entry: u32,
        /// Where.
        path: RelPath,
        /// Where it points.
        target: Vec<u8>,
        /// Modification time.
        mtime: Mtime,
    },
    /// All content is in place: set the size (blocks of zeros may not have been written) and the attributes.
    Close {
        /// Which entry.
        entry: u32,
        /// Where.
        path: RelPath,
        /// Bytes.
        size: u64,
        /// Modification time.
        mtime: Mtime,
        /// Whether it may be executed.
        exec: bool,
    },
    /// The sender gave this file up: remove what is there of it.
    Remove {
        /// Which entry.
        entry: u32,
        /// Where.
        path: RelPath,
    },
    /// Cut or extend the file, if it exists, to `size`, hash its blocks and say so through [`Receiver::read_back`].
    ReadBack {
        /// Which entry.
        entry: u32,
        /// Which reading.
        generation: u8,
        /// Where.
        path: RelPath,
        /// Bytes.
        size: u64,
    },
}

/// What the tasks around the engine have to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiverAction {
    /// Send this on the control stream.
    Send(FromReceiver),
    /// Do this on the disk.
    Do(Effect),
    /// Tell the user that this entry is missing, and why.
    Warn {
        /// Which.
        path: RelPath,
        /// Why.
        reason: Reason,
    },
    /// Everything is there: make it durable and put it in its place, then call [`Receiver::landed`].
    Land,
    /// The sender paused, or goes on.
    Paused(bool),
    /// The sender gave up.
    Cancelled(Reason),
}

/// Where a piece belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The file.
    pub path: RelPath,
    /// Its whole size.
    pub size: u64,
    /// Modification time.
    pub mtime: Mtime,
    /// Whether it may be executed.
    pub exec: bool,
    /// True if nothing can be there yet.
    pub fresh: bool,
}

/// What to do with a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admit {
    /// Verify it against the header, write it and call [`Receiver::placed`] or [`Receiver::spoiled`]. A file of one
    /// block gets its attributes at once.
    Write(Target),
    /// It lies here already and was verified when it was read back: call [`Receiver::placed`].
    Here(VerifiedBlock, Target),
    /// Its entry is not listed yet: ask again after the next control message.
    Early,
    /// It belongs to an older reading of the file, or to a file that was given up: drop it.
    Stale,
}

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
            reported: (0, Totals::default()),
            report_after: Duration::ZERO,
            actions: VecDeque::new(),
        })
    }

    /// Accepts the offer. `resume`: something of it may lie here already. `ceiling`: most bytes that were agreed to;
    /// what a complete offer announces is a ceiling anyway.
    pub fn accept(&mut self, resume: bool, token: Token, ceiling: Option<u64>) {
        if self.phase == Phase::Offered {
            self.phase = Phase::Running;
            self.resume = resume;
            self.ceiling = ceiling;
            self.send(FromReceiver::Accept { resume, token });
        }
    }

    /// Takes a control message of the sender.
    pub fn handle(&mut self, message: FromSender) -> Result<(), Misbehaved> {
        match message {
            FromSender::Found { found, complete } => self.found(found, complete),
            FromSender::Pause => self.tell(ReceiverAction::Paused(true)),
            FromSender::Resume => self.tell(ReceiverAction::Paused(false)),
            FromSender::Cancel(reason) => {
                self.phase = Phase::Ended;
                self.tell(ReceiverAction::Cancelled(reason))
            }
            _ if self.phase != Phase::Running => Err(Misbehaved::FrameOutOfTurn),
            FromSender::Entries { first, entries } => self.entries(first, &entries),
            FromSender::ListingEnd { totals, hash } => self.listing_end(totals, hash),
            FromSender::FileHash { entry, generation, hash } => self.file_hash(entry, generation, hash),
            FromSender::Changed { entry, generation, size, mtime } => self.changed(entry, generation, size, mtime),
            FromSender::Failed { entry, reason } => self.failed(entry, reason),
            FromSender::Offer(_) | FromSender::Parcel(_) => Err(Misbehaved::FrameOutOfTurn),
        }
    }

    fn tell(&mut self, action: ReceiverAction) -> Result<(), Misbehaved> {
        self.actions.push_back(action);
        Ok(())
    }

    fn send(&mut self, message: FromReceiver) {
        self.actions.push_back(ReceiverAction::Send(message));
    }

    fn found(&mut self, found: Totals, complete: bool) -> Result<(), Misbehaved> {
        let grows = found.files >= self.found.files && found.bytes >= self.found.bytes;
        if self.complete || !grows {
            return Err(Misbehaved::FrameOutOfTurn);
        }
        self.found = found;
        self.complete = complete;
        Ok(())
    }

    fn entries(&mut self, first: u32, entries: &[Entry]) -> Result<(), Misbehaved> {
        if self.listing_ended {
            return Err(Misbehaved::EntriesAfterEnd);
        }
        if first != self.listing.next() {
            return Err(Misbehaved::ListingUnsorted);
        }
        entries.iter().try_for_each(|entry| self.entry(entry))?;
        self.settle();
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Misbehaved> {
        let number = self.listing.next();
        if number - self.outcomes.next() >= WINDOW {
            return Err(Misbehaved::ListingTooFarAhead);
        }
        let path = self.listing.push(entry)?;
        let weight = weight(entry, &path);
        if self.weight > 0 && self.weight + weight > WINDOW_BYTES {
            return Err(Misbehaved::ListingTooFarAhead);
        }
        if let Kind::File { size, .. } = entry.kind {
            self.grow(0, size)?;
        }
        if let Some(objection) = self.naming.path_objection(&path) {
            self.outcomes.set(number, Outcome::Skipped);
            self.drop_entry(number);
            self.report_skip(number, path, Reason::Other(objection.into()));
            return Ok(());
        }
        self.weight += weight;
        match entry.kind.clone() {
            Kind::Dir { mtime } => {
                self.pend(number, &path, weight, Outcome::Made);
                self.tell(ReceiverAction::Do(Effect::Dir { entry: number, path, mtime }))
            }
            Kind::Link { target, mtime } => {
                self.pend(number, &path, weight, Outcome::Made);
                let target = target.into_vec();
                self.tell(ReceiverAction::Do(Effect::Link { entry: number, path, target, mtime }))
            }
            Kind::File { size, mtime, exec } => {
                let file = Incoming {
                    path,
                    size,
                    mtime,
                    exec,
                    generation: 0,
                    hash: FileHash::new(size),
                    claimed: None,
                    held: self.resume.then(file::Held::default),
                    admitted: BTreeSet::new(),
                    draining: None,
                    verified: 0,
                    weight,
                };
                self.files.insert(number, file);
                if self.resume && size > 0 {
                    self.drain(number, Then::ReadBack);
                }
                self.try_finish(number)
            }
        }
    }

    /// Counts a file whose size was `from` and is now `to`, within what was accepted.
    fn grow(&mut self, from: u64, to: u64) -> Result<(), Misbehaved> {
        let total = (self.bytes_listed - from).checked_add(to).ok_or(Misbehaved::MoreThanAccepted)?;
        let offered = self.complete.then(|| self.found.bytes.saturating_add(GROWTH));
        let most = self.ceiling.into_iter().chain(offered).min().unwrap_or(u64::MAX);
        let too_many = self.complete && self.listing.totals().entries > self.found.entries;
        if total > most || too_many {
            return Err(Misbehaved::MoreThanAccepted);
        }
        self.bytes_listed = total;
        Ok(())
    }

    fn listing_end(&mut self, totals: Totals, hash: Value) -> Result<(), Misbehaved> {
        if self.listing_ended {
            return Err(Misbehaved::EntriesAfterEnd);
        }
        if totals != self.listing.totals() || hash != self.listing.hash() {
            return Err(Misbehaved::ListingTotalsWrong);
        }
        self.listing_ended = true;
        self.found = totals;
        self.complete = true;
        self.settle();
        Ok(())
    }

    /// A file that messages may be about; `None` if it was given up before.
    fn open_file(&mut self, entry: u32) -> Result<Option<&mut Incoming>, Misbehaved> {
        match self.files.get_mut(&entry) {
            None if self.dropped.contains(&entry) => Ok(None),
            None => Err(Misbehaved::UnknownEntry),
            Some(file) if matches!(file.draining, Some(Then::Remove(_))) => Ok(None),
            file => Ok(file),
        }
    }

    fn file_hash(&mut self, entry: u32, generation: u8, hash: Value) -> Result<(), Misbehaved> {
        let Some(file) = self.open_file(entry)? else { return Ok(()) };
        if file.generation != generation || file.claimed.is_some() || file.blocks() < 2 {
            return Err(Misbehaved::FrameOutOfTurn);
        }
        file.claimed = Some(hash);
        self.try_finish(entry)
    }

    fn changed(&mut self, entry: u32, generation: u8, size: u64, mtime: Mtime) -> Result<(), Misbehaved> {
        mtime.check()?;
        let Some(file) = self.open_file(entry)? else { return Ok(()) };
        if generation != file.generation + 1 || generation >= GENERATIONS || file.claimed.is_some() {
            return Err(Misbehaved::FrameOutOfTurn);
        }
        let (before, verified) = (file.size, file.verified);
        let held = file.held.as_ref().map_or(0, |held| held.values.len());
        self.grow(before, size)?;
        self.done.bytes -= verified;
        self.held_values -= held;
        if let Some(file) = self.files.get_mut(&entry) {
            file.restart(generation, size, mtime);
        }
        self.drain(entry, Then::ReadBack);
        Ok(())
    }

    fn failed(&mut self, entry: u32, reason: Reason) -> Result<(), Misbehaved> {
        let Some(file) = self.open_file(entry)? else { return Ok(()) };
        let (path, verified) = (file.path.clone(), file.verified);
        let held = file.held.as_ref().map_or(0, |held| held.values.len());
        self.done.bytes -= verified;
        self.held_values -= held;
        self.actions.push_back(ReceiverAction::Warn { path, reason });
        self.drain(entry, Then::Remove(Outcome::Failed));
        Ok(())
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

    /// Where a piece belongs, and whether it may come now. Counts it as being written when it is to be written.
    pub fn admit(&mut self, piece: &Piece) -> Result<Admit, Misbehaved> {
        if self.phase != Phase::Running {
            return Err(Misbehaved::LaneNotGranted);
        }
        if piece.entry >= self.listing.next() {
            return if self.listing_ended { Err(Misbehaved::UnknownEntry) } else { Ok(Admit::Early) };
        }
        let Some(file) = self.files.get_mut(&piece.entry) else {
            let dropped = self.dropped.contains(&piece.entry);
            return if dropped { Ok(Admit::Stale) } else { Err(Misbehaved::BlockTwice) };
        };
        if piece.generation < file.generation || matches!(file.draining, Some(Then::Remove(_))) {
            return Ok(Admit::Stale);
        }
        if piece.generation > file.generation {
            return Ok(Admit::Early);
        }
        let held = file.admit(piece)?;
        let fresh = file.held.is_none();
        let target = Target { path: file.path.clone(), size: file.size, mtime: file.mtime, exec: file.exec, fresh };
        self.held_values -= usize::from(held.is_some());
        self.wire += piece.carried() as u64;
        if piece.kind != PieceKind::Same {
            return Ok(Admit::Write(target));
        }
        match held.map(|held| VerifiedBlock::held(piece, &held)) {
            Some(Ok(block)) => Ok(Admit::Here(block, target)),
            _ => {
                self.spoiled(piece)?;
                Ok(Admit::Stale)
            }
        }
    }

    /// A block was verified and written (and the attributes set, if it is the only one of its file).
    pub fn placed(&mut self, block: &VerifiedBlock) -> Result<(), Misbehaved> {
        let entry = block.entry();
        let Some(file) = self.files.get_mut(&entry) else { return Ok(()) };
        file.admitted.remove(&block.block());
        if let Some(then) = file.draining {
            self.drain(entry, then);
            return Ok(());
        }
        if file.generation != block.generation() {
            return Ok(());
        }
        let len = u64::from(super::hash::block_len(file.size, block.block()));
        file.hash.set(block.block(), block.value());
        file.verified += len;
        self.done.bytes += len;
        self.try_finish(entry)?;
        self.settle();
        Ok(())
    }

    /// A block did not match its hash: it is fetched again, a few times.
    pub fn spoiled(&mut self, piece: &Piece) -> Result<(), Misbehaved> {
        self.bad_blocks += 1;
        if self.bad_blocks > BAD_BLOCKS {
            return Err(Misbehaved::WrongBlockHash);
        }
        let Some(file) = self.files.get_mut(&piece.entry) else { return Ok(()) };
        file.admitted.remove(&piece.block);
        if let Some(then) = file.draining {
            self.drain(piece.entry, then);
        } else if file.generation == piece.generation {
            let Piece { entry, generation, block, .. } = *piece;
            self.send(FromReceiver::Refetch { entry, generation, block });
        }
        Ok(())
    }

    /// Says what lies here of a file: values of its next blocks; `end` when there are no more.
    pub fn read_back(&mut self, entry: u32, generation: u8, values: Vec<Value>, end: bool) {
        let open = |file: &&mut Incoming| !matches!(file.draining, Some(Then::Remove(_)));
        let Some(file) = self.files.get_mut(&entry).filter(open) else { return };
        let Some(held) = file.held.as_mut().filter(|held| file.generation == generation && !held.end) else { return };
        let first = held.said;
        held.values.extend((first..).zip(values.iter().copied()));
        held.said += values.len() as u32;
        held.end = end;
        self.held_values += values.len();
        self.held_bytes += 16 + values.len() * 32;
        self.held_out.push(Held { entry, generation, first, values, end });
        if self.held_bytes > BATCH_BYTES {
            self.flush_held();
        }
    }

    /// True while more may be said through [`Receiver::read_back`]; else wait for content.
    pub fn may_read_back(&self) -> bool {
        self.held_values < HELD_VALUES
    }

    fn flush_held(&mut self) {
        if !self.held_out.is_empty() {
            self.held_bytes = 0;
            let held = std::mem::take(&mut self.held_out);
            self.send(FromReceiver::Held(held));
        }
    }

    fn try_finish(&mut self, entry: u32) -> Result<(), Misbehaved> {
        let Some(file) = self.files.get(&entry).filter(|file| file.draining.is_none()) else { return Ok(()) };
        let Some(hash) = file.finished()? else { return Ok(()) };
        let (path, size, mtime, exec) = (file.path.clone(), file.size, file.mtime, file.exec);
        let at_once = file.blocks() == 1;
        self.retire(entry, Outcome::File(hash));
        self.done.files += 1;
        if at_once {
            self.performed(entry);
            return Ok(());
        }
        self.tell(ReceiverAction::Do(Effect::Close { entry, path, size, mtime, exec }))
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
