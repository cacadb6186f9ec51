//! What devices tell each other about the circle, over the control stream of a link.

use logic::Misbehaved;
use logic::roster::{RosterUpdate, Summary};
use logic::wire::Control;
use net::{ConnectError, Link};

use super::Links;
use crate::circle::CircleError;

impl Links {
    /// Tells everybody online what the roster's digest is now.
    pub(super) fn tell_all(&self) {
        let Ok(digest) = self.parts.circle.digest() else { return };
        for online in self.table().links.values() {
            // Whoever's outbox is full hears it at the next change or link.
            let _ = online.control.try_send(Control::RosterDigest(digest));
        }
    }

    /// A hello may bring newer revocation lists and certificates that nobody has told us about.
    pub(super) fn learn_from_hello(&self, link: &Link) {
        let peer = link.peer();
        let update = RosterUpdate::of(peer.chain().iter().rev(), peer.newer_crls(), []);
        match self.parts.circle.merge(&update) {
            Ok(changes) => self.note_changes(&changes),
            Err(error) => tracing::warn!(%error, "a proven hello did not fit the roster"),
        }
    }

    /// Who has been removed hears it, with the evidence, from the next device that it dials.
    pub(super) fn learn_from_refusal(&self, error: &ConnectError) {
        let ConnectError::Removed(crl) = error else { return };
        match self.parts.circle.merge(&RosterUpdate::of([], [crl.as_ref()], [])) {
            Ok(changes) => self.note_changes(&changes),
            Err(error) => tracing::warn!(%error, "a revocation list could not be stored"),
        }
    }

    /// Answers a message about the roster; `asked` is the summary that we sent last over this link.
    pub(super) fn gossip(&self, message: Control, asked: &mut Option<Summary>) -> Result<Option<Control>, Misbehaved> {
        let circle = &self.parts.circle;
        let ask = |asked: &mut Option<Summary>| {
            let summary = circle.summary().ok()?;
            *asked = Some(summary.clone());
            Some(Control::RosterSummary(Box::new(summary)))
        };
        Ok(match message {
            Control::RosterDigest(theirs) if circle.digest().is_ok_and(|ours| ours != theirs) => ask(asked),
            Control::RosterSummary(theirs) => {
                let missing = circle.read(|roster| roster.missing(&theirs)).ok();
                missing.filter(|update| !update.is_empty()).map(|update| Control::RosterUpdate(Box::new(update)))
            }
            Control::RosterUpdate(update) => {
                if let Some(asked) = asked.take() {
                    update.check_answer(&asked)?;
                }
                match circle.merge(&update) {
                    Ok(changes) => self.note_changes(&changes),
                    Err(CircleError::OwnRecord(offence)) => return Err(offence),
                    Err(error) => tracing::error!(%error, "what a peer said about the circle could not be stored"),
                }
                if update.more { ask(asked) } else { None }
            }
            _ => None,
        })
    }
}
