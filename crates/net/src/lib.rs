//! Everything on the wire: links to proven members and to strangers, the TCP lane, the LAN.
//!
//! A [`Network`] is one device: a QUIC endpoint (iroh: hole punching, relays if configured) and a
//! TCP listener on the same port, both under the device's Ed25519 key. It dials and is dialled;
//! out come links. A link gives byte streams, and for bulk data a lane on TCP where TCP gets
//! through, which is three to four times as fast and needs a quarter of the processor. What was
//! proven about a peer is in the type of its link.
//!
//! Decisions about peers are the owner's ([`Admission`]); what a peer may cost is in [`Limits`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod accept;
mod address;
mod admission;
mod bind;
mod close;
mod config;
mod congestion;
mod core;
pub mod frame;
mod gate;
mod guest;
mod known;
pub mod lan;
mod lane;
mod link;
pub mod memory;
mod network;
mod stream;
mod tls;

pub use admission::Admission;
pub use close::Goodbye;
pub use config::{Limits, NetConfig};
pub use core::{Bulk, KeyAgreement, PathInfo};
pub use guest::GuestLink;
pub use link::Link;
pub use network::{BindError, ConnectError, Incoming, Network};
pub use stream::{Lane, RecvHalf, SendHalf, Stream};

use std::io;

/// `N` unpredictable bytes.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("a system without randomness cannot run this safely");
    bytes
}

/// Bytes that only the two ends of a connection know (RFC 5705), 32 of them.
fn exporter(conn: &iroh::endpoint::Connection, label: &[u8]) -> io::Result<[u8; 32]> {
    let mut out = [0; 32];
    conn.export_keying_material(&mut out, label, b"").map_err(|_| io::Error::other("no exporter"))?;
    Ok(out)
}

#[cfg(test)]
mod tests;
