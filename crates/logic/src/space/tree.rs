//! The tree: commits that count go in, commits that no longer count come out again, and what a reader sees is told.
//!
//! Invariants: the rows are a function of the set of commits that are in, whatever the order and however often one came
//! (I1, I2); taking a commit out leaves no trace of it; the cost of a change does not grow with the space.

use super::change::{Change, Refused};
use super::node::{Node, NodeId};
use super::record::{CommitRow, Flag};
use super::rows::{Desk, Outcome, Rows};
use super::rules::Rule;
use super::session::Session;
use super::stamp::{Origin, VersionId};
use crate::ledger::RealmId;

/// A versioned file tree, folded from commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree<R> {
    pub(super) desk: Desk<R>,
}

/// How a reader sees a node in its directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// The directory.
    pub parent: NodeId,
    /// The name that is shown.
    pub name: Vec<u8>,
    /// The version that is shown.
    pub version: Option<VersionId>,
}

/// What a reader now sees differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A node appeared, vanished, has another place or name, or shows another version. What is below a directory that
    /// moved goes with it without being told.
    Shown {
        /// Which.
        node: Node,
        /// How it was seen; `None`: not at all.
        before: Option<Seen>,
        /// How it is seen.
        after: Option<Seen>,
    },
    /// Something that people should look at began, grew, or is over.
    Flag {
        /// In which realm.
        realm: RealmId,
        /// What.
        flag: Flag,
        /// False: it is over.
        on: bool,
    },
    /// A change of the commit counts for nothing.
    Refused {
        /// Its number.
        index: u32,
        /// Why.
        why: Refused,
    },
}

impl<R: Rows> Tree<R> {
    /// The tree that those rows hold.
    pub fn new(rows: R) -> Self {
        Self { desk: Desk(rows) }
    }

    /// The rows, for transactions.
    pub fn rows(&self) -> &R {
        &self.desk.0
    }

    /// The rows, for transactions.
    pub fn rows_mut(&mut self) -> &mut R {
        &mut self.desk.0
    }

    /// True if the commit is in.
    ///
    /// # Errors
    /// Those of the rows, here and below.
    pub fn holds(&self, origin: &Origin) -> Outcome<bool, R> {
        Ok(self.desk.get::<CommitRow>(&origin.stamp(0))?.is_some())
    }

    /// Takes in a commit that counts. Once more changes nothing.
    ///
    /// # Errors
    /// As above; the caller rolls the rows back.
    pub fn apply(&mut self, origin: &Origin, changes: &[Change]) -> Outcome<Vec<Effect>, R> {
        if self.holds(origin)? && Rule::Once.holds() {
            return Ok(Vec::new());
        }
        self.turn(origin, changes, true)
    }

    /// Takes out a commit that no longer counts, with the changes that it went in with. If it is not in, nothing changes.
    ///
    /// # Errors
    /// As above.
    pub fn retract(&mut self, origin: &Origin, changes: &[Change]) -> Outcome<Vec<Effect>, R> {
        if !self.holds(origin)? {
            return Ok(Vec::new());
        }
        self.turn(origin, changes, false)
    }

    fn turn(&mut self, origin: &Origin, changes: &[Change], on: bool) -> Outcome<Vec<Effect>, R> {
        let mut effects = Vec::new();
        let mut row = CommitRow { origin: *origin, nodes: std::collections::BTreeSet::new() };
        let mut session = Session::new(&mut self.desk, origin);
        for (index, change) in (0..).zip(changes) {
            match change.check(origin, index) {
                Err(why) if on => effects.push(Effect::Refused { index, why }),
                Err(_) => {}
                Ok(()) => {
                    session.turn(index, change, on)?;
                    row.nodes.insert(change.node());
                }
            }
        }
        effects.extend(session.finish()?);
        self.desk.set(&origin.stamp(0), on.then_some(&row))?;
        Ok(effects)
    }
}
