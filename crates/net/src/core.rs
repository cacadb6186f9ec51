//! What links to members and to strangers have in common: a QUIC connection, a desk for TCP
//! lanes, an inbox for streams, and one end for all of it.
//!
//! Invariants: when the connection ends, every stream of the link ends with an error, on TCP too;
//! when the last handle is dropped, the connection is closed.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use iroh::{
    TransportAddr,
    endpoint::{Connection, ConnectionError, VarInt},
};
use noq_proto::crypto::rustls::HandshakeData;
use rustls::NamedGroup;
use seal::DeviceId;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    close::Goodbye,
    frame::FrameError,
    lane::{
        Halves,
        desk::{self, Desk},
        watch::{self, Lanes},
    },
    network::Shared,
    stream::{Lane, Stream},
};

/// TCP lanes that were opened by the peer and not accepted yet.
const ARRIVALS: usize = 16;
/// Streams that a proven peer may have open at once.
const STREAMS: VarInt = VarInt::from_u32(256);
/// Bytes of a proven peer that may lie unread on all QUIC streams of a link.
const RECEIVE_WINDOW: VarInt = VarInt::from_u32(16 << 20);

/// How a link gets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// IP and port of the peer, if packets go there straight.
    pub direct: Option<SocketAddr>,
    /// URL of the relay in use, if they do not.
    pub relay: Option<String>,
    /// Round-trip time.
    pub rtt: Option<Duration>,
}

/// Key agreement of a link's TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAgreement {
    /// Hybrid of X25519 and ML-KEM-768: safe against recorded-now, broken-later.
    X25519MlKem768,
    /// X25519 alone.
    X25519,
}

impl fmt::Display for KeyAgreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X25519MlKem768 => "X25519MLKEM768",
            Self::X25519 => "X25519",
        })
    }
}

/// Streams for bulk data, and the way they travel.
#[derive(Debug)]
pub struct Bulk {
    /// One on TCP; as many as wanted on QUIC, where a single one is bounded by window over round
    /// trip. The peer sees each with its first byte.
    pub streams: Vec<Stream>,
    /// The way they travel.
    pub lane: Lane,
}

/// The common part of a link.
pub(crate) struct Core {
    pub(crate) shared: Arc<Shared>,
    pub(crate) remote: DeviceId,
    pub(crate) cut: CancellationToken,
    pub(crate) desk: Desk,
    pub(crate) arrivals: mpsc::Sender<Stream>,
    conn: Connection,
    dialled: bool,
    exporter: [u8; 32],
    inbox: AsyncMutex<mpsc::Receiver<Stream>>,
    trusted: AtomicBool,
    /// Why this side closed it.
    said: OnceLock<Goodbye>,
    /// What bulk data travelled on last, in either direction.
    lane: Mutex<Option<Lane>>,
    lanes: Arc<Lanes>,
}

impl Core {
    /// A link over `conn` whose first stream is `desk`.
    pub(crate) fn start(
        shared: Arc<Shared>,
        conn: Connection,
        dialled: bool,
        exporter: [u8; 32],
        desk: Stream,
        cut: CancellationToken,
    ) -> Arc<Self> {
        let (arrivals, inbox) = mpsc::channel(ARRIVALS);
        let core = Arc::new(Self {
            remote: DeviceId::from_bytes(*conn.remote_id().as_bytes()),
            desk: Desk::new(desk.send, shared.config.limits.lane_tickets),
            shared,
            cut,
            arrivals,
            conn,
            dialled,
            exporter,
            inbox: AsyncMutex::new(inbox),
            trusted: AtomicBool::new(false),
            said: OnceLock::new(),
            lane: Mutex::new(None),
            lanes: Arc::default(),
        });
        let (lanes, path) = (core.lanes.clone(), core.conn.path_events().filter_map(watch::changed));
        core.spawn(async move { watch::follow(&lanes, path).await });
        let ended = core.conn.weak_handle().closed();
        let cut = core.cut.clone();
        core.spawn(async move {
            ended.await;
            cut.cancel();
        });
        let weak = Arc::downgrade(&core);
        core.spawn(async move {
            let served = desk::serve(weak.clone(), desk.recv).await;
            if let (Err(FrameError::Misbehaved(offence)), Some(core)) = (served, weak.upgrade()) {
                core.report(offence);
                core.close(Goodbye::Misbehaved);
            }
        });
        core
    }

    /// The peer is trusted with the full windows and with TCP lanes from now on.
    pub(crate) fn trust(&self) {
        self.trusted.store(true, Ordering::Relaxed);
        self.conn.set_receive_window(RECEIVE_WINDOW);
        self.conn.set_max_concurrent_bi_streams(STREAMS);
    }

    /// True after [`Core::trust`].
    pub(crate) fn trusted(&self) -> bool {
        self.trusted.load(Ordering::Relaxed)
    }

    /// Runs `task` until it ends or the network is closed.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.spawn(task);
    }

    pub(crate) fn report(&self, offence: logic::Misbehaved) {
        self.shared.admission.report(Some(self.remote), self.direct_addr(), offence);
    }

    pub(crate) fn dialled(&self) -> bool {
        self.dialled
    }

    pub(crate) fn exporter(&self) -> [u8; 32] {
        self.exporter
    }

    pub(crate) async fn open(&self) -> io::Result<Stream> {
        Ok(Stream::quic(self.conn.open_bi().await?, &self.cut))
    }

    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        tokio::select! {
            stream = self.conn.accept_bi() => Ok(Stream::quic(stream?, &self.cut)),
            Some(stream) = async { self.inbox.lock().await.recv().await } => Ok(stream),
        }
    }

    pub(crate) async fn open_bulk(&self, want: usize) -> io::Result<Bulk> {
        if let Some(halves) = desk::open(self).await {
            return Ok(Bulk { streams: vec![self.lane_stream(halves)], lane: Lane::Tcp });
        }
        let mut streams = Vec::with_capacity(want);
        for _ in 0..want.max(1) {
            streams.push(self.open().await?);
        }
        self.note_lane(Lane::Quic);
        Ok(Bulk { streams, lane: Lane::Quic })
    }

    /// A TCP lane of this link as a stream of it.
    pub(crate) fn lane_stream(&self, (reader, writer): Halves) -> Stream {
        self.note_lane(Lane::Tcp);
        self.lanes.add(reader.pulse());
        Stream::tcp(reader, writer, &self.cut)
    }

    pub(crate) fn note_lane(&self, lane: Lane) {
        *self.lane.lock().unwrap_or_else(PoisonError::into_inner) = Some(lane);
    }

    pub(crate) fn lane(&self) -> Option<Lane> {
        *self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peer's address where packets go straight; `None` over a relay.
    pub(crate) fn direct_addr(&self) -> Option<SocketAddr> {
        self.paths().direct
    }

    pub(crate) fn paths(&self) -> PathInfo {
        let paths = self.conn.paths();
        let selected = paths.iter().find(|path| path.is_selected());
        let mut info = PathInfo { direct: None, relay: None, rtt: selected.as_ref().map(|path| path.rtt()) };
        match selected.as_ref().map(|path| path.remote_addr()) {
            Some(TransportAddr::Ip(addr)) => info.direct = Some(*addr),
            Some(TransportAddr::Relay(url)) => info.relay = Some(url.to_string()),
            _ => {}
        }
        info
    }

    pub(crate) fn key_agreement(&self) -> Option<KeyAgreement> {
        let data = self.conn.handshake_data()?.downcast::<HandshakeData>().ok()?;
        match data.negotiated_key_exchange_group? {
            NamedGroup::X25519MLKEM768 => Some(KeyAgreement::X25519MlKem768),
            NamedGroup::X25519 => Some(KeyAgreement::X25519),
            _ => None,
        }
    }

    pub(crate) fn close(&self, why: Goodbye) {
        self.cut.cancel();
        self.said.get_or_init(|| why);
        why.say(&self.conn);
    }

    /// The reason of whichever side closed first.
    pub(crate) async fn closed(&self) -> Goodbye {
        match (self.conn.closed().await, self.said.get()) {
            (ConnectionError::LocallyClosed, Some(said)) => *said,
            (heard, _) => Goodbye::heard(&heard),
        }
    }
}

/// What links to members and links to strangers can do alike; both are handles to a [`Core`].
macro_rules! handle {
    ($link:ident) => {
        impl $link {
            /// The other device's key, which it has proven.
            pub fn remote(&self) -> DeviceId {
                self.core.remote
            }

            /// True if this side dialled.
            pub fn dialled(&self) -> bool {
                self.core.dialled()
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

            /// Tells the owner of an offence.
            pub fn report(&self, offence: Misbehaved) {
                self.core.report(offence);
            }

            /// Tells the owner of an offence and ends the link.
            pub fn offended(&self, offence: Misbehaved) {
                self.core.report(offence);
                self.core.close(Goodbye::Misbehaved);
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

        impl fmt::Debug for $link {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($link), "({:?})"), self.core.remote)
            }
        }
    };
}
pub(crate) use handle;

impl Drop for Core {
    fn drop(&mut self) {
        self.close(Goodbye::Leaving);
    }
}
