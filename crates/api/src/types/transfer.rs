//! Sending and receiving files.

use serde::{Deserialize, Serialize};

use crate::ErrorCode;

/// Send files, folders and a text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// Absolute paths on this machine (bytes that are no UTF-8 are not expressible here: see `paths_raw`).
    pub paths: Vec<String>,
    /// Absolute paths as bytes, base64url without padding, for names that are no UTF-8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths_raw: Vec<String>,
    /// Receivers by name, as in `ByName`.
    pub to: Vec<String>,
    /// To every member of the circle.
    #[serde(default)]
    pub all: bool,
    /// A short text that goes with it, or alone.
    #[serde(default)]
    pub text: Option<String>,
    /// Content that was handed over before, instead of paths.
    #[serde(default)]
    pub spool: Option<FromSpool>,
    /// Bytes per second per receiver; absent: no limit.
    #[serde(default)]
    pub rate_limit: Option<u64>,
}

/// Content that the device has taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spooled {
    /// Names it in the request that sends it; good for one such request.
    pub id: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Content that the device has taken in, to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromSpool {
    /// As in [`Spooled`].
    pub id: String,
    /// Name under which it arrives.
    pub name: String,
}

/// Transfers that were made, one per receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// One per receiver, in the order of the request.
    pub transfers: Vec<Transfer>,
}

/// One transfer between this device and one other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Id, base32; any unambiguous beginning works in commands.
    pub id: String,
    /// `out` or `in`.
    pub direction: String,
    /// The other side, as in `Peer::name`; `guest` for a one-time code.
    pub peer: String,
    /// Device id of the other side.
    pub device_id: String,
    /// State.
    pub state: TransferState,
    /// Who has paused it, while it is paused.
    #[serde(default)]
    pub paused_by: Option<PausedBy>,
    /// Names of the top-level items (at most 20 are listed).
    pub names: Vec<String>,
    /// Text that goes with it.
    pub text: Option<String>,
    /// Files found so far; all of them once `scanned` is true.
    pub files_total: u64,
    /// Files that the receiver has verified.
    pub files_done: u64,
    /// Files that could not be sent or stored; `warnings` says which and why.
    #[serde(default)]
    pub files_failed: u64,
    /// Bytes found so far; all of them once `scanned` is true.
    pub bytes_total: u64,
    /// Bytes that the receiver has verified, those it already had included.
    pub bytes_done: u64,
    /// Bytes of content that went over the wire in all runs of this transfer: what `bytes_done` counts, without holes
    /// and long runs of zeros, and what was sent twice because a cut lost it on its way. After a restart a side
    /// counts what the receiver still has, so it may leave out what was lost then.
    pub bytes_wire: u64,
    /// True once the sender knows everything it will send.
    pub scanned: bool,
    /// Milliseconds in which content flowed: without waiting, pauses, and the time in which it is made durable. Absent
    /// where a restart in between has lost count.
    #[serde(default)]
    pub flow_ms: Option<u64>,
    /// Bytes of content that went over the wire in that time.
    #[serde(default)]
    pub flow_bytes: u64,
    /// Bytes per second, smoothed.
    pub rate: u64,
    /// Seconds that remain at this rate.
    pub eta_s: Option<u64>,
    /// This transfer's own rate limit in bytes per second; the setting `rate_limit` holds beside it.
    pub rate_limit: Option<u64>,
    /// Lane of the content: `tcp` or `quic`.
    pub lane: Option<String>,
    /// When it was made, Unix milliseconds.
    pub created_at: i64,
    /// When it ended, Unix milliseconds.
    pub ended_at: Option<i64>,
    /// What went wrong, with a next step.
    pub problem: Option<String>,
    /// Kind of what went wrong, for scripts.
    #[serde(default)]
    pub problem_code: Option<ErrorCode>,
    /// Files that could not be sent or changed meanwhile, with the reason (at most 100 are listed).
    pub warnings: Vec<String>,
    /// Where it landed (receiver) once it is done.
    pub landed: Vec<String>,
    /// Hash over all that was received, from the receiver's signed receipt.
    pub receipt: Option<String>,
}

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    /// Waits for the other side to come online.
    Queued,
    /// The other side has not decided yet.
    Offered,
    /// Content flows.
    Running,
    /// All content is there; it is being made durable and put in place.
    Finishing,
    /// Paused by this side or the other.
    Paused,
    /// Cut; goes on by itself when the other side is back.
    Waiting,
    /// Done: verified and durable at the receiver.
    Done,
    /// The other side said no.
    Rejected,
    /// Cancelled by one of the sides.
    Cancelled,
    /// Failed for good.
    Failed,
}

/// Who has paused a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PausedBy {
    /// This side.
    This,
    /// The other side.
    Other,
    /// Both.
    Both,
}

impl TransferState {
    /// True when nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Rejected | Self::Cancelled | Self::Failed)
    }
}

/// Which transfers to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferQuery {
    /// One transfer (or those whose id begins so); absent: all.
    #[serde(default)]
    pub id: Option<String>,
    /// Those that ended as well.
    #[serde(default)]
    pub ended: bool,
}

/// Change the rate limit of a transfer, or of all sending together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The transfer; absent: all sending together, which is the setting `rate_limit`.
    pub id: Option<String>,
    /// Bytes per second, not zero; absent: no limit.
    pub rate_limit: Option<u64>,
}

/// Accept an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accept {
    /// The transfer.
    pub id: String,
    /// Landing folder; absent: the one in the settings.
    pub to: Option<String>,
}

/// Send to somebody outside the circle by a one-time code.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeSend {
    /// Absolute paths on this machine.
    pub paths: Vec<String>,
    /// Absolute paths as bytes, base64url without padding, for names that are no UTF-8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths_raw: Vec<String>,
    /// A short text that goes with it, or alone.
    #[serde(default)]
    pub text: Option<String>,
    /// Content that was handed over before, instead of paths.
    #[serde(default)]
    pub spool: Option<FromSpool>,
}

/// Receive by a one-time code. The call returns once the offer is known: accepted if `yes`, else in state `offered` until
/// `accept_offer` or `reject_offer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeReceive {
    /// Four words, or the link.
    pub code: String,
    /// Landing folder.
    pub to: String,
    /// Where the sender is (`IP:PORT`), where discovery cannot find it.
    pub at: Vec<String>,
    /// Accept without asking.
    pub yes: bool,
}

/// A one-time code that waits for its receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeOffer {
    /// Four words to speak.
    pub code: String,
    /// The same as a link, with addresses and a long secret.
    pub link: String,
    /// Addresses on which the sender waits.
    pub addresses: Vec<String>,
    /// The transfer that will run.
    pub transfer: Transfer,
}
