//! Epoch keys sealed to devices: HPKE (RFC 9180), base mode. Byte format: `docs/formats/epoch.md`.
//!
//! Suites: DHKEM(X25519, HKDF-SHA256) for every device, X-Wing (X25519 with ML-KEM-768) for those that offer it; both with
//! HKDF-SHA256 and ChaCha20-Poly1305. The number of the suite stands beside each sealed key, so that another one can be
//! added when the drafts of X-Wing become a standard.
//!
//! Invariants: what is sealed for one device, realm, ledger and epoch number opens as nothing else; a key is handed out
//! only if it is the one that its epoch commits to. Who sealed it is shown by the signature of the commit around it.

use crate::epoch::EpochKey;
use crate::id::DeviceId;
use crate::labels;
use crate::random::random;
use ::hpke::aead::ChaCha20Poly1305;
use ::hpke::kdf::HkdfSha256;
use ::hpke::kem::{Kem, X25519HkdfSha256, XWing};
use ::hpke::{Deserializable, HpkeError, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal};
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// How a key is encapsulated. The numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// DHKEM(X25519, HKDF-SHA256), RFC 9180 section 7.1.
    X25519 = 1,
    /// X-Wing, draft-connolly-cfrg-xwing-kem as KEM 0x647a of draft-ietf-hpke-pq.
    XWing = 2,
}

impl Algorithm {
    const ALL: [Self; 2] = [Self::X25519, Self::XWing];

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The algorithm with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.number() == number)
    }
}

/// The seed of a device's HPKE keys.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ReadSeed([u8; 32]);

/// To what epoch keys for a device are sealed. Checked when it is made, except for X25519 keys of small order, which are
/// found when something is to be sealed to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HpkePublic {
    x25519: <X25519HkdfSha256 as Kem>::PublicKey,
    xwing: Option<Box<<XWing as Kem>::PublicKey>>,
}

/// A device offers a key that is none, the same algorithm twice, or no X25519 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device's sealing keys are not valid")]
pub struct BadPublicKey;

/// For what an epoch key is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrapContext {
    /// Id of the ledger.
    pub ledger: [u8; 32],
    /// The realm whose key it is.
    pub realm: [u8; 16],
    /// Number of the epoch in its realm. (Its id is the hash of the commit that this becomes a part of.)
    pub number: u64,
    /// The device that is to open it.
    pub device: DeviceId,
}

/// An epoch key, sealed for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// Number of the [`Algorithm`].
    pub algorithm: u8,
    /// Encapsulated key: 32 bytes (X25519) or 1,120 (X-Wing).
    pub enc: Vec<u8>,
    /// Ciphertext: 48 bytes.
    pub ct: Vec<u8>,
}

/// Why no epoch key came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// Sealed in a way that this version does not know.
    #[error("the key was sealed by a newer version")]
    UnknownAlgorithm,
    /// For another device, realm, ledger or epoch; or changed.
    #[error("the key was not sealed for this device and epoch")]
    NotForUs,
    /// It opens, but the epoch commits to another key: whoever sealed it lies.
    #[error("the key is not the one that the epoch commits to")]
    WrongKey,
}

impl ReadSeed {
    /// A fresh seed.
    #[must_use]
    pub fn generate() -> Self {
        Self(random())
    }

    /// The seed with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public keys, for the device's first commit in a ledger.
    #[must_use]
    pub fn public(&self) -> HpkePublic {
        HpkePublic {
            x25519: self.keys::<X25519HkdfSha256>(Algorithm::X25519).1,
            xwing: Some(Box::new(self.keys::<XWing>(Algorithm::XWing).1)),
        }
    }

    /// Opens what [`wrap`] sealed for the device of this seed.
    ///
    /// # Errors
    /// [`UnwrapError`]; a key that differs from `commitment` never comes out.
    pub fn unwrap(
        &self,
        context: &WrapContext,
        wrapped: &Wrapped,
        commitment: &[u8; 32],
    ) -> Result<EpochKey, UnwrapError> {
        let algorithm = Algorithm::from_number(wrapped.algorithm).ok_or(UnwrapError::UnknownAlgorithm)?;
        let (info, Wrapped { enc, ct, .. }) = (info(context), wrapped);
        let opened = match algorithm {
            Algorithm::X25519 => {
                open::<X25519HkdfSha256>(&self.keys::<X25519HkdfSha256>(algorithm).0, enc, &info, ct, &[])
            }
            Algorithm::XWing => open::<XWing>(&self.keys::<XWing>(algorithm).0, enc, &info, ct, &[]),
        };
        let bytes = opened.map_err(|_| UnwrapError::NotForUs)?;
        let key = EpochKey::from_bytes(bytes.as_slice().try_into().map_err(|_| UnwrapError::NotForUs)?);
        (key.commitment() == *commitment).then_some(key).ok_or(UnwrapError::WrongKey)
    }

    /// `DeriveKeyPair` (RFC 9180 section 7.1.3) from what the seed yields for the algorithm.
    fn keys<K: Kem>(&self, algorithm: Algorithm) -> (K::PrivateKey, K::PublicKey) {
        let [x25519, xwing] = labels::READ_KEMS;
        let label = match algorithm {
            Algorithm::X25519 => x25519,
            Algorithm::XWing => xwing,
        };
        let mut material = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, &self.0).expand(label, &mut *material).expect("HKDF yields up to 8160 bytes");
        K::derive_keypair(&*material)
    }
}

impl fmt::Debug for ReadSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadSeed(***)")
    }
}

impl HpkePublic {
    /// Reads what a device offers: numbers of algorithms with public keys. Algorithms that are not known are passed over.
    ///
    /// # Errors
    /// [`BadPublicKey`].
    pub fn from_offers<'a>(offers: impl IntoIterator<Item = (u8, &'a [u8])>) -> Result<Self, BadPublicKey> {
        let (mut x25519, mut xwing) = (None, None);
        for (number, public) in offers {
            let again = match Algorithm::from_number(number) {
                Some(Algorithm::X25519) => x25519.replace(public_key::<X25519HkdfSha256>(public)?).is_some(),
                Some(Algorithm::XWing) => xwing.replace(Box::new(public_key::<XWing>(public)?)).is_some(),
                None => false,
            };
            if again {
                return Err(BadPublicKey);
            }
        }
        Ok(Self { x25519: x25519.ok_or(BadPublicKey)?, xwing })
    }

    /// What [`HpkePublic::from_offers`] reads, the preferred one first.
    #[must_use]
    pub fn offers(&self) -> Vec<(u8, Vec<u8>)> {
        let xwing = self.xwing.iter().map(|key| (Algorithm::XWing.number(), key.to_bytes().to_vec()));
        xwing.chain([(Algorithm::X25519.number(), self.x25519.to_bytes().to_vec())]).collect()
    }
}

fn public_key<K: Kem>(bytes: &[u8]) -> Result<K::PublicKey, BadPublicKey> {
    K::PublicKey::from_bytes(bytes).map_err(|_| BadPublicKey)
}

/// Seals an epoch key for a device, by X-Wing where it offers that.
///
/// # Errors
/// [`BadPublicKey`] for an X25519 key of small order, with which there is no secret.
pub fn wrap(to: &HpkePublic, context: &WrapContext, key: &EpochKey) -> Result<Wrapped, BadPublicKey> {
    let info = info(context);
    let (algorithm, sealed) = match &to.xwing {
        Some(public) => (Algorithm::XWing, seal::<XWing>(public, &info, key.as_bytes(), &[])),
        None => (Algorithm::X25519, seal::<X25519HkdfSha256>(&to.x25519, &info, key.as_bytes(), &[])),
    };
    let (enc, ct) = sealed.map_err(|_| BadPublicKey)?;
    Ok(Wrapped { algorithm: algorithm.number(), enc, ct })
}

/// `SealBase` of RFC 9180 section 6.1: encapsulated key and ciphertext.
fn seal<K: Kem>(to: &K::PublicKey, info: &[u8], plain: &[u8], aad: &[u8]) -> Result<(Vec<u8>, Vec<u8>), HpkeError> {
    let (enc, ct) = single_shot_seal::<ChaCha20Poly1305, HkdfSha256, K>(&OpModeS::Base, to, info, plain, aad)?;
    Ok((enc.to_bytes().to_vec(), ct))
}

/// `OpenBase` of RFC 9180 section 6.1.
fn open<K: Kem>(
    with: &K::PrivateKey,
    enc: &[u8],
    info: &[u8],
    ct: &[u8],
    aad: &[u8],
) -> Result<Zeroizing<Vec<u8>>, HpkeError> {
    let enc = K::EncappedKey::from_bytes(enc)?;
    single_shot_open::<ChaCha20Poly1305, HkdfSha256, K>(&OpModeR::Base, with, &enc, info, ct, aad).map(Zeroizing::new)
}

/// `label ‖ ledger ‖ realm ‖ number (u64, big endian) ‖ device`, each of a fixed length.
fn info(context: &WrapContext) -> Vec<u8> {
    let WrapContext { ledger, realm, number, device } = context;
    [labels::EPOCH_WRAP, ledger, realm, &number.to_be_bytes(), device.as_bytes()].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod vectors;
