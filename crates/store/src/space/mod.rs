//! What a device keeps of one space: commits, the tree that follows from them, and small values, in one SQLite file.
//!
//! SQLite gives durability and order, our own sealing gives secrecy: it sees keyed hashes as ids and sealed, padded bodies.
//! What belongs together is written in one transaction ([`SpaceStore::transaction`]): commits, the state of the ledger,
//! what became of the commits, rows of the tree. [`Transaction`] is the [`logic::ledger::Shelf`] of the ledger's engine
//! and, by reference, the [`logic::space::Rows`] of the tree; it sees what it has written. [`Reader`] is the same without
//! writing, and sees what was committed when it began.
//!
//! Invariants:
//! - acknowledged means durable (`synchronous=FULL`), and a transaction is there as a whole or not at all;
//! - every body opens only in its own row of its own file; the totals notice rows that are missing, doubled or older;
//! - the watermark never goes back, and a copy beside the file tells of an older file, or of a copy of both, that was put
//!   back ([`Standing`]).
//!
//! Damage is named by [`Part`]: the tree is built again from the commits ([`Transaction::clear_tree`]), commits are
//! fetched again from others. Called by `node`, which holds one lock per space. Byte level: `docs/formats/space-store.md`.

mod check;
mod error;
mod guard;
mod keys;
mod log;
mod notes;
mod reader;
mod rows;
mod schema;
mod shelf;
mod tally;
mod transaction;
mod values;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use logic::ledger::CommitId;
use rusqlite::{Connection, TransactionBehavior};
use seal::RecordKey;

pub use check::{Damage, Report};
pub use error::{Part, SpaceError};
pub use guard::is_mark_of;
pub use guard::{Standing, Watermark};
pub use log::{CommitLog, LogId, LogReport, read_log};
pub use notes::{Logged, Moment, Note, Reading, Worth};
pub use reader::Reader;
pub use transaction::Transaction;

use guard::{Database, Guard};
use keys::Keys;
use schema::{About, Use};
use tally::Tally;

/// Connections for readers that are kept when nobody reads.
const IDLE: usize = 2;

/// The open file of a space. Cheap to clone; usable from several threads at once.
#[derive(Clone)]
pub struct SpaceStore {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    keys: Keys,
    ledger: CommitId,
    writer: Mutex<Writer>,
    readers: Mutex<Vec<Connection>>,
    guard: Guard,
}

/// What only one at a time may use.
struct Writer {
    connection: Connection,
    tally: Tally,
}

impl SpaceStore {
    /// Makes the file for a ledger at `path`, where there is none. A watermark that lies there from an earlier one stays:
    /// look at [`Self::standing`].
    ///
    /// # Errors
    /// [`SpaceError`], here and below.
    pub fn create(path: &Path, key: &RecordKey, ledger: CommitId) -> Result<Self, SpaceError> {
        let (connection, about) = schema::create(path, key, ledger)?;
        let store = Self::of(path, Database::Made, key, connection, about)?;
        match store.shared.guard.is_missing() {
            true => store.shared.guard.write(Watermark::default())?,
            false => store.shared.guard.move_in()?,
        }
        Ok(store)
    }

    /// As [`Self::create`], for a ledger that was kept here before: where the watermark is lost as well, nobody knows what
    /// was signed, and [`Self::standing`] says so.
    ///
    /// # Errors
    /// As above.
    pub fn create_again(path: &Path, key: &RecordKey, ledger: CommitId) -> Result<Self, SpaceError> {
        let (connection, about) = schema::create(path, key, ledger)?;
        let store = Self::of(path, Database::Made, key, connection, about)?;
        store.shared.guard.move_in()?;
        Ok(store)
    }

    /// Opens the file at `path`. Look at [`Self::standing`] before anything is signed.
    ///
    /// # Errors
    /// As above.
    pub fn open(path: &Path, key: &RecordKey) -> Result<Self, SpaceError> {
        let (connection, about) = schema::open(path, key)?;
        let store = Self::of(path, Database::Found, key, connection, about)?;
        if store.standing()? == Standing::Behind {
            store.mirror()?;
        }
        Ok(store)
    }

    fn of(
        path: &Path,
        from: Database,
        key: &RecordKey,
        connection: Connection,
        about: About,
    ) -> Result<Self, SpaceError> {
        let About { keys, ledger, tally } = about;
        let guard = Guard::load(path, from, key, ledger)?;
        let writer = Mutex::new(Writer { connection, tally });
        let shared = Shared { path: path.to_owned(), keys, ledger, writer, readers: Mutex::default(), guard };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Which ledger it is of.
    pub fn ledger(&self) -> CommitId {
        self.shared.ledger
    }

    /// Does `work` in one transaction: all of it is durable when this returns, or after an error none of it.
    ///
    /// After an error an engine that has taken part is ahead of what is stored: make it anew from the stored state. Not
    /// to be called inside of itself.
    ///
    /// # Errors
    /// Those of `work`; failures of look-ups that had no way to say so; [`SpaceError::Unmirrored`].
    pub fn transaction<T, E: From<SpaceError>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut writer = self.writer();
        let Writer { connection, tally } = &mut *writer;
        let inner = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(SpaceError::from)?;
        let transaction = Transaction::new(Reader::new(&inner, self), tally.clone());
        let value = work(&transaction)?;
        let (new, raised) = transaction.finish()?;
        inner.commit().map_err(SpaceError::from)?;
        *tally = new;
        if let Some(mark) = raised {
            self.shared.guard.write(mark)?;
        }
        Ok(value)
    }

    /// Reads what is committed, all of it at one point in time, beside a writer and other readers.
    ///
    /// # Errors
    /// As above.
    pub fn read<T, E: From<SpaceError>>(&self, work: impl FnOnce(&Reader<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut connection = self.reader()?;
        let inner = connection.transaction().map_err(SpaceError::from)?;
        let reader = Reader::new(&inner, self);
        let value = work(&reader)?;
        reader.fault()?;
        inner.commit().map_err(SpaceError::from)?;
        let mut idle = self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(connection);
        }
        Ok(value)
    }

    fn reader(&self) -> Result<Connection, SpaceError> {
        let idle = self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| schema::connect(&self.shared.path, Use::Read), Ok)
    }

    /// The writer; a thread that panicked while it held the lock has had its transaction rolled back.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for SpaceStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SpaceStore(***)")
    }
}
