//! One file on its way in.

use super::super::hash::{FileHash, Value, block_count, block_len};
use super::super::lane::Piece;
use super::super::limits::EARLY_BLOCKS;
use super::super::listing::Mtime;
use super::super::outcome::Outcome;
use super::super::path::RelPath;
use crate::Misbehaved;
use std::collections::{BTreeMap, BTreeSet};

/// What is to happen once no block of the old reading is being written any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Read back what is there.
    ReadBack,
    /// Remove it, with this outcome.
    Remove(Outcome),
}

/// What the other side was told about blocks that lie here already.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The first block that nothing was said about yet.
    pub said: u32,
    /// True once everything was said.
    pub end: bool,
    /// Values of blocks that were said to be here, until the sender answers.
    pub values: BTreeMap<u32, Value>,
}

/// A listed file that is not complete.
#[derive(Debug)]
pub(super) struct Incoming {
    pub path: RelPath,
    pub size: u64,
    pub mtime: Mtime,
    pub exec: bool,
    pub generation: u8,
    pub hash: FileHash,
    /// Hash that the sender declared (files of several blocks).
    pub claimed: Option<Value>,
    /// `None` in a fresh run: everything is wanted.
    pub held: Option<Held>,
    /// Blocks that are being verified and written now.
    pub admitted: BTreeSet<u32>,
    /// Set while blocks of an old reading are still being written.
    pub draining: Option<Then>,
    pub verified: u64,
    pub weight: usize,
}

impl Incoming {
    pub fn blocks(&self) -> u64 {
        block_count(self.size)
    }

    /// Checks a block's place; marks it as being written. Gives the value that was read back for it, if any.
    pub fn admit(&mut self, piece: &Piece) -> Result<Option<Value>, Misbehaved> {
        if u64::from(piece.block) >= self.blocks() {
            return Err(Misbehaved::BlockBeyondEnd);
        }
        if piece.len != block_len(self.size, piece.block) {
            return Err(Misbehaved::BlockLengthWrong);
        }
        if self.hash.has(piece.block) || self.admitted.contains(&piece.block) {
            return Err(Misbehaved::BlockTwice);
        }
        if self.hash.early() + self.admitted.len() >= EARLY_BLOCKS {
            return Err(Misbehaved::ListingTooFarAhead);
        }
        let held = match &mut self.held {
            None => None,
            Some(held) if !held.end && piece.block >= held.said => return Err(Misbehaved::ContentBeforeWanted),
            Some(held) => held.values.remove(&piece.block),
        };
        self.admitted.insert(piece.block);
        Ok(held)
    }

    /// Begins a new reading of the file.
    pub fn restart(&mut self, generation: u8, size: u64, mtime: Mtime) {
        self.generation = generation;
        self.size = size;
        self.mtime = mtime;
        self.hash = FileHash::new(size);
        self.claimed = None;
        self.held = Some(Held::default());
        self.verified = 0;
    }

    /// The file's hash, once all blocks are verified and the sender declared the same.
    pub fn finished(&self) -> Result<Option<Value>, Misbehaved> {
        let Some(hash) = self.hash.finish() else { return Ok(None) };
        match self.claimed {
            _ if self.blocks() <= 1 => Ok(Some(hash)),
            Some(claimed) if claimed != hash => Err(Misbehaved::FileHashWrong),
            claimed => Ok(claimed),
        }
    }
}
