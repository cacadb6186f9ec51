//! Agrees on keys over a socket.
//!
//! Called by the TCP lane for both sides. Invariant: what comes out names the key that the peer has
//! proven. Bounds on time and number are the caller's; rustls bounds the bytes.

use std::{io, sync::Arc};

use rustls::{ClientConfig, CommonState, ServerConfig, pki_types::ServerName};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::{
    config::key_from_spki,
    socket::Socket,
    stream::{self, TlsReader, TlsWriter},
};

/// Why no keys were agreed.
#[derive(Debug, Error)]
pub(crate) enum HandshakeError {
    /// The socket failed or ended.
    #[error(transparent)]
    Io(io::Error),
    /// TLS failed: wrong key, no common suite, nonsense.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The peer has shown no key of our kind.
    #[error("the peer does not speak this protocol")]
    Protocol,
}

impl From<io::Error> for HandshakeError {
    /// rustls' errors travel inside.
    fn from(error: io::Error) -> Self {
        error.downcast().map_or_else(Self::Io, Self::Tls)
    }
}

/// A connection whose keys are agreed and whose peer has proven `peer`.
pub(crate) struct Secured {
    /// The peer's Ed25519 key.
    pub(crate) peer: [u8; 32],
    pub(crate) reader: TlsReader,
    pub(crate) writer: TlsWriter,
}

/// Dials: the config decides whom (see `LaneTls::client`).
pub(crate) async fn connect(socket: TcpStream, config: Arc<ClientConfig>) -> Result<Secured, HandshakeError> {
    secured(dial(socket, config).await?)
}

/// Learns whose key answers, and hangs up.
pub(crate) async fn identify(socket: TcpStream, config: Arc<ClientConfig>) -> Result<[u8; 32], HandshakeError> {
    peer_key(dial(socket, config).await?.get_ref().1)
}

/// Is dialled: accepts any key that proves itself.
pub(crate) async fn accept(socket: TcpStream, config: Arc<ServerConfig>) -> Result<Secured, HandshakeError> {
    let accept = TlsAcceptor::from(config).accept_with(Socket::new(socket), |tls| stream::bound(tls));
    secured(accept.await?.into())
}

async fn dial(socket: TcpStream, config: Arc<ClientConfig>) -> Result<TlsStream<Socket>, HandshakeError> {
    // rustls wants a name; it is neither sent (SNI is off) nor looked at (keys are).
    let nameless = ServerName::from(std::net::IpAddr::from([0, 0, 0, 0]));
    let connect = TlsConnector::from(config).connect_with(nameless, Socket::new(socket), |tls| stream::bound(tls));
    Ok(connect.await?.into())
}

fn secured(tls: TlsStream<Socket>) -> Result<Secured, HandshakeError> {
    let peer = peer_key(tls.get_ref().1)?;
    let (reader, writer) = stream::split(tls);
    Ok(Secured { peer, reader, writer })
}

fn peer_key(tls: &CommonState) -> Result<[u8; 32], HandshakeError> {
    let certs = tls.peer_certificates();
    certs.and_then(<[_]>::first).and_then(|cert| key_from_spki(cert)).ok_or(HandshakeError::Protocol)
}
