//! The activity log: takes events from everywhere, stores them sealed, and hands them to whoever listens.
//!
//! Nobody waits for the disk to note something: events go to one writer thread, which stores all that came together in
//! one step and then publishes it. [`Journal::close`] waits until everything is stored. What a peer does over and over is
//! counted ([`Tally`]) rather than written.

use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use api::EventHub;
use api::types::LogEntry;
use logic::audit::{Event, Record, Tally};
use seal::Timestamp;
use store::database::{Database, DatabaseError, EventLog};

use crate::clock;

/// Name of what stands for a damaged entry; such an event is never stored.
const DAMAGED: &str = "log.damaged";

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

    /// Notes that something stored cannot be read, once at each start.
    pub(crate) fn damaged(&self, table: &str, record: impl std::fmt::Display) {
        self.note(Event::RecordDamaged { table: table.to_owned(), record: record.to_string() });
    }

    /// Entries as the API shows them, oldest first. One that cannot be read any more is shown as `log.damaged`, whatever
    /// is asked for: it may be that.
    pub(crate) fn entries(&self, query: &api::types::LogQuery) -> Result<Vec<LogEntry>, DatabaseError> {
        let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
        let wanted = |entry: &LogEntry| {
            entry.event == DAMAGED || query.event.as_ref().is_none_or(|prefix| entry.event.starts_with(prefix))
        };
        // A filter is applied before the limit, so that "the newest ten offers" are ten.
        let fetch = if query.event.is_some() { usize::MAX } else { limit };
        let found = match query.after {
            Some(seq) => self.log.after(seq, fetch)?,
            None => self.log.newest(fetch)?,
        };
        let mut time = found.iter().find_map(|(_, record)| record.as_ref().ok()).map_or(0, |record| record.at.0);
        let shown = found.into_iter().map(|(seq, record)| {
            let shown = record.map_or_else(|error| damaged(seq, time, &error), |record| entry(seq, &record));
            time = shown.time;
            shown
        });
        let mut entries: Vec<_> = shown.filter(wanted).collect();
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

/// The next event; `None` when a count is to be told before.
fn next(events: &Receiver<Record>, wake_at: Option<Timestamp>) -> Result<Option<Record>, RecvError> {
    let Some(wake_at) = wake_at else { return events.recv().map(Some) };
    match events.recv_timeout(wake_at.since(clock::now())) {
        Ok(record) => Ok(Some(record)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Err(RecvError),
    }
}

/// The writer: stores what has gathered, then publishes it.
fn write(log: &EventLog<Record>, hub: &EventHub, events: &Receiver<Record>, keep: u64) {
    let mut since_prune = PRUNE_EVERY;
    let mut tally = Tally::default();
    let mut open = true;
    while open {
        let batch = match next(events, tally.wake_at()) {
            Ok(first) => {
                let mut batch = tally.due(clock::now());
                batch.extend(first.into_iter().chain(events.try_iter()).filter_map(|record| tally.take(record)));
                batch
            }
            Err(RecvError) => {
                open = false;
                tally.close(clock::now())
            }
        };
        if batch.is_empty() {
            continue;
        }
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

/// What stands for an entry that cannot be read any more; it lies beside others of about `time`.
fn damaged(seq: u64, time: i64, error: &DatabaseError) -> LogEntry {
    LogEntry {
        seq,
        time,
        event: DAMAGED.into(),
        outcome: "failed".into(),
        peer: None,
        details: [("reason".to_owned(), error.to_string())].into(),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use api::types::LogQuery;
    use logic::Misbehaved;
    use logic::audit::Who;
    use seal::DeviceId;

    #[test]
    fn a_damaged_entry_hides_no_other_one() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::create(&dir.path().join("database"), seal::RecordKey::generate()).unwrap();
        let journal = Journal::open(&database, EventHub::default(), 100).unwrap();
        journal.note(Event::DeviceLocked {});
        journal.close();
        // A value of another kind, which no record can be read from.
        database.events::<[u8; 9]>().append(&[0xff; 9]).unwrap();
        let journal = Journal::open(&database, EventHub::default(), 100).unwrap();
        journal.note(Event::DeviceUnlocked {});
        journal.close();
        let names = |event: Option<&str>, after| -> Vec<_> {
            let query = LogQuery { after, limit: None, event: event.map(str::to_owned) };
            journal.entries(&query).unwrap().into_iter().map(|entry| (entry.seq, entry.event)).collect()
        };
        let entry = |seq, name: &str| (seq, name.to_owned());
        let damaged = entry(2, "log.damaged");
        assert_eq!(names(None, None), [entry(1, "device.locked"), damaged.clone(), entry(3, "device.unlocked")]);
        assert_eq!(names(Some("device.unlocked"), Some(1)), [damaged, entry(3, "device.unlocked")]);
        let entries = journal.entries(&LogQuery { after: None, limit: None, event: None }).unwrap();
        assert_eq!(entries[1].time, entries[0].time, "it stands beside the one before it");
    }

    #[test]
    fn what_a_peer_repeats_is_counted_and_the_count_is_told_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::create(&dir.path().join("database"), seal::RecordKey::generate()).unwrap();
        let journal = Journal::open(&database, EventHub::default(), 100).unwrap();
        let who = Who { member: Some("mallory".into()), device: Some(DeviceId::from_bytes([1; 32])), address: None };
        journal.note(Event::DeviceUnlocked {});
        for _ in 0..5000 {
            journal.note(Event::PeerMisbehaved { who: who.clone(), offence: Misbehaved::WrongCode });
        }
        journal.note(Event::DeviceLocked {});
        journal.close();
        let entries = journal.entries(&LogQuery::default()).unwrap();
        let names: Vec<_> = entries.iter().map(|entry| entry.event.as_str()).collect();
        assert_eq!(names, ["device.unlocked", "peer.misbehaved", "device.locked", "peer.repeated"]);
        assert_eq!((entries[3].peer.as_deref(), entries[3].details["count"].as_str()), (Some("mallory"), "4999"));
    }
}
