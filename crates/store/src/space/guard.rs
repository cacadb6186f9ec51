//! The watermark: what this device has shown or signed of a space. It never goes back.
//!
//! It lies in the database and, sealed, in a small file beside it that is replaced durably before anything is shown. A
//! database that says less than that file was put back from an older copy: if the device went on with it, it would sign
//! a number twice and look like a cheat.
//!
//! Noticed: an older or a new database with the newer file beside it, or with none; and database and file put back
//! together (a whole home from a backup), because the file says for which database it was written, and in which
//! directory: copies are others. Not noticed here: a whole disk that was put back, as with a snapshot of a machine. Others notice
//! that, because they hold what the device signed since; see [`SpaceStore::doubt`].

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use logic::ledger::CommitId;
use seal::{RecordKey, TableKey};
use serde::{Deserialize, Serialize};

use super::SpaceStore;
use super::error::{Part, SpaceError};
use super::reader::Reader;
use super::transaction::Transaction;
use crate::durable::{self, Existing};

/// Version of [`Saved`].
const VERSION: u8 = 3;
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
    /// The file is missing or does not open, the database is a copy, or somebody has doubts: nobody knows. Others must be
    /// asked; then [`SpaceStore::vouch`].
    Unknown,
}

/// Which file or directory something is. A copy is born later; where the file system does not say when, it has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Origin {
    Born(u64, u32),
    Number(u64),
}

impl Origin {
    fn of(path: &Path) -> io::Result<Self> {
        let meta = std::fs::metadata(path)?;
        let born = meta.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(born.map_or(Self::Number(meta.ino()), |born| Self::Born(born.as_secs(), born.subsec_nanos())))
    }
}

/// For which database the file was written, and in which directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    dir: Origin,
    database: Origin,
}

impl Place {
    fn of(database: &Path) -> io::Result<Self> {
        let dir = database.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Self { dir: Origin::of(dir)?, database: Origin::of(database)? })
    }
}

/// Where a database comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Database {
    /// It was there: perhaps it was put back.
    Found,
    /// It was made just now: that it is another one than before means nothing.
    Made,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u8,
    mark: Watermark,
    /// `None`: there are doubts.
    place: Option<Place>,
}

/// What the file says, as long as it is open.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    /// `None`: missing or unreadable.
    mark: Option<Watermark>,
    /// It was written for this database, and nobody has doubts.
    sure: bool,
}

/// The file beside the database.
pub(super) struct Guard {
    path: PathBuf,
    /// That of the ledger: a database that is made anew finds what was shown with the old one.
    key: TableKey,
    place: Place,
    held: Mutex<Held>,
}

impl Guard {
    /// Reads the file beside a database.
    pub(super) fn load(database: &Path, from: Database, key: &RecordKey, ledger: CommitId) -> Result<Self, SpaceError> {
        let key = key.table(&format!("space watermark/{ledger}"));
        let mut path = OsString::from(database);
        path.push(".mark");
        let path = PathBuf::from(path);
        let failed = |path: &Path, source| crate::database::DatabaseError::Io { path: path.to_owned(), source };
        let saved = match std::fs::read(&path) {
            Ok(bytes) => key.open(&[], &bytes).ok().and_then(|bytes| read_file(&bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(failed(&path, source).into()),
        };
        let place = Place::of(database).map_err(|source| failed(database, source))?;
        let is_here = |was: Place| was.dir == place.dir && (was.database == place.database || from == Database::Made);
        let held = saved
            .map_or(Held::default(), |saved| Held { mark: Some(saved.mark), sure: saved.place.is_some_and(is_here) });
        Ok(Self { path, key, place, held: Mutex::new(held) })
    }

    /// True if there is no file.
    pub(super) fn is_missing(&self) -> bool {
        !self.path.exists()
    }

    /// A file that was written for an earlier database is one for this from now on; what it says stays.
    pub(super) fn move_in(&self) -> Result<(), SpaceError> {
        match self.held() {
            Held { mark: Some(mark), sure: true } => self.write(mark),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> Held {
        *self.lock()
    }

    /// Replaces the file by one that says this, of which one is sure.
    pub(super) fn write(&self, mark: Watermark) -> Result<(), SpaceError> {
        self.replace(mark, true)
    }

    fn replace(&self, mark: Watermark, sure: bool) -> Result<(), SpaceError> {
        let mut held = self.lock();
        let saved = Saved { version: VERSION, mark, place: sure.then_some(self.place) };
        let bytes = postcard::to_stdvec(&saved).expect("a watermark has only types that postcard can write");
        let sealed = self.key.seal(&[], &bytes);
        durable::write(&self.path, &sealed, Existing::Replace).map_err(SpaceError::Unmirrored)?;
        *held = Held { mark: Some(mark), sure };
        Ok(())
    }
}

/// Is the file at `path` the watermark of this ledger, on this device?
pub fn is_mark_of(path: &Path, key: &RecordKey, ledger: CommitId) -> bool {
    let key = key.table(&format!("space watermark/{ledger}"));
    std::fs::read(path).is_ok_and(|bytes| key.open(&[], &bytes).is_ok())
}

fn read_file(bytes: &[u8]) -> Option<Saved> {
    postcard::from_bytes(bytes).ok().filter(|saved: &Saved| saved.version == VERSION)
}

/// Version of the value in the database.
const VALUE_VERSION: u8 = 1;

fn bytes(mark: Watermark) -> Vec<u8> {
    postcard::to_stdvec(&(VALUE_VERSION, mark)).expect("a watermark has only types that postcard can write")
}

fn read(bytes: &[u8]) -> Option<Watermark> {
    let (version, mark) = postcard::from_bytes::<(u8, Watermark)>(bytes).ok()?;
    (version == VALUE_VERSION).then_some(mark)
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
        let held = self.store.shared.guard.held();
        let shown = held.mark.ok_or(SpaceError::Unguarded)?;
        if !mark.reaches(&here) || !mark.reaches(&shown) {
            return Err(SpaceError::WouldGoBack);
        }
        if !held.sure {
            return Err(SpaceError::Unguarded);
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
        let Held { mark, sure } = self.shared.guard.held();
        Ok(match mark {
            None => Standing::Unknown,
            Some(_) if !sure => Standing::Unknown,
            Some(shown) if !here.reaches(&shown) => Standing::RolledBack { here, shown },
            Some(shown) if shown == here => Standing::Good,
            Some(_) => Standing::Behind,
        })
    }

    /// This database may be older than what was shown: nothing is signed from now on, also after it is opened again.
    ///
    /// # Errors
    /// [`SpaceError`].
    pub fn doubt(&self) -> Result<(), SpaceError> {
        let here = self.read(|reader| reader.watermark())?;
        let shown = self.shared.guard.held().mark;
        self.shared.guard.replace(shown.filter(|shown| !here.reaches(shown)).unwrap_or(here), false)
    }

    /// Others have been asked, and these are all commits that were signed, and so many statements at least: the database and
    /// the file say so from now on.
    ///
    /// # Errors
    /// [`SpaceError::WouldGoBack`] if one of them knows of other commits.
    pub fn vouch(&self, mark: Watermark) -> Result<(), SpaceError> {
        let here = self.read(|reader| reader.watermark())?;
        let shown = self.shared.guard.held().mark;
        let statements = mark.statements.max(here.statements).max(shown.map_or(0, |shown| shown.statements));
        let mark = Watermark { statements, ..mark };
        if !mark.reaches(&here) || shown.is_some_and(|shown| !mark.reaches(&shown)) {
            return Err(SpaceError::WouldGoBack);
        }
        self.transaction(|tx| tx.set_value(VALUE.0, VALUE.1, &bytes(mark)))?;
        self.shared.guard.write(mark)
    }

    /// Makes the file say what the database says, after [`SpaceError::Unmirrored`].
    ///
    /// # Errors
    /// [`SpaceError::WouldGoBack`] if the file says more, [`SpaceError::Unguarded`] if there are doubts.
    pub fn mirror(&self) -> Result<(), SpaceError> {
        let here = self.read(|reader| reader.watermark())?;
        let held = self.shared.guard.held();
        let shown = held.mark.filter(|_| held.sure).ok_or(SpaceError::Unguarded)?;
        if !here.reaches(&shown) {
            return Err(SpaceError::WouldGoBack);
        }
        self.shared.guard.write(here)
    }
}
