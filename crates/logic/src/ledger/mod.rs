//! Ledgers: signed, per-device, hash-chained logs with permissions, on which spaces are built.
//!
//! | part | what it does |
//! |---|---|
//! | [`Commit`], [`Header`], [`Control`] | records: canonical bytes, signed, bounded |
//! | [`Frontier`], [`Past`] | what somebody had seen |
//! | [`Ledger`] | structural acceptance, waiting commits, forks, what changed |
//! | [`Judgement`] | what counts and who may do what |
//! | [`sync`], [`session`] | exchange by difference of frontiers |
//! | [`evidence`] | proofs of cheats as a file that anybody can check |
//! | [`HeadStatement`], [`Heads`] | signed statements of what somebody holds, and what they prove |
//!
//! Invariants:
//! - what is accepted depends on a commit and its past, what counts on the set of commits: never on order, sender or time;
//! - whoever has seen a commit has seen everything before it, and says so under its signature;
//! - a device's chain has one line that counts; two commits with one number are evidence and are both kept;
//! - rights lead down from the founding member; nobody voids what somebody above it does;
//! - a revocation voids what its maker had not seen, so back-dating gains nothing.
//!
//! Control commits are few, clear, and kept in memory as a whole. Data commits are many and sealed: of them only the tips
//! of chains are in memory, and each is judged in constant time. Called by `node`, which stores what the engine hands out
//! and looks up for it ([`Shelf`]). Byte level: `docs/formats/ledger.md`.

mod accept;
mod chains;
mod commit;
mod control;
mod engine;
pub mod evidence;
mod frontier;
mod head;
mod header;
mod holders;
mod id;
mod judge;
mod judgement;
mod plane;
mod realms;
pub(crate) mod rules;
pub mod session;
mod shelf;
mod state;
pub mod sync;
mod waiting;

#[cfg(test)]
pub(crate) mod tests;

pub use chains::{Past, Spot};
pub use commit::{BadDraft, Commit};
pub use control::{Control, Entry, Link, Rekey, RevokeReason, SealingKey, SpaceRole, Target, Wrap};
pub use engine::{Action, CannotWrite, Draft, Equivocation, Ledger, Taken};
pub use frontier::Frontier;
pub use head::{HeadStatement, Heads, Heard, Held, Rollback};
pub use header::{Header, Kind, Seen, VERSION};
pub use id::{CommitId, EpochId, RealmId};
pub use judgement::{DeviceState, Epoch, GrantState, Judgement, Verdict, Why};
pub use realms::RealmFacts;
pub use shelf::{MemoryShelf, Shelf, Shelved, Stored};
pub use state::BadState;
pub use waiting::Gap;
