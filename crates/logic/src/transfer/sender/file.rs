//! One file on its way, and its next block.

use crate::transfer::hash::{FileHash, Value, block_count, block_len};
use std::collections::BTreeMap;

/// One block to be read and hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Which file.
    pub entry: u32,
    /// Which reading of it.
    pub generation: u8,
    /// Which block.
    pub block: u32,
    /// Size of the whole file, as it was listed or noticed last.
    pub size: u64,
    /// Bytes in the block.
    pub len: u32,
    /// What the receiver holds at this place: if the block has this value, it need not travel.
    pub held: Option<Value>,
}

impl Job {
    /// True if the block is the whole file: then the file must be found unchanged before the block is sent.
    pub fn is_whole(&self) -> bool {
        block_count(self.size) == 1
    }
}

/// What the receiver said about its blocks of a file.
#[derive(Debug, Default)]
pub(super) struct TheirHeld {
    pub said: u32,
    pub end: bool,
    pub values: BTreeMap<u32, Value>,
}

/// A file that the receiver has not confirmed.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub size: u64,
    pub generation: u8,
    /// First block that was not given to a reader.
    pub next: u32,
    pub hash: FileHash,
    /// `None` where nothing can be there: everything is sent.
    pub held: Option<TheirHeld>,
    pub queued: bool,
}

impl Outgoing {
    pub fn new(size: u64) -> Self {
        Self { size, generation: 0, next: 0, hash: FileHash::new(size), held: None, queued: false }
    }

    pub fn is_dispatched(&self) -> bool {
        u64::from(self.next) >= block_count(self.size)
    }

    /// Whether its next block may be read now.
    pub fn is_ready(&self) -> bool {
        self.held.as_ref().is_none_or(|held| held.end || self.next < held.said)
    }

    pub fn job(&mut self, entry: u32) -> Job {
        let block = self.next;
        self.next += 1;
        let held = self.held.as_mut().and_then(|held| held.values.remove(&block));
        let len = block_len(self.size, block);
        Job { entry, generation: self.generation, block, size: self.size, len, held }
    }
}
