//! Drives rustls over a socket until both keys are agreed, then hands them to the record layer.
//!
//! Called by the TCP lane for both sides. Invariants: at most [`MAX_HANDSHAKE`] bytes of a peer are
//! held; what comes out names the key that the peer has proven.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, ServerConfig,
    client::UnbufferedClientConnection,
    pki_types::ServerName,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, UnbufferedStatus},
};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    config::key_from_spki,
    record::{DirectionKey, Kernel, Opener, RecordError, Rekey, Sealer},
    stream::{TlsReader, TlsWriter},
};

/// Bytes of the peer's handshake that may lie here undigested: its largest message is the key
/// share with ML-KEM (1.2 KiB).
const MAX_HANDSHAKE: usize = 16 * 1024;

/// Why no keys were agreed.
#[derive(Debug, Error)]
pub(crate) enum HandshakeError {
    /// The socket failed or ended.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// TLS failed: wrong key, no common suite, nonsense.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The peer sent too much, or ended TLS before it began.
    #[error("the peer does not speak this protocol")]
    Protocol,
}

impl From<RecordError> for HandshakeError {
    fn from(_: RecordError) -> Self {
        Self::Protocol
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
pub(crate) async fn connect(
    mut socket: TcpStream,
    config: Arc<ClientConfig>,
) -> Result<Secured, HandshakeError> {
    let mut conn = UnbufferedClientConnection::new(config, nameless())?;
    let rest = drive(&mut socket, &mut conn).await?;
    let peer = peer_key(conn.peer_certificates())?;
    let (secrets, kernel) = conn.dangerous_into_kernel_connection()?;
    secured(socket, peer, secrets, Kernel::Client(kernel), rest)
}

/// Learns whose key answers, and hangs up.
pub(crate) async fn identify(
    mut socket: TcpStream,
    config: Arc<ClientConfig>,
) -> Result<[u8; 32], HandshakeError> {
    let mut conn = UnbufferedClientConnection::new(config, nameless())?;
    drive(&mut socket, &mut conn).await?;
    peer_key(conn.peer_certificates())
}

/// Is dialled: accepts any key that proves itself.
pub(crate) async fn accept(
    mut socket: TcpStream,
    config: Arc<ServerConfig>,
) -> Result<Secured, HandshakeError> {
    let mut conn = UnbufferedServerConnection::new(config)?;
    let rest = drive(&mut socket, &mut conn).await?;
    let peer = peer_key(conn.peer_certificates())?;
    let (secrets, kernel) = conn.dangerous_into_kernel_connection()?;
    secured(socket, peer, secrets, Kernel::Server(kernel), rest)
}

/// rustls wants a name; it is neither sent (SNI is off) nor looked at (keys are).
fn nameless() -> ServerName<'static> {
    ServerName::from(std::net::IpAddr::from([0, 0, 0, 0]))
}

fn peer_key(
    certs: Option<&[rustls::pki_types::CertificateDer<'_>]>,
) -> Result<[u8; 32], HandshakeError> {
    certs
        .and_then(<[_]>::first)
        .and_then(|cert| key_from_spki(cert))
        .ok_or(HandshakeError::Protocol)
}

fn secured(
    socket: TcpStream,
    peer: [u8; 32],
    secrets: rustls::ExtractedSecrets,
    kernel: Kernel,
    rest: Rest,
) -> Result<Secured, HandshakeError> {
    let rekey = Rekey::new(kernel);
    let opener = Opener::new(
        DirectionKey::new(secrets.rx.0, secrets.rx.1)?,
        rekey.clone(),
    );
    let sealer = Sealer::new(DirectionKey::new(secrets.tx.0, secrets.tx.1)?, rekey);
    let (read, write) = socket.into_split();
    Ok(Secured {
        peer,
        reader: TlsReader::new(read, opener, rest.plain, &rest.sealed),
        writer: TlsWriter::new(write, sealer),
    })
}

/// What arrived behind the handshake: opened already, and not yet.
struct Rest {
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

/// One side's connection; the two rustls types share everything but a name.
trait Side {
    type Data;
    fn step<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Side for UnbufferedClientConnection {
    type Data = rustls::client::ClientConnectionData;
    fn step<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }
}

impl Side for UnbufferedServerConnection {
    type Data = rustls::server::ServerConnectionData;
    fn step<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }
}

/// What the handshake needs next.
enum Need {
    Again,
    Send,
    Receive,
    Nothing,
}

async fn drive<S: Side>(socket: &mut TcpStream, conn: &mut S) -> Result<Rest, HandshakeError> {
    let mut input = vec![0; MAX_HANDSHAKE];
    let (mut filled, mut output, mut plain) = (0, Vec::new(), Vec::new());
    loop {
        let status = conn.step(&mut input[..filled]);
        let discard = status.discard;
        let need = match status.state {
            Ok(state) => digest(state, &mut output, &mut plain)?,
            Err(error) => {
                // Tell the peer why, if rustls has prepared an alert; the error counts either way.
                if let Ok(ConnectionState::EncodeTlsData(mut data)) = conn.step(&mut []).state {
                    let _ = encode(&mut output, |out| data.encode(out));
                    let _ = socket.try_write(&output);
                }
                return Err(error.into());
            }
        };
        input.copy_within(discard..filled, 0);
        filled -= discard;
        match need {
            Need::Again => {}
            Need::Send => {
                socket.write_all(&output).await?;
                output.clear();
            }
            Need::Receive => {
                if filled == input.len() {
                    return Err(HandshakeError::Protocol);
                }
                let n = socket.read(&mut input[filled..]).await?;
                if n == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                filled += n;
            }
            Need::Nothing => {
                input.truncate(filled);
                return Ok(Rest {
                    plain,
                    sealed: input,
                });
            }
        }
    }
}

fn digest<D>(
    state: ConnectionState<'_, '_, D>,
    output: &mut Vec<u8>,
    plain: &mut Vec<u8>,
) -> Result<Need, HandshakeError> {
    match state {
        ConnectionState::EncodeTlsData(mut data) => {
            encode(output, |out| data.encode(out))?;
            Ok(Need::Again)
        }
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Need::Send)
        }
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                plain.extend_from_slice(record?.payload);
            }
            Ok(Need::Again)
        }
        ConnectionState::BlockedHandshake => Ok(Need::Receive),
        ConnectionState::WriteTraffic(_) => Ok(Need::Nothing),
        _ => Err(HandshakeError::Protocol),
    }
}

fn encode(
    output: &mut Vec<u8>,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<(), HandshakeError> {
    let start = output.len();
    let room = match encode(&mut []) {
        Err(EncodeError::InsufficientSize(size)) => size.required_size,
        Ok(0) => return Ok(()),
        _ => return Err(HandshakeError::Protocol),
    };
    output.resize(start + room, 0);
    let written = encode(&mut output[start..]).map_err(|_| HandshakeError::Protocol)?;
    output.truncate(start + written);
    Ok(())
}
