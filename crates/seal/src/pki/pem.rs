//! Certificates and revocation lists as PEM text (RFC 7468), several in one file, as openssl and people pass them on.

use super::{Certificate, Crl, Malformed};
use ::pem::{EncodeConfig, LineEnding, Pem};

const CERTIFICATE: &str = "CERTIFICATE";
const CRL: &str = "X509 CRL";
/// Far more than a circle has.
const MAX_TEXT: usize = 16 * 1024 * 1024;

/// Certificates and revocation lists of one text, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// All certificates.
    pub certificates: Vec<Certificate>,
    /// All revocation lists.
    pub crls: Vec<Crl>,
}

/// The text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPem {
    /// Not PEM, or larger than 16 MiB.
    #[error("not PEM text")]
    NotPem,
    /// A part that is neither certificate nor revocation list: perhaps a private key.
    #[error("{0:?} is neither a certificate nor a revocation list")]
    Unexpected(String),
    /// The part with this number (from 1) is not of the profile.
    #[error("part {0}: {1}")]
    Malformed(usize, Malformed),
}

impl Bundle {
    /// Reads a text with any number of certificates and revocation lists.
    ///
    /// # Errors
    /// [`BadPem`]; nothing is skipped silently.
    pub fn from_pem(text: &str) -> Result<Self, BadPem> {
        if text.len() > MAX_TEXT {
            return Err(BadPem::NotPem);
        }
        let mut bundle = Self::default();
        for (index, part) in ::pem::parse_many(text).map_err(|_| BadPem::NotPem)?.into_iter().enumerate() {
            let malformed = |fault| BadPem::Malformed(index + 1, fault);
            match part.tag() {
                CERTIFICATE => {
                    bundle.certificates.push(Certificate::from_der(part.into_contents()).map_err(malformed)?);
                }
                CRL => bundle.crls.push(Crl::from_der(part.into_contents()).map_err(malformed)?),
                other => return Err(BadPem::Unexpected(other.chars().take(40).collect())),
            }
        }
        if bundle.certificates.is_empty() && bundle.crls.is_empty() {
            return Err(BadPem::NotPem);
        }
        Ok(bundle)
    }

    /// The text, certificates first.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let certificates = self.certificates.iter().map(Certificate::to_pem);
        certificates.chain(self.crls.iter().map(Crl::to_pem)).collect()
    }
}

impl Certificate {
    /// The certificate as PEM text.
    #[must_use]
    pub fn to_pem(&self) -> String {
        encode(CERTIFICATE, self.der())
    }
}

impl Crl {
    /// The revocation list as PEM text.
    #[must_use]
    pub fn to_pem(&self) -> String {
        encode(CRL, self.der())
    }
}

fn encode(tag: &str, der: &[u8]) -> String {
    ::pem::encode_config(&Pem::new(tag, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}
