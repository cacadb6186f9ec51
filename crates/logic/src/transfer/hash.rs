//! Content hashes, block by block.
//!
//! A file is cut into blocks of 1 MiB. A block's *value* is its BLAKE3 chaining value at its place in the file (the
//! root hash itself if the file is one block), so the values of all blocks merge into the plain BLAKE3 hash of the
//! file: what `b3sum` prints. Neither side reads a file twice for it, and a bad block is found as soon as it is there.
//!
//! A [`VerifiedBlock`] can only be made by hashing the bytes and comparing; the receiver counts nothing else.

use super::lane::Piece;
use crate::Misbehaved;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use std::collections::BTreeMap;

/// Bytes in a block; only the last block of a file may be shorter.
pub const BLOCK: u64 = 1 << 20;

/// BLAKE3 value of a block, or hash of a file.
pub type Value = [u8; 32];

/// How many blocks a file of `size` bytes has.
pub fn block_count(size: u64) -> u64 {
    size.div_ceil(BLOCK)
}

/// Length of one block of a file of `size` bytes; zero behind its end.
pub fn block_len(size: u64, block: u32) -> u32 {
    let left = size.saturating_sub(u64::from(block) * BLOCK);
    u32::try_from(left.min(BLOCK)).unwrap_or(u32::MAX)
}

/// Value of block number `block` of a file of `size` bytes.
pub fn block_value(size: u64, block: u32, bytes: &[u8]) -> Value {
    if block_count(size) <= 1 {
        return blake3::hash(bytes).into();
    }
    blake3::Hasher::new().set_input_offset(u64::from(block) * BLOCK).update(bytes).finalize_non_root()
}

/// True if all bytes are zero; finds the opposite within a few bytes of ordinary content.
pub fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| *chunk == ZEROS[..chunk.len()])
}

/// A block whose bytes were hashed here and gave the value that came with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedBlock {
    entry: u32,
    generation: u8,
    block: u32,
    value: Value,
}

impl VerifiedBlock {
    /// Hashes `bytes` (the content of a file of `size` bytes at the piece's place) and compares.
    pub fn check(piece: &Piece, size: u64, bytes: &[u8]) -> Result<Self, Misbehaved> {
        if block_value(size, piece.block, bytes) != piece.value {
            return Err(Misbehaved::WrongBlockHash);
        }
        Ok(Self::of(piece))
    }

    /// For a block that this side hashed itself before, when it said what it holds.
    pub(super) fn held(piece: &Piece, held: &Value) -> Result<Self, Misbehaved> {
        if *held != piece.value {
            return Err(Misbehaved::WrongBlockHash);
        }
        Ok(Self::of(piece))
    }

    fn of(piece: &Piece) -> Self {
        Self { entry: piece.entry, generation: piece.generation, block: piece.block, value: piece.value }
    }

    /// Number of the entry in the listing.
    pub fn entry(&self) -> u32 {
        self.entry
    }

    /// Which reading of the file it belongs to.
    pub fn generation(&self) -> u8 {
        self.generation
    }

    /// Number of the block in its file.
    pub fn block(&self) -> u32 {
        self.block
    }

    /// Its value.
    pub fn value(&self) -> Value {
        self.value
    }
}

/// Merges block values, in any order of arrival, into the hash of the file.
#[derive(Debug, Clone)]
pub struct FileHash {
    blocks: u64,
    next: u64,
    /// Subtrees of falling size, the last of which is never merged before it is known whether it is the root.
    stack: Vec<Value>,
    /// Values that came before their turn; bounded by how far lanes run apart.
    early: BTreeMap<u32, Value>,
}

impl FileHash {
    /// For a file of `size` bytes.
    pub fn new(size: u64) -> Self {
        Self { blocks: block_count(size), next: 0, stack: Vec::new(), early: BTreeMap::new() }
    }

    /// True if the value of this block is known.
    pub fn has(&self, block: u32) -> bool {
        u64::from(block) < self.next || self.early.contains_key(&block)
    }

    /// Takes the value of a block; each block once.
    pub fn set(&mut self, block: u32, value: Value) {
        self.early.insert(block, value);
        while let Ok(next) = u32::try_from(self.next) {
            let Some(value) = self.early.remove(&next) else { break };
            self.push(value);
        }
    }

    /// As BLAKE3 itself does (paper, section 5.1.2): after `n` leaves the stack holds one subtree per bit of `n`.
    fn push(&mut self, value: Value) {
        while self.stack.len() > self.next.count_ones() as usize {
            self.merge_top();
        }
        self.stack.push(value);
        self.next += 1;
    }

    fn merge_top(&mut self) {
        if let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) {
            self.stack.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
    }

    /// How many values wait for their turn.
    pub fn early(&self) -> usize {
        self.early.len()
    }

    /// The hash of the file once all blocks are known.
    pub fn finish(&self) -> Option<Value> {
        if self.next != self.blocks {
            return None;
        }
        let mut stack = self.stack.iter().rev();
        let Some(mut right) = stack.next().copied() else {
            return Some(blake3::hash(b"").into());
        };
        let mut left = stack.peekable();
        while let Some(value) = left.next() {
            right = match left.peek() {
                Some(_) => merge_subtrees_non_root(value, &right, Mode::Hash),
                None => merge_subtrees_root(value, &right, Mode::Hash).into(),
            };
        }
        Some(right)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn merged_values_are_the_plain_hash_in_any_order() {
        for blocks in [0u64, 1, 2, 3, 4, 5, 7, 8, 9] {
            for tail in [1, BLOCK - 1, BLOCK] {
                let size = if blocks == 0 { 0 } else { (blocks - 1) * BLOCK + tail };
                let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
                let mut order: Vec<u32> = (0..blocks as u32).collect();
                order.sort_by_key(|n| n.wrapping_mul(2_654_435_761));
                let mut hash = FileHash::new(size);
                for block in order {
                    assert_eq!(hash.finish(), None);
                    let from = (u64::from(block) * BLOCK) as usize;
                    let part = &bytes[from..from + block_len(size, block) as usize];
                    hash.set(block, block_value(size, block, part));
                    assert!(hash.has(block));
                }
                assert_eq!(hash.finish().unwrap(), *blake3::hash(&bytes).as_bytes(), "{blocks} {tail}");
            }
        }
    }

    #[test]
    fn the_value_depends_on_the_place() {
        let bytes = vec![7; BLOCK as usize];
        assert_ne!(block_value(2 * BLOCK, 0, &bytes), block_value(2 * BLOCK, 1, &bytes));
    }

    #[test]
    fn zero_is_zero() {
        let mut bytes = vec![0; 10_000];
        assert!(is_zero(&bytes) && is_zero(&[]));
        bytes[9_999] = 1;
        assert!(!is_zero(&bytes));
    }
}
