//! Links as the spaces see them.

use std::io;

use async_trait::async_trait;
use logic::Misbehaved;
use logic::ledger::CommitId;
use logic::limits::HEADER_FRAME;
use logic::wire::{Control, StreamHeader, VERSION_SPACES};
use net::Link;
use net::frame::{FrameError, write_frame};
use seal::{DeviceId, MemberId};
use tokio::sync::mpsc;

use crate::connection::stream;
use crate::transfers::Stream;

/// Streams that carry contents where one does not fill the path (QUIC).
const BULK: usize = 1;

/// A proven link to one device.
#[async_trait]
pub(crate) trait Peer: Send + Sync + 'static {
    /// The device at the other end.
    fn device(&self) -> DeviceId;

    /// For whom it speaks.
    fn member(&self) -> MemberId;

    /// Whether it knows what a space is.
    fn knows_spaces(&self) -> bool;

    /// Says which ledgers it may have. False: not now.
    fn tell(&self, ledgers: Vec<CommitId>) -> bool;

    /// Opens a stream and writes its header. `bulk`: for much.
    async fn open(&self, header: StreamHeader, bulk: bool) -> io::Result<Stream>;

    /// It broke a rule: that is noted, and the link ends.
    fn offended(&self, offence: Misbehaved);
}

/// A link of the network.
pub(crate) struct MemberPeer {
    /// The link.
    pub link: Link,
    /// The way to its control stream.
    pub control: mpsc::Sender<Control>,
}

#[async_trait]
impl Peer for MemberPeer {
    fn device(&self) -> DeviceId {
        self.link.remote()
    }

    fn member(&self) -> MemberId {
        self.link.peer().member()
    }

    fn knows_spaces(&self) -> bool {
        self.link.peer().version() >= VERSION_SPACES
    }

    fn tell(&self, ledgers: Vec<CommitId>) -> bool {
        self.control.try_send(Control::Spaces(ledgers)).is_ok()
    }

    async fn open(&self, header: StreamHeader, bulk: bool) -> io::Result<Stream> {
        let mut opened = match bulk {
            false => self.link.open().await?,
            true => {
                let mut lanes = self.link.open_bulk(BULK).await?.streams;
                lanes.pop().ok_or(io::ErrorKind::NotConnected)?
            }
        };
        match write_frame(&mut opened.send, &header, HEADER_FRAME).await {
            Ok(()) => Ok(stream(opened)),
            Err(FrameError::Io(error)) => Err(error),
            Err(other) => Err(io::Error::other(other.to_string())),
        }
    }

    fn offended(&self, offence: Misbehaved) {
        self.link.offended(offence);
    }
}
