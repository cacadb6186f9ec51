//! The database's format and how older ones become newer ones.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use seal::RecordKey;

use super::DatabaseError;

/// One step per format, in order; a step is never changed after it has been released.
const STEPS: [&str; 2] = [
    "
    CREATE TABLE key_check (only INTEGER PRIMARY KEY CHECK (only = 1), body BLOB NOT NULL);
    CREATE TABLE records (
        kind BLOB NOT NULL,
        id BLOB NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (kind, id)
    ) WITHOUT ROWID;
    CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
",
    "
    CREATE TABLE packs (number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, len INTEGER NOT NULL);
    CREATE TABLE objects (
        number INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        len INTEGER NOT NULL,
        pack INTEGER,
        start INTEGER,
        sound INTEGER NOT NULL,
        unused_since INTEGER
    );
    CREATE INDEX objects_by_place ON objects (pack, start);
    CREATE INDEX objects_unused ON objects (unused_since) WHERE unused_since IS NOT NULL;
    CREATE INDEX objects_wanting ON objects (number) WHERE pack IS NULL OR sound = 0;
    CREATE TABLE holds (object INTEGER NOT NULL, tag BLOB NOT NULL, PRIMARY KEY (object, tag)) WITHOUT ROWID;
",
];

const KEY_CHECK: &str = "key check";

/// What the key check says of a database that holds something which must not be missing any more.
const IN_USE: &[u8] = &[1];

/// Makes the newest format in an empty database, together with the value that remembers the key.
pub(super) fn create(connection: &mut Connection, key: &RecordKey) -> Result<(), DatabaseError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    advance(&transaction, 0)?;
    transaction.execute("INSERT INTO key_check (only, body) VALUES (1, ?)", params![key.seal(KEY_CHECK, &[], &[])])?;
    Ok(transaction.commit()?)
}

/// Brings the database to the newest format in one transaction; `PRAGMA user_version` counts the steps taken. Writes
/// nothing when there is nothing to do, so that a database on a full disk can still be opened.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), DatabaseError> {
    let known = STEPS.len() as u32;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        0 => Err(DatabaseError::Damaged("it is empty".into())),
        _ if found > known => Err(DatabaseError::TooNew { found, known }),
        _ if found == known => Ok(()),
        _ => {
            advance(&transaction, found)?;
            Ok(transaction.commit()?)
        }
    }
}

/// Takes all steps after the first `taken` ones.
fn advance(connection: &Connection, taken: u32) -> Result<(), DatabaseError> {
    for step in &STEPS[taken as usize..] {
        connection.execute_batch(step)?;
    }
    Ok(connection.pragma_update(None, "user_version", STEPS.len() as u32)?)
}

/// The value that a new database got, sealed under its key, must be there and open.
pub(super) fn check_key(connection: &Connection, key: &RecordKey, path: &Path) -> Result<(), DatabaseError> {
    key.open(KEY_CHECK, &[], &stored(connection)?).map(drop).map_err(|_| DatabaseError::WrongKey(path.to_owned()))
}

/// Is the database marked by [`set_in_use`]?
pub(super) fn in_use(connection: &Connection, key: &RecordKey) -> Result<bool, DatabaseError> {
    let said = key.open(KEY_CHECK, &[], &stored(connection)?);
    said.map(|said| said.as_slice() == IN_USE).map_err(|_| DatabaseError::Damaged("its key check".into()))
}

/// Marks the database.
pub(super) fn set_in_use(connection: &Connection, key: &RecordKey) -> Result<(), DatabaseError> {
    connection.execute("UPDATE key_check SET body = ?", params![key.seal(KEY_CHECK, &[], IN_USE)])?;
    Ok(())
}

fn stored(connection: &Connection) -> Result<Vec<u8>, DatabaseError> {
    let body = connection.query_row("SELECT body FROM key_check", [], |row| row.get(0)).optional()?;
    body.ok_or_else(|| DatabaseError::Damaged("its content is gone".into()))
}
