//! The decisions of Warren, without IO.

mod misbehaved;
pub mod transfer;

pub use misbehaved::Misbehaved;
