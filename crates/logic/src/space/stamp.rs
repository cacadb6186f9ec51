//! Where a change comes from, and which of two changes is the later one.
//!
//! The few facts of the ledger that the fold needs. Names of commits and realms, and frontiers, are the ledger's own.
//!
//! Invariants: [`Stamp`] is a total order in which whatever was made in the knowledge of something else comes after it
//! (the lamport number grows along the causal order); it never looks at a clock.

use std::fmt;

use seal::{DeviceId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ledger::{CommitId, Header, RealmId};

/// In a body: the commit that the body belongs to, which cannot know its own id.
pub(super) const OWN: CommitId = CommitId::ZERO;

/// What the fold needs of the header of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its id.
    pub commit: CommitId,
    /// Who made it.
    pub device: DeviceId,
    /// Its number in the chain of the device.
    pub seq: u64,
    /// 1 + the greatest of everything that it follows.
    pub lamport: u64,
    /// What the clock of the device said; advisory, decides nothing.
    pub time: Timestamp,
    /// The realm that it writes to.
    pub realm: RealmId,
}

impl Origin {
    /// Of the commit with that id and header.
    pub fn of(commit: CommitId, header: &Header) -> Self {
        let Header { device, seq, lamport, time, realm, .. } = *header;
        Self { commit, device, seq, lamport, time, realm }
    }

    /// The place of one of its changes in the total order.
    pub fn stamp(&self, index: u32) -> Stamp {
        Stamp { lamport: self.lamport, device: self.device, seq: self.seq, commit: self.commit, index }
    }
}

/// A change of a commit, by its number in the body. Of a version: its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VersionId {
    /// The commit; [`CommitId::ZERO`] in the body of the commit itself.
    pub commit: CommitId,
    /// Number of the change, from 0.
    pub index: u32,
}

impl VersionId {
    /// Change number `index` of the commit in whose body this is written.
    pub const fn own(index: u32) -> Self {
        Self { commit: OWN, index }
    }

    /// The id from outside of the commit, for one that was read in the body of `own`.
    pub(super) fn seen_from(self, own: CommitId) -> Self {
        if self.commit == OWN { Self { commit: own, ..self } } else { self }
    }
}

impl fmt::Debug for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.{}", self.commit, self.index)
    }
}

/// The total order of changes: lamport number, then device, then commit, then number in the commit.
///
/// The sequence number adds nothing to the order (it grows with the lamport number); it is here so that a frontier can
/// be asked whether it covers the change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Lamport number of the commit.
    pub lamport: u64,
    /// Who made it.
    pub device: DeviceId,
    /// Number of the commit in the chain of the device.
    pub seq: u64,
    /// The commit.
    pub commit: CommitId,
    /// Number of the change in the commit.
    pub index: u32,
}

impl Stamp {
    /// Before every change: of what is there from the beginning.
    pub const FIRST: Self = Self { lamport: 0, device: DeviceId::from_bytes([0; 32]), seq: 0, commit: OWN, index: 0 };

    /// Names the change.
    pub fn id(&self) -> VersionId {
        VersionId { commit: self.commit, index: self.index }
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:?}:{:?}", self.lamport, self.device, self.id())
    }
}
