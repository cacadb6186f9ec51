//! What a commit says in the clear, and signs.

use seal::{DeviceId, Timestamp};
use serde::{Deserialize, Serialize};

use super::frontier::Frontier;
use super::id::{CommitId, EpochId, RealmId};

/// Version of the header.
pub const VERSION: u8 = 1;

/// What a commit is. New kinds go to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// The first commit: it makes the ledger.
    Genesis,
    /// The first commit of every other device: its certificates.
    Enter,
    /// Gives a member a role on a realm.
    Grant,
    /// Takes a member or a device away.
    Revoke,
    /// Makes a realm inside another one.
    Realm,
    /// Announces a new key of a realm.
    Rekey,
    /// Settles which branch of a forked chain counts.
    Resolve,
    /// Encrypted changes.
    Data,
    /// Limits what a member's storage devices are asked to keep.
    Limit,
}

impl Kind {
    /// True for commits whose body is clear and judged.
    pub fn is_control(self) -> bool {
        self != Self::Data
    }
}

/// One entry of what a commit has seen: a commit of another device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seen {
    /// Whose.
    pub device: DeviceId,
    /// Its number in its chain.
    pub seq: u64,
    /// Which.
    pub id: CommitId,
}

/// What the signature of a commit covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`].
    pub version: u8,
    /// The ledger's first commit; zero in that commit itself.
    pub ledger: CommitId,
    /// Whose chain this continues.
    pub device: DeviceId,
    /// Place in that chain, from 0, without gaps.
    pub seq: u64,
    /// The commit before it in that chain; zero at 0.
    pub previous: CommitId,
    /// What the device has seen of others since `previous`, sorted by device.
    pub seen: Vec<Seen>,
    /// [`super::Frontier::hash`] of everything that lies before this commit.
    pub frontier: [u8; 32],
    /// One more than the greatest of everything before it.
    pub lamport: u64,
    /// When, by the device's clock. Advisory: nothing is decided by it.
    pub time: Timestamp,
    /// Whether the device trusted its clock.
    pub sure: bool,
    /// The grant that it acts under; zero for the founding member, and where none is needed.
    pub cap: CommitId,
    /// The realm that it is about.
    pub realm: RealmId,
    /// The key that the body is sealed under; zero: the body is clear.
    pub epoch: EpochId,
    /// What it is.
    pub kind: Kind,
    /// Length of the body in bytes.
    pub body_len: u32,
    /// BLAKE3 of the body as it is stored.
    pub body_hash: [u8; 32],
}

impl Header {
    /// Of a ledger's first commit, which has seen nothing; length and hash of the body come when it is signed.
    pub fn genesis(device: DeviceId, time: Timestamp) -> Self {
        Self {
            version: VERSION,
            ledger: CommitId::ZERO,
            device,
            seq: 0,
            previous: CommitId::ZERO,
            seen: Vec::new(),
            frontier: Frontier::default().hash(),
            lamport: 1,
            time,
            sure: true,
            cap: CommitId::ZERO,
            realm: RealmId::ROOT,
            epoch: CommitId::ZERO,
            kind: Kind::Genesis,
            body_len: 0,
            body_hash: [0; 32],
        }
    }
}
