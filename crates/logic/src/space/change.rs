//! What a data commit says: changes of the tree, their bytes and their limits.
//!
//! Invariants: whether a change is refused depends on the change and the header of its commit alone, never on the tree,
//! so every device refuses the same; names are checked by [`crate::transfer::path`], so what is shown can be written to
//! a disk. Format: `docs/formats/space.md`.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use thiserror::Error;

use super::node::{Kind, NodeId, NodeKind};
use super::rules::Rule;
use super::stamp::{OWN, Origin, Stamp, VersionId};
use crate::Misbehaved;
use crate::ledger::RealmId;
use crate::transfer::limits::LINK_TARGET_MAX;
use crate::transfer::listing::Mtime;
use crate::transfer::path::check_name;

/// Version of the body.
const VERSION: u8 = 1;
/// Longest body, bytes.
pub const BODY_MAX: usize = 1 << 20;
/// Versions that one change may supersede.
pub const BASES_MAX: usize = 256;
/// Longest description of where the bytes of a file are.
pub const MANIFEST_MAX: usize = 64 << 10;
/// Extended attributes of one version.
pub const XATTRS_MAX: usize = 64;
/// Bytes of all extended attributes of one version.
pub const XATTR_BYTES_MAX: usize = 64 << 10;
/// Permission bits that are kept: read, write and execute for owner, group and others.
pub const MODE_MASK: u16 = 0o777;

/// One change of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Makes a node.
    Make {
        /// Its id: [`NodeId::of`] device, commit number and number of this change.
        node: NodeId,
        /// What it is.
        kind: Kind,
        /// The directory it is put in.
        parent: NodeId,
        /// Its name there.
        name: ByteBuf,
    },
    /// Writes a version of a node; also what brings a deleted node back.
    Put {
        /// Which.
        node: NodeId,
        /// What it supersedes: all versions and deletes of the node that the writer had before it.
        bases: Vec<VersionId>,
        /// What is written.
        written: Written,
    },
    /// Gives a node another place.
    Move {
        /// Which.
        node: NodeId,
        /// The directory it is put in.
        parent: NodeId,
        /// Its name there.
        name: ByteBuf,
    },
    /// Deletes a node, as far as the deleter has seen it.
    Delete {
        /// Which.
        node: NodeId,
        /// The versions and deletes it has seen; an edit that is not among them wins.
        seen: Vec<VersionId>,
        /// The newest place it has seen; a later move wins.
        place: Option<Stamp>,
    },
    /// Names the realm of the commit: its title, whatever the directory that shows it is called.
    Name {
        /// The name; empty: none.
        name: ByteBuf,
    },
}

/// A version of a file, link or directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Written {
    /// The content.
    pub content: Content,
    /// What a file system keeps beside the content.
    pub meta: Meta,
    /// The version that this one brings back.
    pub restored: Option<VersionId>,
}

impl Written {
    /// True if a reader sees no difference.
    pub fn looks_like(&self, other: &Self) -> bool {
        self.content == other.content && self.meta == other.meta
    }

    /// Bytes that a reader gets.
    pub fn size(&self) -> u64 {
        match &self.content {
            Content::Nothing => 0,
            Content::File { size, .. } => *size,
            Content::Link { target } => target.len() as u64,
        }
    }
}

/// The content of a version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Content {
    /// None: of directories, and of what was made and not written yet.
    #[default]
    Nothing,
    /// Of a file.
    File {
        /// Bytes.
        size: u64,
        /// BLAKE3 of all of them.
        hash: [u8; 32],
        /// Where they are; not looked at here.
        manifest: ByteBuf,
    },
    /// Of a symbolic link.
    Link {
        /// Where it points, as it stands.
        target: ByteBuf,
    },
}

/// What a file system keeps beside the content.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Meta {
    /// When the content changed.
    pub mtime: Option<Mtime>,
    /// Permission bits ([`MODE_MASK`]).
    pub mode: Option<u16>,
    /// Extended attributes, by rising name.
    pub xattrs: Vec<(ByteBuf, ByteBuf)>,
}

/// Why a change counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum Refused {
    /// A name that cannot exist, or a time that cannot be.
    #[error("a name or time that cannot be: {0}")]
    Bad(Misbehaved),
    /// A node under an id that is not the maker's.
    #[error("made a node under an id that is not its own")]
    ForeignId,
    /// The root or lost+found; the file that a realm is, but for its content.
    #[error("tried to change what cannot be changed")]
    Fixed,
    /// A node id that is none.
    #[error("named a node that cannot exist")]
    NoNode,
    /// A parent that is no directory, or the node itself.
    #[error("put something where nothing can be")]
    NoDirectory,
    /// A realm that shows itself or the root.
    #[error("put a realm into itself")]
    RealmInItself,
    /// A content that does not fit the kind of the node.
    #[error("wrote what does not fit the kind of the node")]
    WrongContent,
    /// A version that does not come before.
    #[error("named a version of the same commit that does not come before")]
    BaseNotBefore,
    /// More than the limits allow.
    #[error("is above the limits")]
    TooMuch,
}

/// A body whose bytes are no list of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadBody {
    /// Made by a newer version of the program.
    #[error("the changes were written by a newer version (format {0})")]
    TooNew(u8),
    /// Too long.
    #[error("the body is above {BODY_MAX} bytes")]
    TooLong,
    /// No list of changes.
    #[error("the body is no list of changes")]
    Garbled,
}

impl Change {
    /// The body of a data commit. Opens what it made before it hands it out.
    ///
    /// # Errors
    /// [`BadBody::TooLong`]: must be spread over several commits.
    pub fn write_all(changes: &[Self]) -> Result<Vec<u8>, BadBody> {
        let body =
            postcard::to_extend(changes, vec![VERSION]).expect("changes have only types that postcard can write");
        Self::read_all(&body).map(|_| body)
    }

    /// The changes of a body, which must be used up exactly.
    ///
    /// # Errors
    /// [`BadBody`].
    pub fn read_all(body: &[u8]) -> Result<Vec<Self>, BadBody> {
        match body {
            _ if body.len() > BODY_MAX => Err(BadBody::TooLong),
            [VERSION, rest @ ..] => match postcard::take_from_bytes(rest) {
                Ok((changes, [])) => Ok(changes),
                _ => Err(BadBody::Garbled),
            },
            [version, ..] if *version > VERSION => Err(BadBody::TooNew(*version)),
            _ => Err(BadBody::Garbled),
        }
    }

    /// The node that it is about; of a name, the root.
    pub fn node(&self) -> NodeId {
        match self {
            Self::Name { .. } => NodeId::ROOT,
            Self::Make { node, .. } | Self::Put { node, .. } | Self::Move { node, .. } | Self::Delete { node, .. } => {
                *node
            }
        }
    }

    /// Whether it can count as change number `index` of that commit.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn check(&self, origin: &Origin, index: u32) -> Result<(), Refused> {
        if let Self::Name { name } = self {
            return if name.is_empty() { Ok(()) } else { check_name(name).map_err(Refused::Bad) };
        }
        let is_alone = self.node().is_alone();
        if self.node().is_fixed() || is_alone && !(matches!(self, Self::Put { .. }) && origin.realm != RealmId::ROOT) {
            return Err(Refused::Fixed);
        }
        let kind = self.node().kind().ok_or(Refused::NoNode)?;
        match self {
            Self::Make { node, kind, parent, name } => {
                if *node != NodeId::of(&origin.device, origin.seq, index, (*kind).into()) && Rule::OwnIds.holds() {
                    return Err(Refused::ForeignId);
                }
                if kind.realm().is_some_and(|realm| realm == origin.realm || realm == RealmId::ROOT) {
                    return Err(Refused::RealmInItself);
                }
                check_place(*node, *parent, name)
            }
            Self::Move { node, parent, name } => check_place(*node, *parent, name),
            Self::Name { .. } => Ok(()),
            Self::Put { bases, written, .. } => {
                check_bases(bases, index)?;
                written.check(kind)
            }
            Self::Delete { seen, place, .. } => {
                check_bases(seen, index)?;
                match place {
                    Some(place) if place.commit == OWN && place.index >= index => Err(Refused::BaseNotBefore),
                    _ => Ok(()),
                }
            }
        }
    }
}

fn check_place(node: NodeId, parent: NodeId, name: &[u8]) -> Result<(), Refused> {
    if parent.kind() != Some(NodeKind::Dir) || parent == NodeId::LOST || parent == node {
        return Err(Refused::NoDirectory);
    }
    check_name(name).map_err(Refused::Bad)
}

fn check_bases(bases: &[VersionId], index: u32) -> Result<(), Refused> {
    if bases.len() > BASES_MAX {
        return Err(Refused::TooMuch);
    }
    let before = |base: &VersionId| base.commit != OWN || base.index < index;
    if bases.iter().all(before) { Ok(()) } else { Err(Refused::BaseNotBefore) }
}

impl Written {
    fn check(&self, kind: NodeKind) -> Result<(), Refused> {
        self.meta.check()?;
        match (&self.content, kind) {
            (Content::Nothing, _) => Ok(()),
            (Content::File { manifest, .. }, NodeKind::File) if manifest.len() <= MANIFEST_MAX => Ok(()),
            (Content::File { .. }, NodeKind::File) => Err(Refused::TooMuch),
            (Content::Link { target }, NodeKind::Link) => match target.as_slice() {
                [] => Err(Refused::Bad(Misbehaved::LinkTargetInvalid)),
                target if target.len() > LINK_TARGET_MAX || target.contains(&0) => {
                    Err(Refused::Bad(Misbehaved::LinkTargetInvalid))
                }
                _ => Ok(()),
            },
            _ => Err(Refused::WrongContent),
        }
    }
}

impl Meta {
    fn check(&self) -> Result<(), Refused> {
        let bytes: usize = self.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let sorted = self.xattrs.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if self.xattrs.len() > XATTRS_MAX || bytes > XATTR_BYTES_MAX || !sorted {
            return Err(Refused::TooMuch);
        }
        if self.mode.is_some_and(|mode| mode & !MODE_MASK != 0) {
            return Err(Refused::WrongContent);
        }
        self.mtime.map_or(Ok(()), |mtime| mtime.check().map_err(Refused::Bad))
    }
}
