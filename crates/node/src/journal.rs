//! The activity log: takes events from everywhere, stores them sealed, and hands them to whoever listens.
//!
//! Nobody waits for the disk to note something: events go to one writer thread, which stores all that came together in
//! one step and then publishes it. [`Journal::close`] waits until everything is stored.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use api::EventHub;
use api::types::LogEntry;
use logic::audit::{Event, Record};
use store::database::{Database, DatabaseError, EventLog};

use crate::clock;

/// Entries that are written between two looks at how many there are.
const PRUNE_EVERY: u64 = 1000;

/// The log of a running device. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Journal {
    log: Arc<EventLog<Record>>,
    writer: Arc<Mutex<Option<Writer>>>,
}

/// The way to the writer's thread, and the thread.
type Writer = (Sender<Record>, JoinHandle<()>);

impl Journal {
    /// Opens the log and starts its writer. At most `keep` entries stay.
    pub(crate) fn open(database: &Database, hub: EventHub, keep: u64) -> Result<Self, DatabaseError> {
        let log = Arc::new(database.events());
        let (sender, events) = channel();
        let writer = std::thread::Builder::new().name("journal".into()).spawn({
            let log = log.clone();
            move || write(&log, &hub, &events, keep)
        });
        let writer = writer.map(|thread| (sender, thread)).ok();
        Ok(Self { log, writer: Arc::new(Mutex::new(writer)) })
    }

    /// Notes that something happened, now.
    pub(crate) fn note(&self, event: Event) {
        if let Some((sender, _)) = &*self.writer.lock().unwrap_or_else(PoisonError::into_inner) {
            // The writer is gone only after `close`.
            let _ = sender.send(Record { at: clock::now(), event });
        }
    }

    /// Entries as the API shows them, oldest first.
    pub(crate) fn entries(&self, query: &api::types::LogQuery) -> Result<Vec<LogEntry>, DatabaseError> {
        let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
        let wanted = |entry: &LogEntry| query.event.as_ref().is_none_or(|prefix| entry.event.starts_with(prefix));
        // A filter is applied before the limit, so that "the newest ten offers" are ten.
        let fetch = if query.event.is_some() { usize::MAX } else { limit };
        let found = match query.after {
            Some(seq) => self.log.after(seq, fetch)?,
            None => self.log.newest(fetch)?,
        };
        let mut entries: Vec<_> = found.into_iter().map(|(seq, record)| entry(seq, &record)).filter(wanted).collect();
        let surplus = entries.len().saturating_sub(limit);
        match query.after {
            Some(_) => entries.truncate(limit),
            None => drop(entries.drain(..surplus)),
        }
        Ok(entries)
    }

    /// Stores what is still on its way and ends the writer.
    pub(crate) fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((sender, thread)) = writer {
            drop(sender);
            let _ = thread.join();
        }
    }
}

/// The writer: stores what has gathered, then publishes it.
fn write(log: &EventLog<Record>, hub: &EventHub, events: &Receiver<Record>, keep: u64) {
    let mut since_prune = PRUNE_EVERY;
    while let Ok(first) = events.recv() {
        let batch: Vec<Record> = std::iter::once(first).chain(events.try_iter()).collect();
        match log.append_all(&batch) {
            Ok(last) => {
                let first = last + 1 - batch.len() as u64;
                for (seq, record) in (first..).zip(&batch) {
                    hub.send(api::types::Event::Log(entry(seq, record)));
                }
            }
            Err(error) => tracing::error!(%error, lost = batch.len(), "the activity log could not be written"),
        }
        since_prune += batch.len() as u64;
        if since_prune >= PRUNE_EVERY {
            since_prune = 0;
            if let Err(error) = log.prune(keep) {
                tracing::warn!(%error, "old entries of the activity log could not be removed");
            }
        }
    }
}

fn entry(seq: u64, record: &Record) -> LogEntry {
    let event = &record.event;
    LogEntry {
        seq,
        time: record.at.0,
        event: event.name().into(),
        outcome: event.outcome().as_str().into(),
        peer: event.peer(),
        details: event.details().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}
