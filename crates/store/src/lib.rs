//! Everything Warren keeps on disk: the home, durable small files, the keystore's file, the sealed database, settings,
//! and the two ends of a transfer on disk (`source` and `landing`).
//!
//! Goals: what was acknowledged survives kill -9, power loss and full disks; a peer's names never reach outside the
//! folder meant for them; a locked home shows nothing readable. Non-goals: deciding anything (that is `logic`) and
//! talking to anybody (that is `net`).
//!
//! All calls block; the node runs them on threads of their own.

#[cfg(not(unix))]
compile_error!("warren-store relies on directory handles as Unix systems have them");

pub mod database;
mod disk;
pub mod durable;
pub mod folder;
pub mod home;
pub mod keystore;
pub mod landing;
mod meta;
pub mod objects;
pub mod relpath;
mod sequential;
pub mod settings;
pub mod source;
pub mod space;
pub mod spool;
mod tree;
pub mod xattr;

pub use disk::free_space;
pub use meta::{FileMeta, FileTime};
pub use relpath::RelPath;
pub use sequential::Sequential;
