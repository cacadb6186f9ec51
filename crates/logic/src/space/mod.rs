//! The tree of a space: a pure fold from the data commits that count to directories, files and their versions.
//!
//! What is known is a set of changes; what is shown is a function of that set, so that devices with the same commits
//! show the same, whatever came first. [`Tree::apply`] takes a commit in and [`Tree::retract`] takes it out again (when
//! the ledger finds that it does not count after all), both at a cost that does not grow with the space.
//!
//! The rules:
//! - *Versions*: whatever no other version names in its bases is a head. The latest head is shown, the others are kept
//!   and listed as conflicts. A delete is a version without content: a node is gone when all its heads are deletes, so an
//!   edit that a delete has not seen wins, and so does a move that it has not seen. Both are flagged.
//! - *Places*: the latest counts, but in a ring of directories the latest move is set aside ([`cycles`]).
//! - *Directories*: one that was deleted is shown as long as something in it is; so nothing is hidden by what is above it.
//! - *Names*: twins are all shown; who came first keeps the name ([`name`]).
//! - *Realms* have names of their own: the latest counts.
//! - *lost+found*: what has no place that is known (its maker's commit does not count) is shown there.
//!
//! Goals: no written version is ever lost or silently replaced; any earlier state can be read ([`View`]) and brought back
//! ([`Plan`]). Non-goals: who may write (the ledger decides which commits count), contents (the fold does not
//! look into a [`manifest`]).

mod change;
mod cycles;
mod draft;
pub mod manifest;
mod name;
mod node;
mod plan;
mod read;
mod record;
mod rows;
mod rules;
mod session;
mod settle;
mod stamp;
mod tree;
mod view;

#[cfg(test)]
mod tests;

pub use change::{
    BASES_MAX, BODY_MAX, BadBody, Change, Content, MANIFEST_MAX, MODE_MASK, Meta, Refused, Written, XATTR_BYTES_MAX,
    XATTRS_MAX,
};
pub use name::{Maker, fold};
pub use node::{Kind, Node, NodeId, NodeKind};
pub use plan::{Plan, Step, What};
pub use read::{Conflict, Entry, Event, Stat};
pub use record::{Brief, Flag, Naming, Place, Version};
pub use rows::{Fault, Key, MemoryRows, Outcome, Rows, Table};
pub use stamp::{Origin, Stamp, VersionId};
pub use tree::{Effect, Seen, Tree};
pub use view::View;
