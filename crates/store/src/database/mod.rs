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

use rusqlite::{Connection, ErrorCode};
use seal::RecordKey;

pub use log::EventLog;
pub use table::Table;

/// How long to wait for another process that has the database open (a backup, a curious administrator).
const BUSY: Duration = Duration::from_secs(5);

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
    /// No space left; nothing was changed.
    #[error("the disk is full: the database cannot be written")]
    DiskFull,
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
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Sqlite(error),
        }
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
    /// Opens the database at `path`, creates it where it is missing, and brings it to the newest format.
    pub fn open(path: &Path, key: RecordKey) -> Result<Self, DatabaseError> {
        // SQLite gives its other files the mode of this one.
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|source| DatabaseError::Io { path: path.to_owned(), source })?;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;",
        )?;
        schema::migrate(&mut connection)?;
        schema::check_key(&connection, &key).map_err(|e| match e {
            schema::KeyCheck::Wrong => DatabaseError::WrongKey(path.to_owned()),
            schema::KeyCheck::Sqlite(e) => e.into(),
        })?;
        Ok(Self { shared: Arc::new(Shared { connection: Mutex::new(connection), key }) })
    }

    /// The table called `name`, of values of one type. The name is never stored.
    pub fn table<T>(&self, name: &'static str) -> Table<T> {
        Table::new(self.clone(), name)
    }

    /// The log of events.
    pub fn events<T>(&self) -> EventLog<T> {
        EventLog::new(self.clone())
    }

    fn key(&self) -> &RecordKey {
        &self.shared.key
    }

    /// The connection; a thread that panicked while it held the lock has had its transaction rolled back.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.shared.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Database(***)")
    }
}
