//! The socket under a TLS stream: read as it is, until the peer is known; then through a large buffer.
//!
//! Invariant: whoever has shown no ticket costs no more memory than rustls itself takes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use memmap2::MmapMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::memory::{LARGE_PAGE, large_page};

/// What is received at once; rustls itself asks for 4 to 18 KiB. Measured on loopback: 256 KiB cost the receiver a third
/// more CPU. It is most of the memory that a lane needs, so it is taken only once the peer is known.
const RECEIVE_AT_ONCE: usize = 1 << 20;
const _: () = assert!(RECEIVE_AT_ONCE <= LARGE_PAGE);

/// See the module.
pub(crate) struct Socket {
    socket: TcpStream,
    /// `None` until [`Socket::widen`].
    buffer: Option<MmapMut>,
    /// What of the buffer was received and not given out yet.
    start: usize,
    end: usize,
}

impl Socket {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, buffer: None, start: 0, end: 0 }
    }

    /// From now on up to [`RECEIVE_AT_ONCE`] bytes are received at once.
    pub(super) fn widen(&mut self) {
        self.buffer.get_or_insert_with(large_page);
    }

    pub(super) fn get_ref(&self) -> &TcpStream {
        &self.socket
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.start == this.end {
            let Some(buffer) = &mut this.buffer else {
                return Pin::new(&mut this.socket).poll_read(cx, out);
            };
            let mut buffer = ReadBuf::new(&mut buffer[..RECEIVE_AT_ONCE]);
            ready!(Pin::new(&mut this.socket).poll_read(cx, &mut buffer))?;
            (this.start, this.end) = (0, buffer.filled().len());
        }
        let amount = out.remaining().min(this.end - this.start);
        out.put_slice(&this.buffer.as_deref().unwrap_or_default()[this.start..this.start + amount]);
        this.start += amount;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_stranger_costs_no_buffer_and_nothing_is_lost_when_there_is_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut near = Socket::new(listener.accept().await.unwrap().0);
        assert!(near.buffer.is_none());
        let sent: Vec<u8> = (0..=255).cycle().take(5_000_000).collect();
        let (mut got, mut part) = (Vec::new(), [0; 1000]);
        let sending = sent.clone();
        tokio::spawn(async move { far.write_all(&sending).await });
        for _ in 0..3 {
            let read = near.read(&mut part).await.unwrap();
            got.extend_from_slice(&part[..read]);
        }
        assert!(near.buffer.is_none());
        near.widen();
        assert!(near.buffer.is_some());
        while got.len() < sent.len() {
            let read = near.read(&mut part).await.unwrap();
            assert_ne!(read, 0, "ended at {}", got.len());
            got.extend_from_slice(&part[..read]);
            near.widen();
        }
        assert_eq!(got, sent);
    }
}
