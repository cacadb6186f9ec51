//! The key of a realm for one epoch, and what hangs on it. Byte formats: `docs/formats/epoch.md`.
//!
//! Invariants: a key never prints and is wiped when dropped; each use has a key of its own; a key that comes out of another
//! one is handed out only if it is the one that its epoch commits to. The commitment (a hash of 32 random bytes) is what
//! makes ChaCha20-Poly1305 and AES-GCM safe here, which alone do not commit to their keys: an epoch's id names one key.

use crate::labels;
use crate::random::random;
use crate::xaead::{self, Unsound};
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const VERSION: u8 = 1;

/// The key of a realm for one epoch.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct EpochKey([u8; 32]);

/// Which key is sealed under which: what a link between two epochs is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkContext {
    /// Id of the ledger.
    pub ledger: [u8; 32],
    /// The realm whose commit holds the link.
    pub realm: [u8; 16],
    /// The other epoch, by the commit that announced it: the one before (back link), or the parent realm's (child link).
    pub epoch: [u8; 32],
}

/// Why no key came out of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// A later version of Warren wrote it.
    #[error("the link between the epochs was written by a newer version")]
    TooNew,
    /// Sealed under another key or for another place; or changed.
    #[error("the link between the epochs does not open")]
    NotOpened,
    /// It opens, but the epoch commits to another key: whoever sealed it lies.
    #[error("the key is not the one that the epoch commits to")]
    WrongKey,
}

impl EpochKey {
    /// A fresh key.
    #[must_use]
    pub fn generate() -> Self {
        Self(random())
    }

    /// The key with these bytes, as the device has stored them.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// The 32 secret bytes, to be stored sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the epoch's commit says of its key to everybody. No two keys have the same.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        blake3::derive_key(labels::EPOCH_COMMITMENT, &self.0)
    }

    /// Seals the key of the epoch before under this one, so that who reads now can read history: 73 bytes.
    ///
    /// # Errors
    /// [`Unsound`].
    pub fn seal_back(&self, context: &LinkContext, old: &Self) -> Result<Vec<u8>, Unsound> {
        self.link(labels::EPOCH_BACK, context, old)
    }

    /// Opens a back link; `commitment` is that of the old epoch.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn open_back(&self, context: &LinkContext, sealed: &[u8], commitment: &[u8; 32]) -> Result<Self, LinkError> {
        self.follow(labels::EPOCH_BACK, context, sealed, commitment)
    }

    /// Seals the key of a realm inside this key's realm: 73 bytes.
    ///
    /// # Errors
    /// [`Unsound`].
    pub fn seal_child(&self, context: &LinkContext, child: &Self) -> Result<Vec<u8>, Unsound> {
        self.link(labels::EPOCH_CHILD, context, child)
    }

    /// Opens a child link; `commitment` is that of the child's epoch.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn open_child(&self, context: &LinkContext, sealed: &[u8], commitment: &[u8; 32]) -> Result<Self, LinkError> {
        self.follow(labels::EPOCH_CHILD, context, sealed, commitment)
    }

    /// The key for one use.
    pub(crate) fn derive(&self, label: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, &self.0).expand(label, &mut *key).expect("HKDF yields up to 8160 bytes");
        key
    }

    fn link(&self, label: &[u8], context: &LinkContext, other: &Self) -> Result<Vec<u8>, Unsound> {
        let sealed = xaead::seal_checked(&self.derive(label), &associated(label, context), &other.0)?;
        Ok([&[VERSION], sealed.as_slice()].concat())
    }

    fn follow(
        &self,
        label: &[u8],
        context: &LinkContext,
        sealed: &[u8],
        commitment: &[u8; 32],
    ) -> Result<Self, LinkError> {
        let (&version, sealed) = sealed.split_first().ok_or(LinkError::NotOpened)?;
        match version {
            VERSION => {}
            0 => return Err(LinkError::NotOpened),
            _ => return Err(LinkError::TooNew),
        }
        let opened = xaead::open(&self.derive(label), &associated(label, context), sealed);
        let opened = opened.map(Zeroizing::new).map_err(|_| LinkError::NotOpened)?;
        let key = Self(opened.as_slice().try_into().map_err(|_| LinkError::NotOpened)?);
        (key.commitment() == *commitment).then_some(key).ok_or(LinkError::WrongKey)
    }
}

/// `version ‖ label ‖ ledger ‖ realm ‖ epoch`: all but the label of fixed length, and no label begins with another.
fn associated(label: &[u8], context: &LinkContext) -> Vec<u8> {
    let LinkContext { ledger, realm, epoch } = context;
    [&[VERSION], label, ledger, realm, epoch].concat()
}

impl fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochKey(***)")
    }
}
