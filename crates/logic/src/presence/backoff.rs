//! Pauses between dials: doubled each time, spread by a quarter to both sides so that many devices do not dial in step.

use std::time::Duration;

use super::{PAUSE_MAX, PAUSE_MIN};

/// A small generator for jitter (SplitMix64, Steele et al. 2014). Predictable: never for secrets.
#[derive(Debug, Clone)]
pub(super) struct Jitter(u64);

impl Jitter {
    /// Starts from any number; different devices should use different ones.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The pause after so many failures in a row.
    pub(super) fn pause(&mut self, failures: u32) -> Duration {
        let doubled = PAUSE_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(PAUSE_MAX);
        let permille = u32::try_from(750 + self.next() % 501).unwrap_or(1000);
        doubled * permille / 1000
    }
}
