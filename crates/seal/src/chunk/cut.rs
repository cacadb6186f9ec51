//! Where files are cut: FastCDC (Xia et al., IEEE TPDS 2020) over a secret gear table, so that the lengths of chunks do not
//! tell a known file to whoever stores them.
//!
//! That is a hindrance, not a proof: somebody who has chosen parts of many files and sees the lengths of their chunks may
//! work the table out. Chunks are padded besides.

use super::{AVERAGE, MAX, MIN};
use crate::epoch::EpochKey;
use crate::labels;
use fastcdc::v2020::{Normalization, cut_gear, select_masks};
use std::fmt;
use std::io::{self, ErrorKind, Read};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Says where contents are cut. Contents that are cut with one key share the chunks that they have in common; it may
/// therefore be kept over a change of the epoch.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct CutKey {
    gear: [u64; 256],
    /// The same, shifted left by one: the algorithm takes two bytes in a step.
    shifted: [u64; 256],
}

impl CutKey {
    /// The cutting key of an epoch.
    #[must_use]
    pub fn of(epoch: &EpochKey) -> Self {
        let mut bytes = [0; 256 * 8];
        let mut expanded = blake3::Hasher::new_derive_key(labels::CUT_GEAR);
        expanded.update(&*epoch.derive(labels::EPOCH_CUT)).finalize_xof().fill(&mut bytes);
        let (words, _) = bytes.as_chunks();
        let mut key = Self { gear: [0; 256], shifted: [0; 256] };
        for ((gear, shifted), word) in key.gear.iter_mut().zip(&mut key.shifted).zip(words) {
            *gear = u64::from_le_bytes(*word);
            *shifted = *gear << 1;
        }
        bytes.zeroize();
        key
    }

    /// Length of the chunk at the beginning of `window`, which holds [`MAX`] bytes or all that is left.
    fn cut(&self, window: &[u8]) -> usize {
        let (strict, lax) = select_masks(AVERAGE, Normalization::Level2);
        cut_gear(window, MIN, AVERAGE, MAX, strict, lax, strict << 1, lax << 1, &self.gear, &self.shifted).1
    }
}

impl fmt::Debug for CutKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CutKey(***)")
    }
}

/// What a chunker begins with. Most files are small, and many chunkers are made.
const FIRST_BUFFER: usize = 64 * 1024;

/// Cuts a stream into chunks. Holds as much as it has seen, 8 MiB at most.
pub struct Chunker<'a, R> {
    key: &'a CutKey,
    input: R,
    buffer: Vec<u8>,
    /// What of the buffer was read and not yet handed out.
    start: usize,
    end: usize,
    /// Nothing more comes.
    ended: bool,
}

impl<'a, R: Read> Chunker<'a, R> {
    /// Cuts all that `input` yields.
    #[must_use]
    pub fn new(key: &'a CutKey, input: R) -> Self {
        Self { key, input, buffer: vec![0; FIRST_BUFFER], start: 0, end: 0, ended: false }
    }

    /// The next chunk; none at the end.
    ///
    /// # Errors
    /// What `input` says. The chunker may be asked again.
    pub fn next_chunk(&mut self) -> io::Result<Option<&[u8]>> {
        self.fill()?;
        let start = self.start;
        self.start += self.key.cut(&self.buffer[start..self.end]);
        Ok((start < self.start).then(|| &self.buffer[start..self.start]))
    }

    /// Reads until a whole chunk lies in the buffer, whatever its length.
    fn fill(&mut self) -> io::Result<()> {
        while !self.ended && self.end - self.start < MAX {
            if self.end == self.buffer.len() {
                self.make_room();
            }
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A full buffer of less than a chunk: grows, or, once large, forgets what was handed out.
    fn make_room(&mut self) {
        if self.buffer.len() < 2 * MAX {
            self.buffer.resize(2 * self.buffer.len(), 0);
        } else {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }
}
