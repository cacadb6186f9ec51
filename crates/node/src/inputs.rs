//! Content that front ends hand over: standard input, say. It lies sealed in the spool until no transfer needs it.
//!
//! It is handed over first and named in a request to send it afterwards; so whatever broke off on the way is never sent.
//! What nobody names soon is removed, as is what a crash has left.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::types::Spooled;
use api::{ApiError, ApiResult, Bytes, ContentStream, ErrorCode};
use data_encoding::HEXLOWER;
use futures_util::StreamExt;
use seal::RecordKey;
use store::home::Home;
use store::spool::{Spool, SpoolFile, SpoolId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::errors::{internal, io_error};

/// How long content waits to be named.
const PATIENCE: Duration = Duration::from_secs(60);

/// Chunks on their way to the disk.
const QUEUE: usize = 4;

/// See the module.
pub(crate) struct Inputs {
    spool: Spool,
    unnamed: Mutex<HashSet<SpoolId>>,
    patience: Duration,
}

impl Inputs {
    /// Those in the spool of a home.
    pub(crate) fn new(home: &Home, key: RecordKey) -> Arc<Self> {
        Arc::new(Self { spool: Spool::new(home, key), unnamed: Mutex::default(), patience: PATIENCE })
    }

    fn unnamed(&self) -> MutexGuard<'_, HashSet<SpoolId>> {
        self.unnamed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes everything but what is `needed`.
    pub(crate) fn keep_only(&self, needed: &HashSet<SpoolId>) -> io::Result<()> {
        self.spool.sweep()?;
        for id in self.spool.list()? {
            if !needed.contains(&id) {
                self.spool.remove(&id)?;
            }
        }
        Ok(())
    }

    /// Takes content in, until it ends or `stop` says that nothing more may be written.
    pub(crate) async fn take(self: &Arc<Self>, content: ContentStream, stop: &CancellationToken) -> ApiResult<Spooled> {
        let (id, spool) = (fresh_id(), self.spool.clone());
        let taken = pour(content, move |content| spool.put(&id, content));
        let bytes = stop
            .run_until_cancelled(taken)
            .await
            .ok_or_else(|| ApiError::new(ErrorCode::Locked, "the device was locked or stopped meanwhile"))??;
        self.unnamed().insert(id);
        let (inputs, patience) = (Arc::downgrade(self), self.patience);
        tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            if let Some(inputs) = inputs.upgrade()
                && inputs.unnamed().remove(&id)
            {
                inputs.remove(&id);
            }
        });
        Ok(Spooled { id: HEXLOWER.encode(&id), bytes })
    }

    /// Content that somebody wants to send now; it can be named once.
    pub(crate) fn name(&self, id: &str) -> ApiResult<SpoolId> {
        let named = parse_id(id).filter(|id| self.unnamed().remove(id));
        named.ok_or_else(|| unknown(id))
    }

    pub(crate) fn open(&self, id: &SpoolId) -> io::Result<SpoolFile> {
        self.spool.open(id)
    }

    pub(crate) fn remove(&self, id: &SpoolId) {
        if let Err(error) = self.spool.remove(id) {
            tracing::warn!(%error, "spooled content could not be removed");
        }
    }
}

/// A name for new content.
pub(crate) fn fresh_id() -> SpoolId {
    seal::random()
}

/// Reads a name as the API says it.
pub(crate) fn parse_id(id: &str) -> Option<SpoolId> {
    HEXLOWER.decode(id.as_bytes()).ok()?.try_into().ok()
}

/// There is no such content.
pub(crate) fn unknown(id: &str) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("no content called {id} was handed over"))
        .hint("hand it over right before: `spool`, then `send`")
}

/// Gives content to something that reads it and blocks. If this is dropped before the end, the reader gets an error.
pub(crate) async fn pour<T: Send + 'static>(
    mut content: ContentStream,
    read: impl FnOnce(&mut dyn Read) -> io::Result<T> + Send + 'static,
) -> ApiResult<T> {
    let (chunks, from_chunks) = mpsc::channel(QUEUE);
    let reading =
        tokio::task::spawn_blocking(move || read(&mut Pipe { chunks: from_chunks, rest: Bytes::new(), ended: false }));
    while let Some(chunk) = content.next().await {
        if chunks.send(Some(chunk)).await.is_err() {
            // The reader has failed; it says why.
            break;
        }
    }
    let _ = chunks.send(None).await;
    let done = reading.await.map_err(internal)?;
    done.map_err(|error| io_error("keep what was handed over", &error))
}

/// Chunks as something to read from.
struct Pipe {
    /// `None` is the end; a channel that just closes has been cut.
    chunks: mpsc::Receiver<Option<io::Result<Bytes>>>,
    rest: Bytes,
    ended: bool,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            match self.chunks.blocking_recv() {
                Some(Some(chunk)) => self.rest = chunk?,
                Some(None) => self.ended = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::stream;

    fn content(chunks: Vec<io::Result<Bytes>>) -> ContentStream {
        Box::pin(stream::iter(chunks))
    }

    fn inputs() -> (tempfile::TempDir, Arc<Inputs>, CancellationToken) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(dir.path()).unwrap();
        (dir, Inputs::new(&home, RecordKey::generate()), CancellationToken::new())
    }

    fn spooled(dir: &tempfile::TempDir) -> usize {
        std::fs::read_dir(dir.path().join("spool")).unwrap().count()
    }

    #[tokio::test]
    async fn content_is_named_once_and_what_is_needed_stays() {
        let (dir, inputs, stop) = inputs();
        let chunks =
            || content(vec![Ok(Bytes::from_static(b"some ")), Ok(Bytes::new()), Ok(Bytes::from_static(b"thing"))]);
        let taken = inputs.take(chunks(), &stop).await.unwrap();
        inputs.take(chunks(), &stop).await.unwrap();
        let id = inputs.name(&taken.id).unwrap();
        for wrong in [taken.id.as_str(), "", "../x", "00"] {
            assert_eq!(inputs.name(wrong).unwrap_err().code, ErrorCode::NotFound);
        }
        let mut bytes = [0; 20];
        assert_eq!((inputs.open(&id).unwrap().read_at(0, &mut bytes).unwrap(), taken.bytes), (10, 10));
        assert_eq!(&bytes[..10], b"some thing");
        assert_eq!(spooled(&dir), 2);
        inputs.keep_only(&HashSet::from([id])).unwrap();
        assert_eq!(spooled(&dir), 1);
        inputs.remove(&id);
        assert_eq!(spooled(&dir), 0);
    }

    #[tokio::test]
    async fn nothing_is_kept_of_what_breaks_off() {
        let (dir, inputs, stop) = inputs();
        let broken = content(vec![Ok(Bytes::from_static(b"some")), Err(io::Error::other("torn"))]);
        assert!(inputs.take(broken, &stop).await.unwrap_err().message.contains("torn"));
        assert_eq!(spooled(&dir), 0);
        // Dropped, and stopped, in the middle.
        let endless =
            || -> ContentStream { Box::pin(content(vec![Ok(Bytes::from_static(b"some"))]).chain(stream::pending())) };
        assert!(tokio::time::timeout(Duration::from_millis(20), inputs.take(endless(), &stop)).await.is_err());
        stop.cancel();
        assert_eq!(inputs.take(endless(), &stop).await.unwrap_err().code, ErrorCode::Locked);
        while spooled(&dir) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn what_nobody_names_is_removed() {
        let (dir, inputs, stop) = inputs();
        let mut inputs = Arc::into_inner(inputs).unwrap();
        inputs.patience = Duration::from_millis(10);
        let inputs = Arc::new(inputs);
        let taken = inputs.take(content(vec![Ok(Bytes::from_static(b"x"))]), &stop).await.unwrap();
        while spooled(&dir) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(inputs.name(&taken.id).is_err());
    }
}
