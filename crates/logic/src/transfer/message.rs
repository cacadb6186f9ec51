//! What the two sides say on the control stream. Byte format: `docs/formats/transfer.md`.
//!
//! Every message is one frame (`u32` length, big-endian, then postcard). Decoding bounds nothing but the frame; each
//! engine checks the fields when it handles the message.

use super::hash::Value;
use super::limits::{CONTROL_FRAME_MAX, OFFER_NAMES, TEXT_MAX, VERSION};
use super::listing::{Entry, Mtime};
use super::path::check_name;
use super::receipt::SignedReceipt;
use crate::Misbehaved;
pub use crate::wire::TransferId;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// What a lane must show: random, made by the receiver for one run.
pub type Token = [u8; 16];

/// Files and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Regular files.
    pub files: u64,
    /// Bytes of their content.
    pub bytes: u64,
    /// Entries of any kind.
    pub entries: u64,
}

/// What the sender would like to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Version of the protocol.
    pub version: u8,
    /// Which transfer.
    pub id: TransferId,
    /// Names of the first top-level items.
    pub names: Vec<ByteBuf>,
    /// How many top-level items there are.
    pub items: u64,
    /// A text that goes with it, or alone.
    pub text: Option<String>,
    /// What was found so far.
    pub found: Totals,
    /// True if that is all.
    pub complete: bool,
    /// When the transfer was made, Unix milliseconds, by the sender's clock.
    pub created_at: i64,
}

impl Offer {
    /// Checks what a peer put into it.
    pub fn check(&self) -> Result<(), Misbehaved> {
        let text = self.text.as_ref().map_or(0, String::len);
        if self.version != VERSION || self.names.len() > OFFER_NAMES || text > TEXT_MAX {
            return Err(Misbehaved::OfferInvalid);
        }
        self.names.iter().try_for_each(|name| check_name(name))
    }
}

/// Why one side stops, or leaves something out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// A person decided so.
    Asked,
    /// No room on the receiver's disk; so many bytes are missing.
    DiskFull(u64),
    /// The receiver may not write there.
    Denied,
    /// Anything else, in words.
    Other(String),
}

/// From the sender to the receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromSender {
    /// First message of a run.
    Offer(Offer),
    /// The scan goes on.
    Found {
        /// What was found so far.
        found: Totals,
        /// True if that is all.
        complete: bool,
    },
    /// The next entries of the listing.
    Entries {
        /// Number of the first of them.
        first: u32,
        /// In the order of the listing.
        entries: Vec<Entry>,
    },
    /// There are no more entries.
    ListingEnd {
        /// What was listed.
        totals: Totals,
        /// Hash over all entries.
        hash: Value,
    },
    /// Hash of a file of several blocks, once the sender has read all of it and found it unchanged.
    FileHash {
        /// Which file.
        entry: u32,
        /// Which reading of it.
        generation: u8,
        /// BLAKE3 of its content.
        hash: Value,
    },
    /// The file changed under the sender's hands: it is read again, and what differs is sent.
    Changed {
        /// Which file.
        entry: u32,
        /// The new reading.
        generation: u8,
        /// Its size now.
        size: u64,
        /// Its modification time now.
        mtime: Mtime,
    },
    /// The file cannot be sent.
    Failed {
        /// Which file.
        entry: u32,
        /// Why.
        reason: Reason,
    },
    /// A parcel of a transfer that is too small for lanes.
    Parcel(ByteBuf),
    /// Nothing more comes until `Resume`.
    Pause,
    /// Go on.
    Resume,
    /// Never mind.
    Cancel(Reason),
}

/// What the receiver holds of a file already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Which file.
    pub entry: u32,
    /// Which reading of it.
    pub generation: u8,
    /// Number of the first block that `values` speak of.
    pub first: u32,
    /// Values of the blocks that lie there.
    pub values: Vec<Value>,
    /// True if all later blocks are missing or worthless.
    pub end: bool,
}

/// From the receiver to the sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromReceiver {
    /// A person is being asked.
    Pending,
    /// Send it.
    Accept {
        /// True if something of it may be there already: for each file wait for `Held`.
        resume: bool,
        /// For the lanes.
        token: Token,
    },
    /// No.
    Reject(Reason),
    /// What is there already; files without it are not sent in a resumed run.
    Held(Vec<Held>),
    /// This block did not arrive as it was sent.
    Refetch {
        /// Which file.
        entry: u32,
        /// Which reading of it.
        generation: u8,
        /// Which block.
        block: u32,
    },
    /// This entry cannot exist here and is left out.
    Skipped {
        /// Which entry.
        entry: u32,
        /// Why.
        reason: Reason,
    },
    /// What is done.
    Progress {
        /// All entries before this one are done.
        done_below: u32,
        /// Files complete, and bytes verified.
        done: Totals,
    },
    /// Everything arrived and is being made durable.
    Landing,
    /// Everything is durable and in its place.
    Receipt(SignedReceipt),
    /// This run cannot go on now (a full disk, for example); try again later.
    Stuck(Reason),
    /// Send nothing until `Resume`.
    Pause,
    /// Go on.
    Resume,
    /// Send no faster than so many bytes per second.
    Limit(Option<u64>),
    /// Never mind.
    Cancel(Reason),
}

/// One message as the body of a frame.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_stdvec(message).expect("messages are plain data and serialise to memory")
}

/// The body of a frame as one message; nothing may follow it.
pub fn decode<T: for<'de> Deserialize<'de>>(frame: &[u8]) -> Result<T, Misbehaved> {
    if frame.len() > CONTROL_FRAME_MAX {
        return Err(Misbehaved::FrameTooLong);
    }
    match postcard::take_from_bytes(frame) {
        Ok((message, [])) => Ok(message),
        Ok(_) => Err(Misbehaved::FrameTrailingBytes),
        Err(_) => Err(Misbehaved::FrameGarbled),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn offer() -> Offer {
        Offer {
            version: VERSION,
            id: TransferId([1; 16]),
            names: vec![ByteBuf::from(b"photos".to_vec())],
            items: 1,
            text: None,
            found: Totals::default(),
            complete: false,
            created_at: 0,
        }
    }

    #[test]
    fn offers_that_break_the_limits_are_refused() {
        assert_eq!(offer().check(), Ok(()));
        let long_text = Offer { text: Some("x".repeat(TEXT_MAX + 1)), ..offer() };
        let many = Offer { names: vec![ByteBuf::from(b"n".to_vec()); OFFER_NAMES + 1], ..offer() };
        let version = Offer { version: VERSION + 1, ..offer() };
        for bad in [long_text, many, version] {
            assert_eq!(bad.check(), Err(Misbehaved::OfferInvalid));
        }
        let climbing = Offer { names: vec![ByteBuf::from(b"..".to_vec())], ..offer() };
        assert_eq!(climbing.check(), Err(Misbehaved::NameTraversal));
    }

    #[test]
    fn trailing_truncated_and_oversize_frames_are_refused() {
        let mut frame = encode(&FromSender::Offer(offer()));
        assert_eq!(decode::<FromSender>(&frame[..frame.len() - 1]), Err(Misbehaved::FrameGarbled));
        frame.push(0);
        assert_eq!(decode::<FromSender>(&frame), Err(Misbehaved::FrameTrailingBytes));
        let huge = vec![0; CONTROL_FRAME_MAX + 1];
        assert_eq!(decode::<FromSender>(&huge), Err(Misbehaved::FrameTooLong));
        // A count of 2^32 entries in a short frame must not allocate for them.
        let lying = [2, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(decode::<FromSender>(&lying), Err(Misbehaved::FrameGarbled));
    }

    proptest! {
        #[test]
        fn any_frame_is_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(message) = decode::<FromSender>(&bytes) {
                prop_assert_eq!(decode::<FromSender>(&encode(&message)), Ok(message));
            }
            if let Ok(message) = decode::<FromReceiver>(&bytes) {
                prop_assert_eq!(decode::<FromReceiver>(&encode(&message)), Ok(message));
            }
        }
    }
}
