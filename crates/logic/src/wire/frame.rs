//! Frames: a length, then one postcard message. Callers: `net` (from sockets) and the engines (from memory).

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Misbehaved;
use crate::limits::FrameLimit;

/// Bytes before the body: its length as big-endian `u32`.
pub const FRAME_PREFIX: usize = 4;

/// A message of our own that does not fit its frame: a fault of the caller, never of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a message of {bytes} bytes does not fit a frame of {limit}")]
pub struct FrameTooBig {
    /// Size of the encoded message.
    pub bytes: usize,
    /// Size that is allowed.
    pub limit: usize,
}

/// A whole frame, ready to be written: prefix and body. Engines hand these out, and take bodies in.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(Vec<u8>);

impl Frame {
    /// The frame around a body that is encoded already.
    ///
    /// # Errors
    /// [`FrameTooBig`] where the body is above the limit.
    pub fn around(body: &[u8], limit: FrameLimit) -> Result<Self, FrameTooBig> {
        Self::finish([&[0; FRAME_PREFIX], body].concat(), limit)
    }

    /// Writes the length before the body.
    fn finish(mut bytes: Vec<u8>, limit: FrameLimit) -> Result<Self, FrameTooBig> {
        let len = bytes.len() - FRAME_PREFIX;
        let too_big = FrameTooBig { bytes: len, limit: limit.bytes() };
        if len > limit.bytes() {
            return Err(too_big);
        }
        let prefix = u32::try_from(len).map_err(|_| too_big)?.to_be_bytes();
        bytes[..FRAME_PREFIX].copy_from_slice(&prefix);
        Ok(Self(bytes))
    }

    /// Prefix and body: what goes on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The body alone: what the engine on the other side takes.
    pub fn body(&self) -> &[u8] {
        &self.0[FRAME_PREFIX..]
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes)", self.0.len())
    }
}

/// The frame of a message.
///
/// # Errors
/// [`FrameTooBig`] where the body is above the limit.
pub fn encode<M: Serialize>(message: &M, limit: FrameLimit) -> Result<Frame, FrameTooBig> {
    let bytes = postcard::to_extend(message, vec![0; FRAME_PREFIX])
        .map_err(|_| FrameTooBig { bytes: usize::MAX, limit: limit.bytes() })?;
    Frame::finish(bytes, limit)
}

/// How many bytes of body follow a prefix.
///
/// # Errors
/// [`Misbehaved::FrameTooLong`] above the limit, before anything is allocated.
pub fn body_len(prefix: [u8; FRAME_PREFIX], limit: FrameLimit) -> Result<usize, Misbehaved> {
    let len = usize::try_from(u32::from_be_bytes(prefix)).map_err(|_| Misbehaved::FrameTooLong)?;
    if len > limit.bytes() { Err(Misbehaved::FrameTooLong) } else { Ok(len) }
}

/// The message in a frame's body (without the prefix). The body must be used up exactly.
///
/// # Errors
/// [`Misbehaved::FrameGarbled`] or [`Misbehaved::FrameTrailingBytes`].
pub fn decode<'a, M: Deserialize<'a>>(body: &'a [u8]) -> Result<M, Misbehaved> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok(_) => Err(Misbehaved::FrameTrailingBytes),
        Err(_) => Err(Misbehaved::FrameGarbled),
    }
}

/// Cuts a byte stream that arrives in any portions into bodies of frames.
///
/// Holds at most one frame of the limit and what was pushed last.
#[derive(Debug)]
pub struct Deframer {
    limit: FrameLimit,
    bytes: Vec<u8>,
    failed: Option<Misbehaved>,
}

impl Deframer {
    /// A deframer for frames up to `limit`.
    pub fn new(limit: FrameLimit) -> Self {
        Self { limit, bytes: Vec::new(), failed: None }
    }

    /// Takes what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The body of the next frame, or `None` until more bytes came.
    ///
    /// # Errors
    /// [`Misbehaved::FrameTooLong`]; the stream is useless from then on and keeps saying so.
    pub fn next_body(&mut self) -> Result<Option<Vec<u8>>, Misbehaved> {
        if let Some(offence) = self.failed {
            return Err(offence);
        }
        let Some(prefix) = self.bytes.first_chunk::<FRAME_PREFIX>() else {
            return Ok(None);
        };
        let len = body_len(*prefix, self.limit).inspect_err(|offence| self.failed = Some(*offence))?;
        if self.bytes.len() < FRAME_PREFIX + len {
            return Ok(None);
        }
        let rest = self.bytes.split_off(FRAME_PREFIX + len);
        let frame = std::mem::replace(&mut self.bytes, rest);
        Ok(Some(frame[FRAME_PREFIX..].to_vec()))
    }

    /// Must be asked when the stream ends.
    ///
    /// # Errors
    /// [`Misbehaved::FrameTruncated`] where the end cuts a frame.
    pub fn finish(&self) -> Result<(), Misbehaved> {
        if self.bytes.is_empty() { Ok(()) } else { Err(Misbehaved::FrameTruncated) }
    }
}
