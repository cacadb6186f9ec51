//! Whole transfers between two services over links in memory that can be cut after any byte, with real files.

#![allow(clippy::unwrap_used)]

mod decisions;
mod evil;
mod story;
mod world;
