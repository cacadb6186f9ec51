//! Every decision that somebody else can influence, as engines without sockets, files, clock or randomness of their own.
//!
//! Bytes and time go in, values and bytes come out, so that tests drive two or fifty engines on a virtual network with
//! loss, reordering and evil peers. `net` carries the frames, `store` keeps what the engines hand out, `node` joins them.
//!
//! Three habits hold everywhere here:
//! - what was checked is a type that only the check can make ([`hello::PeerProven`], [`code::GuestProven`]);
//! - whoever breaks a rule is named by exactly one [`Misbehaved`] variant;
//! - whatever comes from outside is bounded by [`limits`] before anything is allocated for it.

pub mod audit;
pub mod code;
pub mod folder;
pub mod hello;
pub mod ledger;
pub mod limits;
mod misbehaved;
pub mod pair;
pub mod presence;
pub mod roster;
pub mod space;
pub mod transfer;
pub mod wire;

#[cfg(test)]
mod simulation;

pub use misbehaved::Misbehaved;
