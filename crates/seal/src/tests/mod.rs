//! Attacks on the invariants of this crate.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod chunks;
mod circle;
mod epochs;
pub(crate) mod golden;
mod identity;
mod malformed;
mod names;
mod openssl;
mod sealed;
mod sealed_files;
mod strangers;
