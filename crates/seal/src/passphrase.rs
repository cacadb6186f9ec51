//! The passphrase: wiped when dropped, never printed, the same bytes whichever keyboard typed it.

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// A passphrase, in Unicode normal form C (as RFC 8265 section 4.2.2 asks), so that systems which compose accents
/// differently open each other's keystores. `Debug` prints `[REDACTED]`.
#[derive(Clone, Debug)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// Takes the text that the user typed; `typed` is wiped.
    #[must_use]
    pub fn new(typed: String) -> Self {
        let typed = Zeroizing::new(typed);
        // Composition grows a string at most threefold in UTF-8 (UAX 15): no reallocation leaves copies behind.
        let mut normal = Zeroizing::new(String::with_capacity(typed.len() * 3));
        normal.extend(typed.nfc());
        Self(SecretString::from(normal.as_str()))
    }

    /// The text; do not keep it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// For libraries that take a secret string.
    pub(crate) fn secret(&self) -> SecretString {
        self.0.clone()
    }
}

impl From<String> for Passphrase {
    fn from(typed: String) -> Self {
        Self::new(typed)
    }
}

impl From<&str> for Passphrase {
    fn from(typed: &str) -> Self {
        Self::new(typed.to_owned())
    }
}
