//! Names that machines use: who a device, a member or a circle is, cryptographically, and what an object holds.
//!
//! Invariant: the text form is canonical (52 lower-case base32 characters), so equal ids have equal texts.

use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

/// RFC 4648 base32, lower case, no padding.
pub(crate) static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().expect("32 distinct symbols make an encoding")
});

/// DER of an Ed25519 SubjectPublicKeyInfo up to the key itself (RFC 8410 section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The SubjectPublicKeyInfo (DER) of an Ed25519 public key.
pub(crate) fn spki_der(key: &[u8; 32]) -> [u8; 44] {
    let mut der = [0; 44];
    der[..12].copy_from_slice(&SPKI_PREFIX);
    der[12..].copy_from_slice(key);
    der
}

/// The text is not an id: 52 characters of `a-z2-7` are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id (52 characters of a-z and 2-7 are expected)")]
pub struct BadId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The id with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first eight characters of the text form: enough for people, not for machines.
            #[must_use]
            pub fn short(&self) -> String {
                let mut text = self.to_string();
                text.truncate(8);
                text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&BASE32.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.short())
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let bytes = BASE32.decode(text.as_bytes()).map_err(|_| BadId)?;
                bytes.try_into().map(Self).map_err(|_| BadId)
            }
        }
    };
}

id! {
    /// A device: its Ed25519 public key, which is also its transport identity.
    DeviceId
}
id! {
    /// A member: the Ed25519 public key of its certificate authority.
    MemberId
}
id! {
    /// A circle: the BLAKE3 hash of its root certificate's SubjectPublicKeyInfo (DER).
    CircleId
}
id! {
    /// A stored object: the BLAKE3 hash of its bytes, which are ciphertext.
    ObjectId
}

impl ObjectId {
    /// The id of these stored bytes.
    #[must_use]
    pub fn of(stored: &[u8]) -> Self {
        Self(*blake3::hash(stored).as_bytes())
    }
}

impl DeviceId {
    /// The key as a SubjectPublicKeyInfo in DER (RFC 8410), as raw-public-key TLS and X.509 carry it.
    #[must_use]
    pub fn spki_der(&self) -> [u8; 44] {
        spki_der(&self.0)
    }
}

impl MemberId {
    /// The key as a SubjectPublicKeyInfo in DER (RFC 8410).
    #[must_use]
    pub fn spki_der(&self) -> [u8; 44] {
        spki_der(&self.0)
    }
}

impl CircleId {
    /// The circle whose root certificate has this Ed25519 public key.
    #[must_use]
    pub fn of_root_key(public: &[u8; 32]) -> Self {
        Self(*blake3::hash(&spki_der(public)).as_bytes())
    }
}
