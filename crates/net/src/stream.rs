//! One byte stream to a peer, whichever lane carries it.
//!
//! Invariants: the reader sees end-of-stream only after the writer's [`SendHalf::finish`]; a half
//! that is dropped, a lane that is cut and a link that is closed are errors on the other side.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use iroh::endpoint::{RecvStream, SendStream, VarInt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::tls::{TlsReader, TlsWriter};

/// QUIC error code of a stream that was given up.
const ABANDONED: VarInt = VarInt::from_u32(1);

/// Which way a stream travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// TLS 1.3 on TCP: fastest where it gets through.
    Tcp,
    /// QUIC: gets through everywhere.
    Quic,
}

impl Lane {
    /// `tcp` or `quic`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
        }
    }
}

/// A byte stream in both directions; the halves may be used by different tasks.
#[derive(Debug)]
pub struct Stream {
    /// To the peer.
    pub send: SendHalf,
    /// From the peer.
    pub recv: RecvHalf,
}

impl Stream {
    pub(crate) fn quic((send, recv): (SendStream, RecvStream), cut: &CancellationToken) -> Self {
        Self { send: SendHalf::new(Writer::Quic(send), cut), recv: RecvHalf::new(Reader::Quic(recv), cut) }
    }

    pub(crate) fn tcp(reader: TlsReader, writer: TlsWriter, cut: &CancellationToken) -> Self {
        Self {
            send: SendHalf::new(Writer::Tcp(Box::new(writer)), cut),
            recv: RecvHalf::new(Reader::Tcp(Box::new(reader)), cut),
        }
    }

    /// Which way it travels.
    pub fn lane(&self) -> Lane {
        match self.send.writer {
            Writer::Quic(_) => Lane::Quic,
            Writer::Tcp(_) => Lane::Tcp,
        }
    }
}

/// The link is closed, so its lanes are.
fn link_closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the link is closed")
}

/// Waits for the link's end beside a socket that may stay silent.
struct Cut(Pin<Box<WaitForCancellationFutureOwned>>);

impl Cut {
    fn new(token: &CancellationToken) -> Self {
        Self(Box::pin(token.clone().cancelled_owned()))
    }

    /// `poll` unless the link is closed.
    fn or<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_pending() && self.0.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(link_closed()));
        }
        poll
    }
}

enum Writer {
    Quic(SendStream),
    Tcp(Box<TlsWriter>),
}

/// The half that sends. It buffers on TCP: flush where the peer is waited for.
pub struct SendHalf {
    writer: Writer,
    cut: Cut,
    finished: bool,
}

impl SendHalf {
    fn new(writer: Writer, cut: &CancellationToken) -> Self {
        Self { writer, cut: Cut::new(cut), finished: false }
    }

    /// Sends what is buffered and ends the stream: the peer sees end-of-stream.
    ///
    /// # Errors
    /// The lane is cut. That it succeeds does not mean that the peer has read everything.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.shutdown().await
    }

    /// Gives the stream up: the peer sees an error, not an end. Dropping it does the same.
    pub fn abandon(&mut self) {
        if let Writer::Quic(stream) = &mut self.writer
            && !self.finished
        {
            // An error means that the stream is over already.
            let _ = stream.reset(ABANDONED);
        }
    }
}

impl Drop for SendHalf {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl AsyncWrite for SendHalf {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let poll = match &mut this.writer {
            Writer::Quic(stream) => AsyncWrite::poll_write(Pin::new(stream), cx, data),
            Writer::Tcp(stream) => Pin::new(stream).poll_write(cx, data),
        };
        this.cut.or(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let poll = match &mut this.writer {
            Writer::Quic(stream) => Pin::new(stream).poll_flush(cx),
            Writer::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        };
        this.cut.or(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let poll = match &mut this.writer {
            Writer::Quic(stream) => Pin::new(stream).poll_shutdown(cx),
            Writer::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        };
        let poll = this.cut.or(cx, poll);
        if let Poll::Ready(Ok(())) = &poll {
            this.finished = true;
        }
        poll
    }
}

impl fmt::Debug for SendHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.writer {
            Writer::Quic(_) => "SendHalf(Quic)",
            Writer::Tcp(_) => "SendHalf(Tcp)",
        })
    }
}

enum Reader {
    Quic(RecvStream),
    Tcp(Box<TlsReader>),
}

/// The half that receives. Dropping it tells the peer that nobody reads any more.
pub struct RecvHalf {
    reader: Reader,
    cut: Cut,
}

impl RecvHalf {
    fn new(reader: Reader, cut: &CancellationToken) -> Self {
        Self { reader, cut: Cut::new(cut) }
    }
}

impl AsyncRead for RecvHalf {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let poll = match &mut this.reader {
            Reader::Quic(stream) => AsyncRead::poll_read(Pin::new(stream), cx, out),
            Reader::Tcp(stream) => Pin::new(stream).poll_read(cx, out),
        };
        this.cut.or(cx, poll)
    }
}

impl fmt::Debug for RecvHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reader {
            Reader::Quic(_) => "RecvHalf(Quic)",
            Reader::Tcp(_) => "RecvHalf(Tcp)",
        })
    }
}
