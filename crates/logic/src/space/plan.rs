//! Bringing things back: what must be committed so that a file, a directory or the space is as it was, or so that what
//! somebody did is undone. Pure: the plan is shown first and committed later; history is never rewritten.
//!
//! As it was means: what was shown is shown, under the same name in the same directory, with the same content; what was
//! not shown is not shown. Nothing can be put into lost+found, so what was shown there stays where it is now.
//!
//! A plan stays inside of one realm. It says what to do with the tree as it is now; changes that come in between are
//! treated like any other concurrent change.

use std::collections::{BTreeMap, BTreeSet};

use seal::DeviceId;
use serde_bytes::ByteBuf;

use super::change::Change;
use super::draft::Draft;
use super::node::{Node, NodeId};
use super::record::CommitRow;
use super::rows::{Outcome, Rows};
use super::rules::Rule;
use super::stamp::Stamp;
use super::tree::Tree;
use super::view::View;
use crate::ledger::{Frontier, RealmId};

/// What to commit, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The realm that the commit must be for.
    pub realm: RealmId,
    /// The changes of one commit. Of what is too much for one, a beginning can be committed; a plan that is asked for
    /// after that has the rest.
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
    /// The realm gets an earlier name back; empty: none.
    Name(ByteBuf),
    /// It is where it should be (or deleted), and this is said again because other steps would change it: they free a
    /// move that was set aside, or a twin takes its name back.
    Stay,
}

impl<R: Rows> Tree<R> {
    /// What brings a node, and all that was below it, back to how it was. What is below it now and was elsewhere goes
    /// back there, with what is in it.
    ///
    /// # Errors
    /// Those of the rows.
    pub fn restore(&self, view: &View<'_, R>, target: Node) -> Outcome<Plan, R> {
        let mut draft = Draft::new(self, view, target.realm);
        let then = if view.shows(target)? { view.subtree(target)? } else { Vec::new() };
        for node in &then {
            draft.bring(*node)?;
        }
        if then.is_empty() {
            draft.remove(target)?;
        }
        let then: BTreeSet<Node> = then.into_iter().collect();
        let mut open: Vec<Node> = then.iter().copied().chain([target]).collect();
        while let Some(dir) = open.pop() {
            for node in self.children(dir)?.into_iter().filter(|node| !then.contains(node)) {
                if view.shows(node)? {
                    draft.send_back(node)?;
                } else {
                    draft.remove(node)?;
                    open.push(node);
                }
            }
        }
        draft.finish()
    }

    /// What undoes everything that those devices did since a point, one plan per realm; what others did on top stays.
    ///
    /// # Errors
    /// Those of the rows.
    pub fn undo(&self, devices: &BTreeSet<DeviceId>, since: &Frontier) -> Outcome<Vec<Plan>, R> {
        let undone = |stamp: &Stamp| devices.contains(&stamp.device) && !since.covers(stamp.device, stamp.seq);
        let mut touched: BTreeMap<RealmId, BTreeSet<NodeId>> = BTreeMap::new();
        for device in devices {
            let commits: Vec<CommitRow> = self.desk.scan(device.as_bytes(), None)?;
            for commit in commits.into_iter().filter(|commit| undone(&commit.origin.stamp(0))) {
                touched.entry(commit.origin.realm).or_default().extend(commit.nodes);
            }
        }
        let view = self.only(|stamp| !undone(stamp));
        touched.into_iter().map(|(realm, nodes)| self.undo_in(&view, realm, nodes)).collect()
    }

    /// Brings those nodes to what the view shows, and with them all whose places hang on theirs: so the places of all
    /// others are the same in the view as they are now.
    fn undo_in(&self, view: &View<'_, R>, realm: RealmId, touched: BTreeSet<NodeId>) -> Outcome<Plan, R> {
        let mut draft = Draft::new(self, view, realm);
        let mut open: Vec<NodeId> = touched.iter().copied().collect();
        let mut passed = touched;
        while let Some(id) = open.pop() {
            let node = Node { realm, id };
            if view.shows(node)? {
                draft.bring(node)?;
            } else {
                draft.remove(node)?;
            }
            let now = self.record(node)?.knot.into_iter().filter(|_| Rule::UndoKnots.holds());
            let tied = now.chain(view.knot(node)?.into_iter().filter(|_| Rule::UndoViewKnots.holds()));
            open.extend(tied.filter(|id| passed.insert(*id)));
        }
        let mut plan = draft.finish()?;
        let name = view.realm_name(realm)?;
        if name != self.realm_name(realm)? {
            let name = ByteBuf::from(name.unwrap_or_default());
            plan.changes.push(Change::Name { name: name.clone() });
            plan.steps.push(Step { node: Node::root_of(realm), what: What::Name(name), path: None });
        }
        Ok(plan)
    }
}
