//! Objects become chunks again. Reads bytes from outside: what is not exactly what a sealer makes is refused, and says whose
//! fault it is.

use super::{COMPRESSED, ChunkKey, MAX, MAX_STORED, NONCE, PLAIN, TAG, VERSION};
use crate::id::ObjectId;
use crate::labels;
use crate::object::Object;
use crate::padding;
use ring::aead::{Aad, Nonce};
use zstd::bulk::Decompressor;

/// Why an object did not open as a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The bytes are not those of the object: the fault of whoever keeps or brought them. Another copy may be whole.
    #[error("these are not the bytes of the object")]
    WrongObject,
    /// A later version of Warren wrote it.
    #[error("the chunk was written by a newer version")]
    TooNew,
    /// The object is as it was written, but its key does not open it: the fault of who wrote the list of chunks.
    #[error("the chunk's key does not open it")]
    WrongKey,
    /// It opens, but was not made as the format has it: the fault of who wrote the chunk.
    #[error("the chunk is not made as it must be")]
    Malformed,
}

/// Opens chunks, one after the other; keeps the decompressor's memory (some 100 KiB).
pub struct ChunkOpener {
    decompressor: Decompressor<'static>,
}

impl ChunkOpener {
    /// An opener.
    ///
    /// # Panics
    /// When there is no memory for the decompressor.
    #[must_use]
    pub fn new() -> Self {
        Self { decompressor: Decompressor::new().expect("only memory can lack") }
    }

    /// Opens the object `id`, of which `stored` are said to be the bytes. At most [`MAX`] bytes come out.
    ///
    /// # Errors
    /// [`ChunkError`].
    pub fn open(&mut self, id: &ObjectId, key: &ChunkKey, stored: &[u8]) -> Result<Vec<u8>, ChunkError> {
        if stored.len() > MAX_STORED || ObjectId::of(stored) != *id {
            return Err(ChunkError::WrongObject);
        }
        self.open_whole(key, stored)
    }

    /// Opens an object.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_object(&mut self, key: &ChunkKey, object: &Object) -> Result<Vec<u8>, ChunkError> {
        if object.bytes().len() > MAX_STORED {
            return Err(ChunkError::WrongObject);
        }
        self.open_whole(key, object.bytes())
    }

    /// Opens bytes that are those of their object.
    pub(super) fn open_whole(&mut self, key: &ChunkKey, stored: &[u8]) -> Result<Vec<u8>, ChunkError> {
        let (&version, sealed) = stored.split_first().ok_or(ChunkError::Malformed)?;
        match version {
            VERSION => {}
            0 => return Err(ChunkError::Malformed),
            _ => return Err(ChunkError::TooNew),
        }
        if sealed.len() < TAG {
            return Err(ChunkError::Malformed);
        }
        let (mut content, nonce) = (sealed.to_vec(), Nonce::assume_unique_for_key(NONCE));
        let opened = key.cipher().open_in_place(nonce, Aad::from(labels::CHUNK), &mut content);
        let length = opened.map_err(|_| ChunkError::WrongKey)?.len();
        content.truncate(length);
        padding::unpad(&mut content).map_err(|_| ChunkError::Malformed)?;
        self.expand(content)
    }

    fn expand(&mut self, mut content: Vec<u8>) -> Result<Vec<u8>, ChunkError> {
        match content.pop() {
            Some(PLAIN) if content.len() <= MAX => Ok(content),
            Some(COMPRESSED) => {
                let (frame, length) = content.split_last_chunk().ok_or(ChunkError::Malformed)?;
                let length = u32::from_be_bytes(*length) as usize;
                if length > MAX {
                    return Err(ChunkError::Malformed);
                }
                let mut plain = Vec::with_capacity(length);
                let read = self.decompressor.decompress_to_buffer(frame, &mut plain);
                (read.ok() == Some(length)).then_some(plain).ok_or(ChunkError::Malformed)
            }
            _ => Err(ChunkError::Malformed),
        }
    }
}

impl Default for ChunkOpener {
    fn default() -> Self {
        Self::new()
    }
}
