//! The ledger under random and chosen histories.
//!
//! `world` makes histories, `check` knows what must hold of any set of commits, `random` brings both together, `mutants`
//! leaves out one rule after the other and demands that it is missed. Everything follows from a seed, and every failure
//! names it.

#![allow(clippy::unwrap_used)]

pub(crate) mod check;
mod chosen;
mod evidence;
mod exchange;
mod mutants;
mod random;
mod records;
mod session;
mod structure;
mod world;
