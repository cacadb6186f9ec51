//! The limits table: how much a peer may ask of this device, and how long it may take.
//!
//! Every number is an upper bound that is checked before memory is taken. They are constants, not settings: two devices
//! of different owners must agree about what is acceptable.

use std::time::Duration;

/// Upper bound for the body of one frame, in bytes; [`crate::wire`] demands one for every read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrameLimit(u32);

impl FrameLimit {
    /// A limit of `bytes`.
    pub const fn new(bytes: u32) -> Self {
        Self(bytes)
    }

    /// The limit in bytes.
    pub const fn bytes(self) -> usize {
        self.0 as usize
    }
}

/// The first frame of a stream ([`crate::wire::StreamHeader`]).
pub const HEADER_FRAME: FrameLimit = FrameLimit::new(256);
/// A frame of the hello: a chain and its revocation lists, from somebody who may be a stranger.
pub const HELLO_FRAME: FrameLimit = FrameLimit::new(128 * 1024);
/// A frame from a stranger before the shared code is proven.
pub const GUEST_FRAME: FrameLimit = FrameLimit::new(4 * 1024);
/// A frame of joining, once the shared code is proven. The welcome carries the roster of the circle.
pub const PAIR_FRAME: FrameLimit = FrameLimit::new(4 * 1024 * 1024);
/// A control frame between members.
pub const CONTROL_FRAME: FrameLimit = FrameLimit::new(64 * 1024);
/// A frame with a summary or a batch of the roster, between members.
pub const ROSTER_FRAME: FrameLimit = FrameLimit::new(1024 * 1024);

/// Certificates in a chain, device first, the root not counted.
pub const CHAIN_CERTIFICATES: usize = seal::pki::MAX_CHAIN;
/// One revocation list in DER form, bytes (about 800 revocations).
pub const CRL_BYTES: usize = 32 * 1024;
/// Revocation lists in a hello: one per issuer in the chain, the root included.
pub const HELLO_CRLS: usize = CHAIN_CERTIFICATES;

/// Members that a circle may have.
pub const MEMBERS: usize = 256;
/// Certificates of devices remembered for one member: those of some sixteen devices, with what came before their renewal.
pub const DEVICE_CERTIFICATES: usize = 64;
/// Certificates remembered of one member by one issuer: the one in use and those before its renewal.
pub const MEMBER_CERTIFICATES: usize = 4;
/// Beacon keys remembered for one admin, and in use of all together.
pub const BEACON_KEYS: usize = 3;
/// Addresses in one address record.
pub const ADDRESSES_PER_DEVICE: usize = 16;
/// One relay address, bytes.
pub const RELAY_ADDRESS_BYTES: usize = 256;
/// Bytes of certificates, lists and records in one batch of the roster, so that it fits [`ROSTER_FRAME`].
pub const ROSTER_BATCH_BYTES: usize = 512 * 1024;
/// Items in one batch of the roster.
pub const ROSTER_BATCH_ITEMS: usize = 4096;

/// Names that somebody who joins may try before the session ends.
pub const NAME_ATTEMPTS: u32 = 3;
/// Open invitations and one-time codes on one device.
pub const INVITATIONS: usize = 64;
/// How long an invitation may stay open at most.
pub const INVITATION_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Both hello frames must have passed by then.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(5);
/// The longest silence while a stranger proves a code.
pub const GUEST_DEADLINE: Duration = Duration::from_secs(10);
/// Strangers that are served at once.
pub const GUESTS_AT_ONCE: usize = 3;

/// Header of a commit, bytes.
pub const COMMIT_HEADER_BYTES: usize = 80 * 1024;
/// Entries of what a commit has seen for the first time: one per device.
pub const COMMIT_SEEN: usize = 1024;
/// Body of a commit, bytes: a batch of changes, or the keys of an epoch for all devices.
pub const COMMIT_BODY_BYTES: usize = 2 * 1024 * 1024;
/// A whole commit, bytes: header, signature, body and their lengths.
pub const COMMIT_BYTES: usize = COMMIT_HEADER_BYTES + COMMIT_BODY_BYTES + 128;
/// Public keys that a device offers for epoch keys.
pub const SEALING_KEYS: usize = 4;
/// One public key, or one encapsulation or ciphertext of an epoch key, bytes (X-Wing: 1,216).
pub const SEALING_BYTES: usize = 2048;
/// Sealed copies of one epoch key: one per device.
pub const WRAPS: usize = 1024;
/// Realms inside each other.
pub const REALM_DEPTH: usize = 32;
/// Grants between the founding member and anybody who acts.
pub const DELEGATION_DEPTH: usize = 16;
/// Commits that wait for others, per author and per peer that sent them.
pub const WAITING_COMMITS: usize = 1000;
/// Their bytes.
pub const WAITING_BYTES: usize = 8 * 1024 * 1024;
/// Devices in a summary, in a request, and in a statement of what somebody holds.
pub const SYNC_TIPS: usize = 4096;
/// Chains in one request, so that it fits [`LEDGER_FRAME`].
pub const SYNC_WANTS: usize = 1024;
/// Commits by which a request says where a chain is known.
pub const SYNC_LOCATOR: usize = 48;
/// Commits in one answer.
pub const SYNC_COMMITS: usize = 1024;
/// Bytes of commits in one answer, the last one not counted.
pub const SYNC_BATCH_BYTES: usize = 1024 * 1024;
/// A frame of the ledger's exchange: an answer, or a summary.
pub const LEDGER_FRAME: FrameLimit = FrameLimit::new(4 * 1024 * 1024);
/// Ledgers that a device tells another one of.
pub const SPACES_TOLD: usize = 1024;
/// Objects named in one message.
pub const OBJECTS_NAMED: usize = 256;
/// A message about objects.
pub const OBJECTS_FRAME: FrameLimit = FrameLimit::new(16 * 1024);
/// How far a commit's time may be ahead before it is reported.
pub const CLOCK_AHEAD: Duration = Duration::from_secs(10 * 60);
