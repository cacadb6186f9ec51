//! The whole story with the real binary, as users live it.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod certificates;
mod circle;
mod crowd;
mod decisions;
mod device;
mod faults;
mod homes;
mod locked;
mod piped;
mod sealed;
mod spaces;
mod story;
mod strangers;
mod tree;
mod wrong;
