//! The engines against simulated networks and evil peers.

#![allow(clippy::unwrap_used)]

extern crate warren_logic as logic;

mod hello;
mod pair;
mod roster;
mod simulated;
