//! Work for those who read and hash, and what they report.

use super::file::{Job, Outgoing, TheirHeld};
use super::{Phase, ReadState, Sender, SenderAction, Work};
use crate::transfer::hash::{BLOCK, Value, block_count, block_len};
use crate::transfer::lane::PARCEL_PIECES;
use crate::transfer::limits::{GENERATIONS, INLINE_MAX};
use crate::transfer::listing::Mtime;
use crate::transfer::message::{FromSender, Reason};
use crate::transfer::outcome::Outcome;

impl Sender {
    /// What a reader should do next.
    pub fn next_work(&mut self) -> Work {
        match self.phase {
            Phase::Ended => return Work::Over,
            Phase::Offered => return Work::Wait,
            Phase::Running if self.paused_here || self.paused_there => return Work::Wait,
            Phase::Running => {}
        }
        let most = if self.is_inline() { INLINE_MAX } else { BLOCK };
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
            self.actions.push_back(SenderAction::Outgrown { entry });
            return false;
        }
        let anew = Outgoing { generation: next, held: Some(TheirHeld::default()), ..Outgoing::new(size) };
        self.files.insert(entry, anew);
        if size == 0 {
            self.outcomes.set(entry, Outcome::File(*blake3::hash(b"").as_bytes()));
        }
        self.again.push_back(entry);
        self.send(FromSender::Changed { entry, generation: next, size, mtime });
        self.actions.push_back(SenderAction::Changed { entry });
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
}
