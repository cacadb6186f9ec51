//! A certificate: its bytes as received, and what they say, read once and checked against the profile.

use super::parse::{Name, is_ed25519, key_id, whole_bytes};
use super::{Malformed, Role, Serial};
use crate::keys::{BadSignature, verify_raw};
use crate::{DeviceId, MemberId, SealRecipient, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{BasicConstraints, GeneralName, ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Version;

/// Certificates of the profile stay far below.
const MAX_BYTES: usize = 4096;
/// `keyCertSign` and `cRLSign` (RFC 5280 section 4.2.1.3: bits 5 and 6).
const CA_USAGE: u16 = 1 << 5 | 1 << 6;
/// `digitalSignature` (bit 0).
const DEVICE_USAGE: u16 = 1;
/// In front of a member's age recipient in the URI of its certificate.
pub(super) const RECIPIENT_URI: &str = "warren:seal:";

/// What a certificate is for, from the `OU` of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The anchor of a circle.
    Root,
    /// A member with a role: the authority over its devices and, for admins, over members.
    Member(Role),
    /// A device.
    Device,
}

impl Kind {
    /// The word in `OU`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Member(role) => role.as_str(),
            Self::Device => "device",
        }
    }

    fn from_unit(unit: &str) -> Option<Self> {
        match unit {
            "root" => Some(Self::Root),
            "device" => Some(Self::Device),
            role => role.parse().ok().map(Self::Member),
        }
    }
}

/// A certificate of the profile. It says nothing about whether it is to be trusted: see
/// [`verify_device`](super::verify_device) and [`verify_member`](super::verify_member).
#[derive(Clone)]
pub struct Certificate(Arc<Read>);

struct Read {
    der: Vec<u8>,
    facts: CertificateFacts,
    names: Names,
    signed: Vec<u8>,
    signature: [u8; 64],
}

/// Subject and issuer as encoded: standard verifiers compare these bytes.
struct Names {
    subject: Vec<u8>,
    issuer: Vec<u8>,
}

/// What a certificate says, for display and decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// What it is for.
    pub kind: Kind,
    /// The circle's name (`O`).
    pub circle: String,
    /// The name of the circle, member or device (`CN`).
    pub name: String,
    /// The subject as one line.
    pub subject: String,
    /// The issuer as one line.
    pub issuer: String,
    /// The serial number.
    pub serial: Serial,
    /// The first second of validity.
    pub not_before: Timestamp,
    /// The first second after it.
    pub not_after: Timestamp,
    /// The Ed25519 key that is certified.
    pub public_key: [u8; 32],
    /// How many further authorities may follow; `None` for devices.
    pub path_len: Option<u8>,
    /// The DNS name of a member or device.
    pub dns_name: Option<String>,
    /// The only DNS subtree that a member may certify in.
    pub permitted: Option<String>,
    /// To whom files for a member are sealed.
    pub recipient: Option<SealRecipient>,
    /// Subject key identifier.
    pub key_id: [u8; 20],
    /// Authority key identifier; `None` for roots.
    pub issuer_key_id: Option<[u8; 20]>,
}

impl Certificate {
    /// Takes a certificate as it was received.
    ///
    /// # Errors
    /// [`Malformed`] when it does not follow the profile.
    pub fn from_der(der: Vec<u8>) -> Result<Self, Malformed> {
        if der.len() > MAX_BYTES {
            return Err(Malformed::TooLarge);
        }
        let (rest, parsed) = X509Certificate::from_der(&der).map_err(|_| Malformed::NotDer)?;
        if !rest.is_empty() {
            return Err(Malformed::TrailingBytes);
        }
        let facts = read(&parsed)?;
        let signed = parsed.tbs_certificate.as_ref().to_vec();
        let signature = whole_bytes(&parsed.signature_value)?;
        let names = Names { subject: parsed.subject().as_raw().to_vec(), issuer: parsed.issuer().as_raw().to_vec() };
        Ok(Self(Arc::new(Read { facts, names, signed, signature, der })))
    }

    /// The bytes as received.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// What it says.
    #[must_use]
    pub fn facts(&self) -> &CertificateFacts {
        &self.0.facts
    }

    /// BLAKE3 of the bytes: the same certificate, the same hash.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(self.der()).as_bytes()
    }

    /// The serial number.
    #[must_use]
    pub fn serial(&self) -> Serial {
        self.0.facts.serial
    }

    /// The device that is certified, if it is a device's certificate.
    #[must_use]
    pub fn device(&self) -> Option<DeviceId> {
        (self.facts().kind == Kind::Device).then(|| DeviceId::from_bytes(self.facts().public_key))
    }

    /// The member that is certified, if it is a member's certificate.
    #[must_use]
    pub fn member(&self) -> Option<MemberId> {
        matches!(self.facts().kind, Kind::Member(_)).then(|| MemberId::from_bytes(self.facts().public_key))
    }

    /// The subject's name as encoded.
    pub(super) fn subject_der(&self) -> &[u8] {
        &self.0.names.subject
    }

    /// Whether name and key identifier of the issuer are those of `issuer`.
    pub(super) fn names_issuer(&self, issuer: &Self) -> bool {
        let key_id = self.facts().issuer_key_id;
        self.0.names.issuer == issuer.subject_der() && key_id.is_none_or(|id| id == issuer.facts().key_id)
    }

    /// Whether `issuer_key` signed it.
    pub(super) fn signed_by(&self, issuer_key: &[u8; 32]) -> Result<(), BadSignature> {
        verify_raw(issuer_key, &self.0.signed, &self.0.signature)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der() == other.der()
    }
}

impl Eq for Certificate {}

impl Hash for Certificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.der().hash(state);
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, serial {})", self.facts().subject, self.serial())
    }
}

impl Serialize for Certificate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.der().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Certificate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_der(Vec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn read(parsed: &X509Certificate<'_>) -> Result<CertificateFacts, Malformed> {
    if parsed.version() != X509Version::V3 || parsed.issuer_uid.is_some() || parsed.subject_uid.is_some() {
        return Err(Malformed::Version);
    }
    let algorithms = [&parsed.signature_algorithm, &parsed.tbs_certificate.signature, &parsed.public_key().algorithm];
    if !algorithms.into_iter().all(is_ed25519) {
        return Err(Malformed::Algorithm);
    }
    let public_key = whole_bytes(&parsed.public_key().subject_public_key)?;
    let [not_before, not_after] = [parsed.validity().not_before, parsed.validity().not_after]
        .map(|time| Timestamp::from_seconds(time.timestamp()));
    if not_before >= not_after {
        return Err(Malformed::Validity);
    }
    let subject = Name::parse(parsed.subject())?;
    let issuer = Name::parse(parsed.issuer())?;
    let kind = Kind::from_unit(&subject.unit).ok_or(Malformed::Name)?;
    let extensions = Extensions::read(parsed)?;
    extensions.fit(kind, &public_key)?;
    Ok(CertificateFacts {
        kind,
        subject: subject.display(),
        issuer: issuer.display(),
        circle: subject.circle,
        name: subject.name,
        serial: Serial::from_der_integer(parsed.raw_serial()).ok_or(Malformed::Serial)?,
        not_before,
        not_after,
        public_key,
        path_len: extensions.path_len,
        dns_name: extensions.dns_name,
        permitted: extensions.permitted,
        recipient: extensions.recipient,
        key_id: key_id(&public_key),
        issuer_key_id: extensions.issuer_key_id,
    })
}

/// The extensions of the profile; those that are not there keep their defaults.
#[derive(Default)]
struct Extensions {
    authority: Option<bool>,
    path_len: Option<u8>,
    usage: Option<u16>,
    device_usage: bool,
    dns_name: Option<String>,
    recipient: Option<SealRecipient>,
    permitted: Option<String>,
    key_id: Option<[u8; 20]>,
    issuer_key_id: Option<[u8; 20]>,
}

impl Extensions {
    fn read(parsed: &X509Certificate<'_>) -> Result<Self, Malformed> {
        parsed.extensions_map().map_err(|_| Malformed::Extension)?; // refuses doubled extensions
        let mut read = Self::default();
        for extension in parsed.extensions() {
            read.add(extension)?;
        }
        Ok(read)
    }

    fn add(&mut self, extension: &X509Extension<'_>) -> Result<(), Malformed> {
        let mut must_be_critical = false;
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => {
                must_be_critical = true;
                self.add_constraints(constraints)?;
            }
            ParsedExtension::KeyUsage(usage) => {
                must_be_critical = true;
                self.usage = Some(usage.flags);
            }
            ParsedExtension::NameConstraints(constraints) => {
                must_be_critical = true;
                let permitted = constraints.permitted_subtrees.as_deref();
                match (permitted, &constraints.excluded_subtrees) {
                    (Some([only]), None) => self.permitted = Some(dns_name(&only.base)?),
                    _ => return Err(Malformed::Extension),
                }
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let others = usage.any || usage.code_signing || usage.email_protection || usage.time_stamping;
                if others || usage.ocsp_signing || !usage.other.is_empty() {
                    return Err(Malformed::Extension);
                }
                self.device_usage = usage.server_auth && usage.client_auth;
            }
            ParsedExtension::SubjectAlternativeName(names) => self.add_names(&names.general_names)?,
            ParsedExtension::SubjectKeyIdentifier(id) => self.key_id = Some(fixed(id.0)?),
            ParsedExtension::AuthorityKeyIdentifier(authority) => {
                let id = authority.key_identifier.as_ref().ok_or(Malformed::Extension)?;
                self.issuer_key_id = Some(fixed(id.0)?);
            }
            ParsedExtension::ParseError { .. } => return Err(Malformed::Extension),
            _ if extension.critical => return Err(Malformed::UnknownCritical),
            _ => return Ok(()),
        }
        if extension.critical == must_be_critical { Ok(()) } else { Err(Malformed::Extension) }
    }

    fn add_constraints(&mut self, constraints: &BasicConstraints) -> Result<(), Malformed> {
        self.authority = Some(constraints.ca);
        let path_len = constraints.path_len_constraint.map(u8::try_from).transpose();
        self.path_len = path_len.map_err(|_| Malformed::Extension)?;
        Ok(())
    }

    fn add_names(&mut self, names: &[GeneralName<'_>]) -> Result<(), Malformed> {
        match names {
            [dns] => self.dns_name = Some(dns_name(dns)?),
            [dns, GeneralName::URI(uri)] => {
                self.dns_name = Some(dns_name(dns)?);
                let recipient = uri.strip_prefix(RECIPIENT_URI).ok_or(Malformed::Extension)?;
                let parsed: SealRecipient = recipient.parse().map_err(|_| Malformed::Extension)?;
                if parsed.as_str() != recipient {
                    return Err(Malformed::Extension);
                }
                self.recipient = Some(parsed);
            }
            _ => return Err(Malformed::Extension),
        }
        Ok(())
    }

    /// Whether exactly the extensions of this kind are there.
    fn fit(&self, kind: Kind, public_key: &[u8; 32]) -> Result<(), Malformed> {
        let (authority, usage) = match kind {
            Kind::Device => (false, DEVICE_USAGE),
            Kind::Root | Kind::Member(_) => (true, CA_USAGE),
        };
        let is_root = kind == Kind::Root;
        let is_member = matches!(kind, Kind::Member(_));
        let fits = self.authority == Some(authority)
            && self.usage == Some(usage)
            && self.path_len.is_some() == authority
            && self.device_usage != authority
            && self.dns_name.is_none() == is_root
            && self.issuer_key_id.is_none() == is_root
            && self.recipient.is_some() == is_member
            && self.permitted.is_some() == is_member
            && self.key_id == Some(key_id(public_key));
        if fits { Ok(()) } else { Err(Malformed::Extension) }
    }
}

fn dns_name(name: &GeneralName<'_>) -> Result<String, Malformed> {
    match name {
        GeneralName::DNSName(name) => Ok((*name).to_owned()),
        _ => Err(Malformed::Extension),
    }
}

fn fixed(id: &[u8]) -> Result<[u8; 20], Malformed> {
    id.try_into().map_err(|_| Malformed::Extension)
}
