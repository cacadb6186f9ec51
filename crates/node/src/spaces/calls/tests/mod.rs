//! Calls on the spaces of several members' devices, in one process.

#![allow(clippy::unwrap_used)]

mod alone;
mod care;
mod checks;
mod history;
mod sharing;
mod trees;
pub(in crate::spaces) mod world;
