//! Values of the local database, sealed so that a locked home reveals nothing and a value cannot be moved to another
//! row or table (see `docs/formats/sealed-record.md`).
//!
//! Each table has its own keys, derived from the device's [`RecordKey`]; table and row id are associated data.

use crate::labels;
use crate::random::random;
use crate::xaead;
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const VERSION: u8 = 1;

/// The key under which this device's database is sealed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecordKey([u8; 32]);

/// The record was not sealed under this key for this table and row, or was changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A later version of Warren wrote it.
    #[error("the record was written by a newer version")]
    TooNew,
    /// Changed, moved from another row, or sealed under another key.
    #[error("the record is damaged or not ours")]
    Damaged,
}

impl RecordKey {
    /// A fresh key.
    #[must_use]
    pub fn generate() -> Self {
        Self(random())
    }

    /// The key with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The keys of one table, for whoever has many rows to seal: deriving them takes as long as sealing a short row.
    #[must_use]
    pub fn table(&self, table: &str) -> TableKey {
        let hkdf = Hkdf::<Sha256>::new(None, &self.0);
        let derive = |label: &[u8]| {
            let mut key = [0; 32];
            hkdf.expand_multi_info(&[label, table.as_bytes()], &mut key).expect("HKDF yields up to 8160 bytes");
            key
        };
        let length = u32::try_from(table.len()).expect("table names are short constants");
        TableKey {
            seal: derive(labels::RECORD_SEAL),
            blind: derive(labels::RECORD_BLIND),
            prefix: [&[VERSION], &length.to_be_bytes()[..], table.as_bytes()].concat(),
        }
    }

    /// Seals `plain` as the value of row `id` of `table`: 41 bytes longer than `plain`.
    #[must_use]
    pub fn seal(&self, table: &str, id: &[u8], plain: &[u8]) -> Vec<u8> {
        self.table(table).seal(id, plain)
    }

    /// Opens the value of row `id` of `table`.
    ///
    /// # Errors
    /// [`RecordError`] when it is not the value that was sealed for this row.
    pub fn open(&self, table: &str, id: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, RecordError> {
        self.table(table).open(id, sealed)
    }

    /// A keyed hash of `value`, to look rows up without storing what they are about. Equal values of one table have
    /// equal blinds; without the key nothing about the value can be tried out.
    #[must_use]
    pub fn blind(&self, table: &str, value: &[u8]) -> [u8; 16] {
        self.table(table).blind(value)
    }
}

/// The keys of one table of the database, from [`RecordKey::table`].
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct TableKey {
    seal: [u8; 32],
    blind: [u8; 32],
    /// `version ‖ length of the table's name (u32, big endian) ‖ name`: what the associated data begins with.
    prefix: Vec<u8>,
}

impl TableKey {
    /// As [`RecordKey::seal`].
    #[must_use]
    pub fn seal(&self, id: &[u8], plain: &[u8]) -> Vec<u8> {
        let sealed = xaead::seal(&self.seal, &self.associated(id), plain);
        let mut bytes = Vec::with_capacity(1 + sealed.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&sealed);
        bytes
    }

    /// As [`RecordKey::open`].
    ///
    /// # Errors
    /// [`RecordError`] when it is not the value that was sealed for this row.
    pub fn open(&self, id: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, RecordError> {
        let (&version, body) = sealed.split_first().ok_or(RecordError::Damaged)?;
        match version {
            VERSION => xaead::open(&self.seal, &self.associated(id), body)
                .map(Zeroizing::new)
                .map_err(|_| RecordError::Damaged),
            0 => Err(RecordError::Damaged),
            _ => Err(RecordError::TooNew),
        }
    }

    /// As [`RecordKey::blind`].
    #[must_use]
    pub fn blind(&self, value: &[u8]) -> [u8; 16] {
        let hash = blake3::keyed_hash(&self.blind, value);
        *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
    }

    fn associated(&self, id: &[u8]) -> Vec<u8> {
        [&self.prefix, id].concat()
    }
}

impl fmt::Debug for TableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TableKey(***)")
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKey(***)")
    }
}
