//! Content lanes: parcels in and out. A lane is the run's token and then parcels, each a `u32` length (big-endian) and
//! so many bytes, until the end of the stream.

use super::Deps;
use super::control::{Broken, read_full};
use super::pool::{Parcel, Pool};
use super::reading::Outgo;
use super::total::Seat;
use logic::Misbehaved;
use logic::transfer::Token;
use logic::transfer::lane::{PARCEL_MAX, PieceKind, Pieces};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinError;
use tokio::time::Instant;

/// Parcels that wait for a lane; all lanes of a run take from the same queue, so a slow one holds nobody up.
pub(super) type Queue = Arc<Mutex<mpsc::UnboundedReceiver<Parcel>>>;

/// So many bytes are written between two looks at the speed limit, and so many at least.
const SLICE: u64 = 256 << 10;
const SLICE_MIN: u64 = 4 << 10;

/// A limit may change while a lane waits for it, so it looks again after this time.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Holds all lanes of a run to the limits: the transfer's own, and that of all sending together.
pub(super) struct Pace {
    pub outgo: Arc<Outgo>,
    pub deps: Arc<Deps>,
    pub seat: Seat,
}

impl Pace {
    /// So much is written at once that even a slow lane looks at its limits a few times per second.
    fn slice(&self) -> usize {
        let limits = [self.outgo.engine().rate_limit(), self.seat.limit()];
        let lowest = limits.into_iter().flatten().min();
        lowest.map_or(SLICE, |limit| (limit / 4).clamp(SLICE_MIN, SLICE)) as usize
    }

    /// Waits until so many bytes may be written.
    async fn wait(&self, bytes: u64) {
        loop {
            let now = self.deps.clock();
            let Some(then) = self.outgo.engine().pace(bytes, now) else { break };
            tokio::time::sleep(then.saturating_sub(now).min(LOOK_AGAIN)).await;
        }
        self.seat.take(bytes).await;
    }
}

/// Sends parcels until the queue ends.
pub(super) async fn write_lane(
    mut send: Box<dyn AsyncWrite + Send + Unpin>,
    token: Token,
    queue: Queue,
    pace: Arc<Pace>,
    moved: Arc<Moved>,
) -> Result<(), Broken> {
    send.write_all(&token).await?;
    loop {
        let ready = match queue.try_lock() {
            Ok(mut queue) => queue.try_recv().ok(),
            Err(_) => None,
        };
        let parcel = match ready {
            Some(parcel) => parcel,
            None => {
                send.flush().await?;
                match queue.lock().await.recv().await {
                    Some(parcel) => parcel,
                    None => break,
                }
            }
        };
        let bytes = parcel.bytes();
        send.write_all(&(bytes.len() as u32).to_be_bytes()).await?;
        let mut content = moved.begin(bytes);
        for slice in bytes.chunks(pace.slice()) {
            pace.wait(slice.len() as u64).await;
            let mut rest = slice;
            while !rest.is_empty() {
                let written = send.write(rest).await?;
                if written == 0 {
                    return Err(Broken::Cut(io::ErrorKind::WriteZero.into()));
                }
                rest = &rest[written..];
                content = moved.sent(written as u64, content);
            }
        }
    }
    Ok(send.shutdown().await?)
}

/// What a run has moved so far.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// Bytes over the wire.
    pub wire: AtomicU64,
    /// Bytes that did not travel because an earlier run had brought them.
    pub kept: AtomicU64,
}

impl Moved {
    /// A parcel is about to be sent; gives its content in bytes.
    pub fn begin(&self, parcel: &[u8]) -> u64 {
        let mut content = 0;
        for (piece, bytes) in Pieces::of(parcel).flatten() {
            content += bytes.len() as u64;
            if piece.kind == PieceKind::Same {
                self.kept.fetch_add(piece.len.into(), Ordering::Relaxed);
            }
        }
        content
    }

    /// So many bytes of a parcel were sent, which has so much content left; gives what is left then.
    pub fn sent(&self, bytes: u64, content: u64) -> u64 {
        let counted = bytes.min(content);
        self.wire.fetch_add(counted, Ordering::Relaxed);
        content - counted
    }
}

/// Reads the token with which a lane begins.
pub(super) async fn read_token(recv: &mut (impl AsyncRead + Unpin)) -> Result<Token, Broken> {
    let mut token = Token::default();
    read_full(recv, &mut token).await?;
    Ok(token)
}

/// Receives parcels into the pool's buffers until the lane ends.
pub(super) async fn read_lane(
    mut recv: Box<dyn AsyncRead + Send + Unpin>,
    pool: Pool,
    parcels: mpsc::UnboundedSender<Parcel>,
    moved: Arc<Moved>,
) -> Result<(), Broken> {
    loop {
        let mut prefix = [0; 4];
        if recv.read(&mut prefix[..1]).await? == 0 {
            return Ok(());
        }
        read_full(&mut recv, &mut prefix[1..]).await?;
        let len = u32::from_be_bytes(prefix) as usize;
        if len > PARCEL_MAX {
            return Err(Misbehaved::FrameTooLong.into());
        }
        let Some(mut parcel) = pool.take().await else { return Ok(()) };
        let mut room = parcel.room(len);
        while !room.is_empty() {
            let read = recv.read(room).await?;
            if read == 0 {
                return Err(Misbehaved::FrameTruncated.into());
            }
            room = &mut room[read..];
            moved.wire.fetch_add(read as u64, Ordering::Relaxed);
        }
        parcel.grow(len);
        if parcels.send(parcel).is_err() {
            return Ok(());
        }
    }
}

/// A lane that failed ends the run, but not at once: when the peer ends a run, its lanes may go before its last word on
/// the control stream is read.
#[derive(Debug, Default)]
pub(super) struct Failing(Option<(Broken, Instant)>);

/// How long the last word may take.
const LAST_WORD: Duration = Duration::from_secs(1);

impl Failing {
    /// Notes how a lane ended.
    pub fn lane(&mut self, ended: Result<Result<(), Broken>, JoinError>) {
        let ended = ended.unwrap_or_else(|error| Err(Broken::Cut(io::Error::other(error))));
        if let Err(broken) = ended {
            self.0.get_or_insert_with(|| (broken, Instant::now() + LAST_WORD));
        }
    }

    /// Resolves when the last word is overdue; never, if no lane failed.
    pub async fn wait(&mut self) -> Broken {
        match self.0.as_ref().map(|(_, until)| *until) {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
        self.take().unwrap_or_else(|| Broken::Cut(io::ErrorKind::ConnectionAborted.into()))
    }

    /// Why the run ended, when the control stream failed as well: an offence tells more than a cut.
    pub fn or(&mut self, control: Broken) -> Broken {
        match self.take() {
            Some(lane @ Broken::Peer(_)) => lane,
            _ => control,
        }
    }

    fn take(&mut self) -> Option<Broken> {
        self.0.take().map(|(broken, _)| broken)
    }
}
