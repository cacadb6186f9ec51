//! The watermark: what this device has shown or signed of a space. It never goes back.
//!
//! It lies in the database and, sealed, in a small file beside it that is replaced durably before anything is shown. A
//! database that says less than that file was put back from an older copy: if the device went on with it, it would sign
//! a number twice and look like a cheat.
//!
//! Noticed: an older or a new database with the newer file beside it, or with none. Not noticed: database and file put back
//! together (a whole home from a backup). Others notice that: they hold what the device signed since, and its own commits
//! come back from them.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use logic::ledger::CommitId;
use seal::{RecordKey, TableKey};
use serde::{Deserialize, Serialize};

use super::SpaceStore;
use super::error::{Part, SpaceError};
use super::reader::Reader;
use super::transaction::Transaction;
use crate::durable::{self, Existing};

/// Version of [`Saved`].
const VERSION: u8 = 1;
/// Kind and name of the value in the database.
const VALUE: (&str, &[u8]) = ("watermark", b"");

/// What was shown or signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// Commits of this device's own chain.
    pub commits: u64,
    /// The last of them; zero if there is none.
    pub tip: CommitId,
    /// Statements of what it holds: the counter of the last one.
    pub statements: u64,
}

impl Default for Watermark {
    fn default() -> Self {
        Self { commits: 0, tip: CommitId::ZERO, statements: 0 }
    }
}

impl Watermark {
    /// True if `other` says nothing that this does not.
    fn reaches(&self, other: &Self) -> bool {
        let chain = self.commits > other.commits || (self.commits == other.commits && self.tip == other.tip);
        chain && self.statements >= other.statements
    }
}

/// What the two copies of the watermark say about the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// They agree.
    Good,
    /// The file is older: the device stopped between the two. Nothing was shown; opening mends it.
    Behind,
    /// The database is older than what was shown: it was put back, or made anew. Own commits up to there must be fetched from others,
    /// and [`Transaction::raise`] refuses everything below.
    RolledBack {
        /// What the database knows of.
        here: Watermark,
        /// What was shown.
        shown: Watermark,
    },
    /// The file is missing or does not open: nobody knows. Others must be asked; then [`SpaceStore::mirror`].
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u8,
    mark: Watermark,
}

/// The file beside the database.
pub(super) struct Guard {
    path: PathBuf,
    /// That of the ledger: a database that is made anew finds what was shown with the old one.
    key: TableKey,
    /// What it says; `None`: missing or unreadable.
    mark: Mutex<Option<Watermark>>,
}

impl Guard {
    /// Reads the file beside a database.
    pub(super) fn load(database: &Path, key: &RecordKey, ledger: CommitId) -> Result<Self, SpaceError> {
        let key = key.table(&format!("space watermark/{ledger}"));
        let mut path = OsString::from(database);
        path.push(".mark");
        let path = PathBuf::from(path);
        let mark = match std::fs::read(&path) {
            Ok(bytes) => key.open(&[], &bytes).ok().and_then(|bytes| read(&bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(crate::database::DatabaseError::Io { path, source }.into()),
        };
        Ok(Self { path, key, mark: Mutex::new(mark) })
    }

    /// True if there is no file.
    pub(super) fn is_missing(&self) -> bool {
        !self.path.exists()
    }

    fn mark(&self) -> Option<Watermark> {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the file.
    pub(super) fn write(&self, mark: Watermark) -> Result<(), SpaceError> {
        let mut held = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        let sealed = self.key.seal(&[], &bytes(mark));
        durable::write(&self.path, &sealed, Existing::Replace).map_err(SpaceError::Unmirrored)?;
        *held = Some(mark);
        Ok(())
    }
}

/// Is the file at `path` the watermark of this ledger, on this device?
pub fn is_mark_of(path: &Path, key: &RecordKey, ledger: CommitId) -> bool {
    let key = key.table(&format!("space watermark/{ledger}"));
    std::fs::read(path).is_ok_and(|bytes| key.open(&[], &bytes).is_ok())
}

fn bytes(mark: Watermark) -> Vec<u8> {
    postcard::to_stdvec(&Saved { version: VERSION, mark }).expect("a watermark has only types that postcard can write")
}

fn read(bytes: &[u8]) -> Option<Watermark> {
    let saved: Saved = postcard::from_bytes(bytes).ok()?;
    (saved.version == VERSION).then_some(saved.mark)
}

impl Reader<'_> {
    /// What this device has shown, as far as the database knows.
    ///
    /// # Errors
    /// [`SpaceError`].
    pub fn watermark(&self) -> Result<Watermark, SpaceError> {
        let Some(value) = self.value(VALUE.0, VALUE.1)? else { return Ok(Watermark::default()) };
        read(&value).ok_or(SpaceError::Damaged(Part::Values))
    }
}

impl Transaction<'_> {
    /// Raises the watermark. When the transaction has returned, it is durable in both places.
    ///
    /// # Errors
    /// [`SpaceError::WouldGoBack`] if it is below what was ever shown, [`SpaceError::Unguarded`] if nobody knows.
    pub fn raise(&self, mark: Watermark) -> Result<(), SpaceError> {
        let here = self.watermark()?;
        let shown = self.store.shared.guard.mark().ok_or(SpaceError::Unguarded)?;
        if !mark.reaches(&here) || !mark.reaches(&shown) {
            return Err(SpaceError::WouldGoBack);
        }
        self.set_value(VALUE.0, VALUE.1, &bytes(mark))?;
        self.raised.set(Some(mark));
        Ok(())
    }
}

impl SpaceStore {
    /// What the two copies of the watermark say.
    ///
    /// # Errors
    /// [`SpaceError`].
    pub fn standing(&self) -> Result<Standing, SpaceError> {
        let here = self.read(|reader| reader.watermark())?;
        Ok(match self.shared.guard.mark() {
            None => Standing::Unknown,
            Some(shown) if shown == here => Standing::Good,
            Some(shown) if here.reaches(&shown) => Standing::Behind,
            Some(shown) => Standing::RolledBack { here, shown },
        })
    }

    /// Makes the file say what the database says: after [`SpaceError::Unmirrored`], or when the file was lost and others
    /// have been asked.
    ///
    /// # Errors
    /// [`SpaceError::WouldGoBack`] if the file says more.
    pub fn mirror(&self) -> Result<(), SpaceError> {
        let here = self.read(|reader| reader.watermark())?;
        if self.shared.guard.mark().is_some_and(|shown| !here.reaches(&shown)) {
            return Err(SpaceError::WouldGoBack);
        }
        self.shared.guard.write(here)
    }
}
