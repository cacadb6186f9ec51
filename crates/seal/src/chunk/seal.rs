//! Chunks become objects: compressed, padded, sealed, named by the hash of their ciphertext.
//!
//! A compressed chunk's key is derived from a keyed hash of *exactly what is encrypted*, padding and frame included. Were it
//! derived from the plain chunk, two versions of the compressor would encrypt different bytes under one key and nonce, which
//! AES-GCM does not survive. As it is, another compressor costs a second copy of a chunk, and nothing else. What is
//! encrypted of a chunk that is not compressed follows from the chunk, so its fingerprint does.

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
/// Samples of a long chunk that are compressed first, and their bytes.
const SAMPLES: usize = 8;
const SAMPLE: usize = 4 << 10;

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

/// A chunk that is to be sealed. Invariant: the fingerprint, if any, is that of the bytes.
pub struct Plain {
    bytes: Vec<u8>,
    fingerprint: Option<Fingerprint>,
}

impl Plain {
    /// A chunk that need not be found again.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, fingerprint: None }
    }

    /// A chunk with its fingerprint.
    #[must_use]
    pub fn fingerprinted(bytes: Vec<u8>, key: &ContentKey) -> Self {
        let fingerprint = Some(key.fingerprint(&bytes));
        Self { bytes, fingerprint }
    }

    /// Its fingerprint, if it was asked for.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

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

    /// The key under which a frame is encrypted with all that is around it.
    fn frame_key(&self, content: &[u8]) -> ChunkKey {
        self.key(labels::CHUNK_KEY, blake3::keyed_hash(&self.hash, content).as_bytes())
    }

    /// The key under which a chunk is encrypted as it is: what is around it follows from it.
    fn plain_key(&self, fingerprint: &Fingerprint) -> ChunkKey {
        self.key(labels::CHUNK_PLAIN_KEY, &fingerprint.0)
    }

    fn key(&self, label: &[u8], hash: &[u8; 32]) -> ChunkKey {
        let mut key = ChunkKey([0; 32]);
        Hkdf::<Sha256>::new(None, &self.root)
            .expand_multi_info(&[label, hash], &mut key.0)
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
    pub fn seal(&mut self, plain: &Plain) -> Result<Chunk, SealError> {
        let Plain { bytes: plain, fingerprint } = plain;
        if plain.len() > MAX {
            return Err(SealError::TooLong);
        }
        let (mut stored, compressed) = self.content(plain);
        padding::pad(&mut stored, 1);
        let (_, content) = stored.split_first_mut().expect("begins with the version");
        let key = match (compressed, fingerprint) {
            (true, _) => self.key.frame_key(content),
            (false, Some(fingerprint)) => self.key.plain_key(fingerprint),
            (false, None) => self.key.plain_key(&self.key.fingerprint(plain)),
        };
        let nonce = Nonce::assume_unique_for_key(NONCE);
        let tag = key.cipher().seal_in_place_separate_tag(nonce, Aad::from(labels::CHUNK), content);
        stored.extend_from_slice(tag.map_err(|_| Unsound)?.as_ref());
        let opened = self.opener.open_whole(&key, &stored).map_err(|_| Unsound)?;
        if opened != *plain {
            return Err(Unsound.into());
        }
        Ok(Chunk { object: Object::of(stored), key })
    }

    /// Saves compressing 3 %? The frame is left behind.
    fn compress(&mut self, plain: &[u8]) -> bool {
        let frame = &mut self.frame;
        frame.clear();
        frame.reserve(compress_bound(plain.len()));
        self.compressor.compress_to_buffer(plain, frame).is_ok() && frame.len() <= plain.len() - plain.len() * 3 / 100
    }

    /// The same of a few samples: most of what is long is compressed already.
    fn seems_to_compress(&mut self, plain: &[u8]) -> bool {
        let step = plain.len() / SAMPLES;
        if step < 4 * SAMPLE {
            return true;
        }
        let samples: Vec<u8> = plain.chunks(step).flat_map(|part| &part[..SAMPLE.min(part.len())]).copied().collect();
        self.compress(&samples)
    }

    /// `version ‖ content`, with room for padding and tag; whether it is compressed.
    fn content(&mut self, plain: &[u8]) -> (Vec<u8>, bool) {
        let length = u32::try_from(plain.len()).expect("a chunk has at most 4 MiB");
        let compressed = self.seems_to_compress(plain) && self.compress(plain);
        let frame = &self.frame;
        let (data, tail, method) =
            if compressed { (&**frame, &length.to_be_bytes()[..], COMPRESSED) } else { (plain, &[][..], PLAIN) };
        let mut stored = Vec::with_capacity(1 + padding::padded(data.len() + 5) + TAG);
        stored.push(VERSION);
        stored.extend_from_slice(data);
        stored.extend_from_slice(tail);
        stored.push(method);
        (stored, compressed)
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
        let [now, later] = [LEVEL, 19]
            .map(|level| ChunkSealer::with_level(key.clone(), level).seal(&Plain::new(plain.clone())).unwrap());
        assert_ne!(now.object, later.object);
        assert_ne!(now.key, later.key, "one key and nonce for two messages");
        for chunk in [now, later] {
            assert_eq!(ChunkOpener::new().open(&chunk.object.id(), &chunk.key, chunk.object.bytes()).unwrap(), plain);
        }
    }
}
