//! Objects for a peer that asks, and from a peer that offers, where this device stores without reading.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use logic::Misbehaved;
use logic::audit::Event;
use logic::ledger::{CommitId, SpaceRole};
use logic::limits::OBJECTS_FRAME;
use logic::wire::{ABSENT, Objects, StreamHeader};
use net::frame::{FrameError, read_body};
use seal::{Object, ObjectId};
use store::objects::ObjectError;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::Between;
use super::access::Access;
use super::errors::{Ended, blocking};
use super::fetching::read_object;
use super::ports::Peer;
use super::room::Room;
use super::session::name;
use crate::clock;
use crate::spaces::SpaceFault;
use crate::transfers::Stream;

/// How long one object may take to be read by the peer.
const WRITE: Duration = Duration::from_secs(120);
/// How long a stream may be silent.
const IDLE: Duration = Duration::from_secs(60);
/// Bytes that are stored in one step.
const STEP: usize = 8 << 20;
/// So much more has to be free on a disk that was full.
const MORE: u64 = 64 << 20;
/// Offers in a row of which nothing is wanted.
const IDLE_OFFERS: usize = 1024;

impl Between {
    /// Takes a stream that a peer opened.
    pub(crate) async fn serve(self: &Arc<Self>, peer: &Arc<dyn Peer>, header: StreamHeader, stream: Stream) {
        match header {
            StreamHeader::Space { ledger } => self.serve_session(peer, ledger, stream).await,
            StreamHeader::Objects { ledger } => self.serve_objects(peer, ledger, stream).await,
            _ => {}
        }
    }

    async fn serve_objects(self: &Arc<Self>, peer: &Arc<dyn Peer>, ledger: CommitId, stream: Stream) {
        let Some(room) = self.room(ledger) else { return };
        let place = self.same(&mut self.peers(), peer).map(|online| (online.gone.clone(), online.desks.clone()));
        let Some((gone, desks)) = place else { return };
        let Ok(_desk) = desks.try_acquire_owned() else { return };
        let served = tokio::select! {
            () = gone.cancelled() => return,
            () = room.gone.cancelled() => return,
            served = self.answer(&room, peer, stream) => served,
        };
        if let Err(error) = served {
            tracing::debug!(peer = %peer.device().short(), %error, "a stream for objects ended");
            if let Some(offence) = error.offence().filter(|offence| *offence != Misbehaved::FrameTruncated) {
                peer.offended(offence);
            }
        }
    }

    async fn answer(self: &Arc<Self>, room: &Arc<Room>, peer: &Arc<dyn Peer>, mut stream: Stream) -> Result<(), Ended> {
        let mut idle = 0;
        loop {
            let read = timeout(IDLE, read_body(&mut stream.recv, OBJECTS_FRAME));
            let Some(body) = read.await.map_err(|_| Ended::Silent)?? else { return Ok(()) };
            let message = Objects::read(&body)?;
            // At each message anew: a right may have ended.
            let Some((theirs, own)) = self.rights(room, peer).await? else {
                // On probation nobody knows who may have what.
                if !room.on_probation() {
                    self.note_refused(peer.device(), room);
                }
                return Ok(());
            };
            match message {
                Objects::Get(ids) => {
                    if theirs == SpaceRole::Storage && own >= Some(SpaceRole::Editor) {
                        self.note_lacking(room, peer.device(), true);
                    }
                    self.give(room, &mut stream.send, ids).await?;
                }
                Objects::Offer(ids) => {
                    // A device that reads knows what it wants; and who may not write has nothing that is not there.
                    if own != Some(SpaceRole::Storage) || theirs < SpaceRole::Editor {
                        return Ok(());
                    }
                    let wanted = self.store(room, &mut stream, ids).await?;
                    idle = if wanted { 0 } else { idle + 1 };
                    if idle > IDLE_OFFERS {
                        return Err(Misbehaved::ObjectsFlood.into());
                    }
                }
                Objects::Want(_) | Objects::Stored | Objects::Full => return Err(Misbehaved::FrameOutOfTurn.into()),
            }
        }
    }

    /// The roles of the peer and of this device; `None`: the peer has none.
    async fn rights(
        &self,
        room: &Arc<Room>,
        peer: &Arc<dyn Peer>,
    ) -> Result<Option<(SpaceRole, Option<SpaceRole>)>, Ended> {
        let (room, peer) = (room.clone(), peer.clone());
        blocking(move || {
            Ok::<_, SpaceFault>(match room.access(peer.device(), peer.member())? {
                Access::Full(role) if !room.on_probation() => Some((role, room.own_role()?)),
                _ => None,
            })
        })
        .await
    }

    /// Sends what is here and belongs to the space; the next object is read while one is sent.
    async fn give(
        self: &Arc<Self>,
        room: &Arc<Room>,
        send: &mut (impl AsyncWrite + Unpin),
        ids: Vec<ObjectId>,
    ) -> Result<(), Ended> {
        let (objects, namespace, asked) = (self.parts.spaces.objects.clone(), room.kept.namespace(), ids.clone());
        let held = blocking(move || Ok::<_, SpaceFault>(objects.holding(&namespace, &asked)?)).await?;
        let mut wanted = ids.into_iter().zip(held).peekable();
        let mut next = wanted.next().map(|(id, held)| self.read_ahead(room, id, held));
        while let Some(reading) = next.take() {
            let bytes = reading.await.map_err(std::io::Error::other)?;
            next = wanted.next().map(|(id, held)| self.read_ahead(room, id, held));
            timeout(WRITE, write_object(send, bytes.as_deref())).await.map_err(|_| Ended::Silent)??;
        }
        Ok(timeout(WRITE, send.flush()).await.map_err(|_| Ended::Silent)??)
    }

    fn read_ahead(
        self: &Arc<Self>,
        room: &Arc<Room>,
        id: ObjectId,
        held: bool,
    ) -> tokio::task::JoinHandle<Option<Vec<u8>>> {
        let (between, room) = (self.clone(), room.clone());
        tokio::task::spawn_blocking(move || if held { between.read_here(&room, id) } else { None })
    }

    /// An object of this disk. One that is damaged is said, and wanted again. Blocking.
    pub(super) fn read_here(&self, room: &Room, id: ObjectId) -> Option<Vec<u8>> {
        match self.parts.spaces.objects.get(&id) {
            Ok(object) => Some(object.into_bytes()),
            Err(ObjectError::Missing(_)) => None,
            Err(error) => {
                tracing::warn!(%error, "an object could not be read");
                self.note(Event::SpaceDamaged { space: name(room.id()), object: id.to_string() });
                if let Err(error) = room.queue.want(&room.kept.space, &[id]) {
                    tracing::warn!(%error, "an object could not be asked for again");
                }
                None
            }
        }
    }

    /// Takes what is not here of an offer, durably. True: something was wanted.
    async fn store(self: &Arc<Self>, room: &Arc<Room>, stream: &mut Stream, ids: Vec<ObjectId>) -> Result<bool, Ended> {
        let (between, kept, offered) = (self.clone(), room.clone(), ids.clone());
        let held = blocking(move || {
            Ok::<_, SpaceFault>(between.parts.spaces.objects.holding(&kept.kept.namespace(), &offered)?)
        });
        let held = held.await?;
        let places: Vec<_> = (0_u16..).zip(&held).filter(|(_, held)| !**held).map(|(place, _)| place).collect();
        let wanted = !places.is_empty();
        if wanted && self.clone().is_full(room.clone()).await? {
            // Before anything is sent for nothing.
            say(&mut stream.send, &Objects::Full).await?;
            return Err(Ended::NoRoom);
        }
        say(&mut stream.send, &Objects::Want(places.clone())).await?;
        let (mut come, mut bytes) = (Vec::new(), 0);
        for id in places.iter().filter_map(|place| ids.get(usize::from(*place))) {
            if let Some(object) = read_object(&mut stream.recv, id).await? {
                bytes += object.bytes().len();
                come.push(object);
            }
            if bytes >= STEP {
                bytes = 0;
                self.put(room, std::mem::take(&mut come), stream).await?;
            }
        }
        self.put(room, come, stream).await?;
        say(&mut stream.send, &Objects::Stored).await?;
        Ok(wanted)
    }

    async fn put(self: &Arc<Self>, room: &Arc<Room>, come: Vec<Object>, stream: &mut Stream) -> Result<(), Ended> {
        let (between, kept) = (self.clone(), room.clone());
        match blocking(move || between.put_allowed(&kept, &come)).await? {
            None => Ok(()),
            Some(reason) => {
                self.note_full(room, &reason);
                say(&mut stream.send, &Objects::Full).await?;
                Err(Ended::NoRoom)
            }
        }
    }

    /// Stores as many of these as there is room for. `Some`: why not all of them. Blocking.
    fn put_allowed(&self, room: &Room, come: &[Object]) -> Result<Option<String>, SpaceFault> {
        let _storing = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        let allowance = self.allowance(room)?;
        let left = allowance.map_or(u64::MAX, |allowance| allowance.contents_left());
        let mut bytes = 0_u64;
        let fits = |object: &&Object| {
            bytes += object.bytes().len() as u64;
            bytes <= left
        };
        let objects = &come[..come.iter().take_while(fits).count()];
        let put = match objects.is_empty() {
            true => Ok(()),
            false => self.parts.spaces.objects.put_many(&room.kept.namespace(), objects, clock::now()),
        };
        let reason = match put {
            Ok(()) => {
                if !objects.is_empty() {
                    room.came();
                }
                (objects.len() < come.len()).then(|| allowance.map(|allowance| allowance.reason()).unwrap_or_default())
            }
            Err(full @ (ObjectError::DiskFull(_) | ObjectError::OverQuota { .. })) => Some(full.to_string()),
            Err(error) => return Err(error.into()),
        };
        if reason.is_some() {
            let now = self.room_left(room)?;
            room.facts().left = Some(now);
        }
        Ok(reason)
    }

    /// Bytes of contents that are allowed, and that the disk has.
    fn room_left(&self, room: &Room) -> Result<(u64, u64), SpaceFault> {
        let allowed = self.allowance(room)?.map_or(u64::MAX, |allowance| allowance.contents_left());
        Ok((allowed, self.parts.spaces.objects.free_space()?))
    }

    /// There was no room, and there is no more now.
    async fn is_full(self: Arc<Self>, room: Arc<Room>) -> Result<bool, Ended> {
        let Some((allowed, free)) = room.facts().left else { return Ok(false) };
        blocking(move || {
            let now = self.room_left(&room)?;
            Ok::<_, SpaceFault>(now.0 <= allowed && now.1 < free.saturating_add(MORE))
        })
        .await
    }
}

/// Writes a message.
pub(super) async fn say(send: &mut (impl AsyncWrite + Unpin), message: &Objects) -> Result<(), Ended> {
    let frame = message.frame().map_err(FrameError::TooBig)?;
    let written = async {
        send.write_all(frame.as_bytes()).await?;
        send.flush().await
    };
    Ok(timeout(WRITE, written).await.map_err(|_| Ended::Silent)??)
}

/// Writes the length of an object and its bytes.
pub(super) async fn write_object(send: &mut (impl AsyncWrite + Unpin), bytes: Option<&[u8]>) -> std::io::Result<()> {
    let Some(bytes) = bytes else { return send.write_all(&ABSENT.to_be_bytes()).await };
    let len = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
    send.write_all(&len.to_be_bytes()).await?;
    send.write_all(bytes).await
}
