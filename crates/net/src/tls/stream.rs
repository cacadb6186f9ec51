//! The record layer on a TCP socket: two halves that share nothing but the socket.
//!
//! The writer is its own buffered writer: data is laid into records where it will be sealed, and
//! goes out [`SLOTS`] records per system call; nothing leaves before [`AsyncWrite::poll_flush`] or
//! a full buffer. The reader opens in place. End of stream is a close_notify; a socket that ends
//! without one is an error, so a cut stream never looks like a finished one.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
};

use super::record::{
    HEADER, MAX_PLAIN, MAX_RECORD, MAX_SEALED, Opened, Opener, RecordError, Sealer,
};

/// Full records per system call: about 256 KiB, where loopback throughput levels off.
const SLOTS: usize = 16;
/// Room for a key update in front of a buffer of records.
const SLACK: usize = 64;
/// What is read from the socket at once.
const READ_AT_ONCE: usize = SLOTS * MAX_SEALED;

impl From<RecordError> for io::Error {
    fn from(error: RecordError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// The sending half.
pub(crate) struct TlsWriter {
    socket: OwnedWriteHalf,
    sealer: Sealer,
    buf: Box<[u8]>,
    /// Sealed bytes not yet on the socket: `buf[start..end]`.
    start: usize,
    end: usize,
    /// Plaintext in the slot at `end`, behind room for its header.
    len: usize,
    closing: bool,
}

impl TlsWriter {
    pub(super) fn new(socket: OwnedWriteHalf, sealer: Sealer) -> Self {
        Self {
            socket,
            sealer,
            buf: vec![0; SLACK + SLOTS * MAX_SEALED].into(),
            start: 0,
            end: 0,
            len: 0,
            closing: false,
        }
    }

    /// Lays as much of `data` into the buffer as fits.
    fn fill(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < data.len() && self.end + MAX_SEALED <= self.buf.len() {
            if self.end == 0 && self.len == 0 {
                self.announce_new_key()?;
            }
            let n = (MAX_PLAIN - self.len).min(data.len() - taken);
            let at = self.end + HEADER + self.len;
            self.buf[at..at + n].copy_from_slice(&data[taken..taken + n]);
            self.len += n;
            taken += n;
            if self.len == MAX_PLAIN {
                self.seal()?;
            }
        }
        Ok(taken)
    }

    fn announce_new_key(&mut self) -> io::Result<()> {
        if let Some(record) = self.sealer.key_update()? {
            self.buf[..record.len()].copy_from_slice(&record);
            self.end = record.len();
        }
        Ok(())
    }

    fn seal(&mut self) -> io::Result<()> {
        if self.len > 0 {
            self.end += self.sealer.seal(&mut self.buf[self.end..], self.len)?;
            self.len = 0;
        }
        Ok(())
    }

    /// Puts all sealed bytes on the socket; the open slot must be empty.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.start < self.end {
            let bytes = &self.buf[self.start..self.end];
            let n = ready!(Pin::new(&mut self.socket).poll_write(cx, bytes))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.start += n;
        }
        (self.start, self.end) = (0, 0);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.closing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            let taken = self.fill(data)?;
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
            ready!(self.poll_drain(cx))?;
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seal()?;
        self.poll_drain(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            ready!(self.as_mut().poll_flush(cx))?;
            let goodbye = self.sealer.close_notify()?;
            self.buf[..goodbye.len()].copy_from_slice(&goodbye);
            self.end = goodbye.len();
            self.closing = true;
        }
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// The receiving half.
pub(crate) struct TlsReader {
    socket: OwnedReadHalf,
    opener: Opener,
    buf: Box<[u8]>,
    /// Opened and not yet given out: `buf[plain.0..plain.1]`.
    plain: (usize, usize),
    /// Received and not yet opened: `buf[start..filled]`.
    start: usize,
    filled: usize,
    finished: bool,
    /// The first error; nothing is opened after it.
    failed: Option<RecordError>,
}

impl TlsReader {
    /// `plain` and `sealed` came behind the handshake; both are smaller than the buffer.
    pub(super) fn new(
        socket: OwnedReadHalf,
        opener: Opener,
        plain: Vec<u8>,
        sealed: &[u8],
    ) -> Self {
        let filled = plain.len() + sealed.len();
        let mut buf = vec![0; READ_AT_ONCE + MAX_RECORD].into_boxed_slice();
        buf[..plain.len()].copy_from_slice(&plain);
        buf[plain.len()..filled].copy_from_slice(sealed);
        Self {
            socket,
            opener,
            buf,
            plain: (0, plain.len()),
            start: plain.len(),
            filled,
            finished: false,
            failed: None,
        }
    }

    /// Opens the next whole record that is here; false if there is none.
    fn open_next(&mut self) -> Result<bool, RecordError> {
        let waiting = &mut self.buf[self.start..self.filled];
        let len = match Opener::record_len(waiting)? {
            Some(len) if len <= waiting.len() => len,
            _ => return Ok(false),
        };
        match self.opener.open(&mut waiting[..len])? {
            Opened::Data(n) => self.plain = (self.start + HEADER, self.start + HEADER + n),
            Opened::Nothing => {}
            Opened::Closed => self.finished = true,
        }
        self.start += len;
        Ok(true)
    }

    /// True if there may be more to give out without the socket. An error waits until what came
    /// before it has been given out.
    fn advance(&mut self) -> bool {
        if self.finished || self.failed.is_some() {
            return false;
        }
        match self.open_next() {
            Ok(more) => more,
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.buf.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        let mut into = ReadBuf::new(&mut self.buf[self.filled..]);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut into))?;
        match into.filled().len() {
            0 => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection ended without a TLS close_notify",
            ))),
            n => {
                self.filled += n;
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncRead for TlsReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        while out.remaining() > 0 {
            let (from, to) = self.plain;
            if from < to {
                let n = (to - from).min(out.remaining());
                out.put_slice(&self.buf[from..from + n]);
                self.plain.0 += n;
            } else if self.advance() {
                continue;
            } else if self.finished || out.filled().len() > before {
                break;
            } else if let Some(error) = self.failed {
                return Poll::Ready(Err(error.into()));
            } else {
                ready!(self.poll_receive(cx))?;
            }
        }
        Poll::Ready(Ok(()))
    }
}
