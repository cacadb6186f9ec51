//! What a tree is made of: nodes.
//!
//! A node id says what kind of node it is and was derived from the device and the number of the commit that made it. So
//! nobody can make a node under the id of somebody else's, a directory can never turn into a file, and whether
//! something may have children is known without looking anything up.
//!
//! A node belongs to one realm for ever. Every realm is a tree of its own with its own root and lost+found; a directory
//! of kind [`Kind::Realm`] shows the root of another realm. So whoever writes in one realm cannot reach into another.

use std::fmt;

use seal::DeviceId;
use serde::{Deserialize, Serialize};

use super::stamp::Origin;
use crate::ledger::RealmId;

/// Domain of the hash that node ids are made with.
const CONTEXT: &str = "warren 2026-11 node id v1";

/// Names a node inside its realm. The first byte is its kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub [u8; 16]);

/// What a node is, as its id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeKind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A directory that shows the root of another realm.
    Realm,
}

/// What a node is, as it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A directory that shows the root of that realm.
    Realm(RealmId),
}

impl From<Kind> for NodeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Dir => Self::Dir,
            Kind::File => Self::File,
            Kind::Link => Self::Link,
            Kind::Realm(_) => Self::Realm,
        }
    }
}

impl NodeId {
    /// The root of a realm: is always there, cannot be changed.
    pub const ROOT: Self = Self([0; 16]);
    /// Where nodes are shown whose place is not known: `lost+found` in the root, when there are any.
    pub const LOST: Self = Self([0xff; 16]);

    /// The id of the node that change number `index` of commit number `seq` of the device makes.
    pub fn of(device: &DeviceId, seq: u64, index: u32, kind: NodeKind) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(device.as_bytes()).update(&seq.to_be_bytes()).update(&index.to_be_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        id[0] = match kind {
            NodeKind::Dir => 1,
            NodeKind::File => 2,
            NodeKind::Link => 3,
            NodeKind::Realm => 4,
        };
        Self(id)
    }

    /// What it is; `None` for bytes that are no id.
    pub fn kind(self) -> Option<NodeKind> {
        match self.0[0] {
            _ if self == Self::ROOT || self == Self::LOST => Some(NodeKind::Dir),
            1 => Some(NodeKind::Dir),
            2 => Some(NodeKind::File),
            3 => Some(NodeKind::Link),
            4 => Some(NodeKind::Realm),
            _ => None,
        }
    }

    /// True for what is there from the beginning and no change may touch.
    pub fn is_fixed(self) -> bool {
        self == Self::ROOT || self == Self::LOST
    }

    /// The id as text: the name of a node whose name is not known.
    pub fn hex(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ROOT => f.write_str("root"),
            Self::LOST => f.write_str("lost"),
            _ => f.write_str(&self.hex()[..10]),
        }
    }
}

/// A node of a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Node {
    /// Where it belongs.
    pub realm: RealmId,
    /// Which it is there.
    pub id: NodeId,
}

impl Node {
    /// The root of the space.
    pub const ROOT: Self = Self { realm: RealmId::ROOT, id: NodeId::ROOT };

    /// The root of a realm.
    pub fn root_of(realm: RealmId) -> Self {
        Self { realm, id: NodeId::ROOT }
    }

    /// What change number `index` of a commit makes.
    pub fn made_by(origin: &Origin, index: u32, kind: NodeKind) -> Self {
        Self { realm: origin.realm, id: NodeId::of(&origin.device, origin.seq, index, kind) }
    }

    /// Another node of the same realm.
    pub fn beside(self, id: NodeId) -> Self {
        Self { id, ..self }
    }

    /// The bytes that rows of the node are kept under.
    pub(super) fn key(self) -> Vec<u8> {
        [*self.realm.as_bytes(), self.id.0].concat()
    }
}
