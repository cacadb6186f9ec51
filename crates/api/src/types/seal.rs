//! Files sealed to members or under a passphrase (the age format).

use serde::{Deserialize, Serialize};

use super::Passphrase;

/// Seal a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encrypt {
    /// Absolute path of the plain file.
    pub input: String,
    /// Absolute path of the sealed file; must not exist.
    pub output: String,
    /// Members; this member can always open it as well.
    pub to: Vec<String>,
    /// Seal under a passphrase instead.
    pub passphrase: Option<Passphrase>,
    /// ASCII armour (PEM-like text) instead of bytes.
    pub armor: bool,
}

/// Open a sealed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decrypt {
    /// Absolute path of the sealed file.
    pub input: String,
    /// Absolute path of the plain file; must not exist.
    pub output: String,
    /// The passphrase, where it was sealed under one.
    pub passphrase: Option<Passphrase>,
}

/// What sealing or opening did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Where the result is.
    pub output: String,
    /// Bytes of the plain file.
    pub bytes: u64,
    /// Names of those who can open it (sealing to members only).
    pub readers: Vec<String>,
}
