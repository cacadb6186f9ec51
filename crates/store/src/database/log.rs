//! The log of events: appended, read in order, cut at the old end.

use std::marker::PhantomData;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Database, DatabaseError, sealing};

const TABLE: &str = "events";

/// An event with its number, or why it cannot be read any more.
pub type Numbered<T> = (u64, Result<T, DatabaseError>);

/// Events of type `T` with growing sequence numbers, which are never used twice.
#[derive(Debug)]
pub struct EventLog<T> {
    database: Database,
    holds: PhantomData<fn() -> T>,
}

// By hand: a derive would demand `T: Clone`.
impl<T> Clone for EventLog<T> {
    fn clone(&self) -> Self {
        Self::new(self.database.clone())
    }
}

impl<T> EventLog<T> {
    pub(super) fn new(database: Database) -> Self {
        Self { database, holds: PhantomData }
    }

    /// Removes the oldest events so that at most `keep` stay; tells how many went.
    pub fn prune(&self, keep: u64) -> Result<u64, DatabaseError> {
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let removed = self.database.connection().execute(
            "DELETE FROM events WHERE seq <= (SELECT seq FROM events ORDER BY seq DESC LIMIT 1 OFFSET ?)",
            params![keep],
        )?;
        Ok(removed as u64)
    }
}

impl<T: Serialize + DeserializeOwned> EventLog<T> {
    /// Appends one event and returns its number.
    pub fn append(&self, event: &T) -> Result<u64, DatabaseError> {
        self.append_all(std::slice::from_ref(event))
    }

    /// Appends events in one step and returns the number of the last one (0 when there is none at all).
    pub fn append_all(&self, events: &[T]) -> Result<u64, DatabaseError> {
        let mut connection = self.database.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut seq = last_number(&transaction)?;
        for event in events {
            seq += 1;
            let body = sealing::seal(self.database.key(), TABLE, &row_id(seq), event)?;
            transaction.prepare_cached("INSERT INTO events (seq, body) VALUES (?, ?)")?.execute(params![seq, body])?;
        }
        transaction.commit()?;
        Ok(seq.unsigned_abs())
    }

    /// At most `limit` events after number `seq`, oldest first. One that is damaged does not hide the others.
    pub fn after(&self, seq: u64, limit: usize) -> Result<Vec<Numbered<T>>, DatabaseError> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        self.read("SELECT seq, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit)
    }

    /// The newest `limit` events, oldest first, as [`Self::after`] has them.
    pub fn newest(&self, limit: usize) -> Result<Vec<Numbered<T>>, DatabaseError> {
        let mut events = self.read("SELECT seq, body FROM events WHERE seq > ? ORDER BY seq DESC LIMIT ?", 0, limit)?;
        events.reverse();
        Ok(events)
    }

    fn read(&self, query: &str, after: i64, limit: usize) -> Result<Vec<Numbered<T>>, DatabaseError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<(i64, Vec<u8>)> = self
            .database
            .connection()
            .prepare_cached(query)?
            .query_map(params![after, limit], |row| Ok((row.get(0)?, row.get(1).unwrap_or_default())))?
            .collect::<Result<_, _>>()?;
        let open = |(seq, body): (i64, Vec<u8>)| {
            (seq.unsigned_abs(), sealing::open(self.database.key(), TABLE, &row_id(seq), &body))
        };
        Ok(rows.into_iter().map(open).collect())
    }
}

/// The highest number ever given, also of events that are gone; SQLite's own book-keeping of AUTOINCREMENT.
fn last_number(connection: &Connection) -> Result<i64, DatabaseError> {
    let last = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'events'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(last.unwrap_or(0))
}

fn row_id(seq: i64) -> [u8; 8] {
    seq.to_be_bytes()
}
