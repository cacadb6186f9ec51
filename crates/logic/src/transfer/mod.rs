//! Files from one device to another: what is said, what is sent next, what counts as received.
//!
//! Two engines without sockets, files or clock: [`Sender`] and [`Receiver`]. The tasks around them (`node::transfers`)
//! move frames and bytes; every decision that a peer can influence is taken here.
//!
//! A transfer is one offer and, as often as links are cut, one *run* after the other. In a run the sender offers, the
//! receiver accepts, entries flow over the control stream and content over lanes, and a signed receipt ends it. Nothing
//! is remembered between runs but the offer and its acceptance: after a cut the receiver reads back what it has and
//! says so in block values, and the sender sends only what differs.
//!
//! Invariants: a block is written only where a listed entry has its place; a file is complete only when every block of
//! it is verified and the blocks merge to the hash that the sender declared; memory is bounded by the window whatever
//! the tree; a peer that breaks a rule is named by a [`crate::Misbehaved`] and changes nothing.

pub mod hash;
pub mod lane;
pub mod limits;
pub mod listing;
pub mod message;
pub mod outcome;
pub mod path;
pub mod rate;
pub mod receipt;
mod receiver;
mod sender;
#[cfg(test)]
mod simulation;

pub use message::{FromReceiver, FromSender, Offer, Reason, Token, Totals, TransferId};
pub use receiver::{Admit, Effect, Receiver, ReceiverAction, Target};
pub use sender::{Job, ReadState, Sender, SenderAction, Work};
