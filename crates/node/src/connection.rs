//! Links as the transfers see them: streams with their header written.

use std::io;

use async_trait::async_trait;
use logic::limits::HEADER_FRAME;
use logic::transfer::TransferId;
use logic::wire::{GuestHeader, StreamHeader};
use net::frame::{FrameError, write_frame};
use net::{Bulk, GuestLink, Link};
use seal::DeviceId;
use serde::Serialize;

use crate::transfers::{Connection, Lanes, Stream};

/// A link to a member.
pub(crate) struct MemberConnection(pub Link);

/// A link to a guest who proved a one-time code, or to whoever made it.
pub(crate) struct GuestConnection(pub GuestLink);

/// A stream of the network as the transfers take it.
pub(crate) fn stream(stream: net::Stream) -> Stream {
    Stream { send: Box::new(stream.send), recv: Box::new(stream.recv) }
}

async fn headed<H: Serialize>(mut stream: net::Stream, header: &H) -> io::Result<Stream> {
    write_frame(&mut stream.send, header, HEADER_FRAME).await.map_err(|error| match error {
        FrameError::Io(error) => error,
        other => io::Error::other(other.to_string()),
    })?;
    Ok(self::stream(stream))
}

async fn lanes<H: Serialize>(bulk: Bulk, header: impl Fn(u16) -> H) -> io::Result<Lanes> {
    let kind = bulk.lane.as_str();
    let mut streams = Vec::new();
    for (number, stream) in (0..).zip(bulk.streams) {
        streams.push(headed(stream, &header(number)).await?);
    }
    Ok(Lanes { streams, kind })
}

#[async_trait]
impl Connection for MemberConnection {
    fn peer(&self) -> DeviceId {
        self.0.remote()
    }

    async fn open(&self, id: TransferId) -> io::Result<Stream> {
        headed(self.0.open().await?, &StreamHeader::Transfer { id }).await
    }

    async fn open_lanes(&self, id: TransferId, want: usize) -> io::Result<Lanes> {
        lanes(self.0.open_bulk(want).await?, |number| StreamHeader::Lane { id, number, token: None }).await
    }
}

#[async_trait]
impl Connection for GuestConnection {
    fn peer(&self) -> DeviceId {
        self.0.remote()
    }

    async fn open(&self, id: TransferId) -> io::Result<Stream> {
        headed(self.0.open().await?, &GuestHeader::Transfer { id }).await
    }

    async fn open_lanes(&self, id: TransferId, want: usize) -> io::Result<Lanes> {
        lanes(self.0.open_bulk(want).await?, |number| GuestHeader::Lane { id, number, token: None }).await
    }
}
