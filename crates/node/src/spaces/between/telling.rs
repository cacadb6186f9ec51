//! Who is told of which spaces, and which sessions there are.
//!
//! Each side tells the other of the ledgers that the other may have. A session is opened by the side with the smaller device
//! id, or by the side that was told of a ledger that it did not tell of: the other one cannot know that it is wanted. If
//! both open one at the same time, that of the smaller id stays.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use logic::Misbehaved;
use logic::ledger::CommitId;
use logic::ledger::session::Session;
use logic::limits::SPACES_TOLD;
use logic::wire::StreamHeader;
use seal::DeviceId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::errors::{Ended, blocking};
use super::ports::Peer;
use super::room::Room;
use super::session::Talk;
use super::{Between, Online, Open};
use crate::spaces::SpaceFault;
use crate::transfers::Stream;

/// How often it is looked whether all sessions are there.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After a failure, a session is opened again after this time, twice as long each time, up to the second one.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// The right to hold the one session with a peer about a ledger.
pub(super) struct Claim {
    between: Arc<Between>,
    device: DeviceId,
    ledger: CommitId,
    number: u64,
    pub(super) end: CancellationToken,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut peers = self.between.peers();
        if let Some(online) = peers.get_mut(&self.device)
            && online.sessions.get(&self.ledger).is_some_and(|open| open.number == self.number)
        {
            online.sessions.remove(&self.ledger);
        }
    }
}

impl Between {
    /// The loop. Ends when [`Between::stop`] is called.
    pub(crate) async fn run(self: Arc<Self>) {
        let (mut listed, mut circle) = (self.parts.spaces.watch(), self.parts.circle.watch());
        loop {
            let between = self.clone();
            if let Err(error) = blocking(move || between.look_around()).await {
                tracing::warn!(%error, "spaces could not be looked at");
            }
            self.open_sessions();
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.wake.notified() => {}
                _ = listed.changed() => {}
                _ = circle.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Brings rooms in step with the spaces, and tells everybody what is new for them. Blocking.
    fn look_around(self: &Arc<Self>) -> Result<(), SpaceFault> {
        let furnishing = self.furnishing.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.parts.spaces.all();
        let ids: BTreeSet<_> = kept.iter().map(|kept| kept.space.id()).collect();
        let left: Vec<_> = {
            let mut rooms = self.rooms();
            let gone: Vec<_> = rooms.keys().filter(|id| !ids.contains(id)).copied().collect();
            gone.into_iter().filter_map(|id| rooms.remove(&id)).collect()
        };
        left.iter().for_each(|room| room.gone.cancel());
        for kept in kept {
            if self.room(kept.space.id()).is_none() {
                let ledger = kept.space.id();
                if let Err(error) = self.furnish(kept, None) {
                    tracing::warn!(%ledger, %error, "a space could not be looked after");
                }
            }
        }
        drop(furnishing);
        for peer in self.online() {
            self.tell(&peer)?;
        }
        Ok(())
    }

    /// Tells a peer which ledgers it may have, if that is news.
    fn tell(&self, peer: &Arc<dyn Peer>) -> Result<(), SpaceFault> {
        let rooms: Vec<_> = self.rooms().values().cloned().collect();
        let mut ours = Vec::new();
        for room in rooms.iter().filter(|room| !room.on_probation()) {
            match room.access(peer.device(), peer.member()) {
                Ok(access) if access.is_full() => ours.push(room.id()),
                Ok(_) => {}
                // One that cannot be read keeps nobody from the others.
                Err(error) => tracing::warn!(ledger = %room.id(), %error, "a space could not be looked at"),
            }
        }
        ours.truncate(SPACES_TOLD);
        let Some(before) = self.same(&mut self.peers(), peer).map(|online| online.ours.clone()) else {
            return Ok(());
        };
        let nothing = before.is_none() && ours.is_empty();
        if nothing || before.as_ref() == Some(&ours) {
            return Ok(());
        }
        self.told_by_us(peer, Some(ours.clone()));
        if !peer.tell(ours) {
            self.told_by_us(peer, before);
        }
        Ok(())
    }

    fn told_by_us(&self, peer: &Arc<dyn Peer>, ours: Option<Vec<CommitId>>) {
        if let Some(online) = self.same(&mut self.peers(), peer) {
            online.ours = ours;
        }
    }

    /// A peer says which ledgers it would give this device.
    ///
    /// # Errors
    /// More than allowed.
    pub(crate) fn told(&self, peer: &Arc<dyn Peer>, ledgers: Vec<CommitId>) -> Result<(), Misbehaved> {
        if ledgers.len() > SPACES_TOLD {
            return Err(Misbehaved::SpacesFlood);
        }
        if let Some(online) = self.same(&mut self.peers(), peer) {
            online.theirs = ledgers.into_iter().collect();
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Opens the sessions that are missing and are this device's to open.
    fn open_sessions(self: &Arc<Self>) {
        for peer in self.online() {
            for ledger in self.missing(&peer) {
                match self.room(ledger) {
                    Some(room) => self.spawn_session(&peer, room),
                    None => self.spawn_learning(&peer, ledger),
                }
            }
        }
    }

    fn missing(&self, peer: &Arc<dyn Peer>) -> Vec<CommitId> {
        let rooms: BTreeSet<_> = self.rooms().keys().copied().collect();
        let (now, own) = (Instant::now(), self.parts.circle.device());
        let peers = self.peers();
        let Some(online) = peers.get(&peer.device()) else { return Vec::new() };
        let told = |ledger: &CommitId| online.ours.as_ref().is_some_and(|ours| ours.contains(ledger));
        let mine = |ledger: &CommitId| own < peer.device() || !told(ledger) || !rooms.contains(ledger);
        let due = |ledger: &CommitId| online.later.get(ledger).is_none_or(|(at, _)| *at <= now);
        let ledgers = online.theirs.iter().filter(|ledger| !online.sessions.contains_key(ledger));
        ledgers.filter(|ledger| mine(ledger) && due(ledger) && !online.fruitless.contains(ledger)).copied().collect()
    }

    /// Takes the right to hold the session about a ledger, unless there is one that stays.
    pub(super) fn claim(self: &Arc<Self>, peer: &Arc<dyn Peer>, ledger: CommitId, by_us: bool) -> Option<Claim> {
        let (device, own) = (peer.device(), self.parts.circle.device());
        let mut peers = self.peers();
        let online = peers.get_mut(&device).filter(|online| Arc::ptr_eq(&online.peer, peer))?;
        match online.sessions.get(&ledger) {
            Some(_) if by_us => return None,
            // Both have opened one: that of the smaller id stays.
            Some(open) if open.by_us && own < device => return None,
            Some(open) => open.end.cancel(),
            None => {}
        }
        let number = {
            let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
            *claims += 1;
            *claims
        };
        let end = online.gone.child_token();
        online.sessions.insert(ledger, Open { number, by_us, end: end.clone() });
        Some(Claim { between: self.clone(), device, ledger, number, end })
    }

    fn spawn_session(self: &Arc<Self>, peer: &Arc<dyn Peer>, room: Arc<Room>) {
        let Some(claim) = self.claim(peer, room.id(), true) else { return };
        let (between, peer) = (self.clone(), peer.clone());
        self.tasks.spawn(async move {
            let ledger = room.id();
            let opened = tokio::select! {
                () = claim.end.cancelled() => return,
                opened = peer.open(StreamHeader::Space { ledger }, false) => opened,
            };
            let session = Session::new(ledger);
            let ended = match opened {
                Ok(stream) => between.clone().converse(&claim, room, &peer, session, stream).await,
                Err(error) => Err(error.into()),
            };
            between.ended(&peer, ledger, &ended);
        });
    }

    /// A peer opened a session.
    pub(super) async fn serve_session(self: &Arc<Self>, peer: &Arc<dyn Peer>, ledger: CommitId, stream: Stream) {
        // Kept no more, or not yet: the peer will hear of it.
        let Some(room) = self.room(ledger) else { return };
        let Some(claim) = self.claim(peer, ledger, false) else { return };
        let session = Session::new(ledger);
        let ended = self.clone().converse(&claim, room, peer, session, stream).await;
        self.ended(peer, ledger, &ended);
    }

    /// Talks about a space, fetches objects from the peer and hands it some, until one of the three or the claim ends.
    pub(super) async fn converse(
        self: Arc<Self>,
        claim: &Claim,
        room: Arc<Room>,
        peer: &Arc<dyn Peer>,
        session: Session,
        stream: Stream,
    ) -> Result<(), Ended> {
        let talk = Talk::new(self.clone(), room.clone(), peer.clone(), session);
        tokio::select! {
            () = claim.end.cancelled() => Ok(()),
            () = room.gone.cancelled() => Ok(()),
            ended = talk.clone().run(stream) => ended,
            never = self.fetch_from(&room, peer) => never,
            never = self.hand_to(&room, peer) => never,
        }
    }

    /// A session is over: what the peer did is noted, and when to try again.
    pub(super) fn ended(self: &Arc<Self>, peer: &Arc<dyn Peer>, ledger: CommitId, ended: &Result<(), Ended>) {
        if let Err(error) = ended {
            tracing::debug!(peer = %peer.device().short(), %ledger, %error, "a session ended");
        }
        if let Some(offence) = ended.as_ref().err().and_then(Ended::offence)
            && !matches!(offence, Misbehaved::FrameTruncated)
        {
            peer.offended(offence);
        }
        let mut peers = self.peers();
        let Some(online) = self.same(&mut peers, peer) else { return };
        let failed = online.later.get(&ledger).map_or(0, |(_, tries)| *tries) + 1;
        let tries = if ended.is_ok() { 0 } else { failed };
        let pause = AGAIN.0.saturating_mul(1 << tries.min(10)).min(AGAIN.1);
        online.later.insert(ledger, (Instant::now() + pause, tries));
        drop(peers);
        let wake = self.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = wake.stop.cancelled() => {}
                () = tokio::time::sleep(pause) => wake.wake.notify_one(),
            }
        });
    }

    /// The peer's place, if it is still this link's.
    pub(super) fn same<'a>(
        &self,
        peers: &'a mut std::collections::HashMap<DeviceId, Online>,
        peer: &Arc<dyn Peer>,
    ) -> Option<&'a mut Online> {
        peers.get_mut(&peer.device()).filter(|online| Arc::ptr_eq(&online.peer, peer))
    }
}
