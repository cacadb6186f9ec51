//! Contents of files: cut where the content says so, compressed where that helps, sealed chunk by chunk. Byte format:
//! `docs/formats/chunk.md`.
//!
//! Invariants: memory is bounded by a few chunks whatever the size of the file; equal chunks have equal ids inside one epoch
//! of a realm (they are stored once) and unrelated ones elsewhere (nobody without the key can ask whether somebody has a
//! known file); a chunk opens as what its writer sealed, or not at all.

mod cut;
mod open;
mod seal;

pub use cut::{Chunker, CutKey};
pub use open::{ChunkError, ChunkOpener};
pub use seal::{Chunk, ChunkSealer, ContentKey, Fingerprint, Plain, SealError};

use crate::padding;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Shortest chunk, but for the last one of a file. Files up to this size are one chunk.
pub const MIN: usize = 256 * 1024;
/// Length that chunks are cut to where the content allows.
pub const AVERAGE: usize = 1024 * 1024;
/// Longest chunk.
pub const MAX: usize = 4 * 1024 * 1024;
/// Longest object that a chunk is stored as.
pub const MAX_STORED: usize = 1 + padding::padded(MAX + 1) + TAG;

const VERSION: u8 = 1;
const TAG: usize = 16;
/// Each key seals one message only, so the nonce may be a constant.
const NONCE: [u8; 12] = [0; 12];
/// Last byte of the content: the rest is the chunk.
const PLAIN: u8 = 0;
/// Last byte of the content: the rest is a zstd frame, then the length of the chunk (u32, big endian).
const COMPRESSED: u8 = 1;

/// The key of one chunk. It stands beside the chunk's id in the (sealed) list of a file's chunks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct ChunkKey([u8; 32]);

impl ChunkKey {
    /// The key with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 secret bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// AES-256-GCM (NIST SP 800-38D) under this key.
    fn cipher(&self) -> ring::aead::LessSafeKey {
        let key = ring::aead::UnboundKey::new(&ring::aead::AES_256_GCM, &self.0);
        ring::aead::LessSafeKey::new(key.expect("AES-256 takes keys of 32 bytes"))
    }
}

impl fmt::Debug for ChunkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkKey(***)")
    }
}
