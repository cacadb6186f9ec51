//! What became of every entry, in the order of the listing, as one hash: the *content root* of the receipt.
//!
//! Entries finish in any order. Outcomes wait here until their turn, so memory is bounded by the window; what is
//! behind the cursor is only a hash.

use super::hash::Value;
use std::collections::BTreeMap;

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A directory or symbolic link was made.
    Made,
    /// A file with this BLAKE3 hash is there.
    File(Value),
    /// The sender could not send it.
    Failed,
    /// The receiver could not hold it.
    Skipped,
}

/// Outcomes in the order of the listing.
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    next: u32,
    waiting: BTreeMap<u32, Outcome>,
    hasher: blake3::Hasher,
}

impl Outcomes {
    /// Notes an outcome; a later one for the same entry replaces it as long as it waits.
    pub fn set(&mut self, entry: u32, outcome: Outcome) {
        if entry >= self.next {
            self.waiting.insert(entry, outcome);
        }
    }

    /// True if the outcome of this entry is known.
    pub fn knows(&self, entry: u32) -> bool {
        entry < self.next || self.waiting.contains_key(&entry)
    }

    /// Moves the cursor over known outcomes, at most up to `end`, and gives it.
    pub fn advance(&mut self, end: u32) -> u32 {
        while self.next < end {
            let Some(outcome) = self.waiting.remove(&self.next) else { break };
            match outcome {
                Outcome::Made => self.hasher.update(&[0]),
                Outcome::File(hash) => self.hasher.update(&[1]).update(&hash),
                Outcome::Failed => self.hasher.update(&[2]),
                Outcome::Skipped => self.hasher.update(&[3]),
            };
            self.next += 1;
        }
        self.next
    }

    /// The first entry whose outcome is not behind the cursor.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// The content root: over the listing and all outcomes behind the cursor.
    pub fn root(&self, listing: &Value) -> Value {
        let mut root = blake3::Hasher::new();
        root.update(listing).update(self.hasher.finalize().as_bytes());
        root.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_does_not_depend_on_the_order_of_arrival() {
        let all = [Outcome::Made, Outcome::File([1; 32]), Outcome::Failed, Outcome::Skipped];
        let root = |order: [usize; 4]| {
            let mut outcomes = Outcomes::default();
            for entry in order {
                outcomes.set(entry as u32, all[entry]);
                outcomes.advance(u32::MAX);
            }
            assert_eq!(outcomes.next(), 4);
            outcomes.root(&[9; 32])
        };
        assert_eq!(root([0, 1, 2, 3]), root([3, 1, 0, 2]));
    }

    #[test]
    fn the_root_depends_on_every_outcome_and_the_listing() {
        let root = |outcome, listing| {
            let mut outcomes = Outcomes::default();
            outcomes.set(0, outcome);
            outcomes.advance(1);
            outcomes.root(&listing)
        };
        let roots = [
            root(Outcome::Made, [0; 32]),
            root(Outcome::Failed, [0; 32]),
            root(Outcome::Skipped, [0; 32]),
            root(Outcome::File([0; 32]), [0; 32]),
            root(Outcome::File([1; 32]), [0; 32]),
            root(Outcome::Made, [1; 32]),
        ];
        for (n, one) in roots.iter().enumerate() {
            assert!(!roots[n + 1..].contains(one));
        }
    }
}
