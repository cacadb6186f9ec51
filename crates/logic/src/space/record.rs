//! What the rows of a tree hold.
//!
//! Some rows are facts (versions, places: one per change that counts), the others follow from them and are kept so that
//! one change costs the same however large the space is. Both are functions of the set of commits that count, not of
//! their order: the same commits give the same rows, byte for byte.

use std::collections::BTreeSet;

use seal::Timestamp;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::change::{Meta, Written};
use super::name::Maker;
use super::node::{Kind, Node, NodeId};
use super::rules::Rule;
use super::stamp::{Origin, Stamp, VersionId};

/// A version of a node, or a delete of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Which, by whom.
    pub stamp: Stamp,
    /// When, by the clock of the writer.
    pub time: Timestamp,
    /// What it supersedes, sorted.
    pub bases: Vec<VersionId>,
    /// What was written; `None`: a delete.
    pub written: Option<Written>,
    /// Of a delete: the newest place that it has seen.
    pub place: Option<Stamp>,
}

impl Version {
    /// What a listing says of it; `None`: it is a delete.
    pub fn brief(&self) -> Option<Brief> {
        let written = self.written.as_ref()?;
        let meta = Meta { xattrs: Vec::new(), ..written.meta.clone() };
        Some(Brief { version: self.stamp, size: written.size(), meta })
    }
}

/// A version, if it counts, and how many of those that count supersede it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VersionRow {
    pub(super) version: Option<Version>,
    pub(super) superseders: u32,
}

/// A version or delete that nothing supersedes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) stamp: Stamp,
    pub(super) alive: bool,
    pub(super) place: Option<Stamp>,
}

/// A place that a node was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// By which change.
    pub stamp: Stamp,
    /// When, by the clock of the device.
    pub time: Timestamp,
    /// The directory.
    pub parent: NodeId,
    /// The name there.
    pub name: ByteBuf,
    /// What it was made as, if this made it; `None`: it was moved.
    pub made: Option<Kind>,
}

/// That a node was ever given a place in a directory: by how many changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Been {
    pub(super) node: NodeId,
    pub(super) times: u32,
}

/// What a listing says of the content of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// The version that is shown.
    pub version: Stamp,
    /// Bytes.
    pub size: u64,
    /// Modification time and permissions; extended attributes are left out.
    pub meta: Meta,
}

/// A node in the directory that shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Child {
    pub(super) node: NodeId,
    /// The change that put it there.
    pub(super) stamp: Stamp,
    /// The name that it was given.
    pub(super) name: ByteBuf,
    pub(super) maker: Option<Maker>,
    pub(super) brief: Option<Brief>,
    pub(super) kind: Option<Kind>,
}

/// A node that shows a realm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mount {
    pub(super) node: Node,
    pub(super) stamp: Stamp,
}

/// A name that a realm was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Naming {
    /// By which change.
    pub stamp: Stamp,
    /// When, by the clock of the device.
    pub time: Timestamp,
    /// The name; empty: none.
    pub name: ByteBuf,
}

/// A commit that counts, and what it touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CommitRow {
    pub(super) origin: Origin,
    pub(super) nodes: BTreeSet<NodeId>,
}

/// What people should look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Flag {
    /// Versions of a node that do not know of each other; or a delete that did not know of an edit, and lost.
    Versions(NodeId),
    /// A deleted node that is there: it was moved, or something was put into it, without knowing of the delete.
    Kept(NodeId),
    /// A move that is set aside because it would put a directory into itself.
    Aside(NodeId),
    /// Several nodes of one (folded) name in one directory.
    Names(NodeId, ByteBuf),
}

impl Flag {
    pub(super) fn part(&self) -> Vec<u8> {
        match self {
            Self::Names(parent, _) => parent.0.to_vec(),
            Self::Versions(_) | Self::Kept(_) | Self::Aside(_) => Vec::new(),
        }
    }

    pub(super) fn rest(&self) -> Vec<u8> {
        match self {
            Self::Versions(node) => [&[0], &node.0[..]].concat(),
            Self::Kept(node) => [&[1], &node.0[..]].concat(),
            Self::Aside(node) => [&[2], &node.0[..]].concat(),
            Self::Names(_, fold) => fold.to_vec(),
        }
    }
}

/// The place of a node in its directory and where that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) parent: NodeId,
    pub(super) child: Child,
}

/// What follows from the changes of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeRecord {
    /// The change that made it.
    pub(super) made: Option<Place>,
    /// The place that counts.
    pub(super) at: Option<Place>,
    /// How many places it was given.
    pub(super) places: u32,
    /// Later places that are set aside, latest first.
    pub(super) aside: Vec<Stamp>,
    /// Nodes that shared a cycle which set one of them aside: what one does matters to the others.
    pub(super) knot: BTreeSet<NodeId>,
    /// How many nodes have their place in it, shown or not.
    pub(super) placed: u64,
    /// How many nodes it shows.
    pub(super) live: u64,
    /// Heads that are versions.
    pub(super) alive: u32,
    /// Heads that are deletes.
    pub(super) dead: u32,
    /// The newest place that a delete among the heads has seen.
    pub(super) gone: Option<Stamp>,
    /// The version that is shown, if the node is.
    pub(super) brief: Option<Brief>,
    /// Where it is shown.
    pub(super) listed: Option<Listed>,
}

/// The name of lost+found.
pub(super) const LOST_NAME: &[u8] = b"lost+found";

impl NodeRecord {
    /// True if it is there by itself, not only because something in it is.
    pub(super) fn stands(&self) -> bool {
        self.stands_if(self.at.as_ref().is_some_and(|at| Some(at.stamp) > self.gone))
    }

    /// The same, given whether its place is later than what its deletes have seen.
    pub(super) fn stands_if(&self, moved: bool) -> bool {
        if self.dead == 0 {
            return self.alive > 0 || self.made.is_some() || !Rule::Made.holds();
        }
        self.alive > 0 && Rule::EditWins.holds() || moved && Rule::MoveWins.holds()
    }

    /// True if a delete counts, as far as the node itself goes.
    pub(super) fn is_deleted(&self) -> bool {
        self.dead > 0 && !self.stands()
    }

    /// Where it must be shown.
    pub(super) fn wanted(&self, id: NodeId) -> Option<Listed> {
        if id.is_top() || !(self.live > 0 && Rule::Holding.holds() || self.stands()) {
            return None;
        }
        let (parent, stamp, name) = match &self.at {
            _ if id == NodeId::LOST => (NodeId::ROOT, Stamp::FIRST, ByteBuf::from(LOST_NAME)),
            Some(at) => (at.parent, at.stamp, at.name.clone()),
            None if !Rule::LostFound.holds() => return None,
            None => (NodeId::LOST, Stamp::FIRST, ByteBuf::from(id.hex())),
        };
        let made = self.made.as_ref();
        let maker = made.map(|made| Maker { device: made.stamp.device, time: made.time });
        let kind = made.and_then(|made| made.made);
        let brief = self.brief.clone();
        Some(Listed { parent, child: Child { node: id, stamp, name, maker, brief, kind } })
    }

    /// True if nothing is known of a place for it, so that only lost+found can show it.
    pub(super) fn is_orphan(&self, id: NodeId) -> bool {
        !id.is_fixed() && !id.is_alone() && *self != Self::default() && (self.made.is_none() || self.at.is_none())
    }

    /// What people should look at.
    pub(super) fn flags(&self, id: NodeId) -> BTreeSet<Flag> {
        let mut flags = BTreeSet::new();
        if self.alive > 0 && self.alive + self.dead > 1 {
            flags.insert(Flag::Versions(id));
        }
        if self.dead > 0 && self.alive == 0 && self.listed.is_some() {
            flags.insert(Flag::Kept(id));
        }
        if !self.aside.is_empty() {
            flags.insert(Flag::Aside(id));
        }
        flags
    }
}
