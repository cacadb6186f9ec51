//! What a tree is made of: nodes.
//!
//! A node id says what kind of node it is and was derived from the device and the number of the commit that made it. So
//! nobody can make a node under the id of somebody else's, a directory can never turn into a file, and whether
//! something may have children is known without looking anything up.
//!
//! A node belongs to one realm for ever. Every realm is a tree of its own with its own root and lost+found; a directory
//! of kind [`Kind::Realm`] shows the root of another realm. So whoever writes in one realm cannot reach into another.
//!
//! A realm may be a single file or link as well: then its versions are those of [`NodeId::FILE`] or [`NodeId::LINK`], and
//! a node of kind [`Kind::FileRealm`] or [`Kind::LinkRealm`] in the realm around shows it. Its place and name are that
//! node's; its content is in its own realm alone.

use std::fmt;

use seal::DeviceId;
use serde::{Deserialize, Serialize};

use super::stamp::Origin;
use crate::ledger::RealmId;

/// Domain of the hash that node ids are made with.
const CONTEXT: &str = "warren 2026-11 node id v1";
/// First byte of files' ids.
const FILE: u8 = 2;
/// First byte of links' ids.
const LINK: u8 = 3;

const fn alone(kind: u8) -> [u8; 16] {
    let mut id = [0; 16];
    id[0] = kind;
    id
}

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
    /// What shows the file that another realm is.
    FileRealm,
    /// What shows the link that another realm is.
    LinkRealm,
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
    /// What shows the file that that realm is.
    FileRealm(RealmId),
    /// What shows the link that that realm is.
    LinkRealm(RealmId),
}

impl Kind {
    /// The realm that it shows, if it does.
    pub fn realm(self) -> Option<RealmId> {
        match self {
            Self::Realm(realm) | Self::FileRealm(realm) | Self::LinkRealm(realm) => Some(realm),
            Self::Dir | Self::File | Self::Link => None,
        }
    }
}

impl NodeKind {
    /// True if something can be in it.
    pub fn is_dir(self) -> bool {
        matches!(self, Self::Dir | Self::Realm)
    }

    /// What people see: a file is a file, whatever realm it is in.
    pub fn shown(self) -> Self {
        match self {
            Self::FileRealm => Self::File,
            Self::LinkRealm => Self::Link,
            other => other,
        }
    }

    /// What becomes of it when it is made anew: nothing with permissions of its own.
    pub fn plain(self) -> Kind {
        match self {
            Self::Dir | Self::Realm => Kind::Dir,
            Self::File | Self::FileRealm => Kind::File,
            Self::Link | Self::LinkRealm => Kind::Link,
        }
    }

    /// Of what shows a realm: the top of that realm.
    pub fn top(self) -> Option<NodeId> {
        match self {
            Self::Realm => Some(NodeId::ROOT),
            Self::FileRealm => Some(NodeId::FILE),
            Self::LinkRealm => Some(NodeId::LINK),
            Self::Dir | Self::File | Self::Link => None,
        }
    }
}

impl From<Kind> for NodeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Dir => Self::Dir,
            Kind::File => Self::File,
            Kind::Link => Self::Link,
            Kind::Realm(_) => Self::Realm,
            Kind::FileRealm(_) => Self::FileRealm,
            Kind::LinkRealm(_) => Self::LinkRealm,
        }
    }
}

impl NodeId {
    /// The root of a realm: is always there, cannot be changed.
    pub const ROOT: Self = Self([0; 16]);
    /// Where nodes are shown whose place is not known: `lost+found` in the root, when there are any.
    pub const LOST: Self = Self([0xff; 16]);
    /// The file that a realm is: has versions, and neither place nor name.
    pub const FILE: Self = Self(alone(FILE));
    /// The link that a realm is.
    pub const LINK: Self = Self(alone(LINK));

    /// The id of the node that change number `index` of commit number `seq` of the device makes.
    pub fn of(device: &DeviceId, seq: u64, index: u32, kind: NodeKind) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(device.as_bytes()).update(&seq.to_be_bytes()).update(&index.to_be_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        id[0] = match kind {
            NodeKind::Dir => 1,
            NodeKind::File => FILE,
            NodeKind::Link => LINK,
            NodeKind::Realm => 4,
            NodeKind::FileRealm => 5,
            NodeKind::LinkRealm => 6,
        };
        Self(id)
    }

    /// What it is; `None` for bytes that are no id.
    pub fn kind(self) -> Option<NodeKind> {
        match self.0[0] {
            _ if self == Self::ROOT || self == Self::LOST => Some(NodeKind::Dir),
            1 => Some(NodeKind::Dir),
            FILE => Some(NodeKind::File),
            LINK => Some(NodeKind::Link),
            4 => Some(NodeKind::Realm),
            5 => Some(NodeKind::FileRealm),
            6 => Some(NodeKind::LinkRealm),
            _ => None,
        }
    }

    /// True for what is there from the beginning and no change may touch.
    pub fn is_fixed(self) -> bool {
        self == Self::ROOT || self == Self::LOST
    }

    /// True for the file or link that a realm is.
    pub fn is_alone(self) -> bool {
        self == Self::FILE || self == Self::LINK
    }

    /// True for what a realm shows to those who look at it from outside: its root, or the file or link that it is.
    pub fn is_top(self) -> bool {
        self == Self::ROOT || self.is_alone()
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
            Self::FILE => f.write_str("file"),
            Self::LINK => f.write_str("link"),
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
