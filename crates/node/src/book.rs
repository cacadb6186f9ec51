//! The peer book: what this device's owner has said about members (pet name, verified, blocked, rule for offers), and
//! what the device remembers of devices (when and where last seen). Kept sealed in the database.
//!
//! A note that is damaged may have said that its member is blocked: until the owner has said something new, it counts as
//! if it did. A damaged trace is one that was never made.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use seal::{DeviceId, MemberId, Timestamp};
use serde::{Deserialize, Serialize};
use store::database::{Database, DatabaseError, RowId, Table};

/// What the owner has said about a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// What this device calls the member; empty: its own name.
    pub pet_name: String,
    /// The safety words were compared.
    pub verified: bool,
    /// Nothing from or to it.
    pub blocked: bool,
    /// Offers are accepted without asking up to so many bytes.
    pub auto_accept: Option<u64>,
}

impl Note {
    /// What is assumed of a member whose note cannot be read.
    fn lost() -> Self {
        Self { blocked: true, auto_accept: Some(0), ..Self::default() }
    }
}

/// What the device remembers of another device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trace {
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
    /// Where it was last reached.
    pub address: Option<SocketAddr>,
    /// Where the owner said that it is.
    pub manual: Vec<SocketAddr>,
}

/// A trace is stored again when it has changed in more than its time, when that much time has passed, or when the device
/// leaves.
const TRACE_EVERY: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Book {
    notes: Table<Note>,
    traces: Table<Trace>,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    notes: HashMap<MemberId, Note>,
    traces: HashMap<DeviceId, Trace>,
    /// What is stored of traces that have changed since.
    stored: HashMap<DeviceId, Trace>,
    /// Where notes lie that cannot be read. Whose they are shows only once a member is asked for.
    lost: HashSet<RowId>,
}

impl Book {
    /// Reads what is stored; `damaged` hears of what cannot be read: the table and the place in it.
    pub(crate) fn open(database: &Database, damaged: impl Fn(&str, &RowId)) -> Result<Self, DatabaseError> {
        let (notes, traces) = (database.table("member notes"), database.table("device traces"));
        let (said, seen) = (notes.all()?, traces.all()?);
        said.damaged.iter().for_each(|row| damaged(notes.name(), row));
        seen.damaged.iter().for_each(|row| damaged(traces.name(), row));
        let state = State {
            notes: keyed(said.values, MemberId::from_bytes),
            traces: keyed(seen.values, DeviceId::from_bytes),
            stored: HashMap::new(),
            lost: said.damaged.into_iter().collect(),
        };
        Ok(Self { notes, traces, state: RwLock::new(state) })
    }

    /// What was said about a member.
    pub(crate) fn note(&self, member: MemberId) -> Note {
        self.known(&self.state.read().unwrap_or_else(PoisonError::into_inner), member)
    }

    fn known(&self, state: &State, member: MemberId) -> Note {
        match state.notes.get(&member) {
            Some(note) => note.clone(),
            None if !state.lost.is_empty() && state.lost.contains(&self.notes.row(member.as_bytes())) => Note::lost(),
            None => Note::default(),
        }
    }

    /// Changes what is said about a member; stored when this returns.
    pub(crate) fn change(&self, member: MemberId, change: impl FnOnce(&mut Note)) -> Result<Note, DatabaseError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut note = self.known(&state, member);
        change(&mut note);
        self.notes.put(member.as_bytes(), &note)?;
        state.notes.insert(member, note.clone());
        Ok(note)
    }

    /// What is remembered of a device.
    pub(crate) fn trace(&self, device: DeviceId) -> Trace {
        self.state.read().unwrap_or_else(PoisonError::into_inner).traces.get(&device).cloned().unwrap_or_default()
    }

    /// The device is there now, at `address` if that is known.
    pub(crate) fn seen(
        &self,
        device: DeviceId,
        address: Option<SocketAddr>,
        now: Timestamp,
    ) -> Result<(), DatabaseError> {
        self.retrace(device, |trace| {
            trace.last_seen = Some(now);
            trace.address = address.or(trace.address);
        })
    }

    /// The link to a device has ended: it was there when it was last heard, and not after that.
    pub(crate) fn left(&self, device: DeviceId) -> Result<(), DatabaseError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(trace) = state.stored.contains_key(&device).then(|| state.traces.get(&device)).flatten() {
            self.traces.put(device.as_bytes(), trace)?;
            state.stored.remove(&device);
        }
        Ok(())
    }

    /// The owner says where a device is.
    pub(crate) fn located(&self, device: DeviceId, address: SocketAddr) -> Result<(), DatabaseError> {
        self.retrace(device, |trace| {
            if !trace.manual.contains(&address) {
                trace.manual.push(address);
            }
        })
    }

    fn retrace(&self, device: DeviceId, change: impl FnOnce(&mut Trace)) -> Result<(), DatabaseError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let trace = state.traces.entry(device).or_default();
        let before = trace.clone();
        change(trace);
        let now = trace.clone();
        let stored = state.stored.entry(device).or_insert(before);
        let fresh = match (stored.last_seen, now.last_seen) {
            (Some(before), Some(after)) => after.since(before) < TRACE_EVERY,
            (before, after) => before == after,
        };
        if fresh && (&stored.address, &stored.manual) == (&now.address, &now.manual) {
            return Ok(());
        }
        self.traces.put(device.as_bytes(), &now)?;
        state.stored.remove(&device);
        Ok(())
    }
}

/// Rows by id; a key that is no id cannot have been written by us and is left out.
fn keyed<I: std::hash::Hash + Eq, T>(rows: Vec<(Vec<u8>, T)>, id: impl Fn([u8; 32]) -> I) -> HashMap<I, T> {
    rows.into_iter().filter_map(|(key, value)| Some((id(key.try_into().ok()?), value))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::RefCell;

    use super::*;

    fn member(number: u8) -> MemberId {
        MemberId::from_bytes([number; 32])
    }

    #[test]
    fn a_device_that_leaves_was_last_seen_when_it_was_last_heard() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::create(&dir.path().join("database"), seal::RecordKey::generate()).unwrap();
        let open = || Book::open(&database, |_, _| ()).unwrap();
        let (book, device) = (open(), DeviceId::from_bytes([7; 32]));
        let last_seen = |book: &Book| book.trace(device).last_seen.map(|at| at.0);
        for at in [100_000, 130_000, 145_000] {
            book.seen(device, None, Timestamp(at)).unwrap();
        }
        assert_eq!((last_seen(&book), last_seen(&open())), (Some(145_000), Some(100_000)), "stored now and then");
        book.left(device).unwrap();
        assert_eq!((last_seen(&book), last_seen(&open())), (Some(145_000), Some(145_000)));
        book.seen(device, None, Timestamp(206_000)).unwrap();
        assert_eq!(last_seen(&open()), Some(206_000));
    }

    #[test]
    fn a_member_whose_note_is_damaged_is_blocked_until_the_owner_says_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::create(&dir.path().join("database"), seal::RecordKey::generate()).unwrap();
        let heard = RefCell::new(Vec::new());
        let open = || {
            heard.borrow_mut().clear();
            Book::open(&database, |table, _| heard.borrow_mut().push(table.to_owned())).unwrap()
        };
        let book = open();
        book.change(member(1), |note| note.blocked = true).unwrap();
        book.change(member(2), |note| note.pet_name = "bo".into()).unwrap();
        let device = DeviceId::from_bytes([7; 32]);
        book.located(device, "192.0.2.7:4433".parse().unwrap()).unwrap();
        // Values of another kind, which nothing can be read from.
        database.table::<[u8; 1]>("member notes").put(member(1).as_bytes(), &[0xff]).unwrap();
        database.table::<[u8; 1]>("device traces").put(device.as_bytes(), &[0xff]).unwrap();

        let book = open();
        assert_eq!(*heard.borrow(), ["member notes", "device traces"]);
        assert!(book.note(member(1)).blocked, "a block was forgotten");
        assert_eq!(book.note(member(2)).pet_name, "bo");
        assert_eq!(book.note(member(3)), Note::default());
        assert_eq!(book.trace(device), Trace::default());
        book.change(member(1), |note| note.blocked = false).unwrap();
        book.located(device, "192.0.2.7:4433".parse().unwrap()).unwrap();
        let unblocked = Note { auto_accept: Some(0), ..Note::default() };
        assert_eq!((book.note(member(1)), &open().note(member(1))), (unblocked.clone(), &unblocked));
        assert!(heard.borrow().is_empty());
    }
}
