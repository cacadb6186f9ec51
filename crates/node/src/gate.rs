//! The device's answers to the network: who we are, who may come in.

use std::net::SocketAddr;
use std::sync::Arc;

use logic::Misbehaved;
use logic::audit::{Event, Who};
use logic::hello::Credentials;
use net::Admission;
use seal::{DeviceId, Timestamp};

use crate::book::Book;
use crate::circle::Circle;
use crate::clock;
use crate::desk::Desk;
use crate::journal::Journal;

/// Asks circle, book and desk; tells the journal.
pub(crate) struct Gate {
    circle: Arc<Circle>,
    book: Arc<Book>,
    desk: Arc<Desk>,
    journal: Journal,
}

impl Gate {
    pub(crate) fn new(circle: Arc<Circle>, book: Arc<Book>, desk: Arc<Desk>, journal: Journal) -> Self {
        Self { circle, book, desk, journal }
    }

    fn member(&self, device: DeviceId) -> Option<(seal::MemberId, String)> {
        let now = self.circle.snapshot()?;
        now.view.owner(device).map(|owner| (owner.member, owner.shown.clone()))
    }
}

impl Admission for Gate {
    fn credentials(&self) -> Option<Credentials> {
        self.circle.snapshot()?.credentials.clone()
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn blocked(&self, device: DeviceId) -> bool {
        self.member(device).is_some_and(|(member, _)| self.book.note(member).blocked)
    }

    fn guests_welcome(&self) -> bool {
        self.desk.is_open()
    }

    fn report(&self, from: Option<DeviceId>, address: Option<SocketAddr>, offence: Misbehaved) {
        let member = from.and_then(|device| self.member(device)).map(|(_, name)| name);
        self.journal.note(Event::PeerMisbehaved { who: Who { member, device: from, address }, offence });
    }
}
