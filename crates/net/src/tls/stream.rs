//! The two halves of a TLS stream on a TCP socket; rustls makes and opens every record.
//!
//! Called by the TCP lane. Both halves share the stream under a lock that is held for one poll,
//! never while waiting. Small writes are gathered: nothing is sure to leave before
//! [`AsyncWrite::poll_flush`]. End of stream is a close_notify; a socket that ends without one is
//! an error, so a cut stream never looks like a finished one.

use std::{
    io,
    net::Shutdown,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use rustls::ConnectionCommon;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsStream;

use super::socket::Socket;

/// Sealed bytes that may wait for the socket: what one system call takes (16 records).
const SEND_AT_ONCE: usize = 256 * 1024;
/// Smaller writes are gathered up to here.
const GATHER: usize = 64 * 1024;

/// How much rustls may hold back.
pub(super) fn bound<Data>(connection: &mut ConnectionCommon<Data>) {
    connection.set_buffer_limit(Some(SEND_AT_ONCE));
}

/// Parts a stream into its halves.
pub(super) fn split(tls: TlsStream<Socket>) -> (TlsReader, TlsWriter) {
    let shared = Arc::new(Mutex::new(Shared { tls, writing: None }));
    let writer = UnbufferedWriter { shared: shared.clone(), closed: false };
    (TlsReader { shared, failed: None }, BufWriter::with_capacity(GATHER, writer))
}

struct Shared {
    tls: TlsStream<Socket>,
    /// Who waits for room to write. A reader that finds an error sends an alert, and so may take
    /// the writer's place in the socket's queue.
    writing: Option<Waker>,
}

impl Shared {
    fn read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(cx, out)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bounds the silence of a stream without keeping it open.
pub(crate) struct Pulse(Weak<Mutex<Shared>>);

impl Pulse {
    /// True while one of the halves is in use.
    pub(crate) fn beats(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// What was sent has to be acknowledged within this time, or the stream fails (RFC 5482; only
    /// where the system has it). False if the stream is gone.
    pub(crate) fn bound(&self, silence: Duration) -> bool {
        let Some(shared) = self.0.upgrade() else { return false };
        bound_silence(lock(&shared).tls.get_ref().0.get_ref(), silence).is_ok()
    }

    #[cfg(all(test, target_os = "linux"))]
    pub(crate) fn silence(&self) -> Option<Duration> {
        let shared = self.0.upgrade()?;
        SockRef::from(lock(&shared).tls.get_ref().0.get_ref()).tcp_user_timeout().ok()?
    }
}

/// See [`Pulse::bound`].
pub(crate) fn bound_silence(socket: &TcpStream, silence: Duration) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SockRef::from(socket).set_tcp_user_timeout(Some(silence))?;
    Ok(())
}

/// The sending half, with a buffer for small writes.
pub(crate) type TlsWriter = BufWriter<UnbufferedWriter>;

/// The sending half. Dropping it ends this direction of the socket: without
/// [`AsyncWrite::poll_shutdown`] that is an error for the peer.
pub(crate) struct UnbufferedWriter {
    shared: Arc<Mutex<Shared>>,
    closed: bool,
}

impl UnbufferedWriter {
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        work: impl FnOnce(Pin<&mut TlsStream<Socket>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut shared = lock(&self.shared);
        let poll = work(Pin::new(&mut shared.tls), cx);
        shared.writing = poll.is_pending().then(|| cx.waker().clone());
        poll
    }
}

impl AsyncWrite for UnbufferedWriter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.poll(cx, |tls, cx| tls.poll_write(cx, data))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |tls, cx| tls.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        self.poll(cx, |tls, cx| tls.poll_shutdown(cx))
    }
}

impl Drop for UnbufferedWriter {
    fn drop(&mut self) {
        let shared = lock(&self.shared);
        let (socket, _) = shared.tls.get_ref();
        // An error means that the socket has ended already.
        let _ = SockRef::from(socket.get_ref()).shutdown(Shutdown::Write);
    }
}

/// The receiving half.
pub(crate) struct TlsReader {
    shared: Arc<Mutex<Shared>>,
    /// The error that ended this direction; it waits until what came before it has been given out.
    failed: Option<Arc<io::Error>>,
}

impl TlsReader {
    /// The peer is the one that was expected: from now on it may cost the memory of a fast lane.
    pub(crate) fn widen(&mut self) {
        lock(&self.shared).tls.get_mut().0.widen();
    }

    /// See [`Pulse`].
    pub(crate) fn pulse(&self) -> Pulse {
        Pulse(Arc::downgrade(&self.shared))
    }
}

impl AsyncRead for TlsReader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut shared = lock(&this.shared);
        if this.failed.is_none() {
            match shared.read(cx, out) {
                Poll::Ready(Err(error)) => this.failed = Some(Arc::new(error)),
                poll => return poll,
            }
        }
        let before = out.filled().len();
        let rest = shared.read(cx, out);
        if let Some(writing) = shared.writing.take() {
            writing.wake();
        }
        match &this.failed {
            Some(error) if out.filled().len() == before => {
                Poll::Ready(Err(io::Error::new(error.kind(), error.clone())))
            }
            _ => rest,
        }
    }
}
