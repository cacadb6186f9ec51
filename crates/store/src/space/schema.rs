//! The format of the file, and how it is opened.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use logic::ledger::CommitId;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use seal::RecordKey;

use super::error::{Part, SpaceError};
use super::keys::{FileId, Keys};
use super::tally::Tally;
use crate::database::DatabaseError;

/// One step per format, in order; a step is never changed after it has been released.
const STEPS: [&str; 1] = ["
    CREATE TABLE about (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        file BLOB NOT NULL,
        ledger BLOB NOT NULL,
        totals BLOB NOT NULL
    );
    CREATE TABLE tree (
        grp BLOB NOT NULL,
        kind INTEGER NOT NULL,
        part BLOB NOT NULL,
        rest BLOB NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (grp, kind, part, rest)
    ) WITHOUT ROWID;
    CREATE TABLE commits (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id BLOB NOT NULL UNIQUE,
        place BLOB NOT NULL,
        lamport INTEGER NOT NULL,
        unsettled INTEGER,
        wanted BLOB,
        head BLOB NOT NULL,
        note BLOB NOT NULL,
        past BLOB
    );
    CREATE INDEX commits_by_place ON commits (place);
    CREATE INDEX commits_by_lamport ON commits (lamport);
    CREATE INDEX commits_unsettled ON commits (lamport) WHERE unsettled IS NOT NULL;
    CREATE INDEX commits_by_key ON commits (wanted, lamport) WHERE wanted IS NOT NULL;
    CREATE TABLE bodies (number INTEGER PRIMARY KEY, body BLOB NOT NULL);
    CREATE TABLE named (
        kind BLOB NOT NULL,
        id BLOB NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (kind, id)
    ) WITHOUT ROWID;
"];

/// How long to wait for another process that has the file open (a backup, a curious administrator).
const BUSY: Duration = Duration::from_secs(5);
/// Different statements that a connection keeps prepared.
const STATEMENTS: usize = 64;
/// Memory for pages, KiB: of the connection that writes, of each that reads.
const CACHE: [i64; 2] = [16 << 10, 8 << 10];
/// Pages in the log before they are moved into the file. A commit of 1,000 files writes about 1,000.
const CHECKPOINT: i64 = 4000;

/// What a file says about itself.
pub(super) struct About {
    pub(super) keys: Keys,
    pub(super) ledger: CommitId,
    pub(super) tally: Tally,
}

/// Whether a connection writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Write,
    Read,
}

pub(super) fn connect(path: &Path, what: Use) -> Result<Connection, SpaceError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let cache = CACHE[usize::from(what == Use::Read)];
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = FAST; PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = {CHECKPOINT}; PRAGMA cache_size = -{cache};"
    ))?;
    if what == Use::Read {
        connection.pragma_update(None, "query_only", true)?;
    }
    Ok(connection)
}

/// Makes the file, where there is none, with nothing in it.
pub(super) fn create(path: &Path, key: &RecordKey, ledger: CommitId) -> Result<(Connection, About), SpaceError> {
    let io = |source| SpaceError::Database(DatabaseError::Io { path: path.to_owned(), source });
    // SQLite gives its other files the mode of this one.
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
    let mut connection = connect(path, Use::Write)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(STEPS[0])?;
    let file: FileId = transaction.query_row("SELECT randomblob(16)", [], |row| row.get(0))?;
    let keys = Keys::new(key, &file);
    let tally = Tally::default();
    transaction.execute(
        "INSERT INTO about (only, file, ledger, totals) VALUES (1, ?, ?, ?)",
        params![file, keys.seal(Part::File, b"ledger", ledger.as_bytes()), seal_totals(&keys, &tally)],
    )?;
    transaction.pragma_update(None, "user_version", STEPS.len() as u32)?;
    transaction.commit()?;
    Ok((connection, About { keys, ledger, tally }))
}

/// Opens the file. One that has lost its content is no new one, but damaged.
pub(super) fn open(path: &Path, key: &RecordKey) -> Result<(Connection, About), SpaceError> {
    match path.metadata() {
        Ok(found) if found.len() == 0 => return Err(SpaceError::Damaged(Part::File)),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(DatabaseError::Missing.into()),
        Err(source) => return Err(DatabaseError::Io { path: path.to_owned(), source }.into()),
    }
    let connection = connect(path, Use::Write)?;
    let (found, known): (u32, u32) =
        (connection.pragma_query_value(None, "user_version", |row| row.get(0))?, STEPS.len() as u32);
    match found {
        0 => return Err(SpaceError::Damaged(Part::File)),
        _ if found > known => return Err(DatabaseError::TooNew { found, known }.into()),
        _ => {}
    }
    let about = about(&connection, key, path)?;
    Ok((connection, about))
}

fn about(connection: &Connection, key: &RecordKey, path: &Path) -> Result<About, SpaceError> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found = connection.query_row("SELECT file, ledger, totals FROM about", [], read).optional();
    let damaged = || SpaceError::Damaged(Part::File);
    let (file, ledger, totals): (FileId, Vec<u8>, Vec<u8>) = match found {
        Ok(found) => found.ok_or_else(damaged)?,
        Err(rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..)) => {
            return Err(damaged());
        }
        Err(error) => return Err(error.into()),
    };
    let keys = Keys::new(key, &file);
    let wrong_key = |_| DatabaseError::WrongKey(path.to_owned());
    let ledger = keys.open(Part::File, b"ledger", &ledger).map_err(wrong_key)?;
    let ledger = CommitId::from_bytes(ledger.try_into().map_err(|_| damaged())?);
    let tally = Tally::from_bytes(&keys.open(Part::File, b"totals", &totals)?)?;
    Ok(About { keys, ledger, tally })
}

fn seal_totals(keys: &Keys, tally: &Tally) -> Vec<u8> {
    keys.seal(Part::File, b"totals", &tally.to_bytes())
}

/// Writes the totals, as part of a transaction.
pub(super) fn write_totals(connection: &Connection, keys: &Keys, tally: &Tally) -> Result<(), SpaceError> {
    connection.prepare_cached("UPDATE about SET totals = ?")?.execute([seal_totals(keys, tally)])?;
    Ok(())
}

/// Reads the totals that belong to what a connection sees.
pub(super) fn read_totals(connection: &Connection, keys: &Keys) -> Result<Tally, SpaceError> {
    let totals = connection.query_row("SELECT totals FROM about", [], |row| Ok(row.get_ref(0)?.as_bytes()?.to_vec()));
    let totals = totals.optional()?.ok_or(SpaceError::Damaged(Part::File))?;
    Tally::from_bytes(&keys.open(Part::File, b"totals", &totals)?)
}
