//! What tests of several rooms share: a simulated network on a virtual clock, evil peers, circles ready to use.
//!
//! Everything is deterministic: the same seed gives the same run, and a failing run prints its seed. Nothing sleeps.
//! Development only; no shipped crate depends on it.

pub mod circle;
mod dice;
pub mod forge;
pub mod network;

pub use circle::TestCircle;
pub use dice::Dice;
pub use network::{Conditions, Evil, Happening, Network, NodeNo, Packet};
