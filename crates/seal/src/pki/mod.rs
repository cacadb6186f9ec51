//! The circle's public key infrastructure: X.509 (RFC 5280) with Ed25519 (RFC 8410). Profile at byte level:
//! `docs/formats/certificates.md`.
//!
//! A *root* certifies the first *admin*; admins certify *members* (and further admins); a member certifies its own
//! *devices*. Every member is a small certificate authority with its own revocation list. What a certificate is, and
//! which role it gives, stands in standard attributes (`O` circle, `OU` role, `CN` name), so that any tool shows it.
//!
//! Invariants: DER is kept as received, never encoded again; a [`Certificate`] or [`Crl`] value exists only if its bytes
//! follow the profile; a [`CertifiedDevice`] or [`CertifiedMember`] exists only if its whole chain holds **now**, by
//! our own rules and (for devices) by `rustls-webpki` as well; a missing or stale revocation list is a refusal.

mod certificate;
mod certified;
mod crl;
mod issue;
mod name;
mod parse;
mod pem;
mod verify;

pub use certificate::{Certificate, CertificateFacts, Kind};
pub use certified::{CertifiedDevice, CertifiedMember};
pub use crl::{Crl, CrlFacts, Reason, Revoked};
pub use issue::{CrlRequest, IssueError, Issuer, MemberRequest, issue_crl, issue_device, issue_member, issue_root};
pub use name::{BadName, MAX_NAME, look_alike, name_key, valid_name};
pub use pem::{BadPem, Bundle};
pub use verify::{MAX_CHAIN, PkiFault, check_link, verify_device, verify_member, verify_root};

#[cfg(test)]
pub(crate) use {issue::unchecked, verify::second_opinion};

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a root is valid by default: 20 years.
pub const ROOT_LIFETIME: Duration = DAY.saturating_mul(20 * 365);
/// How long a member's certificate is valid by default: one year.
pub const MEMBER_LIFETIME: Duration = DAY.saturating_mul(365);
/// How long a device's certificate is valid by default: one year.
pub const DEVICE_LIFETIME: Duration = DAY.saturating_mul(365);
/// How long a revocation list is current by default: one year.
pub const CRL_LIFETIME: Duration = DAY.saturating_mul(365);
/// How far validity begins in the past, for clocks that are a little behind.
pub const BACKDATE: Duration = Duration::from_secs(5 * 60);
/// How many admins and members may follow a root in one chain.
pub const ROOT_PATH_LEN: u8 = 5;

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Keeps ciphertext for others, reads nothing.
    Storage,
    /// Reads.
    Reader,
    /// Reads and writes.
    Editor,
    /// Admits, revokes and grants as well.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 4] = [Self::Storage, Self::Reader, Self::Editor, Self::Admin];

    /// The word in certificates and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::Reader => "reader",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a role (admin, editor, reader or storage is expected)")]
pub struct BadRole;

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(BadRole)
    }
}

/// A certificate's serial number: 16 octets, the first between 0x01 and 0x7f. Shown as hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Serial([u8; 16]);

impl Serial {
    /// A fresh random serial (126 bits).
    #[must_use]
    pub fn random() -> Self {
        let mut bytes: [u8; 16] = crate::random();
        bytes[0] = bytes[0] & 0x3f | 0x40;
        Self(bytes)
    }

    /// The octets, big endian.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// A serial from the content octets of its DER integer.
    fn from_der_integer(octets: &[u8]) -> Option<Self> {
        let bytes: [u8; 16] = octets.try_into().ok()?;
        (1..=0x7f).contains(&bytes[0]).then_some(Self(bytes))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Serial {
    type Err = Malformed;

    /// Reads the hex form, in either case, as `openssl x509 -serial` prints it too.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| Malformed::Serial)?;
        Self::from_der_integer(&bytes).ok_or(Malformed::Serial)
    }
}

/// From when to when something holds; whole seconds, the end is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: Timestamp,
    /// The first moment after.
    pub not_after: Timestamp,
}

impl Validity {
    /// From a little before `now` (see [`BACKDATE`]) until `lifetime` after it.
    #[must_use]
    pub fn starting(now: Timestamp, lifetime: Duration) -> Self {
        Self { not_before: now.minus(BACKDATE), not_after: now.plus(lifetime) }
    }
}

/// Bytes that are no certificate or revocation list of the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// More bytes than such a thing can have.
    #[error("too large")]
    TooLarge,
    /// Not DER of the expected structure.
    #[error("not valid DER")]
    NotDer,
    /// Bytes after the end.
    #[error("bytes follow after the end")]
    TrailingBytes,
    /// Not X.509 version 3 (certificates) or 2 (revocation lists).
    #[error("unexpected X.509 version")]
    Version,
    /// Something else than Ed25519.
    #[error("a key or signature is not Ed25519")]
    Algorithm,
    /// Not 16 octets, or not positive.
    #[error("unexpected serial number")]
    Serial,
    /// Not exactly circle, role and name, or one of them breaks the rules for names.
    #[error("unexpected name")]
    Name,
    /// Missing, doubled, of the wrong content or wrongly marked as (not) critical.
    #[error("unexpected extension")]
    Extension,
    /// An extension that must be understood is not.
    #[error("unknown critical extension")]
    UnknownCritical,
    /// No end, or an end before the beginning.
    #[error("unexpected validity")]
    Validity,
}
