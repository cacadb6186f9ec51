//! The whole story with the real binary, as users live it.
#![allow(clippy::unwrap_used, missing_docs)]

mod device;
mod story;
mod tree;
mod wrong;
