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

#[cfg(test)]
mod tests {
    use tokio::{
        io::{DuplexStream, duplex},
        time::{Instant, advance, sleep},
    };

    use super::*;

    const LIMIT: FrameLimit = FrameLimit::new(1 << 20);
    const HOUR: Duration = Duration::from_secs(3600);

    /// Reads a frame from a peer that sends its bytes one by one with `pause` between them and goes on for ever. Gives
    /// what came of it, and when.
    async fn dripped(bytes: Vec<u8>, pause: Duration) -> (Result<Option<Vec<u8>>, FrameError>, Duration) {
        let (mut near, far) = duplex(64);
        let drip = async move |mut far: DuplexStream| {
            for byte in bytes {
                far.write_all(&[byte]).await.unwrap();
                sleep(pause).await;
            }
            sleep(HOUR * 24).await;
        };
        let began = Instant::now();
        let read = tokio::select! {
            read = read_body(&mut near, LIMIT) => read,
            () = drip(far) => panic!("the reader outlasts everything"),
        };
        (read, began.elapsed())
    }

    fn frame(len: u32) -> Vec<u8> {
        [&len.to_be_bytes()[..], &vec![7; len as usize]].concat()
    }

    fn is_slow(read: &Result<Option<Vec<u8>>, FrameError>) -> bool {
        matches!(read, Err(FrameError::Misbehaved(Misbehaved::FrameTooSlow)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_is_begun_and_not_ended_is_cut() {
        for begun in [frame(100)[..1].to_vec(), frame(100)[..4].to_vec(), frame(100)[..103].to_vec()] {
            let (read, after) = dripped(begun, Duration::ZERO).await;
            assert!(is_slow(&read), "{read:?}");
            assert!(after <= 2 * FRAME_DEADLINE, "{after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_byte_that_drips_in_does_not_begin_the_time_anew() {
        let (read, after) = dripped(frame(1000), FRAME_DEADLINE / 8).await;
        assert!(is_slow(&read), "{read:?}");
        assert!(after <= 2 * FRAME_DEADLINE, "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_frame_has_time_by_its_length_and_not_more() {
        let len = 64 * SLOWEST_RATE as u32;
        let a_byte = |rate: usize| Duration::from_secs(1) / u32::try_from(rate).unwrap();
        let (read, after) = dripped(frame(len), a_byte(SLOWEST_RATE)).await;
        assert_eq!(read.unwrap().unwrap().len(), len as usize);
        assert!(after > FRAME_DEADLINE, "{after:?} shows nothing");
        let (read, _) = dripped(frame(len), a_byte(SLOWEST_RATE / 4)).await;
        assert!(is_slow(&read), "{read:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_between_frames_is_nobodys_fault() {
        let (mut near, mut far) = duplex(64);
        let late = async {
            advance(HOUR).await;
            far.write_all(&frame(3)).await.unwrap();
        };
        let (read, ()) = tokio::join!(read_body(&mut near, LIMIT), late);
        assert_eq!(read.unwrap().unwrap(), [7; 3]);
    }
}
