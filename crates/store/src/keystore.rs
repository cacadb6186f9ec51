//! The file of sealed keys, and how long to wait after wrong passphrases.
//!
//! What is in the file is the business of `seal::vault`. The delay is for people and scripts that try passphrases
//! through Warren; somebody who has copied the file pays with Argon2id instead.

use std::io;
use std::time::Duration;

use seal::Timestamp;
use serde::{Deserialize, Serialize};

use crate::durable::{self, Existing};
use crate::home::Home;

/// Longest wait after a wrong passphrase.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Reads the sealed keys.
pub fn load(home: &Home) -> io::Result<Vec<u8>> {
    std::fs::read(home.keystore())
}

/// Stores the sealed keys of a new device; fails with `AlreadyExists` where there is one.
pub fn create(home: &Home, sealed: &[u8]) -> io::Result<()> {
    durable::write(&home.keystore(), sealed, Existing::Keep)
}

/// Replaces the sealed keys, durably and in one step.
pub fn replace(home: &Home, sealed: &[u8]) -> io::Result<()> {
    durable::write(&home.keystore(), sealed, Existing::Replace)
}

/// Wrong passphrases since the last right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// How many.
    pub failures: u32,
    /// No further attempt before this.
    pub not_before: Timestamp,
}

impl Attempts {
    /// What is on record; a missing or damaged record counts as none.
    pub fn load(home: &Home) -> io::Result<Self> {
        match std::fs::read(home.attempts()) {
            Ok(bytes) => Ok(Self::decode(&bytes).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(e),
        }
    }

    /// How long to wait before the next attempt. A clock that was set back does not make it longer than the delay.
    pub fn wait(&self, now: Timestamp) -> Duration {
        self.not_before.since(now).min(delay(self.failures))
    }

    /// Records a wrong passphrase.
    pub fn fail(home: &Home, now: Timestamp) -> io::Result<Self> {
        let failures = Self::load(home)?.failures.saturating_add(1);
        let attempts = Self { failures, not_before: now.plus(delay(failures)) };
        let bytes = postcard::to_extend(&attempts, vec![VERSION]).map_err(io::Error::other)?;
        durable::write(&home.attempts(), &bytes, Existing::Replace)?;
        Ok(attempts)
    }

    /// Records the right passphrase.
    pub fn succeed(home: &Home) -> io::Result<()> {
        durable::remove(&home.attempts())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, rest) = bytes.split_first()? else {
            return None;
        };
        postcard::from_bytes(rest).ok()
    }
}

/// Version of the record of attempts.
const VERSION: u8 = 1;

/// The delay after so many wrong passphrases in a row: 0, 0, 0, 1, 2, 4, ... 60 seconds. Two mistypes are free.
pub fn delay(failures: u32) -> Duration {
    match failures.checked_sub(3) {
        None => Duration::ZERO,
        Some(doublings) => Duration::from_secs(1u64 << doublings.min(6)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_delay_grows_to_a_minute() {
        let seconds: Vec<u64> = (0..11).map(|n| delay(n).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(delay(u32::MAX), LONGEST_WAIT);
    }

    #[test]
    fn failures_outlive_the_process_and_the_right_passphrase_clears_them() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(dir.path()).unwrap();
        let now = Timestamp::from_seconds(1_000_000);
        for _ in 0..4 {
            Attempts::fail(&home, now).unwrap();
        }
        let attempts = Attempts::load(&home).unwrap();
        assert_eq!(attempts.wait(now), Duration::from_secs(2));
        assert_eq!(attempts.wait(now.plus(Duration::from_secs(3))), Duration::ZERO);
        assert_eq!(attempts.wait(Timestamp(0)), Duration::from_secs(2), "the clock was set back");
        Attempts::succeed(&home).unwrap();
        assert_eq!(Attempts::load(&home).unwrap(), Attempts::default());

        std::fs::write(home.attempts(), b"\x07garbage").unwrap();
        assert_eq!(Attempts::load(&home).unwrap(), Attempts::default());
    }

    #[test]
    fn a_keystore_is_never_created_over_another() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(dir.path()).unwrap();
        create(&home, b"first").unwrap();
        assert_eq!(create(&home, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        replace(&home, b"third").unwrap();
        assert_eq!(load(&home).unwrap(), b"third");
    }
}
