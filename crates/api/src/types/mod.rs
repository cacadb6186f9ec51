//! What requests and replies are made of. Field names are stable: scripts read them through `--json`.

mod circle;
mod device;
mod event;
mod seal;
mod space;
mod store;
mod transfer;
mod tree;

pub use circle::*;
pub use device::*;
pub use event::*;
pub use seal::*;
pub use space::*;
pub use store::*;
pub use transfer::*;
pub use tree::*;
