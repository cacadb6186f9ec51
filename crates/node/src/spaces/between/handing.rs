//! Objects handed to a device that stores without reading: it cannot know what it lacks.

use std::sync::Arc;
use std::time::Duration;

use logic::Misbehaved;
use logic::audit::Event;
use logic::ledger::SpaceRole;
use logic::limits::{OBJECTS_FRAME, OBJECTS_NAMED};
use logic::wire::{Objects, StreamHeader};
use net::frame::read_body;
use seal::{DeviceId, ObjectId, Timestamp};
use serde::{Deserialize, Serialize};
use store::objects::HeldPlace;
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use super::Between;
use super::access::Access;
use super::errors::{Ended, blocking};
use super::ports::Peer;
use super::room::Room;
use super::serving::{say, write_object};
use super::session::name;
use crate::clock;
use crate::spaces::SpaceFault;
use crate::transfers::Stream;

/// Under which kind of value it is stored how far a device got.
const HANDED: &str = "handed";
/// After so many milliseconds everything is offered again: numbers of objects change when the index is made anew.
const AGAIN_MS: i64 = 7 * 24 * 3_600_000;
/// The same over a new link: the disk there may be another one by now.
const LINKED_MS: i64 = 10 * 60_000;
/// How long it is looked whether there is something new.
const LOOK: Duration = Duration::from_secs(30);
/// How long new objects gather.
const GATHER: Duration = Duration::from_millis(300);
/// Pause after a failure or a full disk there.
const PAUSE: Duration = Duration::from_secs(30);
/// How long an answer may take: what was handed over is written to the disk.
const ANSWER: Duration = Duration::from_secs(300);

/// How far a device got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Handed {
    /// Everything up to this number was offered.
    place: u64,
    /// When it was begun from the first one.
    begun: i64,
}

impl Between {
    /// Hands to a storage device what this device has. Ends only by being dropped.
    pub(super) async fn hand_to(self: &Arc<Self>, room: &Arc<Room>, peer: &Arc<dyn Peer>) -> Result<(), Ended> {
        let (mut fetched, mut changed) = (room.fetched.subscribe(), room.kept.space.watch());
        let mut stated = room.stated.subscribe();
        let (kept, device) = (room.clone(), peer.device());
        blocking(move || linked(&kept, device)).await?;
        loop {
            let handed = self.hand_all(room, peer).await;
            self.note_full_there(room, peer, matches!(handed, Err(Ended::NoRoom)));
            match handed {
                Ok(()) => self.note_lacking(room, peer.device(), false),
                // Who asks what of it, and what it has to keep, may change.
                Err(Ended::NoRoom) => tokio::select! {
                    _ = changed.changed() => {}
                    _ = stated.changed() => {}
                    () = sleep(PAUSE) => {}
                },
                Err(error) => {
                    tracing::debug!(peer = %peer.device().short(), %error, "objects could not be handed over");
                    sleep(PAUSE).await;
                }
            }
            tokio::select! {
                _ = fetched.changed() => {}
                _ = changed.changed() => {}
                _ = stated.changed() => {}
                () = sleep(LOOK) => {}
            }
            sleep(GATHER).await;
        }
    }

    /// Says that a device takes no more contents, or takes them again, when that is news.
    fn note_full_there(&self, room: &Room, peer: &Arc<dyn Peer>, full: bool) {
        let device = peer.device();
        let news = match full {
            true => room.facts().full_there.insert(device),
            false => room.facts().full_there.remove(&device),
        };
        if news && full {
            self.note(Event::SpaceDeviceFull { who: self.who(device), space: name(room.id()) });
        }
        if news {
            self.show(room.id());
        }
    }

    /// Notes that a storage device asks for what it had once, or lacks what is new; or that it was offered everything.
    pub(super) fn note_lacking(&self, room: &Room, device: DeviceId, lacks: bool) {
        let news = {
            let mut facts = room.facts();
            match lacks {
                true => facts.lacking.insert(device) && facts.anew.insert(device),
                false => !facts.anew.contains(&device) && facts.lacking.remove(&device),
            }
        };
        if news {
            self.show(room.id());
        }
    }

    async fn hand_all(self: &Arc<Self>, room: &Arc<Room>, peer: &Arc<dyn Peer>) -> Result<(), Ended> {
        let mut stream: Option<Stream> = None;
        loop {
            let (between, kept, to) = (self.clone(), room.clone(), peer.clone());
            let Some((ids, next)) = blocking(move || between.offer(&kept, &to)).await? else { break };
            for ids in ids.chunks(OBJECTS_NAMED) {
                let stream = match &mut stream {
                    Some(stream) => stream,
                    None => stream.insert(peer.open(StreamHeader::Objects { ledger: room.id() }, true).await?),
                };
                self.hand(room, peer.device(), stream, ids).await?;
            }
            let (kept, device) = (room.clone(), peer.device());
            blocking(move || remember(&kept, device, next)).await?;
        }
        match stream {
            Some(mut stream) => Ok(stream.send.shutdown().await?),
            None => Ok(()),
        }
    }

    /// What to offer next, and how far that is; `None`: nothing. Blocking.
    fn offer(&self, room: &Room, peer: &Arc<dyn Peer>) -> Result<Option<(Vec<ObjectId>, Handed)>, SpaceFault> {
        let stores = room.access(peer.device(), peer.member())? == Access::Full(SpaceRole::Storage);
        // One that is only learning of the space takes nothing yet.
        if !stores || !room.facts().shown.contains_key(&peer.device()) {
            return Ok(None);
        }
        if room.on_probation() || room.own_role()?.is_none_or(|role| role < SpaceRole::Editor) {
            return Ok(None);
        }
        let now = clock::now();
        let anew = room.facts().anew.remove(&peer.device());
        let handed = if anew { Handed::first(now) } else { handed(room, peer.device(), now)? };
        let (ids, next) =
            self.parts.spaces.objects.held(&room.kept.namespace(), HeldPlace::from_number(handed.place))?;
        Ok(next.map(|next| (ids, Handed { place: next.number(), ..handed })))
    }

    /// Offers objects and hands over those that are wanted.
    async fn hand(
        self: &Arc<Self>,
        room: &Arc<Room>,
        peer: DeviceId,
        stream: &mut Stream,
        ids: &[ObjectId],
    ) -> Result<(), Ended> {
        say(&mut stream.send, &Objects::Offer(ids.to_vec())).await?;
        let Objects::Want(places) = answer(stream).await? else { return Err(Misbehaved::FrameOutOfTurn.into()) };
        if !places.is_empty() {
            room.facts().lacking.insert(peer);
        }
        for place in &places {
            let id = *ids.get(usize::from(*place)).ok_or(Misbehaved::ObjectsGarbled)?;
            let (between, room) = (self.clone(), room.clone());
            let bytes = blocking(move || Ok::<_, SpaceFault>(between.read_here(&room, id))).await?;
            timeout(ANSWER, write_object(&mut stream.send, bytes.as_deref())).await.map_err(|_| Ended::Silent)??;
        }
        timeout(ANSWER, stream.send.flush()).await.map_err(|_| Ended::Silent)??;
        match answer(stream).await? {
            Objects::Stored => Ok(()),
            _ => Err(Misbehaved::FrameOutOfTurn.into()),
        }
    }
}

async fn answer(stream: &mut Stream) -> Result<Objects, Ended> {
    let read = timeout(ANSWER, read_body(&mut stream.recv, OBJECTS_FRAME));
    let body = read.await.map_err(|_| Ended::Silent)??.ok_or(Ended::Unwanted("it takes nothing"))?;
    match Objects::read(&body)? {
        Objects::Full => Err(Ended::NoRoom),
        answer => Ok(answer),
    }
}

impl Handed {
    fn first(now: Timestamp) -> Self {
        Self { place: 0, begun: now.0 }
    }
}

/// A new link: everything is offered again unless that was begun just now.
fn linked(room: &Room, device: DeviceId) -> Result<(), SpaceFault> {
    let now = clock::now();
    if now.0 - handed(room, device, now)?.begun >= LINKED_MS {
        room.facts().anew.insert(device);
    }
    Ok(())
}

fn handed(room: &Room, device: DeviceId, now: Timestamp) -> Result<Handed, SpaceFault> {
    let stored = room.kept.space.peek(|store| Ok(store.value(HANDED, device.as_bytes())?))?;
    let handed = stored.and_then(|bytes| postcard::from_bytes::<Handed>(&bytes).ok());
    Ok(handed.filter(|handed| (0..AGAIN_MS).contains(&(now.0 - handed.begun))).unwrap_or(Handed::first(now)))
}

fn remember(room: &Room, device: DeviceId, handed: Handed) -> Result<(), SpaceFault> {
    let bytes = postcard::to_stdvec(&handed).expect("two numbers can be written");
    room.kept.space.jot(|store| Ok(store.set_value(HANDED, device.as_bytes(), &bytes)?))
}
