//! What is said in the log.

use api::types::Event as Shown;
use logic::audit::{Event, Who};
use logic::ledger::CommitId;
use seal::DeviceId;

use super::Between;
use super::evidence;
use super::room::Room;
use super::session::name;
use crate::clock;
use crate::spaces::Outcome;

impl Between {
    /// A device, as the log names it.
    pub(super) fn who(&self, device: DeviceId) -> Who {
        let snapshot = self.parts.circle.snapshot();
        let member = snapshot.and_then(|now| now.view.owner(device).map(|owner| owner.shown.clone()));
        Who { member, device: Some(device), address: None }
    }

    pub(super) fn note(&self, event: Event) {
        self.parts.journal.note(event);
    }

    /// A device gets nothing of a space, or no more: said once, until it has a role again.
    pub(super) fn note_refused(&self, device: DeviceId, room: &Room) {
        if room.facts().refused.insert(device) {
            self.note(Event::SpaceRefused { who: self.who(device), space: name(room.id()) });
        }
    }

    pub(super) fn note_rollback(&self, device: DeviceId, space: CommitId) {
        self.note(Event::SpaceRollback { who: self.who(device), space: name(space) });
    }

    pub(super) fn note_older(&self, space: CommitId) {
        self.note(Event::SpaceOlder { space: name(space) });
    }

    pub(super) fn note_withheld(&self, device: DeviceId, space: CommitId) {
        self.note(Event::SpaceWithheld { who: self.who(device), space: name(space) });
    }

    /// Something of a space changed: whoever shows it asks again.
    pub(super) fn show(&self, space: CommitId) {
        self.parts.hub.send(Shown::Space { id: space.to_string() });
    }

    /// Draws the consequences of commits that came. Blocking.
    pub(super) fn consider(&self, room: &Room, outcome: &Outcome) {
        for fork in &outcome.forks {
            match evidence::keep_fork(&room.kept.space, fork, clock::now()) {
                Ok(true) => self.note(Event::SpaceForked {
                    who: self.who(fork.device),
                    space: name(room.id()),
                    number: fork.seq,
                }),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "evidence could not be kept"),
            }
        }
        for (author, offence) in &outcome.refused {
            self.note(Event::PeerMisbehaved { who: self.who(*author), offence: *offence });
        }
    }
}
