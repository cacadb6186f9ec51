//! Sealed values by key.

use std::fmt;
use std::marker::PhantomData;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Database, DatabaseError, sealing};

/// Table name under which the names of tables are blinded.
const KINDS: &str = "kinds";

/// Where a value lies in its table: a keyed hash of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowId(pub(super) [u8; 16]);

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Everything in a table.
#[derive(Debug)]
pub struct Contents<T> {
    /// Keys and values, sorted by key.
    pub values: Vec<(Vec<u8>, T)>,
    /// Rows that cannot be read any more. They stay until something else is put there.
    pub damaged: Vec<RowId>,
}

/// A table of values of type `T`, looked up by a key of bytes. Keys are stored sealed with the value; SQLite sees a
/// keyed hash of them. Values should begin with a version of their own.
#[derive(Debug)]
pub struct Table<T> {
    database: Database,
    name: &'static str,
    kind: [u8; 16],
    holds: PhantomData<fn() -> T>,
}

// By hand: a derive would demand `T: Clone`.
impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { database: self.database.clone(), name: self.name, kind: self.kind, holds: PhantomData }
    }
}

impl<T> Table<T> {
    pub(super) fn new(database: Database, name: &'static str) -> Self {
        let kind = database.key().blind(KINDS, name.as_bytes());
        Self { database, name, kind, holds: PhantomData }
    }

    fn blind(&self, key: &[u8]) -> [u8; 16] {
        self.database.key().blind(self.name, key)
    }

    /// Where the value at `key` lies, or would.
    pub fn row(&self, key: &[u8]) -> RowId {
        RowId(self.blind(key))
    }

    /// The table's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Removes the value at `key`; tells whether there was one.
    pub fn delete(&self, key: &[u8]) -> Result<bool, DatabaseError> {
        let removed = self
            .database
            .connection()
            .prepare_cached("DELETE FROM records WHERE kind = ? AND id = ?")?
            .execute(params![self.kind, self.blind(key)])?;
        Ok(removed > 0)
    }

    /// Number of values.
    pub fn len(&self) -> Result<u64, DatabaseError> {
        let count: i64 = self
            .database
            .connection()
            .prepare_cached("SELECT count(*) FROM records WHERE kind = ?")?
            .query_row(params![self.kind], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Is it empty?
    pub fn is_empty(&self) -> Result<bool, DatabaseError> {
        Ok(self.len()? == 0)
    }
}

impl<T: Serialize + DeserializeOwned> Table<T> {
    /// The value at `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<T>, DatabaseError> {
        self.get_in(&self.database.connection(), key)
    }

    /// [`Self::get`] as part of a transaction.
    pub(crate) fn get_in(&self, transaction: &Connection, key: &[u8]) -> Result<Option<T>, DatabaseError> {
        let id = self.blind(key);
        let body: Option<Vec<u8>> = transaction
            .prepare_cached("SELECT body FROM records WHERE kind = ? AND id = ?")?
            .query_row(params![self.kind, id], |row| row.get(0))
            .optional()?;
        body.map(|body| Ok(self.open(&id, &body)?.1)).transpose()
    }

    /// Stores `value` at `key`, in place of what was there.
    pub fn put(&self, key: &[u8], value: &T) -> Result<(), DatabaseError> {
        self.put_many([(key, value)])
    }

    /// [`Self::put`] as part of a transaction.
    pub(crate) fn put_in(&self, transaction: &Connection, key: &[u8], value: &T) -> Result<(), DatabaseError> {
        let id = self.blind(key);
        let body = sealing::seal(self.database.key(), self.name, &id, &(key, value))?;
        self.insert(transaction, &id, &body)
    }

    fn insert(&self, transaction: &Connection, id: &[u8; 16], body: &[u8]) -> Result<(), DatabaseError> {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO records (kind, id, body) VALUES (?, ?, ?)")?
            .execute(params![self.kind, id, body])?;
        Ok(())
    }

    /// Stores all of these, or none when one fails.
    pub fn put_many<'a>(&self, items: impl IntoIterator<Item = (&'a [u8], &'a T)>) -> Result<(), DatabaseError>
    where
        T: 'a,
    {
        let mut sealed = Vec::new();
        for (key, value) in items {
            let id = self.blind(key);
            sealed.push((id, sealing::seal(self.database.key(), self.name, &id, &(key, value))?));
        }
        let mut connection = self.database.connection();
        let transaction = connection.transaction()?;
        for (id, body) in &sealed {
            self.insert(&transaction, id, body)?;
        }
        Ok(transaction.commit()?)
    }

    /// All keys and values. For tables that fit into memory. A damaged value does not hide the others; whoever asks
    /// decides what it means that it is missing.
    pub fn all(&self) -> Result<Contents<T>, DatabaseError> {
        // What is of another type than was written opens as nothing.
        let rows: Vec<([u8; 16], Vec<u8>)> = self
            .database
            .connection()
            .prepare_cached("SELECT id, body FROM records WHERE kind = ?")?
            .query_map(params![self.kind], |row| Ok((row.get(0).unwrap_or_default(), row.get(1).unwrap_or_default())))?
            .collect::<Result<_, _>>()?;
        let mut contents = Contents { values: Vec::with_capacity(rows.len()), damaged: Vec::new() };
        for (id, body) in rows {
            match self.open(&id, &body) {
                Ok(value) => contents.values.push(value),
                Err(_) => contents.damaged.push(RowId(id)),
            }
        }
        contents.values.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(contents)
    }

    fn open(&self, id: &[u8; 16], body: &[u8]) -> Result<(Vec<u8>, T), DatabaseError> {
        sealing::open(self.database.key(), self.name, id, body)
    }
}
