//! What the transfers stand on in a device with a home: decisions about offers, signatures, names, the log, the database.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use logic::audit::{Event, Who};
use logic::transfer::{Offer, TransferId};
use seal::{DeviceId, Keyring, Purpose, Signature};
use store::database::{Database, Table};
use store::settings::Settings;
use store::spool::{SpoolFile, SpoolId};

use crate::book::Book;
use crate::circle::Circle;
use crate::inputs::Inputs;
use crate::journal::Journal;
use crate::transfers::{Decision, Happened, Host, Remembered, Shelf, What};

/// See the module.
pub(crate) struct Ground {
    circle: Arc<Circle>,
    book: Arc<Book>,
    keyring: Arc<Keyring>,
    journal: Journal,
    settings: Arc<RwLock<Settings>>,
    home: PathBuf,
}

impl Ground {
    pub(crate) fn new(
        circle: Arc<Circle>,
        book: Arc<Book>,
        keyring: Arc<Keyring>,
        journal: Journal,
        settings: Arc<RwLock<Settings>>,
        home: PathBuf,
    ) -> Self {
        Self { circle, book, keyring, journal, settings, home }
    }

    fn settings(&self) -> Settings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Most bytes that are accepted from a device without asking.
    fn ceiling(&self, peer: &DeviceId) -> u64 {
        let everybody = self.settings().auto_accept.0;
        let member = self.circle.snapshot().and_then(|now| now.view.owner(*peer).map(|owner| owner.member));
        member.and_then(|member| self.book.note(member).auto_accept).unwrap_or(everybody)
    }
}

impl Host for Ground {
    fn me(&self) -> DeviceId {
        self.circle.device()
    }

    fn peer_name(&self, peer: &DeviceId) -> String {
        name(&self.circle, &self.book, *peer)
    }

    fn decide(&self, peer: &DeviceId, offer: &Offer) -> Decision {
        let ceiling = self.ceiling(peer);
        if ceiling == 0 || offer.found.bytes > ceiling {
            Decision::Ask
        } else if offer.complete {
            Decision::Accept { to: None, ceiling: None }
        } else {
            // Content may flow while the sender still counts; what goes above the rule is refused on the way.
            Decision::Accept { to: None, ceiling: Some(ceiling) }
        }
    }

    fn received_dir(&self) -> PathBuf {
        self.home.join(&self.settings().received_dir)
    }

    fn sign(&self, receipt: &[u8]) -> Signature {
        self.keyring.device.sign(Purpose::TransferReceipt, receipt)
    }

    fn happened(&self, event: Happened) {
        let member = self.circle.snapshot().and_then(|now| now.view.owner(event.peer).map(|owner| owner.shown.clone()));
        self.journal.note(logged(Who { member, device: Some(event.peer), address: None }, event));
    }
}

/// How listings call a device's member: pet name, else the name in the circle, else the id.
pub(crate) fn name(circle: &Circle, book: &Book, device: DeviceId) -> String {
    let Some(now) = circle.snapshot() else { return device.short() };
    let Some(member) = now.view.owner(device) else { return device.short() };
    let note = book.note(member.member);
    if note.pet_name.is_empty() { member.shown.clone() } else { note.pet_name }
}

/// What happened to a transfer, in the log's words.
fn logged(who: Who, event: Happened) -> Event {
    let transfer = event.transfer;
    match event.what {
        What::Offered { names } => Event::OfferSent { who, transfer, names },
        What::OfferReceived { names, bytes } => Event::OfferReceived { who, transfer, names, bytes },
        What::Accepted { by } => Event::OfferAccepted { who, transfer, by: by.into() },
        What::Rejected { reason } => Event::OfferRejected { who, transfer, reason },
        What::Paused => Event::TransferPaused { who, transfer },
        What::Resumed => Event::TransferResumed { who, transfer },
        What::Cut { reason } => Event::TransferInterrupted { who, transfer, reason },
        What::Done { files, bytes, took_ms } => {
            let direction = if event.outgoing { "sent" } else { "received" };
            Event::TransferDone { who, transfer, direction: direction.into(), files, bytes, took_ms }
        }
        What::Cancelled { here } => {
            Event::TransferCancelled { who, transfer, by: if here { "here" } else { "there" }.into() }
        }
        What::Failed { reason } => Event::TransferFailed { who, transfer, reason },
        What::FileFailed { path, reason } => Event::TransferFileFailed { who, transfer, path, reason },
        What::FileChanged { path } => Event::TransferFileChanged { who, transfer, path },
        What::Misbehaved(offence) => Event::PeerMisbehaved { who, offence },
    }
}

/// Transfers in the sealed database, content that was handed over in the spool.
struct Rows(Table<Vec<u8>>, Arc<Inputs>);

/// Name of the table of transfers, in the database and in the log.
pub(crate) const TRANSFERS: &str = "transfers";

/// Where transfers are remembered.
pub(crate) fn shelf(database: &Database, inputs: Arc<Inputs>) -> Arc<dyn Shelf> {
    Arc::new(Rows(database.table(TRANSFERS), inputs))
}

impl Shelf for Rows {
    fn put(&self, id: &TransferId, record: &[u8]) -> io::Result<()> {
        self.0.put(&id.0, &record.to_vec()).map_err(io::Error::from)
    }

    fn remove(&self, id: &TransferId) -> io::Result<()> {
        self.0.delete(&id.0).map(drop).map_err(io::Error::from)
    }

    fn all(&self) -> io::Result<Remembered> {
        let rows = self.0.all().map_err(io::Error::from)?;
        let id = |(id, record): (Vec<u8>, _)| Some((TransferId(id.try_into().ok()?), record));
        Ok(Remembered {
            records: rows.values.into_iter().filter_map(id).collect(),
            damaged: rows.damaged.iter().map(ToString::to_string).collect(),
        })
    }

    fn open_input(&self, id: &SpoolId) -> io::Result<Arc<SpoolFile>> {
        self.1.open(id).map(Arc::new)
    }

    fn remove_input(&self, id: &SpoolId) {
        self.1.remove(id);
    }
}
