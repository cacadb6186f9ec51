//! The tree worked out anew from a set of commits, by the rules as they are written and nothing clever.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::{CommitId, RealmId};
use crate::space::{Change, Kind, Node, NodeId, Stamp, VersionId, Written};

use super::world::{Commit, node, without_case};

#[derive(Debug, Clone)]
pub struct ModelVersion {
    pub stamp: Stamp,
    pub bases: BTreeSet<VersionId>,
    pub written: Option<Written>,
    pub place: Option<Stamp>,
}

/// What a reader sees of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub parent: NodeId,
    pub name: Vec<u8>,
    /// It has the name for itself or was the first.
    pub plain: bool,
    pub written: Option<Written>,
}

#[derive(Debug, Default)]
pub struct Model {
    pub shown: BTreeMap<NodeId, Shown>,
    /// Those of files that are realms as well.
    pub versions: BTreeMap<Node, Vec<ModelVersion>>,
    places: BTreeMap<NodeId, Vec<(Stamp, NodeId, Vec<u8>)>>,
    made: BTreeMap<NodeId, Kind>,
    pub aside: BTreeMap<NodeId, usize>,
}

impl Model {
    pub fn of<'a>(commits: impl IntoIterator<Item = &'a Commit>) -> Self {
        let mut model = Self::default();
        for commit in commits {
            for (index, change) in (0..).zip(&commit.changes) {
                if change.check(&commit.origin, index).is_ok() {
                    model.take(commit, commit.origin.stamp(index), change);
                }
            }
        }
        for places in model.places.values_mut() {
            places.sort();
            places.reverse();
        }
        model.break_rings();
        model.show();
        model
    }

    fn take(&mut self, commit: &Commit, stamp: Stamp, change: &Change) {
        let bases = |bases: &[VersionId]| {
            let own = |base: &VersionId| match base.commit {
                CommitId::ZERO => VersionId { commit: commit.origin.commit, ..*base },
                _ => *base,
            };
            bases.iter().map(own).collect()
        };
        let id = change.node();
        let node = Node { realm: commit.origin.realm, id };
        match change {
            Change::Make { parent, name, .. } | Change::Move { parent, name, .. } => {
                self.places.entry(id).or_default().push((stamp, *parent, name.to_vec()));
                if let Change::Make { kind, .. } = change {
                    self.made.insert(id, *kind);
                }
            }
            Change::Put { bases: of, written, .. } => self.versions.entry(node).or_default().push(ModelVersion {
                stamp,
                bases: bases(of),
                written: Some(written.clone()),
                place: None,
            }),
            Change::Name { .. } => {}
            Change::Delete { seen, place, .. } => self.versions.entry(node).or_default().push(ModelVersion {
                stamp,
                bases: bases(seen),
                written: None,
                place: *place,
            }),
        }
    }

    /// Where the versions of a node are.
    fn content(&self, id: NodeId) -> Node {
        match self.made.get(&id) {
            Some(Kind::FileRealm(realm)) => Node { realm: *realm, id: NodeId::FILE },
            _ => node(id),
        }
    }

    fn place(&self, node: NodeId) -> Option<&(Stamp, NodeId, Vec<u8>)> {
        self.places.get(&node)?.get(self.aside.get(&node).copied().unwrap_or(0))
    }

    fn break_rings(&mut self) {
        let nodes: Vec<NodeId> = self.places.keys().copied().collect();
        'again: loop {
            for start in &nodes {
                let mut ring = vec![*start];
                let mut here = *start;
                while let Some((_, parent, _)) = self.place(here) {
                    here = *parent;
                    if here == *start {
                        let latest =
                            ring.into_iter().max_by_key(|node| self.place(*node).map(|place| place.0)).unwrap();
                        *self.aside.entry(latest).or_default() += 1;
                        continue 'again;
                    }
                    if ring.contains(&here) {
                        break;
                    }
                    ring.push(here);
                }
            }
            return;
        }
    }

    /// Versions that no other names.
    pub fn heads(&self, node: Node) -> Vec<&ModelVersion> {
        let all = self.versions.get(&node).map_or(&[][..], Vec::as_slice);
        let named: BTreeSet<VersionId> = all.iter().flat_map(|version| version.bases.iter().copied()).collect();
        all.iter().filter(|version| !named.contains(&version.stamp.id())).collect()
    }

    /// There by itself.
    fn stands(&self, id: NodeId) -> bool {
        let heads = self.heads(node(id));
        if heads.is_empty() {
            return self.made.contains_key(&id);
        }
        if heads.iter().any(|head| head.written.is_some()) {
            return true;
        }
        let seen = heads.iter().filter_map(|head| head.place).max();
        self.place(id).is_some_and(|place| Some(place.0) > seen)
    }

    fn written(&self, node: Node) -> Option<Written> {
        let mut level: Vec<&ModelVersion> = self.heads(node);
        while !level.is_empty() {
            if let Some(newest) = level.iter().filter(|version| version.written.is_some()).max_by_key(|v| v.stamp) {
                return newest.written.clone();
            }
            let below: BTreeSet<VersionId> = level.iter().flat_map(|version| version.bases.iter().copied()).collect();
            level = self.versions[&node].iter().filter(|version| below.contains(&version.stamp.id())).collect();
        }
        None
    }

    fn show(&mut self) {
        let parents = self.places.values().flatten().map(|(_, parent, _)| *parent);
        let written = self.versions.keys().filter(|node| node.realm == RealmId::ROOT).map(|node| node.id);
        let all: BTreeSet<NodeId> = self.places.keys().copied().chain(written).chain(parents).collect();
        let parent_of = |node: NodeId| self.place(node).map_or(NodeId::LOST, |place| place.1);
        let mut there: BTreeSet<NodeId> = BTreeSet::new();
        for node in all.iter().filter(|node| !node.is_fixed() && self.stands(**node)) {
            let mut here = *node;
            while !here.is_fixed() && there.insert(here) {
                here = parent_of(here);
            }
            if here == NodeId::LOST {
                there.insert(here);
            }
        }
        let mut first: BTreeMap<(NodeId, Vec<u8>), (Option<Stamp>, NodeId)> = BTreeMap::new();
        let placed: Vec<(NodeId, Option<Stamp>, NodeId, Vec<u8>)> = there
            .iter()
            .map(|node| match self.place(*node) {
                _ if *node == NodeId::LOST => (*node, None, NodeId::ROOT, b"lost+found".to_vec()),
                Some((stamp, parent, name)) => (*node, Some(*stamp), *parent, name.clone()),
                None => (*node, None, NodeId::LOST, node.hex().into_bytes()),
            })
            .collect();
        for (node, stamp, parent, name) in &placed {
            let entry = first.entry((*parent, without_case(name))).or_insert((*stamp, *node));
            *entry = (*entry).min((*stamp, *node));
        }
        let shown = placed.into_iter().map(|(node, _, parent, name)| {
            let plain = first[&(parent, without_case(&name))].1 == node;
            (node, Shown { parent, name, plain, written: self.written(self.content(node)) })
        });
        self.shown = shown.collect();
    }
}
