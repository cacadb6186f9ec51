//! A plan in the making: first the fate of every node that it is about, then the changes that bring it about.
//!
//! Every node has a fate: the place that it is to have and whether it is to be there by itself. For most it is how they
//! are now. Rings make it hard to say which place a node gets by a change (see [`super::cycles`]), so the plan leaves
//! nothing to them:
//!
//! 1. The fates are mended until every way up ends at the root ([`Draft::lead_up`]).
//! 2. Whatever is not at its place is moved there. A move may dissolve rings or make others, but only among nodes that
//!    hang together with what is moved; of those, all that have a move set aside are moved too, to where they are
//!    ([`Draft::tie`]).
//! 3. The latest place of all these is now the one that they should have, the others keep the place that they have, and
//!    these places make no ring: none of them is set aside.
//! 4. What should be gone is deleted by a delete that has seen the latest place, so no place can bring it back.

use std::collections::{BTreeMap, BTreeSet};

use serde_bytes::ByteBuf;

use super::change::{Change, Written};
use super::name::fold;
use super::node::{Node, NodeId};
use super::plan::{Plan, Step, What};
use super::record::{NodeRecord, Place, Version};
use super::rows::{Outcome, Rows};
use super::rules::Rule;
use super::stamp::Stamp;
use super::tree::Tree;
use super::view::View;
use crate::ledger::RealmId;

/// A place that a node is to have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Goal {
    /// When it got there first. Twins are to have their names in this order.
    since: Stamp,
    parent: NodeId,
    name: ByteBuf,
}

impl From<Place> for Goal {
    fn from(place: Place) -> Self {
        Self { since: place.stamp, parent: place.parent, name: place.name }
    }
}

/// Nodes of one folded name in one directory, by when they got there.
type Twins = BTreeMap<(NodeId, Vec<u8>), BTreeSet<(Stamp, NodeId)>>;

/// What is to become of a node.
#[derive(Debug, Clone)]
struct Fate {
    /// Its place; `None`: none is known, lost+found shows it.
    at: Option<Goal>,
    /// It is to be there by itself.
    stands: bool,
    /// It is to be shown: by itself, or for what is in it.
    shown: bool,
}

pub(super) struct Draft<'a, 'v, R: Rows> {
    tree: &'a Tree<R>,
    view: &'a View<'v, R>,
    realm: RealmId,
    /// Those that may differ from what is now.
    fates: BTreeMap<NodeId, Fate>,
    contents: BTreeMap<NodeId, (What, Change)>,
    moved: BTreeSet<NodeId>,
    /// Nodes that hang together with what is moved.
    tied: BTreeSet<NodeId>,
}

impl<'a, 'v, R: Rows> Draft<'a, 'v, R> {
    pub(super) fn new(tree: &'a Tree<R>, view: &'a View<'v, R>, realm: RealmId) -> Self {
        let (fates, contents) = (BTreeMap::new(), BTreeMap::new());
        Self { tree, view, realm, fates, contents, moved: BTreeSet::new(), tied: BTreeSet::new() }
    }

    /// A node becomes what the view shows. The attributes of a directory that was there only for what was in it do not.
    pub(super) fn bring(&mut self, node: Node) -> Outcome<(), R> {
        let stands = self.view.stands(node)?;
        if stands && !node.id.is_fixed() {
            self.bring_content(node)?;
        }
        let at = self.place_then(node)?;
        self.decide(node.id, Fate { at, stands, shown: true });
        Ok(())
    }

    /// A node that is shown goes to where the view shows it, as it is.
    pub(super) fn send_back(&mut self, node: Node) -> Outcome<(), R> {
        let stands = self.tree.record(node)?.stands();
        let at = self.place_then(node)?;
        self.decide(node.id, Fate { at, stands, shown: true });
        Ok(())
    }

    /// A node is deleted.
    pub(super) fn remove(&mut self, node: Node) -> Outcome<(), R> {
        let at = self.tree.record(node)?.at.map(Goal::from);
        self.decide(node.id, Fate { at, stands: false, shown: false });
        Ok(())
    }

    fn decide(&mut self, id: NodeId, fate: Fate) {
        if !id.is_fixed() && !id.is_alone() {
            self.fates.insert(id, fate);
        }
    }

    /// The place in the view, or the present one of what has none there.
    fn place_then(&self, node: Node) -> Outcome<Option<Goal>, R> {
        Ok(self.view.place(node)?.or(self.tree.record(node)?.at).map(Goal::from))
    }

    fn bring_content(&mut self, node: Node) -> Outcome<(), R> {
        let record = self.tree.record(node)?;
        let now = record.brief.as_ref().map(|brief| self.tree.version(node, brief.version.id())).transpose()?.flatten();
        let then = self.view.version(node)?;
        let restored = then.as_ref().map(|version| version.stamp.id());
        let written = |version: Option<Version>| version.and_then(|version| version.written).unwrap_or_default();
        let (now, then) = (written(now), written(then));
        if record.stands() && now.looks_like(&then) {
            return Ok(());
        }
        let what = if record.is_deleted() { What::Revive } else { What::Rewrite };
        let bases = self.tree.heads(node)?;
        let change = Change::Put { node: node.id, bases, written: Written { restored, ..then } };
        self.contents.insert(node.id, (what, change));
        Ok(())
    }

    /// The plan.
    pub(super) fn finish(mut self) -> Outcome<Plan, R> {
        self.lead_up()?;
        for (id, fate) in &self.fates {
            let at = self.record(*id)?.at;
            let there = |goal: &Goal| at.is_some_and(|at| (at.parent, &at.name) == (goal.parent, &goal.name));
            if fate.shown && fate.at.as_ref().is_some_and(|goal| !there(goal)) {
                self.moved.insert(*id);
            }
        }
        loop {
            let before = self.moved.len();
            self.tie()?;
            self.order_twins()?;
            if self.moved.len() == before {
                return self.write();
            }
        }
    }

    fn node(&self, id: NodeId) -> Node {
        Node { realm: self.realm, id }
    }

    fn record(&self, id: NodeId) -> Outcome<NodeRecord, R> {
        self.tree.record(self.node(id))
    }

    fn fate(&self, id: NodeId) -> Outcome<Fate, R> {
        if let Some(fate) = self.fates.get(&id) {
            return Ok(fate.clone());
        }
        let record = self.record(id)?;
        Ok(Fate { stands: record.stands(), shown: record.listed.is_some(), at: record.at.map(Goal::from) })
    }

    /// Everything on the way up from what is to be shown is to be shown too, as it was if it was there; and no way up
    /// runs in a ring.
    fn lead_up(&mut self) -> Outcome<(), R> {
        let shown = self.fates.iter().filter(|(_, fate)| fate.shown);
        let mut open: Vec<NodeId> = shown.map(|(id, _)| *id).collect();
        while let Some(start) = open.pop() {
            let mut way = vec![start];
            while let Some(goal) = self.fate(way[way.len() - 1])?.at.filter(|goal| !goal.parent.is_fixed()) {
                if let Some(at) = way.iter().position(|passed| *passed == goal.parent) {
                    if !Rule::PlanRings.holds() {
                        break;
                    }
                    let ring = way.split_off(at);
                    self.open_ring(&ring)?;
                    open.extend(ring);
                    open.push(start);
                    break;
                }
                self.show(goal.parent)?;
                way.push(goal.parent);
            }
        }
        Ok(())
    }

    /// A directory is shown for what is in it.
    fn show(&mut self, id: NodeId) -> Outcome<(), R> {
        let fate = self.fate(id)?;
        if fate.shown {
            return Ok(());
        }
        if Rule::PlanParents.holds() && self.view.shows(self.node(id))? {
            return self.bring(self.node(id));
        }
        self.decide(id, Fate { shown: true, ..fate });
        Ok(())
    }

    /// In the view there is no ring, so in every ring something is elsewhere than in the view, and goes back there. What
    /// has no place in the view goes to the root.
    fn open_ring(&mut self, ring: &[NodeId]) -> Outcome<(), R> {
        let mut homeless = Vec::new();
        let mut opened = false;
        for id in ring {
            let mut fate = self.fate(*id)?;
            match self.view.place(self.node(*id))? {
                None => homeless.push((*id, fate)),
                Some(place) if fate.at.as_ref().is_some_and(|goal| goal.parent == place.parent) => {}
                Some(place) => {
                    fate.at = Some(place.into());
                    self.fates.insert(*id, fate);
                    opened = true;
                }
            }
        }
        for (id, mut fate) in homeless.into_iter().filter(|_| !opened) {
            fate.at = fate.at.map(|goal| Goal { parent: NodeId::ROOT, ..goal });
            self.fates.insert(id, fate);
        }
        Ok(())
    }

    /// All that hang together with what is moved, and have a move set aside, are moved.
    fn tie(&mut self) -> Outcome<(), R> {
        let mut open: Vec<NodeId> = self.moved.iter().copied().filter(|id| !self.tied.contains(id)).collect();
        self.tied.extend(&open);
        while let Some(id) = open.pop() {
            let record = self.record(id)?;
            let mut fate = self.fate(id)?;
            if fate.shown && !record.aside.is_empty() && Rule::PlanTies.holds() {
                if fate.at.is_none() && Rule::PlanHomeless.holds() {
                    let latest = self.tree.places(self.node(id))?.into_iter().next();
                    fate.at = latest.map(|place| Goal { parent: NodeId::ROOT, ..place.into() });
                }
                self.fates.insert(id, fate);
                self.moved.insert(id);
            }
            open.extend(record.knot.into_iter().filter(|tied| self.tied.insert(*tied)));
        }
        Ok(())
    }

    /// Twins keep their names in the order of their places, so what comes after one that is moved is moved again too.
    fn order_twins(&mut self) -> Outcome<(), R> {
        for twins in self.twins()?.into_values() {
            let (mut last, mut moving) = (None, false);
            for (_, id) in twins {
                let now = self.record(id)?.at.map(|at| at.stamp);
                moving |= self.moved.contains(&id) || now < last;
                if moving && Rule::PlanTwins.holds() {
                    let fate = self.fate(id)?;
                    self.fates.insert(id, fate);
                    self.moved.insert(id);
                }
                last = now;
            }
        }
        Ok(())
    }

    /// What is to be shown under the folded names that the plan is about, by when it got there.
    fn twins(&self) -> Outcome<Twins, R> {
        let mut groups = Twins::new();
        for (id, fate) in self.fates.iter().filter(|(_, fate)| fate.shown) {
            if let Some(goal) = &fate.at {
                groups.entry((goal.parent, fold(&goal.name))).or_default().insert((goal.since, *id));
            }
        }
        for ((parent, fold), twins) in &mut groups {
            let beside = self.tree.named(self.node(*parent), fold)?;
            for id in beside.into_iter().filter(|id| !id.is_fixed() && !self.fates.contains_key(id)) {
                twins.extend(self.record(id)?.at.map(|at| (at.stamp, id)));
            }
        }
        Ok(groups)
    }

    fn write(self) -> Outcome<Plan, R> {
        let mut plan = Plan { realm: self.realm, changes: Vec::new(), steps: Vec::new() };
        let numbers = self.write_moves(&mut plan)?;
        for (what, change) in self.contents.values() {
            self.push(&mut plan, what.clone(), change.clone())?;
        }
        let decided: BTreeSet<NodeId> = self.fates.keys().chain(&self.tied).copied().collect();
        for id in decided.into_iter().filter(|id| !self.contents.contains_key(id)) {
            let number = numbers.get(&id).copied();
            if !self.fate(id)?.stands && self.would_stand(id, number.is_some())? {
                let what = if self.record(id)?.stands() { What::Delete } else { What::Stay };
                self.push(&mut plan, what, self.deletion(id, number)?)?;
            }
        }
        Ok(plan)
    }

    /// The moves in the order in which twins are to have their names, and the numbers of these changes.
    fn write_moves(&self, plan: &mut Plan) -> Outcome<BTreeMap<NodeId, u32>, R> {
        let mut goals = Vec::new();
        for id in &self.moved {
            goals.extend(self.fate(*id)?.at.map(|goal| (goal, *id)));
        }
        goals.sort();
        let mut numbers = BTreeMap::new();
        for (number, (Goal { parent, name, .. }, node)) in (0..).zip(goals) {
            let listed = self.record(node)?.listed;
            let there = listed.is_some_and(|listed| (listed.parent, &listed.child.name) == (parent, &name));
            let what = if there { What::Stay } else { What::Move(parent, name.clone()) };
            self.push(plan, what, Change::Move { node, parent, name })?;
            numbers.insert(node, number);
        }
        Ok(numbers)
    }

    /// Whether a node would be there by itself if it were not deleted.
    fn would_stand(&self, id: NodeId, moved: bool) -> Outcome<bool, R> {
        let record = self.record(id)?;
        // What hangs together with what is moved may get any of its places.
        let latest = match self.tied.contains(&id) && Rule::PlanDeletesFreed.holds() {
            true => self.tree.places(self.node(id))?.into_iter().next(),
            false => record.at.clone(),
        };
        Ok(record.stands_if(moved || latest.is_some_and(|latest| Some(latest.stamp) > record.gone)))
    }

    /// A delete that has seen everything of a node, and the move with that number.
    fn deletion(&self, id: NodeId, moved: Option<u32>) -> Outcome<Change, R> {
        let mut change = self.tree.deletion(self.node(id))?;
        if let (Change::Delete { place, .. }, Some(index)) =
            (&mut change, moved.filter(|_| Rule::PlanDeletesMoved.holds()))
        {
            *place = Some(Stamp { index, ..Stamp::FIRST });
        }
        Ok(change)
    }

    fn push(&self, plan: &mut Plan, what: What, change: Change) -> Outcome<(), R> {
        let node = self.node(change.node());
        plan.steps.push(Step { node, what, path: self.tree.path(node)? });
        plan.changes.push(change);
        Ok(())
    }
}
