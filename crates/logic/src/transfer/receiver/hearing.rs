//! What the sender says on the control stream. Every error is an offence of it.

use super::file::{self, Incoming, Then};
use super::{Effect, Phase, Receiver, ReceiverAction, weight};
use crate::Misbehaved;
use crate::transfer::hash::{FileHash, Value};
use crate::transfer::limits::{GENERATIONS, GROWTH, WINDOW, WINDOW_BYTES};
use crate::transfer::listing::{Entry, Kind, Mtime};
use crate::transfer::message::{FromSender, Reason, Totals};
use crate::transfer::outcome::Outcome;
use std::collections::BTreeSet;

impl Receiver {
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

    fn found(&mut self, found: Totals, complete: bool) -> Result<(), Misbehaved> {
        let grows = found.files >= self.found.files && found.bytes >= self.found.bytes;
        if self.complete || !grows {
            return Err(Misbehaved::FrameOutOfTurn);
        }
        self.found = found;
        self.complete = complete;
        if self.phase == Phase::Running && self.is_over(found.bytes) {
            return self.give_back();
        }
        Ok(())
    }

    fn is_over(&self, bytes: u64) -> bool {
        self.ceiling.is_some_and(|ceiling| bytes > ceiling)
    }

    /// Whoever agreed did so without knowing how much it would be.
    fn give_back(&mut self) -> Result<(), Misbehaved> {
        self.phase = Phase::Ended;
        self.tell(ReceiverAction::Over)
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
        if self.phase != Phase::Running {
            return Ok(());
        }
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
            if self.is_over(self.bytes_listed) {
                return self.give_back();
            }
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

    /// Counts a file whose size was `from` and is now `to`, within what was offered.
    fn grow(&mut self, from: u64, to: u64) -> Result<(), Misbehaved> {
        let total = (self.bytes_listed - from).checked_add(to).ok_or(Misbehaved::MoreThanAccepted)?;
        let too_much = self.complete && total > self.found.bytes.saturating_add(GROWTH);
        let too_many = self.complete && self.listing.totals().entries > self.found.entries;
        if too_much || too_many {
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
        if self.is_over(self.bytes_listed) {
            return self.give_back();
        }
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
}
