//! Encrypted objects on this disk, named by the BLAKE3 hash of their bytes (`docs/formats/objects.md`).
//!
//! Goals: what was acknowledged is durable, and no crash, full disk or damaged sector loses another object; what is
//! read is what was stored, or an error that names the object, so that it can be fetched from somebody else; nothing
//! lies on the disk but ciphertexts, their hashes, and how many hold each of them.
//!
//! Objects lie in append-only *packs* of records that say what they are. An *index* in the database knows where, and
//! can be made anew from the packs. A *namespace* (a space, later the owner of a backup) *holds* objects; its bytes are
//! counted, and limited by a quota. An object that nobody holds any more goes after a time of grace
//! ([`ObjectStore::collect`]), and [`ObjectStore::compact`] gives its place back.
//!
//! Invariants:
//! - the index never points to bytes that are not durable: data, fsync, index, in this order;
//! - of a pack's file, only what lies behind the end that the index knows is ever cut off;
//! - a pack is removed only when the index points to nothing in it;
//! - a place in a pack is never used again after anything went wrong there;
//! - a pack is added to by one batch at a time.
//!
//! Any number of writers and readers; the index is changed by one at a time. All calls block. Non-goals: names, keys, and who may do what.

mod check;
mod error;
mod fault;
mod files;
mod get;
mod holds;
mod index;
pub mod pack;
mod putting;
mod recover;
#[cfg(test)]
mod tests;
mod tidy;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::{Transaction, TransactionBehavior};
use seal::{Object, Timestamp};

use crate::database::{Database, DatabaseError, Table};
use fault::Step;
use files::Files;
use holds::Holding;
use writer::Writer;

pub use check::{CheckPlace, Checked};
pub use error::ObjectError;
pub use get::Totals;
pub use holds::{HeldPlace, Namespace, Usage};
pub use pack::{MAX_OBJECT, ObjectId};
pub use putting::Putting;
pub use recover::Recovered;
pub use tidy::{Collected, Compacted};

/// How large packs get, and how much of the disk is left to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A pack of this many bytes is not added to any more.
    pub pack: u64,
    /// Nothing is put that would leave fewer bytes than this free: the index needs room even to forget something.
    pub keep_free: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pack: 256 << 20, keep_free: 64 << 20 }
    }
}

/// The objects of a home. Cheap to clone; usable from several threads at once.
#[derive(Clone)]
pub struct ObjectStore {
    files: Arc<Files>,
    writer: Arc<Mutex<Writer>>,
    /// A batch has given its packs back.
    returned: Arc<Condvar>,
    database: Database,
    holdings: Table<Holding>,
    /// Has a row when holds may be missing.
    doubts: Table<u8>,
    limits: Limits,
}

impl std::fmt::Debug for ObjectStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ObjectStore").field(&self.files.path()).finish()
    }
}

impl ObjectStore {
    /// Opens the store in the directory `dir` (made where there is none) with its index in `database`, and makes index
    /// and packs agree, whatever has happened to either. Only for whoever holds the home's lock.
    ///
    /// As a rule this looks at the length of each pack and reads what a crash has left behind the last acknowledged
    /// object. Packs that the index does not know are read as a whole, at the disk's speed.
    pub fn open(
        dir: &Path,
        database: Database,
        limits: Limits,
        now: Timestamp,
    ) -> Result<(Self, Recovered), ObjectError> {
        let store = Self {
            files: Arc::new(Files::open(dir)?),
            writer: Arc::default(),
            returned: Arc::default(),
            holdings: database.table("object holdings"),
            doubts: database.table("object doubts"),
            database,
            limits,
        };
        let recovered = store.recover(now)?;
        Ok((store, recovered))
    }

    /// Stores these objects and lets `namespace` hold them: all of them, durably, or none. One that is here already is not
    /// stored again. Batches are what makes it fast: one costs two fsyncs, whatever its size; see [`Self::putting`].
    pub fn put_many(&self, namespace: &Namespace, objects: &[Object], now: Timestamp) -> Result<(), ObjectError> {
        let mut putting = self.putting(namespace);
        putting.add(objects)?;
        putting.finish(now)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer when no batch has a pack.
    fn lone_writer(&self) -> MutexGuard<'_, Writer> {
        self.returned.wait_while(self.writer(), |writer| writer.works()).unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of a batch.
    fn end<T>(&self, end: impl FnOnce(&mut Writer) -> T) -> T {
        let ended = end(&mut self.writer());
        self.returned.notify_all();
        ended
    }

    /// Changes the index in one durable step, or not at all.
    fn change<T>(&self, change: impl FnOnce(&Transaction<'_>) -> Result<T, ObjectError>) -> Result<T, ObjectError> {
        let mut connection = self.database.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = change(&transaction)?;
        self.step(Step::Commit)?;
        transaction.commit()?;
        self.step(Step::Committed)?;
        Ok(value)
    }

    fn step(&self, step: Step) -> Result<(), ObjectError> {
        fault::step(step, self.files.path()).map_err(|source| ObjectError::at(self.files.path(), source))
    }
}

/// Numbers of objects in the index that are known by now.
type Numbers = HashMap<ObjectId, i64>;

impl From<rusqlite::Error> for ObjectError {
    fn from(error: rusqlite::Error) -> Self {
        DatabaseError::from(error).into()
    }
}
