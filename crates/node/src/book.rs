//! The peer book: what this device's owner has said about members (pet name, verified, blocked, rule for offers), and
//! what the device remembers of devices (when and where last seen). Kept sealed in the database.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use seal::{DeviceId, MemberId, Timestamp};
use serde::{Deserialize, Serialize};
use store::database::{Database, DatabaseError, Table};

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

/// A trace is stored again when it has changed in more than its time, or that much time has passed.
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
}

impl Book {
    /// Reads what is stored.
    pub(crate) fn open(database: &Database) -> Result<Self, DatabaseError> {
        let (notes, traces) = (database.table("member notes"), database.table("device traces"));
        let state = State {
            notes: keyed(notes.all()?, MemberId::from_bytes),
            traces: keyed(traces.all()?, DeviceId::from_bytes),
        };
        Ok(Self { notes, traces, state: RwLock::new(state) })
    }

    /// What was said about a member.
    pub(crate) fn note(&self, member: MemberId) -> Note {
        self.state.read().unwrap_or_else(PoisonError::into_inner).notes.get(&member).cloned().unwrap_or_default()
    }

    /// Changes what is said about a member; stored when this returns.
    pub(crate) fn change(&self, member: MemberId, change: impl FnOnce(&mut Note)) -> Result<Note, DatabaseError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut note = state.notes.get(&member).cloned().unwrap_or_default();
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
        let old = state.traces.entry(device).or_default();
        let mut new = old.clone();
        change(&mut new);
        let fresh = match (old.last_seen, new.last_seen) {
            (Some(before), Some(after)) => after.since(before) < TRACE_EVERY,
            (before, after) => before == after,
        };
        if fresh && (&old.address, &old.manual) == (&new.address, &new.manual) {
            return Ok(());
        }
        self.traces.put(device.as_bytes(), &new)?;
        *old = new;
        Ok(())
    }
}

/// Rows by id; a key that is no id cannot have been written by us and is left out.
fn keyed<I: std::hash::Hash + Eq, T>(rows: Vec<(Vec<u8>, T)>, id: impl Fn([u8; 32]) -> I) -> HashMap<I, T> {
    rows.into_iter().filter_map(|(key, value)| Some((id(key.try_into().ok()?), value))).collect()
}
