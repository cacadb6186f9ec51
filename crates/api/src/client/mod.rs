//! The typed client: a [`Service`] on the other end of a Unix socket. One connection per call: connecting costs some
//! fifty microseconds and leaves no state to go wrong.

mod sse;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::{Method, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::path::ShortPath;
use crate::types::{Spooled, TreeRead};
use crate::{ApiError, ApiResult, ContentStream, ErrorCode, EventStream, Reply, Request, Service};
use sse::Parser;

/// Largest reply in bytes that is read.
const MAX_REPLY: usize = 256 << 20;

/// Content type of calls.
const JSON: &str = "application/json";
/// Content type of content.
const BYTES: &str = "application/octet-stream";

/// How long a device that is there may take to say so.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client of the device whose socket is at a path.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client; connects only when something is asked.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Where the socket is.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// `Ok` if a device answers there. That its socket takes a connection does not say so: the system still does that
    /// for a process that was killed and has not quite ended.
    ///
    /// # Errors
    /// [`ErrorCode::NotRunning`], or [`ErrorCode::Io`] if the socket cannot be opened or nobody answers in time.
    pub async fn check(&self) -> ApiResult<()> {
        drop(self.connect().await?);
        match timeout(PATIENCE, self.exchange(Method::GET, "/", JSON, Full::default())).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(not_running()),
            Err(_) => Err(ApiError::new(
                ErrorCode::Io,
                format!("something holds the socket {} and does not answer", self.socket.display()),
            )
            .hint("the device may be stuck; `warren down` or ending its process helps")),
        }
    }

    async fn connect(&self) -> ApiResult<UnixStream> {
        let connected = match ShortPath::of(&self.socket) {
            Ok(path) => UnixStream::connect(path.as_path()).await,
            Err(error) => Err(error),
        };
        connected.map_err(|error| match error.kind() {
            // Reset: the device closed its door while this connection waited before it.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
                not_running()
            }
            kind => {
                let text = format!("cannot open the device's socket {}: {error}", self.socket.display());
                let error = ApiError::new(ErrorCode::Io, text);
                match kind {
                    io::ErrorKind::PermissionDenied => {
                        error.hint("the home belongs to another user; choose one of your own: WARREN_HOME=DIR")
                    }
                    io::ErrorKind::NotADirectory => {
                        error.hint("a home is a folder, and this is a file: choose another one: WARREN_HOME=DIR")
                    }
                    _ => error,
                }
            }
        })
    }

    /// Sends one request and waits for the head of the response.
    async fn exchange<B>(&self, method: Method, path: &str, content_type: &str, body: B) -> ApiResult<Exchange>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = self.connect().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        let driver = Driver(tokio::spawn(async move {
            // The response says the same to the one who waits for it.
            let _ = connection.await;
        }));
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "warren")
            .header(header::CONTENT_TYPE, content_type)
            .body(body)
            .map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        Ok(Exchange { response, driver })
    }
}

/// A response whose body may still be on its way, and the task that moves it.
struct Exchange {
    response: Response<Incoming>,
    driver: Driver,
}

impl Exchange {
    /// The whole body; an [`ApiError`] where the device answered with one.
    async fn finish(self) -> ApiResult<Bytes> {
        let status = self.response.status();
        let body = Limited::new(self.response.into_body(), MAX_REPLY)
            .collect()
            .await
            .map_err(|error| broken(error.as_ref()))?
            .to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        Err(read_error(status, &body))
    }
}

/// Ends the connection's task with the last reader.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[async_trait]
impl Service for Client {
    async fn call(&self, request: Request) -> ApiResult<Reply> {
        let name = request.name();
        let body = request.body().map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
        let exchange = self.exchange(Method::POST, &format!("/v1/{name}"), JSON, Full::from(body)).await?;
        let reply = exchange.finish().await?;
        match Reply::read(name, &reply) {
            Some(Ok(reply)) => Ok(reply),
            Some(Err(fault)) => Err(strange(format!("its reply to `{name}`: {fault}"))),
            None => Err(strange(format!("no reply belongs to `{name}`"))),
        }
    }

    async fn events(&self) -> ApiResult<EventStream> {
        let exchange = self.exchange(Method::GET, "/v1/events", JSON, Full::default()).await?;
        if !exchange.response.status().is_success() {
            return exchange.finish().await.and(Err(strange("no events")));
        }
        let Exchange { response, driver } = exchange;
        let reading = Reading { body: response.into_body(), parser: Parser::default(), _driver: driver };
        Ok(Box::pin(stream::unfold(reading, Reading::next)))
    }

    async fn spool(&self, content: ContentStream) -> ApiResult<Spooled> {
        // An answer that comes before the end of the content is a refusal: the rest need not be sent.
        let (answered, stop) = oneshot::channel::<()>();
        let fault = Arc::new(OnceLock::new());
        let noted = fault.clone();
        let content = content.map(move |chunk| {
            chunk.map(Frame::data).inspect_err(|error| {
                let _ = noted.set(error.to_string());
            })
        });
        let content = StreamBody::new(content.take_until(stop));
        let exchange = match (self.exchange(Method::POST, "/v1/spool", BYTES, content).await, fault.get()) {
            (Err(_), Some(fault)) => {
                return Err(ApiError::new(ErrorCode::Io, format!("the content could not be read to its end: {fault}")));
            }
            (exchange, _) => exchange?,
        };
        drop(answered);
        let reply = exchange.finish().await?;
        serde_json::from_slice(&reply).map_err(|fault| strange(format!("its reply to `spool`: {fault}")))
    }

    async fn read(&self, request: TreeRead) -> ApiResult<ContentStream> {
        let body =
            serde_json::to_vec(&request).map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
        let exchange = self.exchange(Method::POST, "/v1/read", JSON, Full::from(body)).await?;
        if !exchange.response.status().is_success() {
            return exchange.finish().await.and(Err(strange("no content")));
        }
        let Exchange { response, driver } = exchange;
        Ok(Box::pin(stream::unfold(Some((response.into_body(), driver)), next_bytes)))
    }
}

/// The next bytes of content under way. A connection that breaks is an error, and the last that is said.
async fn next_bytes(under_way: Option<(Incoming, Driver)>) -> Option<(io::Result<Bytes>, Option<(Incoming, Driver)>)> {
    let (mut body, driver) = under_way?;
    loop {
        match body.frame().await? {
            Ok(frame) => {
                if let Ok(bytes) = frame.into_data() {
                    return Some((Ok(bytes), Some((body, driver))));
                }
            }
            Err(_) => {
                let cut = "the device stopped before the end; what came is not complete";
                return Some((Err(io::Error::new(io::ErrorKind::UnexpectedEof, cut)), None));
            }
        }
    }
}

/// An event stream under way.
struct Reading {
    body: Incoming,
    parser: Parser,
    _driver: Driver,
}

impl Reading {
    /// The next event; `None` when the stream ends, breaks or cannot be understood any more.
    async fn next(mut self) -> Option<(crate::types::Event, Self)> {
        loop {
            if let Some(data) = self.parser.next() {
                // A kind of event that this version does not know is not for it.
                if let Ok(event) = serde_json::from_slice(&data) {
                    return Some((event, self));
                }
                continue;
            }
            let frame = self.body.frame().await?.ok()?;
            if let Some(bytes) = frame.data_ref() {
                self.parser.push(bytes).ok()?;
            }
        }
    }
}

/// The error in a response that is none of success.
fn read_error(status: StatusCode, body: &[u8]) -> ApiError {
    serde_json::from_slice(body).unwrap_or_else(|_| strange(format!("HTTP status {status} without an explanation")))
}

/// No device runs in this home.
fn not_running() -> ApiError {
    ApiError::new(ErrorCode::NotRunning, "no device is running in this home")
        .hint("start it with `warren up` (or `warren up --detach`)")
}

/// The connection broke before the reply was there.
fn broken(error: &(dyn std::error::Error + 'static)) -> ApiError {
    ApiError::new(ErrorCode::NotRunning, format!("the device went away before it answered: {error}"))
        .hint("look whether it still runs: `warren status`")
}

/// The device answered something that makes no sense.
fn strange(what: impl Into<String>) -> ApiError {
    ApiError::new(
        ErrorCode::Internal,
        format!("the device gave an answer that this version does not understand: {}", what.into()),
    )
    .hint("was Warren updated while the device was running? Then restart it: `warren down`, `warren up --detach`")
}
