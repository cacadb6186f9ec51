//! How many values each part has, and a sum that depends on every one of them.
//!
//! The sum is that of keyed hashes of the nonces: whoever has no key cannot say what a removed, doubled or older row
//! changes in it. So a check of the whole file notices also what opens well but is not what was written last.

use super::error::{Part, SpaceError};
use super::keys::Keys;

const PARTS: usize = Part::COUNTED.len();
const EACH: usize = 24;

/// The totals of all parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally([(u64, u128); PARTS]);

impl Tally {
    /// A body takes the place of another, comes or goes.
    pub(super) fn swap(&mut self, keys: &Keys, part: Part, old: Option<&[u8]>, new: Option<&[u8]>) {
        let Some((count, sum)) = self.0.get_mut(part.number()) else { return };
        if let Some(old) = old {
            *count = count.wrapping_sub(1);
            *sum = sum.wrapping_sub(keys.fingerprint(old));
        }
        if let Some(new) = new {
            *count = count.wrapping_add(1);
            *sum = sum.wrapping_add(keys.fingerprint(new));
        }
    }

    /// A part is emptied.
    pub(super) fn clear(&mut self, part: Part) {
        if let Some(slot) = self.0.get_mut(part.number()) {
            *slot = (0, 0);
        }
    }

    /// The parts in which the two differ.
    pub(super) fn differences(&self, other: &Self) -> impl Iterator<Item = Part> {
        Part::COUNTED.into_iter().zip(self.0.iter().zip(&other.0)).filter(|(_, (a, b))| a != b).map(|(part, _)| part)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(count, sum)| count.to_le_bytes().into_iter().chain(sum.to_le_bytes())).collect()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, SpaceError> {
        if bytes.len() != PARTS * EACH {
            return Err(SpaceError::Damaged(Part::File));
        }
        let mut tally = Self::default();
        for (slot, bytes) in tally.0.iter_mut().zip(bytes.chunks_exact(EACH)) {
            let (count, sum) = bytes.split_at(8);
            let wrong = |_| SpaceError::Damaged(Part::File);
            *slot = (
                u64::from_le_bytes(count.try_into().map_err(wrong)?),
                u128::from_le_bytes(sum.try_into().map_err(wrong)?),
            );
        }
        Ok(tally)
    }
}
