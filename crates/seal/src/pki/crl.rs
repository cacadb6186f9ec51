//! A revocation list (RFC 5280 section 5): its bytes as received, and what they say.

use super::parse::{Name, is_ed25519, whole_bytes};
use super::{Certificate, Malformed, Serial};
use crate::Timestamp;
use crate::keys::{BadSignature, verify_raw};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use x509_parser::extensions::ParsedExtension;
use x509_parser::num_bigint::BigUint;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::{CertificateRevocationList, RevokedCertificate};
use x509_parser::x509::{ReasonCode, X509Version};

/// Room for some 25,000 entries.
const MAX_BYTES: usize = 1024 * 1024;

/// Why a certificate was revoked (RFC 5280 section 5.3.1, those that fit a circle).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// None was given, or one that has no meaning here.
    Unspecified,
    /// The key is or may be in wrong hands.
    KeyCompromise,
    /// A later certificate replaces it.
    Superseded,
    /// The device or member is gone.
    CessationOfOperation,
    /// The member was excluded.
    PrivilegeWithdrawn,
}

/// One revoked certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Revoked {
    /// Which.
    pub serial: Serial,
    /// Since when; whole seconds.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// A revocation list of the profile. Whether it is to be believed, verification decides.
#[derive(Clone)]
pub struct Crl(Arc<Read>);

struct Read {
    der: Vec<u8>,
    facts: CrlFacts,
    issuer: Vec<u8>,
    signed: Vec<u8>,
    signature: [u8; 64],
}

/// What a revocation list says, for display and decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlFacts {
    /// The issuer as one line.
    pub issuer: String,
    /// Authority key identifier.
    pub issuer_key_id: [u8; 20],
    /// Counts up with every list of an issuer.
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
    /// The first second at which it is stale.
    pub next_update: Timestamp,
    /// What it revokes, sorted by serial.
    pub revoked: Vec<Revoked>,
}

impl CrlFacts {
    /// Whether it revokes `serial`.
    #[must_use]
    pub fn revokes(&self, serial: Serial) -> bool {
        self.revoked.binary_search_by_key(&serial, |revoked| revoked.serial).is_ok()
    }
}

impl Crl {
    /// Takes a revocation list as it was received.
    ///
    /// # Errors
    /// [`Malformed`] when it does not follow the profile.
    pub fn from_der(der: Vec<u8>) -> Result<Self, Malformed> {
        if der.len() > MAX_BYTES {
            return Err(Malformed::TooLarge);
        }
        let (rest, parsed) = CertificateRevocationList::from_der(&der).map_err(|_| Malformed::NotDer)?;
        if !rest.is_empty() {
            return Err(Malformed::TrailingBytes);
        }
        let facts = read(&parsed)?;
        let issuer = parsed.issuer().as_raw().to_vec();
        let signed = parsed.tbs_cert_list.as_ref().to_vec();
        let signature = whole_bytes(&parsed.signature_value)?;
        Ok(Self(Arc::new(Read { facts, issuer, signed, signature, der })))
    }

    /// The bytes as received.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// What it says.
    #[must_use]
    pub fn facts(&self) -> &CrlFacts {
        &self.0.facts
    }

    /// BLAKE3 of the bytes.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(self.der()).as_bytes()
    }

    /// Whether it names `issuer` and `issuer` signed it.
    #[must_use]
    pub fn is_by(&self, issuer: &Certificate) -> bool {
        self.0.issuer == issuer.subject_der()
            && self.0.facts.issuer_key_id == issuer.facts().key_id
            && self.signed_by(&issuer.facts().public_key).is_ok()
    }

    fn signed_by(&self, key: &[u8; 32]) -> Result<(), BadSignature> {
        verify_raw(key, &self.0.signed, &self.0.signature)
    }
}

impl PartialEq for Crl {
    fn eq(&self, other: &Self) -> bool {
        self.der() == other.der()
    }
}

impl Eq for Crl {}

impl Hash for Crl {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.der().hash(state);
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crl({}, number {})", self.facts().issuer, self.facts().number)
    }
}

impl Serialize for Crl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.der().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Crl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_der(Vec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn read(parsed: &CertificateRevocationList<'_>) -> Result<CrlFacts, Malformed> {
    if parsed.version() != Some(X509Version::V2) {
        return Err(Malformed::Version);
    }
    if ![&parsed.signature_algorithm, &parsed.tbs_cert_list.signature].into_iter().all(is_ed25519) {
        return Err(Malformed::Algorithm);
    }
    let this_update = Timestamp::from_seconds(parsed.last_update().timestamp());
    let next_update = parsed.next_update().ok_or(Malformed::Validity)?;
    let next_update = Timestamp::from_seconds(next_update.timestamp());
    if this_update >= next_update {
        return Err(Malformed::Validity);
    }
    let (issuer_key_id, number) = extensions(parsed)?;
    let mut revoked = parsed.iter_revoked_certificates().map(entry).collect::<Result<Vec<_>, _>>()?;
    revoked.sort_unstable_by_key(|revoked| revoked.serial);
    if revoked.windows(2).any(|pair| pair[0].serial == pair[1].serial) {
        return Err(Malformed::Serial);
    }
    let issuer = Name::parse(parsed.issuer())?.display();
    Ok(CrlFacts { issuer, issuer_key_id, number, this_update, next_update, revoked })
}

/// Authority key identifier and number, both once and not critical; nothing else that is critical.
fn extensions(parsed: &CertificateRevocationList<'_>) -> Result<([u8; 20], u64), Malformed> {
    parsed.tbs_cert_list.extensions_map().map_err(|_| Malformed::Extension)?; // refuses doubled extensions
    let (mut issuer_key_id, mut number) = (None, None);
    for extension in parsed.extensions() {
        if extension.critical {
            return Err(Malformed::UnknownCritical);
        }
        match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(authority) => {
                issuer_key_id = authority.key_identifier.as_ref().and_then(|id| id.0.try_into().ok());
            }
            ParsedExtension::CRLNumber(found) => number = u64_of(found),
            ParsedExtension::ParseError { .. } => return Err(Malformed::Extension),
            _ => {}
        }
    }
    issuer_key_id.zip(number).ok_or(Malformed::Extension)
}

fn u64_of(number: &BigUint) -> Option<u64> {
    u64::try_from(number).ok()
}

fn entry(revoked: &RevokedCertificate<'_>) -> Result<Revoked, Malformed> {
    if revoked.extensions().iter().any(|extension| extension.critical) {
        return Err(Malformed::UnknownCritical);
    }
    let reason = match revoked.reason_code().map(|(_, code)| code) {
        Some(ReasonCode::RemoveFromCRL) => return Err(Malformed::Extension), // for delta lists only
        Some(ReasonCode::KeyCompromise) => Reason::KeyCompromise,
        Some(ReasonCode::Superseded) => Reason::Superseded,
        Some(ReasonCode::CessationOfOperation) => Reason::CessationOfOperation,
        Some(ReasonCode::PrivilegeWithdrawn) => Reason::PrivilegeWithdrawn,
        _ => Reason::Unspecified,
    };
    let serial = Serial::from_der_integer(revoked.raw_serial()).ok_or(Malformed::Serial)?;
    Ok(Revoked { serial, at: Timestamp::from_seconds(revoked.revocation_date.timestamp()), reason })
}
