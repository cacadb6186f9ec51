//! TLS 1.3 on TCP between device keys: the fast lane beside QUIC.
//!
//! Both ends prove an Ed25519 device key with a raw public key (RFC 7250); there are no X.509
//! certificates, no names, no session tickets and no early data. [`config`] says what is
//! negotiated, [`handshake`] agrees on keys, and [`stream`] parts the result into two halves. The
//! protocol itself is rustls'.
//!
//! Keys are plain `[u8; 32]` here: this module knows TLS, not Warren.

pub(crate) mod config;
pub(crate) mod handshake;
mod socket;
pub(crate) mod stream;

pub(crate) use config::{LaneTls, provider};
pub(crate) use handshake::HandshakeError;
pub(crate) use stream::{Pulse, TlsReader, TlsWriter, bound_silence};
