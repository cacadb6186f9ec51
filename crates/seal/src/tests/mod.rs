//! Attacks on the invariants of this crate.
#![allow(clippy::unwrap_used)]

mod circle;
mod identity;
mod openssl;
