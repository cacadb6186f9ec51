//! The control stream of a run: frames in and out, each direction in a task of its own, so that neither side ever
//! waits for the other to read before it can listen.

use super::ports::Stream;
use logic::Misbehaved;
use logic::transfer::limits::CONTROL_FRAME_MAX;
use logic::transfer::{Reason, message};
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The peer broke the protocol.
    #[error("the other side {0}")]
    Peer(#[from] Misbehaved),
    /// The link was cut.
    #[error("{}", cut(.0))]
    Cut(#[from] io::Error),
    /// This side cannot go on now; what the peer is told, and what the user is told.
    #[error("{1}")]
    Stuck(Reason, String),
}

/// How a link was cut, in words. Libraries say at length what every cut looks like to them.
fn cut(error: &io::Error) -> String {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof => {
            "the connection broke off".into()
        }
        _ => format!("the link was cut: {error}"),
    }
}

/// Messages in both directions.
pub(super) struct Control<In> {
    inbox: mpsc::Receiver<Result<In, Broken>>,
    outbox: Option<mpsc::UnboundedSender<Vec<u8>>>,
    reader: JoinHandle<()>,
    writer: JoinHandle<io::Result<()>>,
}

impl<In: for<'de> Deserialize<'de> + Send + 'static> Control<In> {
    /// Takes a stream over.
    pub fn new(stream: Stream) -> Self {
        let (to_inbox, inbox) = mpsc::channel(16);
        let (outbox, from_outbox) = mpsc::unbounded_channel();
        let Stream { send, recv } = stream;
        let reader = tokio::spawn(read_all(recv, to_inbox));
        let writer = tokio::spawn(write_all(send, from_outbox));
        Self { inbox, outbox: Some(outbox), reader, writer }
    }

    /// The next message; an orderly end of the stream is a cut as well, because only a run's last message ends it.
    pub async fn next(&mut self) -> Result<In, Broken> {
        match self.inbox.recv().await {
            Some(message) => message,
            None => Err(Broken::Cut(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Queues a message. The engines' windows bound how much can be queued.
    pub fn send<Out: Serialize>(&self, message: &Out) {
        let body = message::encode(message);
        debug_assert!(body.len() <= CONTROL_FRAME_MAX);
        let mut frame = Vec::with_capacity(4 + body.len());
        frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
        frame.extend_from_slice(&body);
        if let Some(outbox) = &self.outbox {
            // The writer is gone when the link is cut: the reader notices.
            let _ = outbox.send(frame);
        }
    }

    /// Sends what is queued and ends the stream; false if the link was cut before.
    pub async fn finish(mut self) -> bool {
        self.outbox = None;
        matches!((&mut self.writer).await, Ok(Ok(())))
    }
}

impl<In> Drop for Control<In> {
    fn drop(&mut self) {
        self.reader.abort();
        if self.outbox.is_some() {
            self.writer.abort();
        }
    }
}

/// One frame; `None` at an orderly end.
pub(super) async fn read_frame(recv: &mut (impl AsyncRead + Unpin), frame: &mut Vec<u8>) -> Result<bool, Broken> {
    let mut prefix = [0; 4];
    if recv.read(&mut prefix[..1]).await? == 0 {
        return Ok(false);
    }
    read_full(recv, &mut prefix[1..]).await?;
    let len = u32::from_be_bytes(prefix) as usize;
    if len > CONTROL_FRAME_MAX {
        return Err(Misbehaved::FrameTooLong.into());
    }
    frame.resize(len, 0);
    read_full(recv, frame).await?;
    Ok(true)
}

/// Fills `bytes`. An orderly end before that is the peer's fault; a cut is nobody's.
pub(super) async fn read_full(recv: &mut (impl AsyncRead + Unpin), bytes: &mut [u8]) -> Result<(), Broken> {
    let mut filled = 0;
    while filled < bytes.len() {
        match recv.read(&mut bytes[filled..]).await? {
            0 => return Err(Misbehaved::FrameTruncated.into()),
            more => filled += more,
        }
    }
    Ok(())
}

async fn read_all<In: for<'de> Deserialize<'de>>(
    mut recv: Box<dyn AsyncRead + Send + Unpin>,
    inbox: mpsc::Sender<Result<In, Broken>>,
) {
    let mut frame = Vec::new();
    loop {
        let item = match read_frame(&mut recv, &mut frame).await {
            Ok(true) => message::decode(&frame).map_err(Broken::from),
            Ok(false) => return,
            Err(broken) => Err(broken),
        };
        let last = item.is_err();
        if inbox.send(item).await.is_err() || last {
            return;
        }
    }
}

async fn write_all(
    mut send: Box<dyn tokio::io::AsyncWrite + Send + Unpin>,
    mut outbox: mpsc::UnboundedReceiver<Vec<u8>>,
) -> io::Result<()> {
    while let Some(mut bytes) = outbox.recv().await {
        while bytes.len() < CONTROL_FRAME_MAX
            && let Ok(more) = outbox.try_recv()
        {
            bytes.extend_from_slice(&more);
        }
        send.write_all(&bytes).await?;
        if outbox.is_empty() {
            send.flush().await?;
        }
    }
    send.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_told_in_one_plain_sentence() {
        let library = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/rustls/";
        let told = |kind| Broken::Cut(io::Error::new(kind, library)).to_string();
        assert_eq!(told(io::ErrorKind::UnexpectedEof), "the connection broke off");
        assert_eq!(told(io::ErrorKind::ConnectionReset), "the connection broke off");
        let silent = Broken::Cut(io::Error::new(io::ErrorKind::TimedOut, "no answer for 15 s"));
        assert_eq!(silent.to_string(), "the link was cut: no answer for 15 s");
    }
}
