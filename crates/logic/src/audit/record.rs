//! An event as it is stored: a version byte, then postcard.

use seal::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Event;

/// Version of stored records.
const VERSION: u8 = 1;

/// An event with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// A stored record that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadRecord {
    /// Written by a newer version of the program.
    #[error("the record was written by a newer version (format {0})")]
    TooNew(u8),
    /// Not a record.
    #[error("the record is damaged")]
    Damaged,
}

impl Record {
    /// The bytes to store.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION]).expect("a record has only types that postcard can write")
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`BadRecord`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadRecord> {
        match bytes {
            [VERSION, body @ ..] => postcard::from_bytes(body).map_err(|_| BadRecord::Damaged),
            [version, ..] if *version > VERSION => Err(BadRecord::TooNew(*version)),
            _ => Err(BadRecord::Damaged),
        }
    }
}
