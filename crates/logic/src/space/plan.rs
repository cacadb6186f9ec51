//! Bringing things back: what must be committed so that a file, a directory or the space is as it was, or so that what
//! somebody did is undone. Pure: the plan is shown first and committed later; history is never rewritten.
//!
//! A plan stays inside of one realm. It says what to do with the tree as it is now; changes that come in between are
//! treated like any other concurrent change.

use std::collections::{BTreeMap, BTreeSet};

use seal::DeviceId;
use serde_bytes::ByteBuf;

use super::change::{Change, Written};
use super::name::fold;
use super::node::{Node, NodeId};
use super::record::{CommitRow, Version};
use super::rows::{Outcome, Rows};
use super::stamp::{Frontier, RealmId, Stamp};
use super::tree::Tree;
use super::view::View;

/// What to commit, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The realm that the commits must be for.
    pub realm: RealmId,
    /// The changes; may be spread over several commits in this order.
    pub changes: Vec<Change>,
    /// The same for people.
    pub steps: Vec<Step>,
}

/// One line of a preview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The node.
    pub node: Node,
    /// What happens to it.
    pub what: What,
    /// Where it is shown now; `None` if it is not.
    pub path: Option<Vec<u8>>,
}

/// What a plan does with a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A deleted node comes back.
    Revive,
    /// An earlier version is written again.
    Rewrite,
    /// It goes back to an earlier place: the directory and the name there.
    Move(NodeId, ByteBuf),
    /// It was not there, and is deleted.
    Delete,
}

impl<R: Rows> Tree<R> {
    /// What brings a node, and all that was below it, back to how it was.
    ///
    /// # Errors
    /// Those of the rows.
    pub fn restore(&self, view: &View<'_, R>, target: Node) -> Outcome<Plan, R> {
        let mut draft = Draft::new(self, view, target.realm);
        let shown = view.shows(target)?;
        let past = if shown { view.subtree(target)? } else { Vec::new() };
        for node in &past {
            draft.bring(*node)?;
        }
        let kept: BTreeSet<Node> = past.iter().copied().collect();
        for node in self.subtree(target)?.into_iter().filter(|node| !kept.contains(node)) {
            draft.remove_or_return(node)?;
        }
        for dir in &past {
            draft.order_twins(*dir)?;
        }
        if shown {
            draft.revive_above(target)?;
        }
        draft.finish()
    }

    /// What undoes everything that those devices did since a point, one plan per realm; what others did on top stays.
    ///
    /// # Errors
    /// Those of the rows.
    pub fn undo(&self, devices: &BTreeSet<DeviceId>, since: &Frontier) -> Outcome<Vec<Plan>, R> {
        let undone = |stamp: &Stamp| devices.contains(&stamp.device) && !since.covers(&stamp.device, stamp.seq);
        let mut touched: BTreeMap<RealmId, BTreeSet<NodeId>> = BTreeMap::new();
        for device in devices {
            let commits: Vec<CommitRow> = self.desk.scan(device.as_bytes(), None)?;
            for commit in commits.into_iter().filter(|commit| undone(&commit.origin.stamp(0))) {
                touched.entry(commit.origin.realm).or_default().extend(commit.nodes);
            }
        }
        let view = self.only(|stamp| !undone(stamp));
        let plan = |(realm, nodes): (RealmId, BTreeSet<NodeId>)| {
            let mut draft = Draft::new(self, &view, realm);
            for id in nodes {
                draft.remove_or_return(Node { realm, id })?;
            }
            draft.finish()
        };
        touched.into_iter().map(plan).collect()
    }
}

/// A plan in the making.
struct Draft<'a, 'v, R: Rows> {
    tree: &'a Tree<R>,
    view: &'a View<'v, R>,
    realm: RealmId,
    writes: Vec<(Node, What, Change)>,
    moves: BTreeMap<NodeId, (NodeId, ByteBuf)>,
    /// Twins that must be moved in this order, so that the right one keeps the name.
    ordered: Vec<NodeId>,
}

impl<'a, 'v, R: Rows> Draft<'a, 'v, R> {
    fn new(tree: &'a Tree<R>, view: &'a View<'v, R>, realm: RealmId) -> Self {
        Self { tree, view, realm, writes: Vec::new(), moves: BTreeMap::new(), ordered: Vec::new() }
    }

    /// Content and place of a node become what the view shows.
    fn bring(&mut self, node: Node) -> Outcome<(), R> {
        if node.id.is_fixed() {
            return Ok(());
        }
        if self.view.stands(node)? {
            self.bring_content(node)?;
        }
        if let Some(place) = self.view.place(node)? {
            let record = self.tree.record(node)?;
            let same = record.at.as_ref().is_some_and(|at| (at.parent, &at.name) == (place.parent, &place.name));
            // A move that is set aside would come back when this plan breaks the ring.
            if !same || !record.aside.is_empty() {
                self.moves.insert(node.id, (place.parent, place.name));
            }
        }
        Ok(())
    }

    fn bring_content(&mut self, node: Node) -> Outcome<(), R> {
        let record = self.tree.record(node)?;
        let now = record.brief.as_ref().map(|brief| self.tree.version(node, brief.version.id())).transpose()?.flatten();
        let past = self.view.version(node)?;
        let written = |version: &Option<Version>| {
            version.as_ref().and_then(|version| version.written.clone()).unwrap_or_default()
        };
        let (now, then) = (written(&now), written(&past));
        let gone = record.dead > 0 && record.alive == 0;
        if !gone && now.looks_like(&then) {
            return Ok(());
        }
        let what = if record.is_deleted() { What::Revive } else { What::Rewrite };
        let restored = past.map(|version| version.stamp.id());
        let bases = self.tree.heads(node)?;
        self.writes.push((node, what, Change::Put { node: node.id, bases, written: Written { restored, ..then } }));
        Ok(())
    }

    /// What the view does not show is deleted; what it shows elsewhere goes back there.
    fn remove_or_return(&mut self, node: Node) -> Outcome<(), R> {
        if self.view.shows(node)? {
            return self.bring(node);
        }
        let record = self.tree.record(node)?;
        // What is deleted already is there because of what others have in it.
        if !node.id.is_fixed() && record.listed.is_some() && !record.is_deleted() {
            self.writes.push((node, What::Delete, self.tree.deletion(node)?));
        }
        Ok(())
    }

    /// Where twins would change their names with the order of their places, all are moved again in the order of then.
    fn order_twins(&mut self, dir: Node) -> Outcome<(), R> {
        let mut groups: BTreeMap<Vec<u8>, Vec<(Stamp, NodeId, ByteBuf)>> = BTreeMap::new();
        for entry in self.view.list(dir)? {
            if let Some(place) = self.view.place(entry.node)? {
                groups.entry(fold(&place.name)).or_default().push((place.stamp, entry.node.id, place.name));
            }
        }
        for mut twins in groups.into_values().filter(|twins| twins.len() > 1) {
            twins.sort();
            let mut now = Vec::new();
            for (_, id, _) in &twins {
                now.push(self.tree.record(dir.beside(*id))?.at.map(|at| at.stamp));
            }
            let moved = twins.iter().any(|(_, id, _)| self.moves.contains_key(id));
            if moved || !now.is_sorted() {
                for (_, id, name) in twins {
                    self.moves.insert(id, (dir.id, name));
                    self.ordered.push(id);
                }
            }
        }
        Ok(())
    }

    /// Directories above come back where they are not shown.
    fn revive_above(&mut self, target: Node) -> Outcome<(), R> {
        let mut here = target;
        while let Some(place) = self.view.place(here)? {
            here = here.beside(place.parent);
            if !here.id.is_fixed() && self.tree.record(here)?.listed.is_none() {
                self.bring(here)?;
            }
        }
        Ok(())
    }

    /// Adds moves until nothing would be inside itself: in the view nothing is.
    fn avoid_rings(&mut self) -> Outcome<(), R> {
        let mut open: Vec<NodeId> = self.moves.keys().copied().collect();
        while let Some(start) = open.pop() {
            let mut way = vec![start];
            while let Some(parent) = self.parent_then(way[way.len() - 1])? {
                if let Some(at) = way.iter().position(|passed| *passed == parent) {
                    for id in way.split_off(at) {
                        let place = self.view.place(Node { realm: self.realm, id })?;
                        if let Some(place) = place.filter(|_| !self.moves.contains_key(&id)) {
                            self.moves.insert(id, (place.parent, place.name));
                            open.extend([id, start]);
                        }
                    }
                    break;
                }
                way.push(parent);
            }
        }
        Ok(())
    }

    /// Where a move dissolves a ring, what was set aside because of it would count again: such nodes are kept where they
    /// are.
    fn pin_rings(&mut self) -> Outcome<(), R> {
        let mut open: Vec<NodeId> = self.moves.keys().copied().collect();
        let mut passed: BTreeSet<NodeId> = open.iter().copied().collect();
        while let Some(id) = open.pop() {
            let record = self.tree.record(Node { realm: self.realm, id })?;
            open.extend(record.knot.into_iter().filter(|tied| passed.insert(*tied)));
            // A move would bring back what is deleted, now or by this plan.
            let deleted = self.writes.iter().any(|(node, what, _)| node.id == id && *what == What::Delete);
            let pinned = record.listed.is_some() && !deleted && !record.aside.is_empty();
            if let Some(at) = record.at.filter(|_| pinned && !self.moves.contains_key(&id)) {
                self.moves.insert(id, (at.parent, at.name));
            }
        }
        Ok(())
    }

    /// The directory that a node is in after the plan.
    fn parent_then(&self, id: NodeId) -> Outcome<Option<NodeId>, R> {
        match self.moves.get(&id) {
            Some((parent, _)) => Ok(Some(*parent)),
            None => Ok(self.tree.record(Node { realm: self.realm, id })?.at.map(|at| at.parent)),
        }
    }

    fn finish(mut self) -> Outcome<Plan, R> {
        self.avoid_rings()?;
        self.pin_rings()?;
        let ordered: BTreeSet<NodeId> = self.ordered.iter().copied().collect();
        let free: Vec<NodeId> = self.moves.keys().copied().filter(|id| !ordered.contains(id)).collect();
        for id in free.into_iter().chain(std::mem::take(&mut self.ordered)) {
            let Some((parent, name)) = self.moves.remove(&id) else {
                continue;
            };
            let node = Node { realm: self.realm, id };
            let what = What::Move(parent, name.clone());
            self.writes.push((node, what, Change::Move { node: id, parent, name }));
        }
        let mut plan = Plan { realm: self.realm, changes: Vec::new(), steps: Vec::new() };
        for (node, what, change) in self.writes {
            plan.steps.push(Step { node, what, path: self.tree.path(node)? });
            plan.changes.push(change);
        }
        Ok(plan)
    }
}
