//! Links to members: whoever holds one talks with a device whose membership is proven.
//!
//! The first stream carries the hello (`logic::hello`) and goes on as the desk for TCP lanes.

use std::{fmt, io, sync::Arc};

use iroh::endpoint::Connection;
use logic::{
    Misbehaved,
    hello::{Context, Credentials, Dialer, HelloError, PeerProven, Responder},
    limits::HELLO_FRAME,
    wire::Frame,
};
use seal::DeviceId;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use crate::{
    close::Goodbye,
    core::{Bulk, Core, KeyAgreement, PathInfo, handle},
    frame::{FrameError, read_body},
    network::{ConnectError, Shared, why},
    stream::{Lane, SendHalf, Stream},
};

/// Label of the exporter (RFC 5705) that the hello is bound to.
const EXPORTER: &[u8] = b"EXPORTER-warren-hello/1";

/// A link to a proven member's device. Clones are the same link.
#[derive(Clone)]
pub struct Link {
    core: Arc<Core>,
    peer: Arc<PeerProven>,
}

impl Link {
    /// Proves ourselves to the device that was dialled, and has it prove itself.
    pub(crate) async fn dial(
        shared: Arc<Shared>,
        conn: Connection,
        credentials: &Credentials,
    ) -> Result<Self, ConnectError> {
        let failed = |error: FrameError| match error {
            FrameError::Misbehaved(offence) => match conn.close_reason() {
                Some(_) => why(&conn, &io::ErrorKind::ConnectionReset.into()),
                None => ConnectError::Misbehaved(offence),
            },
            FrameError::Io(error) => why(&conn, &error),
            FrameError::TooBig(error) => ConnectError::Failed(error.to_string()),
        };
        let context = context(&shared, &conn).map_err(|e| failed(e.into()))?;
        let (dialer, hello) = Dialer::start(&shared.key, credentials, context)?;
        let cut = CancellationToken::new();
        let stream = conn.open_bi().await.map_err(io::Error::from);
        let stream = stream.map_err(|e| failed(e.into()))?;
        let mut stream = Stream::quic(stream, &cut);
        let reply = async {
            send(&mut stream.send, &hello).await?;
            read_body(&mut stream.recv, HELLO_FRAME).await?.ok_or(FrameError::Misbehaved(Misbehaved::FrameTruncated))
        };
        let reply = reply.await.map_err(failed)?;
        let peer = dialer.finish(&reply, credentials, shared.admission.now())?;
        Ok(Self::start(shared, conn, true, context, stream, peer, cut))
    }

    /// Answers the hello of whoever dialled.
    pub(crate) async fn admit(shared: Arc<Shared>, conn: Connection) -> Result<Self, Denial> {
        let cut = CancellationToken::new();
        let mut stream = Stream::quic(conn.accept_bi().await.map_err(io::Error::from)?, &cut);
        let hello = read_body(&mut stream.recv, HELLO_FRAME).await?;
        let hello = hello.ok_or(Misbehaved::FrameTruncated)?;
        let context = context(&shared, &conn)?;
        let responder = Responder::new(context);
        let answer = match shared.admission.credentials() {
            None => Err(responder.refuse()),
            Some(own) => responder.answer(&hello, &shared.key, &own, shared.admission.now()),
        };
        match answer {
            Ok((peer, reply)) => {
                send(&mut stream.send, &reply).await?;
                Ok(Self::start(shared, conn, false, context, stream, peer, cut))
            }
            Err(denied) => {
                if let Some(reply) = &denied.reply {
                    send(&mut stream.send, reply).await?;
                    stream.send.finish().await?;
                }
                match denied.fault {
                    HelloError::Misbehaved(offence) => Err(Denial::Misbehaved(offence)),
                    _ => Err(Denial::Quietly),
                }
            }
        }
    }

    fn start(
        shared: Arc<Shared>,
        conn: Connection,
        dialled: bool,
        context: Context,
        desk: Stream,
        peer: PeerProven,
        cut: CancellationToken,
    ) -> Self {
        let core = Core::start(shared, conn, dialled, context.exporter, desk, cut);
        core.trust();
        Self { core, peer: Arc::new(peer) }
    }

    /// Who is on the other side, proven when the link began.
    pub fn peer(&self) -> &PeerProven {
        &self.peer
    }

    /// What bulk data travelled on last over this link; `None` before there was any.
    pub fn lane(&self) -> Option<Lane> {
        self.core.lane()
    }
}

handle!(Link);

/// Why a caller got no link.
pub(crate) enum Denial {
    /// For a reason that belongs into the log.
    Misbehaved(Misbehaved),
    /// It hung up, or there is nothing to say.
    Quietly,
}

impl From<Misbehaved> for Denial {
    fn from(offence: Misbehaved) -> Self {
        Self::Misbehaved(offence)
    }
}

impl From<io::Error> for Denial {
    fn from(_: io::Error) -> Self {
        Self::Quietly
    }
}

impl From<FrameError> for Denial {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Misbehaved(offence) => Self::Misbehaved(offence),
            _ => Self::Quietly,
        }
    }
}

impl From<HelloError> for ConnectError {
    fn from(error: HelloError) -> Self {
        match error {
            HelloError::Misbehaved(offence) => Self::Misbehaved(offence),
            HelloError::Removed(crl) => Self::Removed(crl),
            HelloError::Refused => Self::Closed(Goodbye::Refused),
            other => Self::Failed(other.to_string()),
        }
    }
}

fn context(shared: &Shared, conn: &Connection) -> io::Result<Context> {
    Ok(Context {
        exporter: crate::exporter(conn, EXPORTER)?,
        local: shared.id,
        remote: DeviceId::from_bytes(*conn.remote_id().as_bytes()),
    })
}

async fn send(stream: &mut SendHalf, frame: &Frame) -> Result<(), FrameError> {
    stream.write_all(frame.as_bytes()).await?;
    stream.flush().await?;
    Ok(())
}
