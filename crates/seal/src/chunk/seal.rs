//! Chunks become objects: compressed, padded, sealed, named by the hash of their ciphertext.
//!
//! A chunk's key is derived from a keyed hash of *exactly what is encrypted*, padding and compression included. Were it
//! derived from the plain chunk, two versions of the compressor would encrypt different bytes under one key and nonce, which
//! AES-GCM does not survive. As it is, another compressor costs a second copy of a chunk, and nothing else.

use super::open::ChunkOpener;
use super::{COMPRESSED, ChunkKey, MAX, NONCE, PLAIN, TAG, VERSION};
use crate::epoch::EpochKey;
use crate::labels;
use crate::object::Object;
use crate::padding;
use crate::xaead::Unsound;
use hkdf::Hkdf;
use ring::aead::{Aad, Nonce};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};
use zstd::bulk::Compressor;
use zstd::zstd_safe::compress_bound;

/// zstd's own default: about the speed of a disk.
const LEVEL: i32 = 3;

/// Under what an epoch's contents are sealed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ContentKey {
    /// Keys of chunks come out of it.
    root: [u8; 32],
    /// Hashes what is encrypted.
    hash: [u8; 32],
    /// Hashes plain chunks.
    fingerprint: [u8; 32],
}

/// A keyed hash of a plain chunk: finds, before any work is done, the chunk that was sealed already. For the device's own
/// index; it is never sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 32]);

/// A chunk as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// What is stored.
    pub object: Object,
    /// What opens it.
    pub key: ChunkKey,
}

/// Why a chunk was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// More than [`MAX`] bytes.
    #[error("a chunk has at most 4 MiB")]
    TooLong,
    /// See there.
    #[error(transparent)]
    Unsound(#[from] Unsound),
}

impl ContentKey {
    /// The content key of an epoch.
    #[must_use]
    pub fn of(epoch: &EpochKey) -> Self {
        let root = epoch.derive(labels::EPOCH_CONTENT);
        let mut key = Self { root: *root, hash: [0; 32], fingerprint: [0; 32] };
        let keys = Hkdf::<Sha256>::new(None, &*root);
        keys.expand(labels::CHUNK_HASH, &mut key.hash).expect("HKDF yields up to 8160 bytes");
        keys.expand(labels::CHUNK_FINGERPRINT, &mut key.fingerprint).expect("HKDF yields up to 8160 bytes");
        key
    }

    /// The fingerprint of a plain chunk.
    #[must_use]
    pub fn fingerprint(&self, plain: &[u8]) -> Fingerprint {
        Fingerprint(*blake3::keyed_hash(&self.fingerprint, plain).as_bytes())
    }

    /// The key under which exactly these bytes are encrypted.
    fn chunk_key(&self, content: &[u8]) -> ChunkKey {
        let hash = blake3::keyed_hash(&self.hash, content);
        let mut key = ChunkKey([0; 32]);
        Hkdf::<Sha256>::new(None, &self.root)
            .expand_multi_info(&[labels::CHUNK_KEY, hash.as_bytes()], &mut key.0)
            .expect("HKDF yields up to 8160 bytes");
        key
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(***)")
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(***)")
    }
}

/// Seals chunks, one after the other; keeps the compressor's memory (a few MiB).
pub struct ChunkSealer {
    key: ContentKey,
    compressor: Compressor<'static>,
    /// Where it compresses to.
    frame: Vec<u8>,
    opener: ChunkOpener,
}

impl ChunkSealer {
    /// Seals under this key.
    ///
    /// # Panics
    /// When there is no memory for the compressor.
    #[must_use]
    pub fn new(key: ContentKey) -> Self {
        Self::with_level(key, LEVEL)
    }

    fn with_level(key: ContentKey, level: i32) -> Self {
        let compressor = Compressor::new(level).expect("only memory can lack");
        Self { key, compressor, frame: Vec::new(), opener: ChunkOpener::new() }
    }

    /// Seals a chunk of up to [`MAX`] bytes, and opens it again.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(&mut self, plain: &[u8]) -> Result<Chunk, SealError> {
        if plain.len() > MAX {
            return Err(SealError::TooLong);
        }
        let mut stored = self.content(plain);
        padding::pad(&mut stored, 1);
        let (_, content) = stored.split_first_mut().expect("begins with the version");
        let key = self.key.chunk_key(content);
        let nonce = Nonce::assume_unique_for_key(NONCE);
        let tag = key.cipher().seal_in_place_separate_tag(nonce, Aad::from(labels::CHUNK), content);
        stored.extend_from_slice(tag.map_err(|_| Unsound)?.as_ref());
        let opened = self.opener.open_whole(&key, &stored).map_err(|_| Unsound)?;
        if opened != plain {
            return Err(Unsound.into());
        }
        Ok(Chunk { object: Object::of(stored), key })
    }

    /// `version ‖ content`, compressed if that saves 3 %; with room for padding and tag.
    fn content(&mut self, plain: &[u8]) -> Vec<u8> {
        let length = u32::try_from(plain.len()).expect("a chunk has at most 4 MiB");
        let worth = plain.len() - plain.len() * 3 / 100;
        let frame = &mut self.frame;
        frame.clear();
        frame.reserve(compress_bound(plain.len()));
        let compressed = self.compressor.compress_to_buffer(plain, frame).is_ok() && frame.len() <= worth;
        let (data, tail, method) =
            if compressed { (&**frame, &length.to_be_bytes()[..], COMPRESSED) } else { (plain, &[][..], PLAIN) };
        let mut stored = Vec::with_capacity(1 + padding::padded(data.len() + 5) + TAG);
        stored.push(VERSION);
        stored.extend_from_slice(data);
        stored.extend_from_slice(tail);
        stored.push(method);
        stored
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn another_compressor_never_encrypts_under_the_same_key() {
        let plain: Vec<u8> = (0..50_000_u32).flat_map(|number| (number * number).to_string().into_bytes()).collect();
        let key = ContentKey::of(&EpochKey::from_bytes(&[1; 32]));
        let [now, later] = [LEVEL, 19].map(|level| ChunkSealer::with_level(key.clone(), level).seal(&plain).unwrap());
        assert_ne!(now.object, later.object);
        assert_ne!(now.key, later.key, "one key and nonce for two messages");
        for chunk in [now, later] {
            assert_eq!(ChunkOpener::new().open(&chunk.object.id(), &chunk.key, chunk.object.bytes()).unwrap(), plain);
        }
    }
}
