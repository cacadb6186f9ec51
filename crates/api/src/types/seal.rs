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

/// Name the recipients of a stream that is to be sealed elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientsOf {
    /// Members; this member is added.
    pub to: Vec<String>,
    /// What is to be sealed, for the log: a path, or `-`.
    pub path: String,
}

/// Somebody to whom something can be sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Name of the member.
    pub name: String,
    /// Its age recipient, `age1...`.
    pub recipient: String,
}

/// Ask for the key of one sealed stream, which is to be opened elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileKeyOf {
    /// The stream's header and the 16 bytes after it, without armour: base64url without padding.
    pub header: String,
    /// What is to be opened, for the log: a path, or `-`.
    pub path: String,
}

/// The key of one sealed stream. It opens nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileKey {
    /// 16 bytes: base64url without padding. Kept as carefully as a passphrase.
    pub key: Passphrase,
}
