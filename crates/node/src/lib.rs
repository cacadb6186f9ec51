//! A device at work: the tasks that join engines, disk and network, and the local API over them.
//!
//! | module | what it does |
//! |---|---|
//! | [`host`] | makes and runs devices for the command line |
//! | `device`, `calls` | locked or running; every call of the API |
//! | `running` | everything that runs while the device is unlocked |
//! | `circle`, `desk`, `joining`, `inviting` | membership: roster, invitations, joining |
//! | `links` | links to the circle's devices, gossip, presence |
//! | `transfers`, `ground`, `sending`, `inputs` | files between devices |
//! | [`spaces`] | shared file trees, not in use yet |
//! | `passing` | a device without a home, for one-time codes |
//! | `peers`, `naming`, `book`, `certs`, `files`, `journal`, `configuration` | what the API shows and changes |

mod access;
mod book;
mod calls;
mod certs;
mod circle;
mod clock;
mod configuration;
mod connection;
mod desk;
mod device;
mod errors;
mod files;
mod gate;
mod ground;
pub mod host;
mod inputs;
mod inviting;
mod joining;
mod journal;
mod lan;
mod links;
mod naming;
mod passing;
mod peers;
mod running;
mod sending;
pub mod spaces;
pub mod transfers;

pub use host::NodeHost;
