//! Looking at a space.

use std::cell::RefCell;

use logic::ledger::CommitId;
use rusqlite::Connection;

use super::SpaceStore;
use super::error::SpaceError;
use super::keys::Keys;

/// A look at a space at one point in time; inside of a transaction, with what it has written.
pub struct Reader<'a> {
    pub(super) connection: &'a Connection,
    pub(super) store: &'a SpaceStore,
    /// What went wrong in a look-up that had no way to say so.
    fault: RefCell<Option<SpaceError>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(connection: &'a Connection, store: &'a SpaceStore) -> Self {
        Self { connection, store, fault: RefCell::default() }
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.store.shared.keys
    }

    /// Which ledger it is of.
    pub fn ledger(&self) -> CommitId {
        self.store.ledger()
    }

    /// Bytes that the file of the space has, or will have when its log has been moved into it.
    ///
    /// # Errors
    /// [`SpaceError`].
    pub fn file_bytes(&self) -> Result<u64, SpaceError> {
        let pages: i64 = self.connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let size: i64 = self.connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok(pages.unsigned_abs().saturating_mul(size.unsigned_abs()))
    }

    /// Keeps an error for the end, when whoever asked cannot be told.
    pub(super) fn or_fault<T: Default>(&self, outcome: Result<T, SpaceError>) -> T {
        outcome.unwrap_or_else(|error| {
            self.fault.borrow_mut().get_or_insert(error);
            T::default()
        })
    }

    /// The first error that was kept.
    pub(super) fn fault(&self) -> Result<(), SpaceError> {
        self.fault.borrow_mut().take().map_or(Ok(()), Err)
    }
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader(***)")
    }
}
