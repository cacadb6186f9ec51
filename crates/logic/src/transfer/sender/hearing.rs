//! What the receiver says. Every error is an offence of it.

use super::file::Job;
use super::{Phase, Sender, SenderAction};
use crate::Misbehaved;
use crate::transfer::hash::{block_count, block_len};
use crate::transfer::limits::REFETCHES;
use crate::transfer::message::{FromReceiver, Held, Reason, Totals};
use crate::transfer::outcome::Outcome;
use crate::transfer::receipt::SignedReceipt;

impl Sender {
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
}
