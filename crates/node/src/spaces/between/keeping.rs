//! What this device does by itself for each space: enters, gives keys, signs what it holds, finds out which objects it
//! wants, and says that something changed.

use std::sync::Arc;
use std::time::Duration;

use logic::audit::Event;
use logic::ledger::{RealmId, SpaceRole};
use tokio::time::{Instant, sleep_until};

use super::Between;
use super::errors::{Ended, blocking};
use super::room::{Own, Probation, Room};
use super::session::name;
use crate::clock;
use crate::spaces::{Kept, SpaceFault, contents};

/// At most so often it is said that a space changed.
const SHOW_EVERY: Duration = Duration::from_millis(500);
/// A statement is signed when nothing has changed for this time,
const QUIET: Duration = Duration::from_secs(2);
/// or after this one.
const LATEST: Duration = Duration::from_secs(10);
/// Owners' devices wait for each other so long before they change keys.
const TURN: Duration = Duration::from_secs(2);
/// How often suspicions are looked at again, and what could not be done is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// What is to be done, and when.
#[derive(Default)]
struct Due {
    shown: Option<Instant>,
    show: Option<Instant>,
    state: Option<(Instant, Instant)>,
    keys: Option<Instant>,
    look: Option<Instant>,
    want: Option<Instant>,
}

impl Between {
    /// Makes the room of a space, and begins to look after it.
    pub(super) fn furnish(
        self: &Arc<Self>,
        kept: Arc<Kept>,
        probation: Option<Probation>,
    ) -> Result<Arc<Room>, SpaceFault> {
        let circle = self.parts.circle.snapshot();
        let device = self.parts.circle.device();
        let member = circle.and_then(|now| now.view.devices.get(&device).map(|own| own.member));
        let room = Room::new(kept.clone(), Own { device, member }, probation)?;
        // Cut off before its role was seen: it never was this device's.
        if probation.is_none() && member.is_some() && room.own_role()?.is_none() && !room.has_entered()? {
            self.parts.spaces.forget(&kept)?;
            room.gone.cancel();
            return Ok(room);
        }
        let mut rooms = self.rooms();
        if let Some(there) = rooms.get(&room.id()) {
            return Ok(there.clone());
        }
        rooms.insert(room.id(), room.clone());
        drop(rooms);
        if room.look_back()? {
            self.note_older(room.id());
        }
        // What went with a part of the disk is asked for again, also by whoever cannot read; unless it is asked for already.
        if room.queue.len() == 0 {
            contents::lost(&room.kept, &self.parts.spaces.objects, |ids| room.queue.want(&room.kept.space, ids))?;
        }
        let (between, kept) = (self.clone(), room.clone());
        self.tasks.spawn(async move {
            let (gone, stop) = (kept.gone.clone(), between.stop.clone());
            tokio::select! {
                () = gone.cancelled() => {}
                () = stop.cancelled() => {}
                () = between.look_after(kept) => {}
            }
        });
        Ok(room)
    }

    async fn look_after(self: Arc<Self>, room: Arc<Room>) {
        let (mut changed, mut stated) = (room.kept.space.watch(), room.stated.subscribe());
        changed.mark_changed();
        let mut fetched = room.fetched.subscribe();
        let (mut due, mut decisions) = (Due::default(), 0);
        loop {
            let state = due.state.map(|(quiet, latest)| quiet.min(latest));
            let next = [due.show, state, due.keys, due.look, due.want];
            let next = next.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + LOOK_EVERY);
            let news = tokio::select! {
                _ = changed.changed() => true,
                _ = stated.changed() => true,
                _ = fetched.changed() => {
                    // What came may list more that is wanted.
                    due.want.get_or_insert(Instant::now() + SHOW_EVERY);
                    due.show.get_or_insert(Instant::now() + SHOW_EVERY);
                    false
                }
                () = sleep_until(next) => false,
            };
            let now = Instant::now();
            if news {
                due.show.get_or_insert(due.shown.map_or(now, |shown| now.max(shown + SHOW_EVERY)));
                if !room.on_probation() {
                    let latest = due.state.map_or(now + LATEST, |(_, latest)| latest);
                    due.state = Some((now + QUIET, latest));
                    self.after_change(&room, &mut decisions, &mut due).await;
                }
            }
            self.do_what_is_due(&room, &mut due, now).await;
        }
    }

    /// Looks what a change means for this device.
    async fn after_change(self: &Arc<Self>, room: &Arc<Room>, decisions: &mut usize, due: &mut Due) {
        let (between, kept, before) = (self.clone(), room.clone(), *decisions);
        let looked = blocking(move || {
            let now = kept.decisions()?;
            between.enter(&kept)?;
            // Keys do not wait for contents.
            if let Err(error) = between.want_new(&kept, now != before) {
                tracing::warn!(space = %kept.id(), %error, "what is wanted could not be looked up");
            }
            Ok::<_, SpaceFault>(now)
        });
        match looked.await {
            Ok(now) if now != *decisions => {
                *decisions = now;
                // Rights may have changed: who is told of it, and who has which keys.
                self.wake.notify_one();
                due.keys = Some(Instant::now() + TURN * self.turn(room));
            }
            Ok(_) => {}
            Err(error) => {
                due.look.get_or_insert(Instant::now() + LOOK_EVERY);
                tracing::warn!(space = %room.id(), %error, "a change of a space could not be followed up");
            }
        }
    }

    /// Enters where this device has a role and has not. Blocking.
    fn enter(&self, room: &Room) -> Result<(), SpaceFault> {
        if room.enter(self.parts.spaces.chain()?, clock::now())? {
            self.note(Event::SpaceEntered { space: name(room.id()) });
        }
        Ok(())
    }

    /// How many other devices of owners are there that come first in giving keys.
    fn turn(&self, room: &Room) -> u32 {
        let online: Vec<_> = self.peers().keys().copied().collect();
        let owners = room.kept.space.look(|ledger, _| {
            let owns = |device: &seal::DeviceId| ledger.role_of(*device, RealmId::ROOT) == Some(SpaceRole::Owner);
            Ok(online.iter().filter(|device| **device < room.own.device).filter(|device| owns(device)).count())
        });
        owners.map_or(0, |owners| u32::try_from(owners).unwrap_or(u32::MAX).min(8))
    }

    async fn do_what_is_due(self: &Arc<Self>, room: &Arc<Room>, due: &mut Due, now: Instant) {
        if due.show.is_some_and(|at| at <= now) {
            (due.show, due.shown) = (None, Some(now));
            self.show(room.id());
        }
        if due.want.is_some_and(|at| at <= now) {
            due.want = None;
            let (between, kept) = (self.clone(), room.clone());
            said(blocking(move || between.want_new(&kept, false)).await, room, "what is wanted could not be looked up");
        }
        if due.keys.is_some_and(|at| at <= now) {
            due.keys = None;
            let kept = room.clone();
            let done = blocking(move || match kept.own_role()? {
                Some(SpaceRole::Owner) => kept.kept.space.rekey_where_due(clock::now()).map(drop),
                _ => Ok(()),
            });
            let done = done.await;
            if done.is_err() {
                due.keys = Some(now + LOOK_EVERY);
            }
            said(done, room, "keys could not be changed");
        }
        if due.state.is_some_and(|(quiet, latest)| quiet.min(latest) <= now) {
            due.state = None;
            let kept = room.clone();
            said(blocking(move || kept.state(clock::now()).map(drop)).await, room, "nothing could be signed");
        }
        let look = *due.look.get_or_insert(now + LOOK_EVERY);
        if look <= now {
            due.look = Some(now + LOOK_EVERY);
            let (between, kept) = (self.clone(), room.clone());
            let looked = blocking(move || between.suspect_all(&kept));
            said(looked.await, room, "what others show could not be compared");
        }
    }

    /// Looks again at what peers show, and for what could not be done before. Blocking.
    fn suspect_all(&self, room: &Room) -> Result<(), SpaceFault> {
        if room.on_probation() {
            return self.clear_if_left(room);
        }
        let online: Vec<_> = self.peers().keys().copied().collect();
        for device in online {
            if room.suspect(device, clock::now())? {
                self.note_withheld(device, room.id());
            }
        }
        room.resolve()?;
        self.enter(room)?;
        contents::mark_time(&room.kept, clock::now())?;
        self.want_new(room, false)
    }
}

fn said(done: Result<(), Ended>, room: &Room, what: &str) {
    if let Err(error) = done {
        tracing::warn!(space = %room.id(), %error, "{what}");
    }
}
