//! The local API over real sockets, with a fake device behind it.
#![allow(clippy::unwrap_used)]

mod client;
mod fake;
mod loopback;
mod server;
mod spool;
