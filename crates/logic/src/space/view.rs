//! The tree as some of its commits make it: as it was at a frontier, or as it would be without what somebody did.
//!
//! Nothing is built: whatever is asked is worked out from the changes of the nodes concerned. A listing reads every node
//! that was ever in the directory. Of what has no known place only that is found which has none now.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::name::Maker;
use super::node::{Kind, Node, NodeId, NodeKind};
use super::read::{Entry, latest_name, name_all};
use super::record::{Been, Child, LOST_NAME, Place, Version, VersionRow};
use super::rows::{Outcome, Rows};
use super::rules::Rule;
use super::settle::newest_below;
use super::stamp::{Stamp, VersionId};
use super::tree::Tree;
use crate::ledger::{Frontier, RealmId};
use crate::transfer::path::RelPath;

/// The tree by the changes that are counted in it.
pub struct View<'a, R: Rows> {
    tree: &'a Tree<R>,
    counts: Box<dyn Fn(&Stamp) -> bool + 'a>,
    rings: RefCell<Rings>,
}

/// What was found out about rings so far.
#[derive(Default)]
struct Rings {
    /// How many of its latest places are set aside.
    aside: BTreeMap<Node, usize>,
    /// Nodes from which the way up ends.
    settled: BTreeSet<Node>,
    /// Nodes that shared a ring.
    knots: BTreeMap<Node, BTreeSet<NodeId>>,
}

/// A node and what counts of it.
struct Facts {
    made: Option<Place>,
    at: Option<Place>,
    heads: Vec<Version>,
    version: Option<Version>,
}

impl Facts {
    /// As [`super::record::NodeRecord::stands`].
    fn stands(&self) -> bool {
        if self.heads.is_empty() || self.heads.iter().any(|head| head.written.is_some()) {
            return !self.heads.is_empty() || self.made.is_some();
        }
        let gone = self.heads.iter().filter_map(|head| head.place).max();
        self.at.as_ref().is_some_and(|at| Some(at.stamp) > gone)
    }
}

impl<R: Rows> Tree<R> {
    /// The tree as it was at a frontier, as far as those commits count today.
    pub fn at<'a>(&'a self, frontier: &'a Frontier) -> View<'a, R> {
        self.only(move |stamp| frontier.covers(stamp.device, stamp.seq))
    }

    /// The tree that those changes make. What superseded a version that is not counted supersedes what lay below it.
    pub fn only<'a>(&'a self, counts: impl Fn(&Stamp) -> bool + 'a) -> View<'a, R> {
        View { tree: self, counts: Box::new(counts), rings: RefCell::default() }
    }
}

impl<R: Rows> View<'_, R> {
    /// What a directory shows, by rising names.
    ///
    /// # Errors
    /// Those of the rows, here and below.
    pub fn list(&self, dir: Node) -> Outcome<Vec<Entry>, R> {
        let Some(dir) = self.tree.entered(dir)? else {
            return Ok(Vec::new());
        };
        let mut children = Vec::new();
        for node in self.placed_in(dir)? {
            if self.shows(node)? {
                children.push(self.child(node)?);
            }
        }
        let mut entries = name_all(dir, children);
        for entry in entries.iter_mut().filter(|entry| entry.content() != entry.node) {
            let here = self.tree.is_mount(entry)?;
            entry.brief = if here { self.version(entry.content())?.as_ref().and_then(Version::brief) } else { None };
        }
        Ok(entries)
    }

    /// What a path shows.
    ///
    /// # Errors
    /// As above.
    pub fn lookup(&self, path: &RelPath) -> Outcome<Option<Entry>, R> {
        let mut dir = Node::ROOT;
        let mut found = None;
        for name in path.names() {
            found = self.list(dir)?.into_iter().find(|entry| entry.name == name);
            match &found {
                Some(entry) => dir = entry.node,
                None => return Ok(None),
            }
        }
        Ok(found)
    }

    /// The version of a node that is shown, or was before it was deleted.
    ///
    /// # Errors
    /// As above.
    pub fn version(&self, node: Node) -> Outcome<Option<Version>, R> {
        Ok(self.facts(node)?.version)
    }

    /// Something that is shown today with the content that it had then, wherever it was; `None` if it was not shown.
    ///
    /// # Errors
    /// As above.
    pub fn then(&self, today: &Entry) -> Outcome<Option<Entry>, R> {
        if !self.shows(today.node)? {
            return Ok(None);
        }
        let brief = self.version(today.content())?.as_ref().and_then(Version::brief);
        Ok(Some(Entry { brief, ..today.clone() }))
    }

    /// The name of a realm, if it has one.
    ///
    /// # Errors
    /// As above.
    pub fn realm_name(&self, realm: RealmId) -> Outcome<Option<Vec<u8>>, R> {
        let mut namings = self.tree.namings(realm)?;
        namings.retain(|naming| (self.counts)(&naming.stamp));
        Ok(latest_name(namings))
    }

    /// True if a reader sees the node.
    ///
    /// # Errors
    /// As above.
    pub fn shows(&self, node: Node) -> Outcome<bool, R> {
        if node.id == NodeId::ROOT {
            return Ok(true);
        }
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            if self.stands(node)? {
                return Ok(true);
            }
            open.extend(self.placed_in(node)?);
        }
        Ok(false)
    }

    /// A node and everything that is shown below it in its realm, directories before what is in them.
    ///
    /// # Errors
    /// As above.
    pub fn subtree(&self, node: Node) -> Outcome<Vec<Node>, R> {
        let mut found = vec![node];
        let mut at = 0;
        while let Some(dir) = found.get(at).copied() {
            at += 1;
            for child in self.placed_in(dir)? {
                if self.shows(child)? {
                    found.push(child);
                }
            }
        }
        Ok(found)
    }

    /// True if it is there by itself, not only because something in it is.
    pub(super) fn stands(&self, node: Node) -> Outcome<bool, R> {
        Ok(node.id == NodeId::ROOT || node.id != NodeId::LOST && self.facts(node)?.stands())
    }

    /// The nodes that have their place in a directory, shown or not.
    fn placed_in(&self, dir: Node) -> Outcome<Vec<Node>, R> {
        if dir.id.kind() != Some(NodeKind::Dir) {
            return Ok(Vec::new());
        }
        let been: Vec<Been> = self.tree.desk.scan(&dir.key(), None)?;
        let mut nodes: BTreeSet<NodeId> = been.into_iter().map(|been| been.node).collect();
        if dir.id == NodeId::ROOT {
            nodes.insert(NodeId::LOST);
        }
        let mut placed = Vec::new();
        for node in nodes.into_iter().map(|id| dir.beside(id)) {
            let parent = match self.place(node)? {
                _ if node.id == NodeId::LOST => NodeId::ROOT,
                Some(place) => place.parent,
                None => NodeId::LOST,
            };
            if parent == dir.id {
                placed.push(node);
            }
        }
        Ok(placed)
    }

    fn child(&self, node: Node) -> Outcome<Child, R> {
        let facts = self.facts(node)?;
        let (stamp, name) = match facts.at {
            _ if node.id == NodeId::LOST => (Stamp::FIRST, LOST_NAME.to_vec()),
            Some(at) => (at.stamp, at.name.into_vec()),
            None => (Stamp::FIRST, node.id.hex().into_bytes()),
        };
        Ok(Child {
            node: node.id,
            stamp,
            name: name.into(),
            maker: facts.made.as_ref().map(|made| Maker { device: made.stamp.device, time: made.time }),
            brief: facts.version.as_ref().and_then(Version::brief),
            kind: facts.made.and_then(|made: Place| -> Option<Kind> { made.made }),
        })
    }

    fn facts(&self, node: Node) -> Outcome<Facts, R> {
        let made = self.places(node)?.into_iter().filter(|place| place.made.is_some()).min_by_key(|place| place.stamp);
        let rows: Vec<VersionRow> = self.tree.desk.scan(&node.key(), None)?;
        let all: BTreeMap<VersionId, Version> =
            rows.into_iter().filter_map(|row| row.version).map(|version| (version.stamp.id(), version)).collect();
        let below = self.superseded(&all);
        let heads: Vec<&Version> = all
            .iter()
            .filter(|(id, head)| self.is_counted(head) && !below.contains(id))
            .map(|(_, head)| head)
            .collect();
        let alive = heads.iter().any(|head| head.written.is_some());
        let start = heads.iter().filter(|head| !alive || head.written.is_some()).map(|head| head.stamp.id()).collect();
        let read = |id| Ok(all.get(&id).map(|version| self.without_uncounted(version)));
        let version = newest_below(start, read)?;
        Ok(Facts { made, at: self.place(node)?, heads: heads.into_iter().cloned().collect(), version })
    }

    fn is_counted(&self, version: &Version) -> bool {
        (self.counts)(&version.stamp)
    }

    /// A version that is not counted, as one that says nothing but what it supersedes.
    fn without_uncounted(&self, version: &Version) -> Version {
        let written = version.written.clone().filter(|_| self.is_counted(version));
        Version { written, ..version.clone() }
    }

    /// What counted versions supersede, also by way of some that are not: who deletes what somebody else edited has
    /// deleted what was there before, too.
    fn superseded(&self, all: &BTreeMap<VersionId, Version>) -> BTreeSet<VersionId> {
        let mut open: Vec<&Version> = all.values().filter(|version| self.is_counted(version)).collect();
        let mut below = BTreeSet::new();
        while let Some(version) = open.pop() {
            let bases = version.bases.iter().filter(|base| below.insert(**base)).filter_map(|base| all.get(base));
            open.extend(bases.filter(|base| !self.is_counted(base) && Rule::Through.holds()));
        }
        below
    }

    /// The places of a node that are counted, latest first.
    fn places(&self, node: Node) -> Outcome<Vec<Place>, R> {
        let mut places = self.tree.places(node)?;
        places.retain(|place| (self.counts)(&place.stamp));
        Ok(places)
    }

    /// The place of a node by the rule of [`super::cycles`]: rings above it are broken until the way up ends. A ring
    /// that the way does not meet cannot change it.
    pub(super) fn place(&self, node: Node) -> Outcome<Option<Place>, R> {
        loop {
            let ring = self.ring_above(node)?;
            let Some((_, latest)) = ring.iter().filter(|_| Rule::ViewRings.holds()).max() else {
                return self.choice(node);
            };
            let mut rings = self.rings.borrow_mut();
            *rings.aside.entry(*latest).or_default() += 1;
            for (_, tied) in &ring {
                rings.knots.entry(*latest).or_default().insert(tied.id);
                rings.knots.entry(*tied).or_default().insert(latest.id);
            }
        }
    }

    /// Nodes that shared a ring with this one: what one does matters to the others.
    pub(super) fn knot(&self, node: Node) -> Outcome<BTreeSet<NodeId>, R> {
        self.place(node)?;
        Ok(self.rings.borrow().knots.get(&node).cloned().unwrap_or_default())
    }

    fn choice(&self, node: Node) -> Outcome<Option<Place>, R> {
        let aside = self.rings.borrow().aside.get(&node).copied().unwrap_or_default();
        Ok(self.places(node)?.into_iter().nth(aside))
    }

    /// The ring that the way up from a node runs into; empty if it ends.
    fn ring_above(&self, node: Node) -> Outcome<Vec<(Stamp, Node)>, R> {
        let mut way: Vec<(Stamp, Node)> = Vec::new();
        let mut here = node;
        while !self.rings.borrow().settled.contains(&here) {
            if let Some(at) = way.iter().position(|(_, passed)| *passed == here) {
                return Ok(way.split_off(at));
            }
            let Some(place) = self.choice(here)? else {
                break;
            };
            way.push((place.stamp, here));
            here = here.beside(place.parent);
        }
        self.rings.borrow_mut().settled.extend(way.into_iter().map(|(_, node)| node));
        Ok(Vec::new())
    }
}
