//! One commit going in or out: its facts are written, and what follows from them is brought up to date.
//!
//! Records of nodes are held here until the end, so that a batch of changes to one directory reads and writes it once.

use std::collections::{BTreeMap, BTreeSet};

use super::change::Change;
use super::name::fold;
use super::node::{Node, NodeId};
use super::record::{Been, Head, Mount, Naming, NodeRecord, Place, Version, VersionRow};
use super::rows::{Desk, Outcome, Rows};
use super::rules::Rule;
use super::stamp::{OWN, Origin, Stamp, VersionId};

/// A record as it was, and as it is going to be.
#[derive(Default)]
pub(super) struct Held {
    pub(super) old: NodeRecord,
    pub(super) new: NodeRecord,
}

pub(super) struct Session<'a, R> {
    pub(super) desk: &'a mut Desk<R>,
    pub(super) origin: &'a Origin,
    pub(super) nodes: BTreeMap<NodeId, Held>,
    /// Nodes whose place in their directory may have changed.
    pub(super) dirty: BTreeSet<NodeId>,
    /// Nodes whose heads may have changed.
    pub(super) rewritten: BTreeSet<NodeId>,
}

impl<'a, R: Rows> Session<'a, R> {
    pub(super) fn new(desk: &'a mut Desk<R>, origin: &'a Origin) -> Self {
        Self { desk, origin, nodes: BTreeMap::new(), dirty: BTreeSet::new(), rewritten: BTreeSet::new() }
    }

    /// Adds (or removes) the facts of a change that was checked.
    pub(super) fn turn(&mut self, index: u32, change: &Change, on: bool) -> Outcome<(), R> {
        let stamp = self.origin.stamp(index);
        let time = self.origin.time;
        if let Change::Name { name } = change {
            let naming = Naming { stamp, time, name: name.clone() };
            return self.desk.set(&(self.origin.realm, stamp), on.then_some(&naming));
        }
        self.dirty.insert(change.node());
        match change {
            Change::Make { node, kind, parent, name } => {
                if let Some(realm) = kind.realm() {
                    let mount = Mount { node: self.node(*node), stamp };
                    self.desk.set(&(realm, mount.node), on.then_some(&mount))?;
                }
                let place = Place { stamp, time, parent: *parent, name: name.clone(), made: Some(*kind) };
                self.place(*node, place, on)
            }
            Change::Move { node, parent, name } => {
                let place = Place { stamp, time, parent: *parent, name: name.clone(), made: None };
                self.place(*node, place, on)
            }
            Change::Name { .. } => Ok(()),
            Change::Put { node, bases, written } => {
                let bases = self.bases(bases);
                let version = Version { stamp, time, bases, written: Some(written.clone()), place: None };
                self.version(*node, version, on)
            }
            Change::Delete { node, seen, place } => {
                let own = |place: Stamp| if place.commit == OWN { self.origin.stamp(place.index) } else { place };
                let place = place.map(own);
                let version = Version { stamp, time, bases: self.bases(seen), written: None, place };
                self.version(*node, version, on)
            }
        }
    }

    pub(super) fn node(&self, id: NodeId) -> Node {
        Node { realm: self.origin.realm, id }
    }

    /// The record of a node, to be read and changed.
    pub(super) fn record(&mut self, id: NodeId) -> Outcome<&mut NodeRecord, R> {
        if !self.nodes.contains_key(&id) {
            let old: NodeRecord = self.desk.get(&self.node(id))?.unwrap_or_default();
            self.nodes.insert(id, Held { new: old.clone(), old });
        }
        Ok(&mut self.nodes.entry(id).or_default().new)
    }

    fn bases(&self, bases: &[VersionId]) -> Vec<VersionId> {
        let bases: BTreeSet<_> = bases.iter().map(|base| base.seen_from(self.origin.commit)).collect();
        bases.into_iter().collect()
    }

    /// A version comes or goes: heads are those that nothing supersedes.
    fn version(&mut self, node: NodeId, version: Version, on: bool) -> Outcome<(), R> {
        self.rewritten.insert(node);
        let key = self.node(node);
        for base in version.bases.iter().filter(|_| Rule::Superseded.holds()) {
            let id = (key, *base);
            let mut row: VersionRow = self.desk.get(&id)?.unwrap_or_default();
            let was = row.superseders;
            row.superseders = if on { was + 1 } else { was.saturating_sub(Rule::Retracted.holds().into()) };
            if let Some(version) = row.version.as_ref().filter(|_| (was == 0) != (row.superseders == 0)) {
                self.head(node, version, row.superseders == 0)?;
            }
            self.keep_version(&id, &row)?;
        }
        let id = (key, version.stamp.id());
        let mut row: VersionRow = self.desk.get(&id)?.unwrap_or_default();
        if row.superseders == 0 {
            self.head(node, &version, on)?;
        }
        row.version = on.then_some(version);
        self.keep_version(&id, &row)
    }

    fn keep_version(&mut self, id: &(Node, VersionId), row: &VersionRow) -> Outcome<(), R> {
        self.desk.set(id, Some(row).filter(|row| **row != VersionRow::default()))
    }

    fn head(&mut self, node: NodeId, version: &Version, on: bool) -> Outcome<(), R> {
        let alive = version.written.is_some();
        let record = self.record(node)?;
        let count = if alive { &mut record.alive } else { &mut record.dead };
        *count = if on { *count + 1 } else { count.saturating_sub(1) };
        let head = Head { stamp: version.stamp, alive, place: version.place };
        let id = (self.node(node), version.stamp.id());
        self.desk.set(&id, on.then_some(&head))
    }

    /// A place comes or goes.
    fn place(&mut self, node: NodeId, place: Place, on: bool) -> Outcome<(), R> {
        let key = self.node(node);
        self.desk.set(&(key, place.stamp), on.then_some(&place))?;
        self.been(place.parent, &fold(&place.name), node, on)?;
        let record = self.record(node)?;
        record.places = if on { record.places + 1 } else { record.places.saturating_sub(1) };
        match (&record.made, place.made.is_some()) {
            (_, false) => {}
            // The earliest counts; only when that goes, the others must be looked at.
            (made, true) if on => {
                if made.as_ref().is_none_or(|made| place.stamp < made.stamp) {
                    record.made = Some(place.clone());
                }
            }
            _ => {
                let makes = self.places(node)?.into_iter().filter(|place| place.made.is_some());
                let made = makes.min_by_key(|place| place.stamp);
                self.record(node)?.made = made;
            }
        }
        self.rechoose(node, &place, on)
    }

    /// All places that a node was given, latest first.
    pub(super) fn places(&self, node: NodeId) -> Outcome<Vec<Place>, R> {
        let mut places: Vec<Place> = self.desk.scan(&self.node(node).key(), None)?;
        places.sort_by_key(|place| std::cmp::Reverse(place.stamp));
        Ok(places)
    }

    /// Counts who was ever given a place in a directory.
    pub(super) fn been(&mut self, parent: NodeId, fold: &[u8], node: NodeId, on: bool) -> Outcome<(), R> {
        let id = (self.node(parent), fold.to_vec(), node);
        let times = self.desk.get::<Been>(&id)?.map_or(0, |been| been.times);
        let times = if on { times + 1 } else { times.saturating_sub(1) };
        self.desk.set(&id, (times > 0).then_some(&Been { node, times }))
    }
}
