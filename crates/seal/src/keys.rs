//! Signing keys by purpose (Ed25519, RFC 8032): a device's, a member's, a circle's root.
//!
//! Invariants: a key is wiped when dropped and prints as stars; what is signed always begins with its purpose
//! (`warren/<label>/v1`, a zero byte, BLAKE3 of the message), so that no signature can be carried from one protocol
//! into another; verification is strict (no malleable or small-order keys).

use crate::id::{CircleId, DeviceId, MemberId};
use crate::labels::Purpose;
use crate::random::random;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use zeroize::Zeroizing;

/// PKCS#8 version 1 header of an Ed25519 private key (RFC 8410 section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// An Ed25519 signature (64 bytes).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature([u8; 64]);

impl Signature {
    /// The signature with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (r, s) = self.0.split_at(32);
        (half(r), half(s)).serialize(serializer)
    }
}

fn half(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().expect("a signature splits into two halves of 32 bytes")
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (r, s) = <([u8; 32], [u8; 32])>::deserialize(deserializer)?;
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&r);
        bytes[32..].copy_from_slice(&s);
        Ok(Self(bytes))
    }
}

/// The signature was not made by this key, for this purpose, over this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct BadSignature;

/// The bytes that are signed for `message`.
fn signed_bytes(purpose: Purpose, message: &[u8]) -> Vec<u8> {
    let mut bytes = format!("warren/{}/v1", purpose.label()).into_bytes();
    bytes.push(0);
    bytes.extend_from_slice(blake3::hash(message).as_bytes());
    bytes
}

/// Strict verification of `signature` over exactly `bytes`: the X.509 code shares it.
pub(crate) fn verify_raw(public: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_bytes(public).map_err(|_| BadSignature)?;
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    key.verify_strict(bytes, &signature).map_err(|_| BadSignature)
}

macro_rules! signing_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SigningKey);

        impl $name {
            /// A fresh key from the system's randomness.
            #[must_use]
            pub fn generate() -> Self {
                Self::from_seed(&Zeroizing::new(random()))
            }

            /// The key that grows from this seed (RFC 8032 section 5.1.5).
            #[must_use]
            pub fn from_seed(seed: &[u8; 32]) -> Self {
                Self(SigningKey::from_bytes(seed))
            }

            /// The seed: the whole secret.
            #[must_use]
            pub fn seed(&self) -> Zeroizing<[u8; 32]> {
                Zeroizing::new(self.0.to_bytes())
            }

            /// The Ed25519 public key.
            #[must_use]
            pub fn public(&self) -> [u8; 32] {
                self.0.verifying_key().to_bytes()
            }

            /// Signs exactly `bytes`. Only for X.509, whose signatures have no room for a purpose.
            pub(crate) fn sign_raw(&self, bytes: &[u8]) -> [u8; 64] {
                self.0.sign(bytes).to_bytes()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(***)"))
            }
        }
    };
}

macro_rules! statement_key {
    ($key:ident, $id:ident) => {
        impl $key {
            /// Who this key is.
            #[must_use]
            pub fn id(&self) -> $id {
                $id::from_bytes(self.public())
            }

            /// Signs `message` for one purpose.
            #[must_use]
            pub fn sign(&self, purpose: Purpose, message: &[u8]) -> Signature {
                Signature(self.sign_raw(&signed_bytes(purpose, message)))
            }
        }

        impl $id {
            /// Checks that the owner of this id signed `message` for `purpose`.
            ///
            /// # Errors
            /// [`BadSignature`] when it did not, or when the id is not a valid public key.
            pub fn verify(&self, purpose: Purpose, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
                verify_raw(self.as_bytes(), &signed_bytes(purpose, message), &signature.0)
            }
        }
    };
}

signing_key! {
    /// A device's key: its transport identity, and the key under which it makes statements.
    DeviceKey
}
signing_key! {
    /// A member's key: it certifies the member's devices and, for admins, other members.
    MemberKey
}
signing_key! {
    /// A circle's root key: it certifies the first admin and signs nothing but certificates and CRLs.
    RootKey
}

statement_key!(DeviceKey, DeviceId);
statement_key!(MemberKey, MemberId);

impl DeviceKey {
    /// The private key as PKCS#8 DER (RFC 8410 section 7), as TLS libraries take it.
    #[must_use]
    pub fn pkcs8_der(&self) -> Zeroizing<[u8; 48]> {
        let mut der = Zeroizing::new([0; 48]);
        der[..16].copy_from_slice(&PKCS8_PREFIX);
        der[16..].copy_from_slice(&*self.seed());
        der
    }
}

impl RootKey {
    /// The circle that this key is the root of.
    #[must_use]
    pub fn id(&self) -> CircleId {
        CircleId::of_root_key(&self.public())
    }
}
