//! To whom files are sealed: age X25519 identities (secret) and recipients (public), `age-encryption.org/v1`.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The secret half: opens age files. Debug prints stars; wiped when dropped (by the age crate).
#[derive(Clone)]
pub struct SealIdentity(age::x25519::Identity);

/// Characters of the text form of an identity (`AGE-SECRET-KEY-1...`).
pub(crate) const IDENTITY_TEXT: usize = 74;

impl SealIdentity {
    /// A fresh identity from the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// The recipient that others seal to.
    #[must_use]
    pub fn recipient(&self) -> SealRecipient {
        SealRecipient(self.0.to_public().to_string())
    }

    /// The identity as age's own text (`AGE-SECRET-KEY-1...`), for `age -d -i`.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let secret: SecretString = self.0.to_string();
        Zeroizing::new(secret.expose_secret().to_owned())
    }

    pub(crate) fn age(&self) -> &age::x25519::Identity {
        &self.0
    }
}

impl FromStr for SealIdentity {
    type Err = BadRecipient;

    fn from_str(text: &str) -> Result<Self, BadRecipient> {
        text.parse().map(Self).map_err(|_| BadRecipient)
    }
}

impl fmt::Debug for SealIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealIdentity(***)")
    }
}

/// The public half, in age's canonical text form (`age1...`, 62 characters).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealRecipient(String);

/// The text is not an age X25519 recipient or identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an age key (age1... or AGE-SECRET-KEY-1... is expected)")]
pub struct BadRecipient;

impl SealRecipient {
    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn age(&self) -> age::x25519::Recipient {
        self.0.parse().expect("checked when it was made")
    }
}

impl FromStr for SealRecipient {
    type Err = BadRecipient;

    fn from_str(text: &str) -> Result<Self, BadRecipient> {
        let recipient: age::x25519::Recipient = text.parse().map_err(|_| BadRecipient)?;
        Ok(Self(recipient.to_string()))
    }
}

impl TryFrom<String> for SealRecipient {
    type Error = BadRecipient;

    fn try_from(text: String) -> Result<Self, BadRecipient> {
        text.parse()
    }
}

impl From<SealRecipient> for String {
    fn from(recipient: SealRecipient) -> Self {
        recipient.0
    }
}

impl fmt::Display for SealRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SealRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.12}..", self.0)
    }
}
