//! The commits of a space once more beside its objects, so that it can be made anew without its database; and what a
//! device may sign that had to do so.
//!
//! Invariants: the database comes first, so nothing is in the log that was never made; what this device signed is durable
//! in both before anybody is told. What is in the log and not in the database (an older copy of it was put back, or it was
//! made anew) is taken in when the space is opened.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

use logic::ledger::sync::summary;
use logic::ledger::{Commit, CommitId, Ledger, Shelf, Shelved};
use serde::{Deserialize, Serialize};
use store::space::{CommitLog, LogId, LogReport, Note, Part, Reader, Reading, SpaceError, Standing, Transaction};

use super::{Space, SpaceFault};
use crate::clock;

/// Under which kind of value it stands what is in the log.
const LOG: &str = "commit log";
/// Commits in one step.
const STEP: usize = 256;

/// A log and how far it is.
pub(super) struct Logged {
    log: CommitLog,
    /// All commits up to this arrival are in it.
    to: i64,
    /// What was noted last in the database.
    noted: Option<Noted>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    id: LogId,
    end: u64,
    to: i64,
}

impl Logged {
    fn now(&self) -> Noted {
        Noted { id: self.log.id(), end: self.log.end(), to: self.to }
    }
}

impl Space {
    fn log(&self) -> MutexGuard<'_, Option<Logged>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the commits in the log at `path` as well, from now on. What is only there is taken in, what is only here added.
    pub(super) fn keep_log(&self, path: &Path) -> Result<(), SpaceFault> {
        let log = CommitLog::open(path, &self.keys.records)?;
        let noted = self.peek(|reader| Ok(reader.value(LOG, b"")?))?;
        let noted = noted.and_then(|bytes| postcard::from_bytes::<Noted>(&bytes).ok());
        let noted = noted.filter(|noted| noted.id == log.id() && noted.end <= log.end());
        let (from, to) = noted.map_or((0, 0), |noted| (noted.end, noted.to));
        let (mut there, mut new) = (HashSet::new(), Vec::new());
        log.read(from, |bytes| {
            let Some(commit) = Commit::read(&bytes).ok().filter(|commit| self.is_ours(commit)) else { return Ok(()) };
            there.insert(commit.id());
            if self.peek(|reader| Ok(reader.arrival(&commit.id())?))?.is_none() {
                new.push(commit);
            }
            if new.len() >= STEP { self.replay(&mut new) } else { Ok(()) }
        })?;
        self.replay(&mut new)?;
        let mut logged = Logged { log, to, noted };
        let written = logged.catch_up(self, &there);
        *self.log() = Some(logged);
        written?;
        self.reconcile()
    }

    fn is_ours(&self, commit: &Commit) -> bool {
        commit.id() == self.id() || commit.header().ledger == self.id()
    }

    /// Takes in what was here before.
    fn replay(&self, commits: &mut Vec<Commit>) -> Result<(), SpaceFault> {
        let commits = std::mem::take(commits);
        if commits.is_empty() {
            return Ok(());
        }
        self.change(|work| {
            for commit in commits {
                let id = commit.id();
                if let Err(offence) = work.ledger.handle(commit, None, clock::now(), work.store) {
                    tracing::warn!(commit = %id, ?offence, "a stored commit was not taken");
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Notes in the database what is in the log.
    pub(super) fn note_log(&self, store: &Transaction<'_>) -> Result<(), SpaceFault> {
        let mut log = self.log();
        let Some(logged) = log.as_mut() else { return Ok(()) };
        let now = logged.now();
        if logged.noted != Some(now) {
            store.set_value(LOG, b"", &postcard::to_stdvec(&now).expect("numbers can be written"))?;
            logged.noted = Some(now);
        }
        Ok(())
    }

    /// Adds what is new. What cannot be added now is added the next time: it is in the database.
    pub(super) fn write_log(&self) {
        let mut log = self.log();
        if let Some(logged) = log.as_mut()
            && let Err(error) = logged.catch_up(self, &HashSet::new())
        {
            tracing::warn!(space = %self.id(), %error, "the log of commits could not be written");
        }
    }

    /// Reads all commits of the log.
    pub(super) fn read_log(
        &self,
        mut each: impl FnMut(Commit) -> Result<(), SpaceFault>,
    ) -> Result<Option<LogReport>, SpaceFault> {
        let log = self.log();
        let Some(logged) = log.as_ref() else { return Ok(None) };
        let read = logged.log.read(0, |bytes| match Commit::read(&bytes) {
            Ok(commit) => each(commit),
            Err(_) => Ok(()),
        });
        read.map(Some)
    }

    /// Writes the log anew, from all that can be read in the database and in the log; says how many commits that are.
    pub(super) fn renew_log(&self) -> Result<u64, SpaceFault> {
        let mut log = self.log();
        let Some(logged) = log.as_mut() else { return Ok(0) };
        let read = |bytes: &[u8]| Commit::read(bytes).ok().filter(|commit| self.is_ours(commit));
        let mut new = logged.log.anew(&self.keys.records)?;
        let (mut there, mut to) = (HashSet::new(), 0);
        loop {
            let (bodies, last) = self.peek(|reader| Ok(reader.bodies(to, STEP)?))?;
            let Some(last) = last else { break };
            to = last;
            let is_new = |body: &Vec<u8>| read(body).is_some_and(|commit| there.insert(commit.id()));
            let whole: Vec<_> = bodies.into_iter().filter(is_new).collect();
            new.append(&whole, false)?;
        }
        logged.log.read(0, |bytes| match read(&bytes).is_some_and(|commit| there.insert(commit.id())) {
            true => Ok::<_, SpaceFault>(new.append(&[bytes], false)?),
            false => Ok(()),
        })?;
        new.replace(&logged.log)?;
        *logged = Logged { log: new, to, noted: None };
        drop(log);
        self.jot(|store| self.note_log(store))?;
        Ok(there.len() as u64)
    }

    /// Puts commits of the log in the place of those whose bytes are damaged in the database; says how many.
    pub(super) fn mend(&self) -> Result<u64, SpaceFault> {
        let report = self.check()?;
        let Some(damage) = report.damage.get(&Part::Bodies) else { return Ok(0) };
        let (mut wanted, mut found): (HashSet<_>, _) = (damage.commits.iter().copied().collect(), Vec::new());
        self.read_log(|commit| {
            if wanted.remove(&commit.id()) {
                found.push(commit);
            }
            Ok(())
        })?;
        let (mended, _) = self.change(|work| {
            let mut mended = 0;
            for commit in found {
                let id = commit.id();
                let Some(stored) = work.store.stored(&id) else { continue };
                let after = work.store.after(&id);
                work.store.store(&Shelved { commit, branch: stored.branch, after })?;
                if let Some(note) = work.store.note(&id)?.filter(|note| note.reading == Reading::Lost) {
                    work.store.set_note(&id, &Note { reading: Reading::Sealed, ..note })?;
                }
                mended += 1;
            }
            Ok(mended)
        })?;
        Ok(mended)
    }

    /// This device's own chain: how many commits, and the last. `None`: it is forked.
    pub(super) fn own_chain(&self, ledger: &Ledger) -> Option<(u64, CommitId)> {
        let own: Vec<_> = summary(ledger).into_iter().filter(|tip| tip.device == self.device()).collect();
        match own.as_slice() {
            [] => Some((0, CommitId::ZERO)),
            [tip] => Some((tip.seq + 1, tip.id)),
            _ => None,
        }
    }

    /// The database may be older than what was signed, and own commits have come back: once all are here, it is not any more.
    pub(super) fn reconcile(&self) -> Result<(), SpaceFault> {
        match self.standing()? {
            Standing::RolledBack { .. } => self.vouch(0).map(drop),
            _ => Ok(()),
        }
    }
}

impl Logged {
    fn catch_up(&mut self, space: &Space, there: &HashSet<CommitId>) -> Result<(), SpaceFault> {
        loop {
            let (commits, own, to) = space.peek(|reader| self.next(reader, space, there))?;
            if to == self.to {
                return Ok(());
            }
            if !commits.is_empty() {
                // What others made they have as well; what is only here must not wait for the system to write it.
                self.log.append(&commits, own)?;
            }
            self.to = to;
        }
    }

    /// The next commits, whether one is this device's own, and how far that is.
    fn next(
        &self,
        reader: &Reader<'_>,
        space: &Space,
        there: &HashSet<CommitId>,
    ) -> Result<(Vec<Vec<u8>>, bool, i64), SpaceFault> {
        let (mut commits, mut own, mut to) = (Vec::new(), false, self.to);
        for logged in reader.arrived(self.to, STEP)? {
            to = logged.moment.arrival();
            if there.contains(&logged.id) {
                continue;
            }
            match reader.commit_bytes(&logged.id) {
                Ok(bytes) => commits.extend(bytes),
                Err(SpaceError::Damaged(Part::Bodies)) => continue,
                Err(error) => return Err(error.into()),
            }
            own |= logged.header.device == space.device();
        }
        Ok((commits, own, to))
    }
}
