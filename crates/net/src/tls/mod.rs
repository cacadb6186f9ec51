//! TLS 1.3 on TCP between device keys: the fast lane beside QUIC.
//!
//! Both ends prove an Ed25519 device key with a raw public key (RFC 7250); there are no X.509
//! certificates, no names, no session tickets and no early data. [`config`] says what is
//! negotiated, [`handshake`] drives rustls until keys are agreed, [`record`] is the record layer
//! (RFC 8446 section 5) on its own, and [`stream`] puts the record layer on a socket.
//!
//! Why not a stock TLS stream: one object that both encrypts and decrypts has to be shared by the
//! two halves under a lock, and it moves 4 to 16 KiB per system call. rustls offers its
//! "kernel connection" for those who bring their own record layer (kTLS is the usual one); with it
//! each half owns its key and works in place on a buffer of many records.
//!
//! Keys are plain `[u8; 32]` here: this module knows TLS, not Warren.

pub(crate) mod config;
pub(crate) mod handshake;
pub(crate) mod record;
pub(crate) mod stream;

pub(crate) use config::{LaneTls, provider};
pub(crate) use handshake::HandshakeError;
pub(crate) use stream::{TlsReader, TlsWriter};
