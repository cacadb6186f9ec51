//! Attacks on the invariants of this crate.
#![allow(clippy::unwrap_used)]

mod identity;
