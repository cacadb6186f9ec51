//! The life of one link: its control stream, and the streams that the peer opens.

use std::sync::Arc;

use logic::Misbehaved;
use logic::audit::{Event, Who};
use logic::limits::{CONTROL_FRAME, HEADER_FRAME, ROSTER_FRAME};
use logic::presence::LinkId;
use logic::wire::{Bye, Control, StreamHeader};
use net::frame::{FrameError, expect_frame, read_frame, write_frame};
use net::{Goodbye, Link, RecvHalf, SendHalf, Stream};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::Links;
use crate::clock;
use crate::connection::stream;
use crate::spaces::between::Peer;

impl Links {
    /// Serves a link until it ends, then tells the engine.
    pub(super) async fn attend(
        self: Arc<Self>,
        id: LinkId,
        link: Link,
        peer: Arc<dyn Peer>,
        outbox: mpsc::Receiver<Control>,
    ) {
        let who = || Who {
            member: Some(link.peer().member_name().to_owned()),
            device: Some(link.remote()),
            address: link.paths().direct,
        };
        let path = path(&link);
        self.parts.journal.note(Event::PeerConnected { who: who(), path: path.into(), dialled: link.dialled() });
        let ended = tokio::select! {
            () = self.stop.cancelled() => { link.close(Goodbye::Leaving); Goodbye::Leaving }
            goodbye = link.closed() => goodbye,
            failed = self.converse(id, &link, &peer, outbox) => {
                if let Err(FrameError::Misbehaved(offence)) = failed {
                    link.offended(offence);
                }
                link.closed().await
            }
        };
        if let Err(error) = self.parts.book.left(link.remote()) {
            tracing::warn!(%error, "could not note where a peer was seen");
        }
        let online = self.table().links.remove(&id);
        if let Some(online) = online {
            self.parts.transfers.link_down(&online.connection);
            self.parts.between.link_down(&online.peer);
        }
        self.presence().down(id, clock::now());
        self.wake.notify_one();
        self.parts.journal.note(Event::PeerDisconnected { who: who(), path: path.into(), reason: ended.to_string() });
    }

    /// Control messages both ways, and streams for the services.
    async fn converse(
        self: &Arc<Self>,
        id: LinkId,
        link: &Link,
        peer: &Arc<dyn Peer>,
        outbox: mpsc::Receiver<Control>,
    ) -> Result<(), FrameError> {
        let control = if link.dialled() {
            let mut stream = link.open().await?;
            write_frame(&mut stream.send, &StreamHeader::Control, HEADER_FRAME).await?;
            stream.send.flush().await?;
            stream
        } else {
            self.control_stream(link, peer).await?
        };
        let (replies, queue) = mpsc::channel(super::OUTBOX);
        if let Ok(digest) = self.parts.circle.digest() {
            let _ = replies.try_send(Control::RosterDigest(digest));
        }
        tokio::try_join!(
            say(control.send, outbox, queue),
            self.listen(id, link, peer, control.recv, replies),
            self.receive(link, peer)
        )?;
        Ok(())
    }

    /// The stream that the dialer opens for control messages. Transfers that waited for the link may come before it.
    async fn control_stream(self: &Arc<Self>, link: &Link, peer: &Arc<dyn Peer>) -> Result<Stream, FrameError> {
        loop {
            let mut stream = link.accept().await?;
            match expect_frame(&mut stream.recv, HEADER_FRAME).await? {
                StreamHeader::Control => return Ok(stream),
                header => {
                    let (links, peer) = (self.clone(), peer.clone());
                    self.tasks.spawn(async move { links.serve(&peer, header, stream).await });
                }
            }
        }
    }

    /// Reads control messages; everything heard is a sign of life.
    async fn listen(
        &self,
        id: LinkId,
        link: &Link,
        peer: &Arc<dyn Peer>,
        mut recv: RecvHalf,
        replies: mpsc::Sender<Control>,
    ) -> Result<(), FrameError> {
        let mut asked = None;
        while let Some(message) = read_frame(&mut recv, ROSTER_FRAME).await? {
            let now = clock::now();
            self.presence().heard(id, now);
            if let Err(error) = self.parts.book.seen(link.remote(), link.paths().direct, now) {
                tracing::warn!(%error, "could not note where a peer was seen");
            }
            let reply = match message {
                Control::Ping(number) => Some(Control::Pong(number)),
                Control::Pong(_) => None,
                Control::Bye(bye) => {
                    link.close(match bye {
                        Bye::Duplicate => Goodbye::Duplicate,
                        Bye::Leaving | Bye::Refused => Goodbye::Leaving,
                    });
                    return Ok(());
                }
                Control::Spaces(ledgers) => {
                    self.parts.between.told(peer, ledgers)?;
                    None
                }
                about_roster => self.gossip(about_roster, &mut asked)?,
            };
            if let Some(reply) = reply
                && replies.send(reply).await.is_err()
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes the streams that the peer opens and hands them to their service.
    async fn receive(self: &Arc<Self>, link: &Link, peer: &Arc<dyn Peer>) -> Result<(), FrameError> {
        loop {
            let stream = link.accept().await?;
            let (links, link, peer) = (self.clone(), link.clone(), peer.clone());
            self.tasks.spawn(async move {
                if let Err(FrameError::Misbehaved(offence)) = links.dispatch(&peer, stream).await {
                    link.offended(offence);
                }
            });
        }
    }

    async fn dispatch(&self, peer: &Arc<dyn Peer>, mut incoming: Stream) -> Result<(), FrameError> {
        match expect_frame(&mut incoming.recv, HEADER_FRAME).await? {
            StreamHeader::Control => Err(FrameError::Misbehaved(Misbehaved::FrameOutOfTurn)),
            header => {
                self.serve(peer, header, incoming).await;
                Ok(())
            }
        }
    }

    async fn serve(&self, peer: &Arc<dyn Peer>, header: StreamHeader, incoming: Stream) {
        let transfers = &self.parts.transfers;
        match header {
            StreamHeader::Control => {}
            StreamHeader::Transfer { id } => transfers.serve_transfer(peer.device(), id, stream(incoming)).await,
            StreamHeader::Lane { id, .. } => transfers.serve_lane(peer.device(), id, stream(incoming)),
            StreamHeader::Space { .. } | StreamHeader::Objects { .. } => {
                self.parts.between.serve(peer, header, stream(incoming)).await;
            }
        }
    }
}

/// `direct` or `relay`.
pub(crate) fn path(link: &Link) -> &'static str {
    if link.paths().relay.is_some() { "relay" } else { "direct" }
}

/// Writes control messages: those of the rest of the device, and replies.
async fn say(
    mut send: SendHalf,
    mut outbox: mpsc::Receiver<Control>,
    mut replies: mpsc::Receiver<Control>,
) -> Result<(), FrameError> {
    loop {
        let message = tokio::select! {
            Some(message) = outbox.recv() => message,
            Some(message) = replies.recv() => message,
            else => return Ok(()),
        };
        let limit = match message {
            Control::RosterSummary(_) | Control::RosterUpdate(_) => ROSTER_FRAME,
            _ => CONTROL_FRAME,
        };
        write_frame(&mut send, &message, limit).await?;
        send.flush().await?;
    }
}
