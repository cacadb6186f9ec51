//! Content lanes: parcels in and out. A lane is the run's token and then parcels, each a `u32` length (big-endian) and
//! so many bytes, until the end of the stream.

use super::control::{Broken, read_full};
use super::pool::{Parcel, Pool};
use logic::Misbehaved;
use logic::transfer::Token;
use logic::transfer::lane::PARCEL_MAX;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinError;
use tokio::time::Instant;

/// Parcels that wait for a lane; all lanes of a run take from the same queue, so a slow one holds nobody up.
pub(super) type Queue = Arc<Mutex<mpsc::UnboundedReceiver<Parcel>>>;

/// So many bytes are written between two looks at the speed limit.
const SLICE: usize = 256 << 10;

/// The limit may change while a lane waits for it, so it looks again after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Says when so many bytes may be written; `None`: now.
pub(super) type Pace = Arc<dyn Fn(u64) -> Option<Duration> + Send + Sync>;

/// Sends parcels until the queue ends.
pub(super) async fn write_lane(
    mut send: Box<dyn AsyncWrite + Send + Unpin>,
    token: Token,
    queue: Queue,
    pace: Pace,
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
        for slice in bytes.chunks(SLICE) {
            while let Some(wait) = pace(slice.len() as u64) {
                tokio::time::sleep(wait.min(LOOK_AGAIN)).await;
            }
            send.write_all(slice).await?;
        }
    }
    Ok(send.shutdown().await?)
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
        read_full(&mut recv, parcel.room(len)).await?;
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
