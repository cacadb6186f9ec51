//! Bodies of data commits: what was changed, readable for those who have the realm's key. Byte format:
//! `docs/formats/body.md`.
//!
//! XChaCha20-Poly1305 with a random nonce. The cipher does not commit to its key; the commit does, because its epoch names
//! one key ([`EpochKey::commitment`]) and its signature covers the epoch and the hash of these bytes.

use crate::epoch::EpochKey;
use crate::id::DeviceId;
use crate::labels;
use crate::padding;
use crate::xaead::{self, Unsound};
use zeroize::Zeroizing;

const VERSION: u8 = 1;

/// The commit that a body belongs to, from its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyContext {
    /// Id of the ledger.
    pub ledger: [u8; 32],
    /// Whose chain.
    pub device: DeviceId,
    /// Number in that chain.
    pub seq: u64,
    /// The realm.
    pub realm: [u8; 16],
    /// The epoch whose key it is, by the commit that announced it.
    pub epoch: [u8; 32],
    /// Number of the commit's kind.
    pub kind: u8,
}

/// Why a body does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A later version of Warren wrote it.
    #[error("the body was written by a newer version")]
    TooNew,
    /// Sealed under another key, or for another commit; or changed.
    #[error("the body does not open under the key of its epoch")]
    NotOpened,
    /// It opens, but was not made as the format has it: the fault of who wrote the commit.
    #[error("the body is not padded as it must be")]
    BadPadding,
}

/// Bytes of a sealed body that holds `plain` bytes.
#[must_use]
pub const fn sealed_len(plain: usize) -> usize {
    1 + padding::padded(plain) + xaead::OVERHEAD
}

/// Seals the body of a commit.
///
/// # Errors
/// [`Unsound`].
pub fn seal(key: &EpochKey, context: &BodyContext, plain: &[u8]) -> Result<Vec<u8>, Unsound> {
    let mut padded = Zeroizing::new(Vec::with_capacity(padding::padded(plain.len())));
    padded.extend_from_slice(plain);
    padding::pad(&mut padded, 0);
    let sealed = xaead::seal_checked(&key.derive(labels::EPOCH_BODY), &associated(context), &padded)?;
    Ok([&[VERSION], sealed.as_slice()].concat())
}

/// Opens the body of a commit.
///
/// # Errors
/// [`BodyError`] for anything but what [`seal`] made for this commit.
pub fn open(key: &EpochKey, context: &BodyContext, sealed: &[u8]) -> Result<Vec<u8>, BodyError> {
    let (&version, sealed) = sealed.split_first().ok_or(BodyError::NotOpened)?;
    match version {
        VERSION => {}
        0 => return Err(BodyError::NotOpened),
        _ => return Err(BodyError::TooNew),
    }
    let opened = xaead::open(&key.derive(labels::EPOCH_BODY), &associated(context), sealed);
    let mut plain = opened.map_err(|_| BodyError::NotOpened)?;
    padding::unpad(&mut plain).map_err(|_| BodyError::BadPadding)?;
    Ok(plain)
}

/// `version ‖ label ‖ ledger ‖ device ‖ number (u64, big endian) ‖ realm ‖ epoch ‖ kind`, each of a fixed length.
fn associated(context: &BodyContext) -> Vec<u8> {
    let BodyContext { ledger, device, seq, realm, epoch, kind } = context;
    [&[VERSION], labels::EPOCH_BODY, ledger, device.as_bytes(), &seq.to_be_bytes(), realm, epoch, &[*kind]].concat()
}
