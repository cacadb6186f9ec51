//! What devices notice, and what happens on them.

use std::collections::BTreeSet;

use seal::DeviceId;

use crate::Misbehaved;
use crate::ledger::{CommitId, EpochId, HeadStatement, Why};

/// What a device notices, as the log and the detectors hear of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// Broke a rule; the session ended.
    Offence(usize, Misbehaved),
    /// Two commits with one number.
    Fork(DeviceId),
    /// Two statements, the later of which says less.
    Rollback(DeviceId),
    /// Shows less than it signed.
    Withheld(usize),
    /// Told of what it does not give.
    NotGiven(usize),
    /// Somebody named what nobody gives.
    Gap,
    /// Signed what does not count.
    Void(DeviceId, Reason),
    /// A key was sealed to this device that is not the one of its epoch.
    WrongKey(DeviceId),
    /// There is a key of a realm that this device may read, and not for it.
    KeyMissing,
    /// From the future.
    ClockAhead(DeviceId),
    /// A body that does not open, or is no list of changes.
    Unreadable(DeviceId),
    /// A change that can never count.
    Refused(DeviceId),
    /// The own disk is older than what was signed.
    OlderDisk,
}

/// [`Why`] without whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Forked,
    Cap,
    Role,
    Realm,
    Revoked,
    Circular,
    Founder,
}

impl From<Why> for Reason {
    fn from(why: Why) -> Self {
        match why {
            Why::Forked => Self::Forked,
            Why::CapVoid => Self::Cap,
            Why::RoleTooLow => Self::Role,
            Why::OutsideRealm => Self::Realm,
            Why::Revoked(_) => Self::Revoked,
            Why::Circular => Self::Circular,
            Why::NotFounder => Self::Founder,
        }
    }
}

/// What happened on a device, for whoever checks.
#[derive(Debug)]
pub(super) enum Happened {
    /// It stored a commit.
    Stored(CommitId, DeviceId, u64),
    /// It signed one.
    Signed(CommitId),
    /// It signed what it holds.
    Stated(HeadStatement),
    /// It wrote something under a key.
    Wrote { epoch: EpochId, clean: bool, readers: BTreeSet<DeviceId> },
    /// It noticed something.
    Noticed(Alarm),
}
