//! Opening a lane on the wire: TCP, TLS, ticket, confirmation; and the answering side.

use std::{io, net::SocketAddr, time::Duration};

use logic::{Misbehaved, wire::LinkToken};
use socket2::{SockRef, TcpKeepalive};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Halves, tickets::Tickets, watch::SILENCE};
use crate::tls::{
    HandshakeError, LaneTls, bound_silence,
    handshake::{self, Secured},
};

/// First byte of a lane in both directions: the version of what follows.
const VERSION: u8 = 1;

/// Why there is no lane.
#[derive(Debug, Error)]
pub(crate) enum LaneError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("the ticket was not accepted")]
    Refused,
    #[error("timed out")]
    TimedOut,
    #[error(transparent)]
    Misbehaved(#[from] Misbehaved),
}

/// Dials `device` at `addr` and shows the ticket.
pub(crate) async fn dial(
    tls: &LaneTls,
    addr: SocketAddr,
    device: [u8; 32],
    token: LinkToken,
    patience: Duration,
) -> Result<Halves, LaneError> {
    let dial = async {
        let socket = TcpStream::connect(addr).await?;
        prepare(&socket)?;
        let config = tls.client(device).map_err(HandshakeError::from)?;
        let Secured { mut reader, mut writer, .. } = handshake::connect(socket, config).await?;
        writer.write_u8(VERSION).await?;
        writer.write_all(&token.0).await?;
        writer.flush().await?;
        match reader.read_u8().await {
            Ok(VERSION) => {
                reader.widen();
                Ok((reader, writer))
            }
            _ => Err(LaneError::Refused),
        }
    };
    timeout(patience, dial).await.unwrap_or(Err(LaneError::TimedOut))
}

/// Learns which device answers at `addr`, without telling who asks.
pub(crate) async fn identify(tls: &LaneTls, addr: SocketAddr) -> Result<[u8; 32], LaneError> {
    let socket = TcpStream::connect(addr).await?;
    let config = tls.anonymous().map_err(HandshakeError::from)?;
    Ok(handshake::identify(socket, config).await?)
}

/// A key that was proven, as far as a failed call got.
pub(crate) type Caller = Option<[u8; 32]>;

/// Answers a call: handshake, ticket, confirmation, delivery.
pub(crate) async fn answer(tls: &LaneTls, tickets: &Tickets, socket: TcpStream) -> Result<(), (Caller, LaneError)> {
    prepare(&socket).map_err(|e| (None, e.into()))?;
    let secured = handshake::accept(socket, tls.server.clone()).await.map_err(|e| (None, e.into()))?;
    let peer = secured.peer;
    admit(tickets, secured).await.map_err(|e| (Some(peer), e))
}

async fn admit(tickets: &Tickets, secured: Secured) -> Result<(), LaneError> {
    let Secured { peer, mut reader, mut writer, .. } = secured;
    let mut opening = [0; 17];
    reader.read_exact(&mut opening).await?;
    let [version, token @ ..] = opening;
    if version != VERSION {
        return Err(LaneError::Refused);
    }
    let give = tickets.redeem(LinkToken(token), peer)?;
    writer.write_u8(VERSION).await?;
    writer.flush().await?;
    reader.widen();
    // Nobody waits any more: dropping the halves tells the dialer.
    let _ = give.send((reader, writer));
    Ok(())
}

fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE))?;
    bound_silence(socket, SILENCE)
}
