//! The database's format and how older ones become newer ones.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use seal::RecordKey;

use super::DatabaseError;

/// One step per format, in order; a step is never changed after it has been released.
const STEPS: [&str; 1] = ["
    CREATE TABLE key_check (only INTEGER PRIMARY KEY CHECK (only = 1), body BLOB NOT NULL);
    CREATE TABLE records (
        kind BLOB NOT NULL,
        id BLOB NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (kind, id)
    ) WITHOUT ROWID;
    CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
"];

const KEY_CHECK: &str = "key check";

/// Brings the database to the newest format in one transaction; `PRAGMA user_version` counts the steps taken. Writes
/// nothing when there is nothing to do, so that a database on a full disk can still be opened.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), DatabaseError> {
    let known = STEPS.len() as u32;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(DatabaseError::TooNew { found, known });
    }
    if found == known {
        return Ok(());
    }
    for step in &STEPS[found as usize..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

/// Why a key was not accepted.
pub(super) enum KeyCheck {
    Wrong,
    Sqlite(rusqlite::Error),
}

/// A new database remembers its key by a value sealed under it; an old one must open that.
pub(super) fn check_key(connection: &Connection, key: &RecordKey) -> Result<(), KeyCheck> {
    let stored: Option<Vec<u8>> = connection
        .query_row("SELECT body FROM key_check", [], |row| row.get(0))
        .optional()
        .map_err(KeyCheck::Sqlite)?;
    match stored {
        Some(body) => key.open(KEY_CHECK, &[], &body).map(|_| ()).map_err(|_| KeyCheck::Wrong),
        None => {
            let body = key.seal(KEY_CHECK, &[], &[]);
            connection
                .execute("INSERT INTO key_check (only, body) VALUES (1, ?)", params![body])
                .map(|_| ())
                .map_err(KeyCheck::Sqlite)
        }
    }
}
