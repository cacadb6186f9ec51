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
/// HKDF info: keying material for each KEM of a device, from its read seed: X25519, X-Wing.
pub(crate) const READ_KEMS: [&[u8]; 2] = [b"warren/read-x25519/v1", b"warren/read-xwing/v1"];
/// HPKE info prefix: an epoch key, sealed to a device.
pub(crate) const EPOCH_WRAP: &[u8] = b"warren/epoch-wrap/v1";
/// BLAKE3 context: the commitment to an epoch key.
pub(crate) const EPOCH_COMMITMENT: &str = "warren 2026-11 epoch key commitment v1";
/// HKDF info and associated data: the key of the epoch before, sealed under the next one's.
pub(crate) const EPOCH_BACK: &[u8] = b"warren/epoch-back/v1";
/// HKDF info and associated data: the key of a realm, sealed under the key of the realm around it.
pub(crate) const EPOCH_CHILD: &[u8] = b"warren/epoch-child/v1";
/// HKDF info and associated data: bodies of data commits.
pub(crate) const EPOCH_BODY: &[u8] = b"warren/epoch-body/v1";
/// HKDF info: the key of contents.
pub(crate) const EPOCH_CONTENT: &[u8] = b"warren/epoch-content/v1";
/// HKDF info: the key that says where contents are cut.
pub(crate) const EPOCH_CUT: &[u8] = b"warren/epoch-cut/v1";
/// BLAKE3 context: the gear table of a cutting key.
pub(crate) const CUT_GEAR: &str = "warren 2026-11 chunk gear table v1";
/// HKDF info: the key that hashes a chunk, as it will be encrypted, into its own key.
pub(crate) const CHUNK_HASH: &[u8] = b"warren/chunk-hash/v1";
/// HKDF info prefix: the key of one chunk that is compressed.
pub(crate) const CHUNK_KEY: &[u8] = b"warren/chunk-key/v1/";
/// HKDF info prefix: the key of one chunk that is not.
pub(crate) const CHUNK_PLAIN_KEY: &[u8] = b"warren/chunk-plain-key/v1/";
/// HKDF info: the key that hashes plain chunks, to find those again that are sealed already.
pub(crate) const CHUNK_FINGERPRINT: &[u8] = b"warren/chunk-fingerprint/v1";
/// Associated data of chunks.
pub(crate) const CHUNK: &[u8] = b"warren/chunk/v1";
