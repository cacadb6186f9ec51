//! A device that does nothing but answer, and raw HTTP to ask it things that no client would.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use warren_api::server::Socket;
use warren_api::types::*;
use warren_api::{
    ApiError, ApiResult, Client, ContentStream, ErrorCode, EventHub, EventStream, Reply, Request, Service,
};

/// Answers a few calls; refuses the rest.
#[derive(Default)]
pub struct Fake {
    pub hub: EventHub,
    /// `lock` waits for this.
    pub go: Notify,
    /// `lock` has begun.
    pub begun: Notify,
    /// How many `lock` calls came to their end.
    pub locked: AtomicU32,
    /// What was handed over, and whether that was all of it.
    pub spooled: Mutex<Vec<(Vec<u8>, bool)>>,
}

#[async_trait]
impl Service for Fake {
    async fn call(&self, request: Request) -> ApiResult<Reply> {
        match request {
            Request::Settings(Nothing {}) => Ok(Reply::Settings(Settings { entries: Vec::new() })),
            Request::SetSetting(SetSetting { key, value }) => Ok(Reply::SetSetting(Settings {
                entries: vec![Setting { key, value, help: "line\n\u{202e}\"quoted\"".into() }],
            })),
            Request::Lock(Nothing {}) => {
                self.begun.notify_one();
                self.go.notified().await;
                self.locked.fetch_add(1, Ordering::SeqCst);
                Ok(Reply::Lock(Nothing {}))
            }
            Request::Shutdown(Nothing {}) => panic!("a fault"),
            other => Err(ApiError::new(ErrorCode::NotFound, format!("no {}", other.name())).hint("a hint")),
        }
    }

    async fn events(&self) -> ApiResult<EventStream> {
        Ok(self.hub.subscribe())
    }

    /// Has no room for what begins with `full`.
    async fn spool(&self, mut content: ContentStream) -> ApiResult<Spooled> {
        let mut taken = Taken { fake: self, all: Vec::new(), complete: false };
        while let Some(chunk) = content.next().await {
            taken.all.extend_from_slice(&chunk.map_err(|_| ApiError::new(ErrorCode::Io, "not complete"))?);
            if taken.all.starts_with(b"full") {
                return Err(ApiError::new(ErrorCode::DiskFull, "the disk is full").hint("a hint"));
            }
        }
        taken.complete = true;
        Ok(Spooled { id: "1".into(), bytes: taken.all.len() as u64 })
    }

    /// Breaks in the middle of what is called `broken`.
    async fn read(&self, request: TreeRead) -> ApiResult<ContentStream> {
        let broken = request.path == "broken".into();
        if !broken && request.path != "whole".into() {
            return Err(ApiError::new(ErrorCode::NotFound, "no such file").hint("a hint"));
        }
        let pieces = (0..3).map(move |number| match broken && number == 2 {
            true => Err(std::io::Error::other("a fault")),
            false => Ok(vec![b'a' + number; 3].into()),
        });
        Ok(Box::pin(futures_util::stream::iter(pieces)))
    }
}

/// Content that is being taken in; noted however that ends.
struct Taken<'a> {
    fake: &'a Fake,
    all: Vec<u8>,
    complete: bool,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.fake.spooled.lock().unwrap().push((std::mem::take(&mut self.all), self.complete));
    }
}

/// A fake device that serves a socket in a temporary folder.
pub struct Running {
    pub fake: Arc<Fake>,
    pub client: Client,
    pub socket: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Running {
    pub fn start() -> Self {
        Self::with(Fake::default())
    }

    pub fn with(fake: Fake) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("run/api.sock");
        let fake = Arc::new(fake);
        let (stop, stopped) = oneshot::channel();
        let door = Socket::bind(&socket).unwrap();
        let serving = tokio::spawn(door.serve(fake.clone(), async move {
            let _ = stopped.await;
        }));
        Self { fake, client: Client::new(&socket), socket, stop: Some(stop), serving, _dir: dir }
    }

    /// Closes the door and waits for the server's end.
    pub async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.serving.await.unwrap();
        assert!(!self.socket.exists());
    }
}

/// Sends bytes to a Unix socket and reads what comes until the end.
pub async fn raw(socket: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    // The server may answer and hang up before it has read everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// A POST as text.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}
