//! Objects from peers: each peer is asked for what is wanted and not known to be missing there.

use std::collections::{HashSet, VecDeque};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use logic::Misbehaved;
use logic::audit::Event;
use logic::ledger::{CommitId, SpaceRole};
use logic::wire::{ABSENT, Objects, StreamHeader};
use net::frame::FrameError;
use seal::{Object, ObjectId};
use store::objects::{MAX_OBJECT, ObjectError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use super::Between;
use super::errors::{Ended, blocking};
use super::intake::Intake;
use super::ports::Peer;
use super::room::Room;
use super::session::name;
use crate::spaces::contents::{self, Fetch, NotHere};
use crate::spaces::{Kept, SpaceFault};
use crate::transfers::Stream;

/// Objects asked for at once, at least and at most.
const ASK: (usize, usize) = (8, 256);
/// Bytes that an answer should have.
const ANSWER: usize = 16 << 20;
/// Questions that are on their way at once.
const AHEAD: usize = 2;
/// From so many wanted objects on they come over a way for much.
const MUCH: u64 = 4;
/// How long nothing may come.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a stream stays open while nothing is wanted.
const IDLE: Duration = Duration::from_secs(5);
/// Objects and devices that are named when something is not here.
const NAMED: usize = 16;
/// Pause after a failure, and while the disk is full.
const PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

impl Fetch for Between {
    fn fetch(&self, kept: &Kept, ids: &[ObjectId], deadline: std::time::Instant) -> Result<(), NotHere> {
        let come = self.runtime.block_on(self.hurry(kept.space.id(), ids, deadline.into()));
        if let Err(error) = &come {
            tracing::warn!(%error, "objects could not be fetched");
        }
        match come {
            Ok(true) => Ok(()),
            _ => Err(NotHere { objects: ids.iter().take(NAMED).copied().collect(), who: self.away(kept) }),
        }
    }
}

impl Between {
    /// Fetches objects that somebody waits for, before all others. False: not all of them came in time.
    pub(super) async fn hurry(&self, ledger: CommitId, ids: &[ObjectId], deadline: Instant) -> Result<bool, Ended> {
        let Some(room) = self.room(ledger) else { return Ok(false) };
        let mut changed = room.queue.watch();
        let mut asked = false;
        loop {
            let (objects, wanted) = (self.parts.spaces.objects.clone(), ids.to_vec());
            let absent = blocking(move || Ok::<_, SpaceFault>(objects.absent(&wanted)?)).await?;
            if absent.is_empty() {
                room.queue.calm(ids);
                return Ok(true);
            }
            if !std::mem::replace(&mut asked, true) {
                room.queue.hurry(&absent);
            }
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                room.queue.calm(&absent);
                return Ok(false);
            }
        }
    }

    /// Devices that have entered a space and are away, for people.
    fn away(&self, kept: &Kept) -> Vec<String> {
        let sharing = self.sharing(kept.space.id());
        let Some(now) = self.parts.circle.snapshot() else { return Vec::new() };
        let devices =
            kept.space.look(|ledger, _| Ok(ledger.judgement().devices().map(|(id, _)| id).collect::<Vec<_>>()));
        let away = devices.unwrap_or_default().into_iter().filter(|device| *device != kept.space.device());
        let away = away.filter(|device| !sharing.contains(device)).filter_map(|device| {
            let view = now.view.devices.get(&device)?;
            Some(format!("{}/{}", now.view.members.get(&view.member)?.shown, view.name))
        });
        away.take(NAMED).collect()
    }

    /// Devices that are online and have a session about a space.
    pub(super) fn sharing(&self, ledger: CommitId) -> Vec<seal::DeviceId> {
        let peers = self.peers();
        let shares = |online: &&super::Online| online.sessions.contains_key(&ledger);
        peers.values().filter(shares).map(|online| online.peer.device()).collect()
    }

    /// Asks a peer for what is wanted, as long as there is a session with it. Ends only by being dropped.
    pub(super) async fn fetch_from(self: &Arc<Self>, room: &Arc<Room>, peer: &Arc<dyn Peer>) -> Result<(), Ended> {
        let mut changed = room.queue.watch();
        loop {
            let first = self.next_for(room, peer, ASK.0).await?;
            if first.open.is_empty() {
                // Some may be asked for again after a while.
                let _ = timeout(IDLE, changed.changed()).await;
                continue;
            }
            let bulk = room.queue.len() >= MUCH;
            let opened = timeout(SILENCE, peer.open(StreamHeader::Objects { ledger: room.id() }, bulk)).await;
            let fetched = match opened {
                Ok(Ok(stream)) => self.fetch_over(room, peer, stream, first, bulk).await,
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(Ended::Silent),
            };
            if let Err(error) = fetched {
                self.fetching_failed(room, peer, &error).await;
            }
        }
    }

    /// What this peer is to be asked for now. Empty: nothing.
    async fn next_for(self: &Arc<Self>, room: &Arc<Room>, peer: &Arc<dyn Peer>, most: usize) -> Result<Batch, Ended> {
        let mut batch = Batch { room: room.clone(), open: VecDeque::new() };
        let trusted = self.same(&mut self.peers(), peer).is_some_and(|online| !online.distrusted);
        if room.on_probation() || !trusted {
            return Ok(batch);
        }
        let (between, peer) = (self.clone(), peer.clone());
        blocking(move || {
            let room = batch.room.clone();
            if room.access(peer.device(), peer.member())?.is_full() {
                batch.open = room.queue.take(&room.kept.space, peer.device(), most)?.into();
                let absent = between.parts.spaces.objects.absent(batch.open.make_contiguous())?;
                let absent: HashSet<_> = absent.into_iter().collect();
                let here: Vec<_> = batch.open.iter().copied().filter(|id| !absent.contains(id)).collect();
                if !here.is_empty() {
                    batch.open.retain(|id| absent.contains(id));
                    room.queue.done(&room.kept.space, &here)?;
                }
            }
            Ok::<_, SpaceFault>(batch)
        })
        .await
    }

    /// Asks over one stream until nothing more is wanted, or much where the stream is none for that. The next question is
    /// on its way while an answer comes.
    async fn fetch_over(
        self: &Arc<Self>,
        room: &Arc<Room>,
        peer: &Arc<dyn Peer>,
        mut stream: Stream,
        first: Batch,
        bulk: bool,
    ) -> Result<(), Ended> {
        let mut intake = Intake::new(self, room);
        let (mut asked, mut most) = (VecDeque::new(), ASK.0);
        first.ask(&mut stream).await?;
        asked.push_back(first);
        loop {
            let outgrown = !bulk && room.queue.len() >= MUCH;
            while asked.len() < AHEAD && !outgrown {
                let next = self.next_for(room, peer, most).await?;
                if next.open.is_empty() {
                    break;
                }
                next.ask(&mut stream).await?;
                asked.push_back(next);
            }
            if let Some(batch) = asked.pop_front() {
                let count = batch.open.len();
                let bytes = batch.take(&mut stream, peer, &mut intake).await?;
                most = (count * ANSWER / bytes.max(1)).clamp(ASK.0, ASK.1);
                continue;
            }
            intake.finish().await?;
            let more = !outgrown && timeout(IDLE, room.queue.watch().changed()).await.is_ok();
            if !more {
                stream.send.shutdown().await?;
                return Ok(());
            }
        }
    }

    async fn fetching_failed(&self, room: &Room, peer: &Arc<dyn Peer>, error: &Ended) {
        tracing::debug!(peer = %peer.device().short(), %error, "objects could not be fetched");
        if let Some(offence) = error.offence().filter(|offence| *offence != Misbehaved::FrameTruncated) {
            self.note(Event::PeerMisbehaved { who: self.who(peer.device()), offence });
            if let Some(online) = self.same(&mut self.peers(), peer) {
                online.distrusted = true;
            }
        }
        match error {
            Ended::Fault(SpaceFault::Objects(full @ (ObjectError::DiskFull(_) | ObjectError::OverQuota { .. }))) => {
                self.note_full(room, &full.to_string());
                sleep(PAUSE.1).await;
            }
            _ => sleep(PAUSE.0).await,
        }
    }

    /// Says that there is no room, when that is news.
    pub(super) fn note_full(&self, room: &Room, reason: &str) {
        if room.facts().full.replace(reason.to_owned()).is_none() {
            self.note(Event::SpaceStorageFull { space: name(room.id()), reason: reason.to_owned() });
            self.show(room.id());
        }
    }

    /// Asks for objects of a space that are damaged or lost here. Blocking.
    pub(crate) fn want_again(&self, kept: &Kept, ids: &[ObjectId]) -> Result<(), SpaceFault> {
        match self.room(kept.space.id()) {
            Some(room) => room.queue.want(&room.kept.space, ids),
            None => Ok(()),
        }
    }

    /// Notes what this device wants since the last time. `again`: keys may have come for what could not be read then.
    /// Blocking.
    pub(super) fn want_new(&self, room: &Room, again: bool) -> Result<(), SpaceFault> {
        let kept: &Kept = &room.kept;
        // Who cannot read cannot know what it lacks; others hand it over.
        if room.own_role()?.is_none_or(|role| role == SpaceRole::Storage) {
            return Ok(());
        }
        let everything = !kept.wish().on_demand;
        contents::hold_new(kept, &self.parts.spaces.objects, again, |absent| {
            if everything { room.queue.want(&kept.space, absent) } else { Ok(()) }
        })
    }
}

/// What one answer brings. What has not come when it is dropped is wanted still.
struct Batch {
    room: Arc<Room>,
    open: VecDeque<ObjectId>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.room.queue.back(self.open.make_contiguous(), None);
    }
}

impl Batch {
    async fn ask(&self, stream: &mut Stream) -> Result<(), Ended> {
        let frame = Objects::Get(self.open.iter().copied().collect()).frame().map_err(FrameError::TooBig)?;
        let asked = async {
            stream.send.write_all(frame.as_bytes()).await?;
            stream.send.flush().await
        };
        Ok(timeout(SILENCE, asked).await.map_err(|_| Ended::Silent)??)
    }

    /// Takes the answer; says how many bytes came.
    async fn take(mut self, stream: &mut Stream, peer: &Arc<dyn Peer>, intake: &mut Intake) -> Result<usize, Ended> {
        let (mut total, mut lacking) = (0, Vec::new());
        while let Some(id) = self.open.front().copied() {
            match read_bytes(&mut stream.recv).await? {
                Some(bytes) => {
                    total += bytes.len();
                    intake.take(id, bytes).await?;
                }
                None => lacking.push(id),
            }
            self.open.pop_front();
        }
        self.room.queue.back(&lacking, Some(peer.device()));
        Ok(total)
    }
}

/// An object, which is what it should be; `None`: it is not there.
pub(super) async fn read_object(recv: &mut (impl AsyncRead + Unpin), id: &ObjectId) -> Result<Option<Object>, Ended> {
    let Some(bytes) = read_bytes(recv).await? else { return Ok(None) };
    let object = match bytes.len() {
        // Hashing little costs less than handing it over.
        0..=65_535 => Object::of(bytes),
        _ => blocking(move || Ok::<_, Ended>(Object::of(bytes))).await?,
    };
    if object.id() == *id { Ok(Some(object)) } else { Err(Misbehaved::ObjectWrong.into()) }
}

/// The bytes of an object, whatever they are; `None`: it is not there.
async fn read_bytes(recv: &mut (impl AsyncRead + Unpin)) -> Result<Option<Vec<u8>>, Ended> {
    let len = timeout(SILENCE, recv.read_u32()).await.map_err(|_| Ended::Silent)??;
    if len == ABSENT {
        return Ok(None);
    }
    let len = usize::try_from(len).ok().filter(|len| *len <= MAX_OBJECT).ok_or(Misbehaved::ObjectTooLong)?;
    let mut bytes = Vec::with_capacity(len);
    let mut left = recv.take(len as u64);
    while bytes.len() < len {
        if timeout(SILENCE, left.read_buf(&mut bytes)).await.map_err(|_| Ended::Silent)?? == 0 {
            return Err(std::io::Error::from(ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(Some(bytes))
}
