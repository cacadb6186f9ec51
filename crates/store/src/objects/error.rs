//! Why the store of objects could not do what it was asked.

use std::io;
use std::path::{Path, PathBuf};

use super::pack::{MAX_OBJECT, ObjectId};
use crate::database::DatabaseError;

/// Why the store of objects could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// There is no such object here.
    #[error("object {0} is not here")]
    Missing(ObjectId),
    /// The disk holds other bytes than those that were stored. To put the right ones again mends it.
    #[error("object {0} is damaged on this disk")]
    Damaged(ObjectId),
    /// The object is longer than any may be.
    #[error("object {id} has {len} bytes; {MAX_OBJECT} are allowed")]
    TooLong {
        /// The object.
        id: ObjectId,
        /// Its length in bytes.
        len: u64,
    },
    /// The namespace would hold more than it may. Nothing was stored.
    #[error("the quota of {quota} bytes does not allow {wanted} more: {used} are used")]
    OverQuota {
        /// What the namespace may hold, in bytes.
        quota: u64,
        /// What it holds.
        used: u64,
        /// What was to come.
        wanted: u64,
    },
    /// No space left, or less than must stay free. Nothing was changed.
    #[error("the disk of {0:?} is full: nothing was stored; what was there can be read")]
    DiskFull(PathBuf),
    /// The index was lost or is older than the packs, so that nobody knows what is in use; see
    /// [`ObjectStore::confirm_holds`](super::ObjectStore::confirm_holds).
    #[error("the index of objects was lost or put back: nothing is removed before it is known again what is in use")]
    HoldsUnknown,
    /// The directory is in use by another store.
    #[error("the objects in {0:?} are in use")]
    InUse(PathBuf),
    /// The disk does not read or write.
    #[error("{path:?}: {source}")]
    Io {
        /// What was worked on.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The index cannot be read or changed.
    #[error(transparent)]
    Database(DatabaseError),
}

impl ObjectError {
    /// What went wrong at `path`.
    pub(super) fn at(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(path.to_owned()),
            _ => Self::Io { path: path.to_owned(), source },
        }
    }
}

impl From<DatabaseError> for ObjectError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DiskFull => Self::DiskFull("database".into()),
            other => Self::Database(other),
        }
    }
}
