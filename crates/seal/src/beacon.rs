//! LAN announcements: 256 bytes that look random to everybody outside the circle (see `docs/formats/beacon.md`).
//!
//! No magic, no version in the clear, constant size, fresh nonce: two beacons cannot be linked without the key. The
//! version of the content is the first byte of the plaintext, which is the caller's.

use crate::labels;
use crate::random::random;
use crate::xaead;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of every beacon.
pub const SIZE: usize = 256;
/// Bytes of a nonce.
pub const NONCE: usize = xaead::NONCE;
/// Bytes that a beacon can carry.
pub const CAPACITY: usize = SIZE - xaead::OVERHEAD - 2;

/// The key that the members of a circle share for their announcements.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct BeaconKey([u8; 32]);

/// Why a beacon could not be made or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeaconError {
    /// More than [`CAPACITY`] bytes of content.
    #[error("a beacon carries at most 214 bytes")]
    TooLong,
    /// Not one of this circle's beacons: a stranger's, or noise.
    #[error("not a beacon of this circle")]
    NotOurs,
}

impl BeaconKey {
    /// A fresh key.
    #[must_use]
    pub fn generate() -> Self {
        Self(random())
    }

    /// The key with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 secret bytes, to be shared with members only.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals `content`, padded with zeros; `nonce` must be random for each beacon.
    ///
    /// # Errors
    /// [`BeaconError::TooLong`] for more than [`CAPACITY`] bytes.
    pub fn seal(&self, content: &[u8], nonce: [u8; NONCE]) -> Result<[u8; SIZE], BeaconError> {
        if content.len() > CAPACITY {
            return Err(BeaconError::TooLong);
        }
        let mut plain = [0; CAPACITY + 2];
        let length = u16::try_from(content.len()).expect("the capacity fits 16 bits");
        plain[..2].copy_from_slice(&length.to_be_bytes());
        plain[2..2 + content.len()].copy_from_slice(content);
        let sealed = xaead::seal_with_nonce(&self.0, &nonce, labels::BEACON, &plain);
        Ok(sealed.try_into().expect("nonce, padded content and tag are 256 bytes"))
    }

    /// Opens a datagram if it is one of this circle's beacons.
    ///
    /// # Errors
    /// [`BeaconError::NotOurs`] for everything else.
    pub fn open(&self, datagram: &[u8]) -> Result<Vec<u8>, BeaconError> {
        if datagram.len() != SIZE {
            return Err(BeaconError::NotOurs);
        }
        let plain = xaead::open(&self.0, labels::BEACON, datagram).map_err(|_| BeaconError::NotOurs)?;
        let (length, rest) = plain.split_first_chunk().ok_or(BeaconError::NotOurs)?;
        let content = rest.get(..usize::from(u16::from_be_bytes(*length))).ok_or(BeaconError::NotOurs)?;
        Ok(content.to_vec())
    }
}

impl fmt::Debug for BeaconKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BeaconKey(***)")
    }
}
