//! Frames on a stream: `logic::wire` framing, with the limit checked before memory is taken and a
//! deadline once a frame has begun (a peer that drips bytes costs one small buffer and is cut).

use std::{io, time::Duration};

use logic::{
    Misbehaved,
    limits::FrameLimit,
    wire::{FRAME_PREFIX, FrameTooBig, body_len, decode, encode},
};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// The longest that a frame may take from its first byte to its last, plus a second per
/// [`SLOWEST_RATE`] bytes of its length.
const FRAME_DEADLINE: Duration = Duration::from_secs(30);
/// Bytes per second below which a peer counts as stalling.
const SLOWEST_RATE: usize = 1024;

/// Why no frame came.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer broke a rule.
    #[error(transparent)]
    Misbehaved(#[from] Misbehaved),
    /// Our own message does not fit its frame.
    #[error(transparent)]
    TooBig(#[from] FrameTooBig),
}

/// The next message, or `None` where the peer finished the stream between two frames.
///
/// # Errors
/// See [`FrameError`]; the stream is not usable afterwards.
pub async fn read_frame<M, R>(stream: &mut R, limit: FrameLimit) -> Result<Option<M>, FrameError>
where
    M: DeserializeOwned,
    R: AsyncRead + Unpin + ?Sized,
{
    match read_body(stream, limit).await? {
        Some(body) => Ok(Some(decode(&body)?)),
        None => Ok(None),
    }
}

/// The body of the next frame, for engines that decode themselves.
///
/// # Errors
/// See [`FrameError`].
pub async fn read_body<R>(stream: &mut R, limit: FrameLimit) -> Result<Option<Vec<u8>>, FrameError>
where
    R: AsyncRead + Unpin + ?Sized,
{
    let mut prefix = [0; FRAME_PREFIX];
    if stream.read(&mut prefix[..1]).await? == 0 {
        return Ok(None);
    }
    in_time(FRAME_DEADLINE, read_exact(stream, &mut prefix[1..])).await?;
    let mut body = vec![0; body_len(prefix, limit)?];
    let extra = Duration::from_secs((body.len() / SLOWEST_RATE) as u64);
    in_time(FRAME_DEADLINE + extra, read_exact(stream, &mut body)).await?;
    Ok(Some(body))
}

/// The next message, where the end of the stream is as bad as half a frame.
///
/// # Errors
/// See [`FrameError`].
pub async fn expect_frame<M, R>(stream: &mut R, limit: FrameLimit) -> Result<M, FrameError>
where
    M: DeserializeOwned,
    R: AsyncRead + Unpin + ?Sized,
{
    read_frame(stream, limit).await?.ok_or(FrameError::Misbehaved(Misbehaved::FrameTruncated))
}

/// Writes a message and flushes it.
///
/// # Errors
/// See [`FrameError`]; never [`FrameError::Misbehaved`].
pub async fn write_frame<M, W>(stream: &mut W, message: &M, limit: FrameLimit) -> Result<(), FrameError>
where
    M: Serialize,
    W: AsyncWrite + Unpin + ?Sized,
{
    stream.write_all(encode(message, limit)?.as_bytes()).await?;
    stream.flush().await?;
    Ok(())
}

async fn in_time(limit: Duration, read: impl Future<Output = Result<(), FrameError>>) -> Result<(), FrameError> {
    timeout(limit, read).await.map_err(|_| Misbehaved::FrameTooSlow)?
}

async fn read_exact<R: AsyncRead + Unpin + ?Sized>(stream: &mut R, buf: &mut [u8]) -> Result<(), FrameError> {
    match stream.read_exact(buf).await {
        Ok(_) => Ok(()),
        // On TCP the cut itself is this error; either way half a frame is here.
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(Misbehaved::FrameTruncated.into()),
        Err(e) => Err(e.into()),
    }
}
