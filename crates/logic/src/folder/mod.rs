//! A plain folder that is kept in step with a directory of a space: what has happened in the folder.
//!
//! Compared is what the folder shows with the *base*, what was last the same on both sides ([`local`]). What the space
//! has to be told follows: every change names the version of the base that it was made on, so an edit that somebody else
//! made meanwhile is not lost but a conflict like any other. The other way there is nothing to decide: what the space
//! shows is what the folder gets.
//!
//! Invariants: nothing is deleted in the space that is still in the folder under whatever name; applied to the base, the
//! changes make what was seen; a folder that was not looked at changes nothing. Renames are seen by the file's identity,
//! or by its content where the file system gave it a new one. Called by `node`, which watches and writes.

mod local;
#[cfg(test)]
mod tests;

pub use local::{Dir, LocalChange, Looked, Names, local};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::space::{Node, NodeKind, VersionId};

/// How the file system knows a file: device and inode number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
}

/// What something in a folder looks like from outside. While it looks the same, its content is taken to be the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Print {
    /// What it is: never a realm.
    pub kind: NodeKind,
    /// Which file.
    pub id: FileId,
    /// Bytes.
    pub size: u64,
    /// When the content changed: seconds and nanoseconds.
    pub modified: (i64, u32),
    /// When anything changed: seconds and nanoseconds.
    pub changed: (i64, u32),
    /// Permission bits.
    pub mode: u16,
}

impl Print {
    /// False if the content or what is kept beside it may be another. A directory is the same while it is that directory.
    pub fn is_same(&self, now: &Self) -> bool {
        match self.kind {
            NodeKind::Dir => (self.kind, self.id) == (now.kind, now.id),
            _ => self == now,
        }
    }

    /// True if it is the same file under perhaps another name. The number of a removed file may be given to a new one.
    fn is_file(&self, now: &Self) -> bool {
        let same = self.kind == now.kind && self.id == now.id;
        same && (self.kind == NodeKind::Dir || (self.size, self.modified) == (now.size, now.modified))
    }
}

/// What was in step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// In the space. What shows a realm is the node that does, not the root of that realm.
    pub node: Node,
    /// The directory around it, likewise.
    pub dir: Node,
    /// Its name in the folder.
    pub name: ByteBuf,
    /// Which version; `None`: made and not written.
    pub version: Option<VersionId>,
    /// BLAKE3 of the content of a file.
    pub hash: Option<[u8; 32]>,
    /// What it looked like in the folder.
    pub print: Print,
}

/// What was last the same on both sides.
pub trait Base {
    /// What can go wrong.
    type Error;

    /// What had a name in a directory.
    ///
    /// # Errors
    /// Those of the storage, here and below.
    fn child(&self, dir: Node, name: &[u8]) -> Result<Option<Known>, Self::Error>;

    /// What was in a directory; not what was in directories inside.
    ///
    /// # Errors
    /// As above.
    fn inside(&self, dir: Node) -> Result<Vec<Known>, Self::Error>;
}
