//! The TCP lane of a link: who dials whom, with which ticket, and what happens when nobody can.
//!
//! A lane belongs to a link that exists already. Either side may want one. It asks the other over
//! the link's first QUIC stream (the [`desk`]) for a ticket: a random token good for one
//! connection, from this device, within seconds. It dials with it; where it cannot, it hands out a
//! ticket of its own and asks to be dialled; where that fails too, bulk data travels on QUIC and
//! TCP is left alone for a while. Before a byte of payload is sent, the acceptor has confirmed the
//! ticket, so falling back loses nothing.
//!
//! Byte level: `docs/formats/channel.md`.

pub(crate) mod desk;
pub(crate) mod dial;
pub(crate) mod tickets;
pub(crate) mod watch;

use crate::tls::{TlsReader, TlsWriter};

/// An open lane.
pub(crate) type Halves = (TlsReader, TlsWriter);
