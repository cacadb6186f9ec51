//! The local database: SQLite for durability and order, our own sealing for secrecy.
//!
//! SQLite sees keyed hashes as ids and sealed, padded bodies; a locked home shows how many rows there are and roughly
//! how long they are, nothing else. Every value is bound to its table and row, so that values cannot be exchanged;
//! somebody who can write to the disk can still put back an older copy of the whole database.
//!
//! Acknowledged means durable (`synchronous=FULL`). One connection behind a lock: every call is short. The format is
//! documented in `docs/formats/database.md`.

mod log;
mod schema;
mod sealing;
mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use seal::RecordKey;

pub use log::{EventLog, Numbered};
pub use table::{Contents, RowId, Table};

/// How long to wait for another process that has the database open (a backup, a curious administrator).
const BUSY: Duration = Duration::from_secs(5);

/// Statements that are kept prepared.
const STATEMENTS: usize = 64;

/// Why the database could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The database was sealed under another key: keystore and database do not belong together.
    #[error("the database {0:?} belongs to another keystore")]
    WrongKey(PathBuf),
    /// The file or a value in it is not what was written.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// A later version of Warren wrote it.
    #[error("the database was written by a newer version of Warren (format {found}, this one knows {known})")]
    TooNew {
        /// Format of the file.
        found: u32,
        /// Newest format that this version knows.
        known: u32,
    },
    /// There is no database.
    #[error("the database is missing")]
    Missing,
    /// No space left; nothing was changed.
    #[error("the disk is full: the database cannot be written")]
    DiskFull,
    /// The disk does not read or write.
    #[error("the disk of the database fails: {0}")]
    DiskFails(rusqlite::Error),
    /// A value cannot be stored; a fault in Warren.
    #[error("a value cannot be stored: {0}")]
    Unstorable(postcard::Error),
    /// The file cannot be created or opened.
    #[error("{path:?}: {source}")]
    Io {
        /// The database.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Anything else that SQLite reports.
    #[error("the database: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
        match error.sqlite_error_code() {
            // Every column has one type: another one is nothing that was ever written.
            None if matches!(
                error,
                InvalidColumnType(..) | FromSqlConversionFailure(..) | IntegralValueOutOfRange(..)
            ) =>
            {
                Self::Damaged(error.to_string())
            }
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            // SQLite says FULL of its files, but not of the index of its log, which it maps into memory.
            Some(ErrorCode::SystemIoFailure) => match error.sqlite_error().map(|error| error.extended_code) {
                Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => Self::DiskFull,
                _ => Self::DiskFails(error),
            },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Sqlite(error),
        }
    }
}

impl From<DatabaseError> for io::Error {
    /// Keeps what the error is, for those who know no databases.
    fn from(error: DatabaseError) -> Self {
        let kind = match &error {
            DatabaseError::DiskFull => io::ErrorKind::StorageFull,
            DatabaseError::Damaged(_) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// The open database of a device. Cheap to clone; usable from several threads at once.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    connection: Mutex<Connection>,
    key: RecordKey,
}

impl Database {
    /// Makes a new database at `path`, where there is none.
    pub fn create(path: &Path, key: RecordKey) -> Result<Self, DatabaseError> {
        // SQLite gives its other files the mode of this one.
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| DatabaseError::Io { path: path.to_owned(), source })?;
        let mut connection = connect(path)?;
        schema::create(&mut connection, &key)?;
        Ok(Self::of(connection, key))
    }

    /// Opens the database at `path` and brings it to the newest format. One that has lost its content is no new one,
    /// but damaged.
    pub fn open(path: &Path, key: RecordKey) -> Result<Self, DatabaseError> {
        match path.metadata() {
            Ok(found) if found.len() == 0 => return Err(DatabaseError::Damaged("it is empty".into())),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(DatabaseError::Missing),
            Err(source) => return Err(DatabaseError::Io { path: path.to_owned(), source }),
        }
        let mut connection = connect(path)?;
        schema::migrate(&mut connection)?;
        check_structure(&connection)?;
        schema::check_key(&connection, &key, path)?;
        Ok(Self::of(connection, key))
    }

    fn of(connection: Connection, key: RecordKey) -> Self {
        Self { shared: Arc::new(Shared { connection: Mutex::new(connection), key }) }
    }

    /// Notes, for ever, that this database holds something that must not be missing any more.
    pub fn set_in_use(&self) -> Result<(), DatabaseError> {
        schema::set_in_use(&self.connection(), self.key())
    }

    /// Was [`Self::set_in_use`] called at any time?
    pub fn in_use(&self) -> Result<bool, DatabaseError> {
        schema::in_use(&self.connection(), self.key())
    }

    /// The table called `name`, of values of one type. The name is never stored.
    pub fn table<T>(&self, name: &'static str) -> Table<T> {
        Table::new(self.clone(), name)
    }

    /// The log of events.
    pub fn events<T>(&self) -> EventLog<T> {
        EventLog::new(self.clone())
    }

    pub(crate) fn key(&self) -> &RecordKey {
        &self.shared.key
    }

    /// The connection; a thread that panicked while it held the lock has had its transaction rolled back.
    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.shared.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(path: &Path) -> Result<Connection, DatabaseError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;",
    )?;
    Ok(connection)
}

/// Sees that no row is hidden by damage of what SQLite finds rows by. Reads the whole file: 100,000 events are 33 MB
/// and take 40 ms, where opening the keystore takes half a second.
fn check_structure(connection: &Connection) -> Result<(), DatabaseError> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(DatabaseError::Damaged(found)) }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Database(***)")
    }
}
