//! Links to strangers: for joining a circle by code and for sending to somebody by code.
//!
//! The dialer opens the first stream with one version byte and waits for one in return; then
//! either side opens streams as on any link. Until the caller of [`GuestLink::vouch`] has seen a
//! proof, a stranger who dialled us has one stream, small windows, one of few places, and little
//! time.

use std::{fmt, io, sync::Arc};

use iroh::endpoint::Connection;
use logic::Misbehaved;
use seal::DeviceId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::OwnedSemaphorePermit,
};
use tokio_util::sync::CancellationToken;

use crate::{
    close::Goodbye,
    core::{Bulk, Core, KeyAgreement, PathInfo},
    network::Shared,
    stream::Stream,
};

/// First byte of the first stream, both ways.
const VERSION: u8 = 1;
/// Label of the exporter (RFC 5705) that pairing is bound to.
const EXPORTER: &[u8] = b"EXPORTER-warren-guest/1";

/// A link to a device that has proven its key and nothing else.
#[derive(Clone)]
pub struct GuestLink {
    core: Arc<Core>,
    vouched: CancellationToken,
}

impl GuestLink {
    /// Knocks at a device whose key is known.
    pub(crate) async fn dial(shared: Arc<Shared>, conn: Connection) -> io::Result<Self> {
        let cut = CancellationToken::new();
        let mut desk = Stream::quic(conn.open_bi().await?, &cut);
        desk.send.write_u8(VERSION).await?;
        if desk.recv.read_u8().await? != VERSION {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let link = Self::start(shared, conn, true, desk, cut)?;
        link.vouch();
        Ok(link)
    }

    /// Lets a stranger in who has found a place.
    pub(crate) async fn admit(shared: Arc<Shared>, conn: Connection, place: OwnedSemaphorePermit) -> io::Result<Self> {
        let cut = CancellationToken::new();
        let mut desk = Stream::quic(conn.accept_bi().await?, &cut);
        if desk.recv.read_u8().await? != VERSION {
            return Err(io::ErrorKind::InvalidData.into());
        }
        desk.send.write_u8(VERSION).await?;
        let link = Self::start(shared, conn, false, desk, cut)?;
        link.hurry(place);
        Ok(link)
    }

    fn start(
        shared: Arc<Shared>,
        conn: Connection,
        dialled: bool,
        desk: Stream,
        cut: CancellationToken,
    ) -> io::Result<Self> {
        let exporter = crate::exporter(&conn, EXPORTER)?;
        Ok(Self { core: Core::start(shared, conn, dialled, exporter, desk, cut), vouched: CancellationToken::new() })
    }

    /// Holds the place until the stranger is vouched for, gone, or out of time.
    fn hurry(&self, place: OwnedSemaphorePermit) {
        let (vouched, cut) = (self.vouched.clone(), self.core.cut.clone());
        let life = self.core.shared.config.limits.guest_life;
        let core = Arc::downgrade(&self.core);
        self.core.spawn(async move {
            tokio::select! {
                () = vouched.cancelled() => {}
                () = cut.cancelled() => {}
                () = tokio::time::sleep(life) => if let Some(core) = core.upgrade() {
                    core.report(Misbehaved::GuestIdle);
                    core.close(Goodbye::Misbehaved);
                }
            }
            drop(place);
        });
    }

    /// The stranger has proven a code: it gets the windows of a member and as much time as it
    /// needs, and leaves its place to the next.
    pub fn vouch(&self) {
        self.core.trust();
        self.vouched.cancel();
    }

    /// The other device's key, which it has proven.
    pub fn remote(&self) -> DeviceId {
        self.core.remote
    }

    /// True if this side dialled.
    pub fn dialled(&self) -> bool {
        self.core.dialled()
    }

    /// 32 bytes that only the two ends of this connection know (RFC 5705).
    pub fn exporter(&self) -> [u8; 32] {
        self.core.exporter()
    }

    /// A new stream; the peer sees it with its first byte.
    ///
    /// # Errors
    /// The link is closed.
    pub async fn open(&self) -> io::Result<Stream> {
        self.core.open().await
    }

    /// The next stream that the peer opened, on whichever lane.
    ///
    /// # Errors
    /// The link is closed.
    pub async fn accept(&self) -> io::Result<Stream> {
        self.core.accept().await
    }

    /// Streams for bulk data: one on TCP where that gets through, else `want` on QUIC.
    ///
    /// # Errors
    /// The link is closed.
    pub async fn open_bulk(&self, want: usize) -> io::Result<Bulk> {
        self.core.open_bulk(want).await
    }

    /// How the link gets through right now.
    pub fn paths(&self) -> PathInfo {
        self.core.paths()
    }

    /// The key agreement of the handshake.
    pub fn key_agreement(&self) -> Option<KeyAgreement> {
        self.core.key_agreement()
    }

    /// Ends the link and every stream of it.
    pub fn close(&self, why: Goodbye) {
        self.core.close(why);
    }

    /// Waits for the end of the link.
    pub async fn closed(&self) -> Goodbye {
        self.core.closed().await
    }
}

impl fmt::Debug for GuestLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuestLink({:?})", self.core.remote)
    }
}
