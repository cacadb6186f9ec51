//! What is preserved of a file besides its contents.

use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time as file systems keep it: seconds since the Unix epoch (may be negative) and nanoseconds within the
/// second (0..1,000,000,000).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileTime {
    /// Seconds since 1970-01-01 UTC.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

impl FileTime {
    pub(crate) fn from_stat(seconds: i64, nanos: u64) -> Self {
        Self { seconds, nanos: u32::try_from(nanos).unwrap_or(0) }
    }

    /// For `futimens`: this as modification time, the access time as it is. Nanoseconds out of range (they come from
    /// a peer) count as the last of the second.
    pub(crate) fn as_timestamps(self) -> rustix::fs::Timestamps {
        let nanos = self.nanos.min(999_999_999);
        rustix::fs::Timestamps {
            last_access: rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
            last_modification: rustix::fs::Timespec { tv_sec: self.seconds, tv_nsec: nanos.into() },
        }
    }
}

impl From<SystemTime> for FileTime {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => {
                Self { seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX), nanos: after.subsec_nanos() }
            }
            Err(before) => {
                let before = before.duration();
                let seconds = -i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                match before.subsec_nanos() {
                    0 => Self { seconds, nanos: 0 },
                    nanos => Self { seconds: seconds.saturating_sub(1), nanos: 1_000_000_000 - nanos },
                }
            }
        }
    }
}

/// What is preserved of a file besides its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FileMeta {
    /// Modification time.
    pub modified: FileTime,
    /// May the owner execute it?
    pub executable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_before_the_epoch_round_down() {
        let time = UNIX_EPOCH - Duration::from_millis(1_250);
        assert_eq!(FileTime::from(time), FileTime { seconds: -2, nanos: 750_000_000 });
        assert_eq!(FileTime::from(UNIX_EPOCH - Duration::from_secs(3)), FileTime { seconds: -3, nanos: 0 });
    }
}
