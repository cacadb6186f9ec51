//! XChaCha20-Poly1305 with the nonce in front: `nonce (24) ‖ ciphertext ‖ tag (16)`.
//!
//! 192-bit nonces may be random for every message under one key (draft-irtf-cfrg-xchacha).

use crate::random::random;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// Bytes of a nonce.
pub(crate) const NONCE: usize = 24;
/// Bytes that sealing adds: nonce and tag.
pub(crate) const OVERHEAD: usize = NONCE + 16;

/// The bytes were not sealed under this key with this associated data, or were changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotOpened;

/// What was just sealed does not open again: this machine's memory or processor fails. Nothing may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was sealed does not open again: this machine fails")]
pub struct Unsound;

/// [`seal`], opened again before it is returned.
pub(crate) fn seal_checked(key: &[u8; 32], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, Unsound> {
    let sealed = seal(key, aad, plain);
    let opened = open(key, aad, &sealed).map(Zeroizing::new).map_err(|_| Unsound)?;
    (*opened == plain).then_some(sealed).ok_or(Unsound)
}

/// Seals `plain` under a random nonce.
pub(crate) fn seal(key: &[u8; 32], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    seal_with_nonce(key, &random(), aad, plain)
}

/// Seals under a nonce that the caller promises never to use again with this key.
pub(crate) fn seal_with_nonce(key: &[u8; 32], nonce: &[u8; NONCE], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let sealed = XChaCha20Poly1305::new(&Key::from(*key))
        .encrypt(&XNonce::from(*nonce), Payload { msg: plain, aad })
        .expect("only messages beyond 256 GiB cannot be sealed");
    let mut bytes = Vec::with_capacity(NONCE + sealed.len());
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(&sealed);
    bytes
}

/// Opens what [`seal`] made.
pub(crate) fn open(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, NotOpened> {
    let (nonce, msg) = sealed.split_first_chunk::<NONCE>().ok_or(NotOpened)?;
    XChaCha20Poly1305::new(&Key::from(*key)).decrypt(&XNonce::from(*nonce), Payload { msg, aad }).map_err(|_| NotOpened)
}
