//! A space that somebody tells of and that is not known here: its first commit, then everything up to a role of this
//! device's member. Without one nothing of it stays.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use logic::Misbehaved;
use logic::audit::Event;
use logic::ledger::session::{Begin, Newcomer, Session};
use logic::ledger::sync::Message;
use logic::ledger::{Commit, CommitId, Control, SpaceRole};
use logic::limits::LEDGER_FRAME;
use logic::wire::StreamHeader;
use net::frame::{FrameError, read_body};
use seal::{DeviceId, MemberId};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

use super::Between;
use super::errors::{Ended, blocking};
use super::ports::Peer;
use super::room::{Probation, Room};
use super::session::name;
use super::telling::Claim;
use crate::spaces::{Kept, SpaceFault};
use crate::transfers::Stream;

/// How long the first commit may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Messages before the first commit.
const MESSAGES: usize = 8;
/// Bytes of a ledger that are taken before a role is seen in it.
const PROBATION: usize = 256 << 20;
/// Spaces that are learned of at one time from one member.
const AT_ONCE: usize = 4;
/// How long what was begun waits for whoever told of it to go on.
const GOES_ON: Duration = Duration::from_secs(600);
/// Spaces without a role for this device that one peer may tell of over one link.
const FRUITLESS: usize = 16;
/// Spaces founded by one member that are kept.
const OF_ONE: usize = 256;

impl Between {
    pub(super) fn spawn_learning(self: &Arc<Self>, peer: &Arc<dyn Peer>, ledger: CommitId) {
        if !self.has_room_for(peer) {
            return;
        }
        let Some(claim) = self.claim(peer, ledger, true) else { return };
        let (between, peer) = (self.clone(), peer.clone());
        self.tasks.spawn(async move {
            let ended = tokio::select! {
                () = claim.end.cancelled() => Ok(()),
                ended = between.clone().learn(&claim, &peer, ledger) => ended,
            };
            if let Err(Ended::Unwanted(reason)) = ended {
                between.turn_away(&peer, ledger, reason).await;
            }
            between.ended(&peer, ledger, &ended);
            drop(claim);
            between.wake.notify_one();
        });
    }

    /// True if one more space may be learned of from a member. What its devices told of before and did not go on with
    /// is dropped for it.
    fn has_room_for(self: &Arc<Self>, peer: &Arc<dyn Peer>) -> bool {
        let from = |room: &&Arc<Room>| room.facts().probation.is_some_and(|on| on.from == peer.member());
        let open: Vec<_> = self.rooms().values().filter(from).cloned().collect();
        let (busy, idle): (Vec<_>, Vec<_>) = open.into_iter().partition(|room| !self.sharing(room.id()).is_empty());
        let begun = {
            let rooms = self.rooms();
            let peers = self.peers();
            let its = peers.values().filter(|online| online.peer.member() == peer.member());
            its.flat_map(|online| online.sessions.keys()).filter(|ledger| !rooms.contains_key(ledger)).count()
        };
        if busy.len() + begun >= AT_ONCE {
            return false;
        }
        let surplus = (busy.len() + begun + idle.len() + 1).saturating_sub(AT_ONCE);
        for room in idle.into_iter().take(surplus) {
            let between = self.clone();
            self.tasks.spawn(async move {
                if let Err(error) = blocking(move || between.clear(&room.kept)).await {
                    tracing::warn!(%error, "a space that was not wanted could not be removed");
                }
            });
        }
        true
    }

    async fn learn(self: Arc<Self>, claim: &Claim, peer: &Arc<dyn Peer>, ledger: CommitId) -> Result<(), Ended> {
        let mut stream = peer.open(StreamHeader::Space { ledger }, false).await?;
        let begun = timeout(PATIENCE, begin(&mut stream, ledger));
        let (genesis, session) = begun.await.map_err(|_| Ended::Silent)??;
        let (between, from) = (self.clone(), peer.member());
        let room = blocking(move || between.take_in(from, genesis)).await?;
        self.clone().converse(claim, room, peer, session, stream).await
    }

    /// Begins to keep a space, on probation. Blocking.
    fn take_in(self: &Arc<Self>, from: MemberId, genesis: Commit) -> Result<Arc<Room>, Ended> {
        let root = self.parts.circle.now().map_err(SpaceFault::from)?.root.der().to_vec();
        match genesis.control() {
            Some(Control::Genesis { root: theirs, .. }) if theirs[..] == root[..] => {}
            _ => return Err(Misbehaved::CertificateForeign.into()),
        }
        let furnishing = self.furnishing.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = match self.parts.spaces.get(genesis.id()) {
            Some(kept) => kept,
            None => self.parts.spaces.adopt(genesis)?,
        };
        let room = match self.room(kept.space.id()) {
            Some(room) => room,
            None => self.furnish(kept.clone(), Some(Probation { from, left: PROBATION, since: Instant::now() }))?,
        };
        drop(furnishing);
        if self.too_many(&room)? {
            return Err(Ended::Unwanted("too many spaces of its founder"));
        }
        Ok(room)
    }

    fn too_many(&self, new: &Room) -> Result<bool, SpaceFault> {
        let founder = new.founder()?;
        let rooms: Vec<_> = self.rooms().values().filter(|room| room.id() != new.id()).cloned().collect();
        let mut of_one = 0;
        for room in rooms {
            of_one += usize::from(room.founder()? == founder);
        }
        Ok(of_one >= OF_ONE && Some(founder) != new.own.member)
    }

    /// A role of this device's member was seen: the space stays.
    pub(super) fn welcome(&self, room: &Room, from: DeviceId, role: SpaceRole) {
        if room.facts().probation.take().is_none() {
            return;
        }
        let role = format!("{role:?}").to_lowercase();
        self.parts.journal.note(Event::SpaceLearned { who: self.who(from), space: name(room.id()), role });
        // What waited for it: entering, sessions, telling others.
        room.stated.send_modify(|count| *count += 1);
        self.wake.notify_one();
    }

    /// There is nothing in it for this device: nothing of it stays.
    async fn turn_away(self: &Arc<Self>, peer: &Arc<dyn Peer>, ledger: CommitId, reason: &str) {
        let (who, space) = (self.who(peer.device()), name(ledger));
        self.parts.journal.note(Event::SpaceTurnedAway { who, space, reason: reason.to_owned() });
        if let Some(room) = self.room(ledger).filter(|room| room.on_probation()) {
            let between = self.clone();
            if let Err(error) = blocking(move || between.clear(&room.kept)).await {
                tracing::warn!(%error, "a space that is not wanted could not be removed");
            }
        }
        let mut peers = self.peers();
        let Some(online) = self.same(&mut peers, peer) else { return };
        online.fruitless.insert(ledger);
        if online.fruitless.len() > FRUITLESS {
            drop(peers);
            peer.offended(Misbehaved::SpacesFlood);
        }
    }

    /// Drops a space whose role was never seen, if nobody goes on telling of it. Blocking.
    pub(super) fn clear_if_left(&self, room: &Room) -> Result<(), SpaceFault> {
        let since = room.facts().probation.map(|probation| probation.since);
        if since.is_some_and(|since| since.elapsed() > GOES_ON) && self.sharing(room.id()).is_empty() {
            self.clear(&room.kept)?;
        }
        Ok(())
    }

    /// Removes a space with its room. Blocking.
    pub(super) fn clear(&self, kept: &Kept) -> Result<(), SpaceFault> {
        if let Some(room) = self.rooms().remove(&kept.space.id()) {
            room.gone.cancel();
        }
        self.parts.spaces.forget(kept)
    }
}

/// The first commit of a ledger, and the session that goes on.
async fn begin(stream: &mut Stream, ledger: CommitId) -> Result<(Commit, Session), Ended> {
    let mut newcomer = Newcomer::new(ledger);
    for _ in 0..MESSAGES {
        let body = read_body(&mut stream.recv, LEDGER_FRAME).await?.ok_or(Ended::Silent)?;
        match newcomer.handle(Message::read(&body)?)? {
            Begin::Send(message) => {
                let frame = message.frame().map_err(FrameError::TooBig)?;
                stream.send.write_all(frame.as_bytes()).await?;
                stream.send.flush().await?;
            }
            Begin::Found(genesis, session) => return Ok((*genesis, session)),
            Begin::Wait => {}
        }
    }
    Err(Misbehaved::FrameOutOfTurn.into())
}
