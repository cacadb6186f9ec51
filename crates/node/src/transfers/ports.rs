//! What the transfers need from the rest of the device, as traits: links, decisions, signatures, storage.

use async_trait::async_trait;
use logic::Misbehaved;
use logic::transfer::{Offer, Reason, TransferId};
use seal::{DeviceId, Signature};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use store::spool::{SpoolFile, SpoolId};
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream to a peer. Shutting `send` down ends it for the reader; dropping it cuts it.
pub struct Stream {
    /// To the peer.
    pub send: Box<dyn AsyncWrite + Send + Unpin>,
    /// From the peer.
    pub recv: Box<dyn AsyncRead + Send + Unpin>,
}

/// Streams for bulk data.
pub struct Lanes {
    /// One or more.
    pub streams: Vec<Stream>,
    /// What carries them: `tcp` or `quic`.
    pub kind: &'static str,
}

/// A proven link to one peer, or the link to a guest who proved a one-time code.
#[async_trait]
pub trait Connection: Send + Sync + 'static {
    /// The device at the other end.
    fn peer(&self) -> DeviceId;

    /// Opens a control stream for a transfer; its header is written.
    async fn open(&self, id: TransferId) -> io::Result<Stream>;

    /// Opens streams for content; their headers are written. `want` is how many to open where one does not fill the
    /// path (QUIC); one TCP lane is enough.
    async fn open_lanes(&self, id: TransferId, want: usize) -> io::Result<Lanes>;
}

/// What is to happen with an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Accept it.
    Accept {
        /// Landing folder; `None`: that of [`Host::received_dir`].
        to: Option<PathBuf>,
        /// Most bytes that are agreed to; `None`: what the offer announces.
        ceiling: Option<u64>,
    },
    /// Ask the user: the transfer waits for `accept` or `reject`.
    Ask,
    /// Ask again when the sender has found more: a limit cannot be judged before all is counted.
    Wait,
    /// Say no.
    Reject(Reason),
}

/// What happened to a transfer, for the activity log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// This device offered files.
    Offered {
        /// Top-level names.
        names: String,
    },
    /// The peer offered files.
    OfferReceived {
        /// Top-level names.
        names: String,
        /// Bytes announced so far.
        bytes: u64,
    },
    /// An offer of the peer was accepted here, or one of ours there.
    Accepted {
        /// `person` or `rule` of this device, or `peer`.
        by: &'static str,
    },
    /// An offer was rejected here or there.
    Rejected {
        /// Why.
        reason: String,
    },
    /// Paused here or there.
    Paused,
    /// It goes on after a pause or a cut.
    Resumed,
    /// The link was lost; it goes on when the peer is back.
    Cut {
        /// Why.
        reason: String,
    },
    /// Verified, durable, and in its place.
    Done {
        /// Files.
        files: u64,
        /// Bytes.
        bytes: u64,
        /// Milliseconds since the acceptance.
        took_ms: u64,
    },
    /// Cancelled here (`true`) or there.
    Cancelled {
        /// By this side.
        here: bool,
    },
    /// Ended without its aim.
    Failed {
        /// Why.
        reason: String,
    },
    /// One file could not be sent or stored; the others go on.
    FileFailed {
        /// Its path in the transfer.
        path: String,
        /// Why.
        reason: String,
    },
    /// One file changed while it was being sent; it is sent again.
    FileChanged {
        /// Its path in the transfer.
        path: String,
    },
    /// The peer broke the protocol.
    Misbehaved(Misbehaved),
}

/// An entry for the activity log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// The other side.
    pub peer: DeviceId,
    /// Which transfer.
    pub transfer: TransferId,
    /// True if this device is the sender.
    pub outgoing: bool,
    /// What happened.
    pub what: What,
}

/// The device around the transfers. Calls must not block for long: they are made from asynchronous tasks.
pub trait Host: Send + Sync + 'static {
    /// This device.
    fn me(&self) -> DeviceId;

    /// How the peer is called in listings.
    fn peer_name(&self, peer: &DeviceId) -> String;

    /// What to do with an offer. Called again as the sender finds more, until it is not [`Decision::Wait`].
    fn decide(&self, peer: &DeviceId, offer: &Offer) -> Decision;

    /// The folder of received files.
    fn received_dir(&self) -> PathBuf;

    /// Signs a receipt with the device key ([`seal::Purpose::TransferReceipt`]).
    fn sign(&self, receipt: &[u8]) -> Signature;

    /// Takes an entry for the activity log.
    fn happened(&self, event: Happened);
}

/// What a [`Shelf`] has kept.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Records by transfer.
    pub records: Vec<(TransferId, Vec<u8>)>,
    /// Places of records that cannot be read any more.
    pub damaged: Vec<String>,
}

/// Where transfers are remembered over restarts, and content that is no file of the user's; implemented over the sealed
/// database and the spool.
pub trait Shelf: Send + Sync + 'static {
    /// Stores a record durably, in the place of an older one.
    fn put(&self, id: &TransferId, record: &[u8]) -> io::Result<()>;

    /// Removes a record.
    fn remove(&self, id: &TransferId) -> io::Result<()>;

    /// Everything stored.
    fn all(&self) -> io::Result<Remembered>;

    /// Opens content that waits to be sent.
    fn open_input(&self, id: &SpoolId) -> io::Result<Arc<SpoolFile>>;

    /// Removes content that no transfer needs any more.
    fn remove_input(&self, id: &SpoolId);
}
