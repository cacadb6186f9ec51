//! What is remembered of a transfer over restarts.

use super::ports::Shelf;
use logic::transfer::receipt::{Receipt, SignedReceipt};
use logic::transfer::{Offer, Reason, Totals, TransferId};
use seal::DeviceId;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use store::source::{Source, SourceError};
use store::spool::SpoolId;

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ended {
    Done,
    Rejected,
    Cancelled,
    Failed,
    /// The code under which it waited for somebody is no longer good.
    Void,
}

/// What the sender was asked to send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub paths: Vec<ByteBuf>,
    /// Name under which `spool` arrives.
    pub name: Option<ByteBuf>,
    /// Content from the spool, instead of paths.
    pub spool: Option<SpoolId>,
}

impl Asked {
    fn paths(&self) -> Vec<PathBuf> {
        self.paths.iter().map(|path| OsString::from_vec(path.to_vec()).into()).collect()
    }

    /// What is to be sent; `None` if it is only a text. Blocks.
    pub fn source(&self, shelf: &dyn Shelf) -> Result<Option<Source>, NoSource> {
        if let Some(id) = &self.spool {
            let name = OsString::from_vec(self.name.clone().unwrap_or_default().into_vec());
            let file = shelf.open_input(id).map_err(NoSource::Input)?;
            return Ok(Some(Source::spooled(name, file)));
        }
        if self.paths.is_empty() {
            return Ok(None);
        }
        Ok(Some(Source::new(self.paths())?))
    }
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum NoSource {
    /// A path that was named.
    #[error(transparent)]
    Path(#[from] SourceError),
    /// Content that was handed over.
    #[error("the content to be sent cannot be read: {0}")]
    Input(io::Error),
}

/// What the receiver agreed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Accepted {
    /// Landing folder.
    pub to: ByteBuf,
    pub ceiling: Option<u64>,
    /// Set once everything arrived: the receipt to sign when it has landed.
    pub landing: Option<Receipt>,
}

impl Accepted {
    pub fn folder(&self) -> PathBuf {
        OsString::from_vec(self.to.to_vec()).into()
    }
}

/// Everything durable about a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub peer: DeviceId,
    pub offer: Offer,
    /// Set for outgoing transfers.
    pub asked: Option<Asked>,
    /// Set for incoming transfers that were accepted.
    pub accepted: Option<Accepted>,
    /// Set once the receiver of an outgoing transfer accepted it.
    pub agreed: bool,
    pub limit: Option<u64>,
    pub paused: bool,
    pub ended: Option<Ended>,
    pub ended_at: Option<i64>,
    /// Set while the receiver does not know that an outgoing transfer was given up.
    pub untold: bool,
    pub done: Totals,
    pub wire: u64,
    /// What went wrong, in words ...
    pub problem: Option<String>,
    /// ... and by its kind, where one of the sides told it.
    pub trouble: Option<Reason>,
    pub warnings: Vec<String>,
    pub landed: Vec<String>,
    pub receipt: Option<SignedReceipt>,
    /// Files that could not be sent or stored, in this run or the last one.
    pub failed: u64,
}

/// Stored form; a new version is a new variant.
#[derive(Serialize, Deserialize)]
enum Stored {
    V1(Record),
}

impl Record {
    pub fn outgoing(peer: DeviceId, offer: Offer, asked: Asked, limit: Option<u64>) -> Self {
        Self { asked: Some(asked), limit, ..Self::incoming(peer, offer) }
    }

    pub fn incoming(peer: DeviceId, offer: Offer) -> Self {
        Self {
            peer,
            offer,
            asked: None,
            accepted: None,
            agreed: false,
            limit: None,
            paused: false,
            ended: None,
            ended_at: None,
            untold: false,
            done: Totals::default(),
            wire: 0,
            problem: None,
            trouble: None,
            warnings: Vec::new(),
            landed: Vec::new(),
            receipt: None,
            failed: 0,
        }
    }

    pub fn id(&self) -> TransferId {
        self.offer.id
    }

    /// Where something under construction may lie although the transfer is over.
    pub fn left_over(&self) -> Option<(PathBuf, TransferId)> {
        self.ended?;
        Some((self.accepted.as_ref()?.folder(), self.id()))
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        logic::transfer::message::encode(&Stored::V1(self.clone()))
    }

    /// `None` for bytes of a later version, or damaged ones.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let Stored::V1(record) = postcard::from_bytes(bytes).ok()?;
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use logic::transfer::limits::VERSION;

    fn record() -> Record {
        let offer = Offer {
            version: VERSION,
            id: TransferId([7; 16]),
            names: vec![ByteBuf::from("Photos")],
            items: 1,
            text: None,
            found: Totals::default(),
            complete: false,
            created_at: 5,
        };
        let asked = Asked { paths: vec![ByteBuf::from("/Photos")], name: None, spool: None };
        Record::outgoing(seal::DeviceKey::from_seed(&[1; 32]).id(), offer, asked, Some(9))
    }

    #[test]
    fn what_was_stored_is_read_again_and_what_is_damaged_or_newer_is_not() {
        let record = Record { failed: 3, ..record() };
        let bytes = record.to_bytes();
        assert_eq!(Record::from_bytes(&bytes), Some(record));
        assert_eq!(Record::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Record::from_bytes(&[9]), None);
    }
}
