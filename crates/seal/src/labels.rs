//! Every label that separates one use of a key from another, in one table.
//!
//! A label is never used for two things and never changes its meaning; a changed format gets a new label.

/// What a signature is for. A signature made for one purpose does not verify for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// One entry of a device's chain in a ledger.
    Commit,
    /// A device's statement of what it holds of a ledger.
    HeadStatement,
    /// Proof of membership on a fresh channel (`hello`).
    HelloProof,
    /// The joiner's proof that it owns the keys that it asks to have certified.
    JoinRequest,
    /// What a device says about itself to its circle: addresses, counter.
    RosterEntry,
    /// The receiver's statement that a transfer arrived, whole and durable.
    TransferReceipt,
}

impl Purpose {
    /// Every purpose, for tests that the labels differ.
    pub const ALL: [Self; 6] = [
        Self::Commit,
        Self::HeadStatement,
        Self::HelloProof,
        Self::JoinRequest,
        Self::RosterEntry,
        Self::TransferReceipt,
    ];

    /// The label inside the signed bytes.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::HeadStatement => "head-statement",
            Self::HelloProof => "hello-proof",
            Self::JoinRequest => "join-request",
            Self::RosterEntry => "roster-entry",
            Self::TransferReceipt => "transfer-receipt",
        }
    }
}

/// HKDF info: the key that encrypts the keystore.
pub(crate) const VAULT_KEY: &[u8] = b"warren/vault-key/v1";
/// HKDF info: the value in the keystore that commits to that key.
pub(crate) const VAULT_COMMIT: &[u8] = b"warren/vault-commit/v1";
/// BLAKE3 context: the checksum of the keystore.
pub(crate) const VAULT_CHECKSUM: &str = "warren 2026-11 key file checksum v1";
/// HKDF info prefix: the key that seals one table's records.
pub(crate) const RECORD_SEAL: &[u8] = b"warren/record-seal/v1/";
/// HKDF info prefix: the key that blinds one table's look-ups.
pub(crate) const RECORD_BLIND: &[u8] = b"warren/record-blind/v1/";
/// HKDF info: key confirmation by the joiner, by the inviter.
pub(crate) const PAKE_CONFIRM: [&[u8]; 2] = [b"warren/pake-confirm-joiner/v1", b"warren/pake-confirm-inviter/v1"];
/// HKDF info: messages of the joiner, of the inviter.
pub(crate) const PAKE_MESSAGES: [&[u8]; 2] = [b"warren/pake-messages-joiner/v1", b"warren/pake-messages-inviter/v1"];
/// SPAKE2 identities of the joiner, of the inviter.
pub(crate) const PAKE_IDENTITY: [&[u8]; 2] = [b"warren/pake-joiner/v1", b"warren/pake-inviter/v1"];
/// Associated data of beacons.
pub(crate) const BEACON: &[u8] = b"warren/beacon/v1";
/// BLAKE3 context: safety words.
pub(crate) const SAFETY_WORDS: &str = "warren 2026-11 safety words v1";
