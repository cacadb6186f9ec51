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
    core::{Bulk, Core, KeyAgreement, PathInfo, handle},
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

    /// Lets a stranger in who has found a place, or needs none.
    pub(crate) async fn admit(
        shared: Arc<Shared>,
        conn: Connection,
        place: Option<OwnedSemaphorePermit>,
    ) -> io::Result<Self> {
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
    fn hurry(&self, place: Option<OwnedSemaphorePermit>) {
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

    /// 32 bytes that only the two ends of this connection know (RFC 5705).
    pub fn exporter(&self) -> [u8; 32] {
        self.core.exporter()
    }
}

handle!(GuestLink);
