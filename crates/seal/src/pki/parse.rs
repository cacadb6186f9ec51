//! What certificates and revocation lists share: names, algorithms, key identifiers.

use super::{Malformed, valid_name};
use der::Tag;
use sha2::{Digest, Sha256};
use x509_parser::asn1_rs as der;
use x509_parser::der_parser::asn1_rs::BitString;
use x509_parser::oid_registry::{
    OID_SIG_ED25519, OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME, OID_X509_ORGANIZATIONAL_UNIT,
};
use x509_parser::x509::{AlgorithmIdentifier, AttributeTypeAndValue, X509Name};

/// RFC 7093 section 2 method 1: the leftmost 160 bits of SHA-256 of the public key.
pub(super) fn key_id(public_key: &[u8; 32]) -> [u8; 20] {
    *Sha256::digest(public_key).first_chunk().expect("SHA-256 has 32 bytes")
}

/// `O`, `OU`, `CN`, each once, in this order, as UTF8String.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub circle: String,
    pub unit: String,
    pub name: String,
}

impl Name {
    pub(super) fn parse(name: &X509Name<'_>) -> Result<Self, Malformed> {
        let rdns: Vec<_> = name.iter_rdn().map(|rdn| rdn.iter().collect::<Vec<_>>()).collect();
        let [circle, unit, common] = rdns.as_slice() else {
            return Err(Malformed::Name);
        };
        let parsed = Self {
            circle: attribute(circle, &OID_X509_ORGANIZATION_NAME)?,
            unit: attribute(unit, &OID_X509_ORGANIZATIONAL_UNIT)?,
            name: attribute(common, &OID_X509_COMMON_NAME)?,
        };
        valid_name(&parsed.circle).and(valid_name(&parsed.name)).map_err(|_| Malformed::Name)?;
        Ok(parsed)
    }

    /// As people read it: `O=circle, OU=role, CN=name`.
    pub(super) fn display(&self) -> String {
        format!("O={}, OU={}, CN={}", self.circle, self.unit, self.name)
    }
}

fn attribute(rdn: &[&AttributeTypeAndValue<'_>], oid: &der::Oid<'_>) -> Result<String, Malformed> {
    match rdn {
        [only] if only.attr_type() == oid && only.attr_value().tag() == Tag::Utf8String => {
            only.as_str().map(str::to_owned).map_err(|_| Malformed::Name)
        }
        _ => Err(Malformed::Name),
    }
}

/// RFC 8410 section 3: the identifier alone, no parameters.
pub(super) fn is_ed25519(algorithm: &AlgorithmIdentifier<'_>) -> bool {
    algorithm.algorithm == OID_SIG_ED25519 && algorithm.parameters.is_none()
}

/// The bytes of a bit string of exactly `N` whole bytes.
pub(super) fn whole_bytes<const N: usize>(bits: &BitString<'_>) -> Result<[u8; N], Malformed> {
    if bits.unused_bits != 0 {
        return Err(Malformed::Algorithm);
    }
    bits.data.as_ref().try_into().map_err(|_| Malformed::Algorithm)
}
