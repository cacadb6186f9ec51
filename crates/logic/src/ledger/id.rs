//! Names of commits, realms and epochs: all of them follow from signed bytes, nobody chooses them.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Separates commit ids from every other hash.
const COMMIT_CONTEXT: &str = "warren 2026-11 commit id v1";

/// Names a commit: BLAKE3 of its header as it was received, without the signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommitId([u8; 32]);

/// Names an epoch: the commit that announced its key.
pub type EpochId = CommitId;

impl CommitId {
    /// No commit.
    pub const ZERO: Self = Self([0; 32]);

    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// True for [`Self::ZERO`].
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// The id of the commit with this header.
    pub(super) fn of_header(bytes: &[u8]) -> Self {
        Self(blake3::derive_key(COMMIT_CONTEXT, bytes))
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0[..4]))
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// Names a realm: the first half of the id of the commit that made it, so that nobody can make a realm twice with
/// another parent. All zero: the root realm.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RealmId([u8; 16]);

impl RealmId {
    /// The realm that every ledger begins with.
    pub const ROOT: Self = Self([0; 16]);

    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The realm that this commit makes.
    pub fn made_by(commit: CommitId) -> Self {
        let (half, _) = commit.0.split_first_chunk().expect("an id has 32 bytes");
        Self(*half)
    }
}

impl fmt::Debug for RealmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0[..4]))
    }
}

impl fmt::Display for RealmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}
