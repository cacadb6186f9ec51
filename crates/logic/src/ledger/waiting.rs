//! Commits that came before something that they name. Bounded per author and per peer, so that nobody fills the room for
//! others; what does not fit is dropped and comes again with the next exchange.

use std::collections::{BTreeMap, BTreeSet};

use seal::{DeviceId, Timestamp};

use super::commit::Commit;
use super::header::Seen;
use super::id::CommitId;
use crate::limits::{WAITING_BYTES, WAITING_COMMITS};

/// A commit that waits.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) commit: Commit,
    pub(super) from: Option<DeviceId>,
    since: Timestamp,
    missing: BTreeSet<CommitId>,
}

/// Something that others wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What is missing.
    pub wanted: Seen,
    /// Since when.
    pub since: Timestamp,
    /// How many commits name it.
    pub waiting: usize,
}

#[derive(Debug, Clone)]
struct Wanted {
    what: Seen,
    since: Timestamp,
    by: BTreeSet<CommitId>,
}

/// How much somebody has here.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    commits: usize,
    bytes: usize,
}

impl Load {
    fn has_room(self, bytes: usize) -> bool {
        self.commits < WAITING_COMMITS && self.bytes + bytes <= WAITING_BYTES
    }
}

/// The room.
#[derive(Debug, Clone, Default)]
pub(super) struct WaitingRoom {
    guests: BTreeMap<CommitId, Guest>,
    wanted: BTreeMap<CommitId, Wanted>,
    authors: BTreeMap<DeviceId, Load>,
    peers: BTreeMap<Option<DeviceId>, Load>,
}

impl WaitingRoom {
    pub(super) fn holds(&self, id: &CommitId) -> bool {
        self.guests.contains_key(id)
    }

    /// Takes in a commit. False: there is no room.
    pub(super) fn admit(&mut self, commit: Commit, from: Option<DeviceId>, missing: Vec<Seen>, now: Timestamp) -> bool {
        let (id, author, size) = (commit.id(), commit.device(), commit.size());
        let load = |load: Option<&Load>| load.copied().unwrap_or_default();
        let room = load(self.authors.get(&author)).has_room(size) && load(self.peers.get(&from)).has_room(size);
        if !room {
            return false;
        }
        for load in [self.authors.entry(author).or_default(), self.peers.entry(from).or_default()] {
            load.commits += 1;
            load.bytes += size;
        }
        for what in &missing {
            let new = || Wanted { what: *what, since: now, by: BTreeSet::new() };
            self.wanted.entry(what.id).or_insert_with(new).by.insert(id);
        }
        let missing = missing.into_iter().map(|what| what.id).collect();
        self.guests.insert(id, Guest { commit, from, since: now, missing });
        true
    }

    /// A commit is there now: who waited for it last.
    pub(super) fn arrived(&mut self, id: CommitId) -> Vec<Guest> {
        let mut ready = Vec::new();
        for waiting in self.wanted.remove(&id).map(|wanted| wanted.by).unwrap_or_default() {
            let Some(guest) = self.guests.get_mut(&waiting) else { continue };
            guest.missing.remove(&id);
            if guest.missing.is_empty() {
                ready.extend(self.leave(waiting));
            }
        }
        ready
    }

    /// A commit will never be there: nor will those that name it.
    pub(super) fn refused(&mut self, id: CommitId) {
        let mut gone = vec![id];
        while let Some(id) = gone.pop() {
            let by = self.wanted.remove(&id).map(|wanted| wanted.by).unwrap_or_default();
            gone.extend(by.into_iter().filter_map(|waiting| self.leave(waiting)).map(|guest| guest.commit.id()));
        }
    }

    /// Sends those away who came before `then`.
    pub(super) fn close(&mut self, then: Timestamp) {
        let old: Vec<_> = self.guests.iter().filter(|(_, guest)| guest.since < then).map(|(id, _)| *id).collect();
        for id in old {
            self.leave(id);
        }
    }

    /// What is missing, by id.
    pub(super) fn gaps(&self) -> impl Iterator<Item = Gap> {
        let waits = |wanted: &&Wanted| !self.guests.contains_key(&wanted.what.id);
        let gap = |wanted: &Wanted| Gap { wanted: wanted.what, since: wanted.since, waiting: wanted.by.len() };
        self.wanted.values().filter(waits).map(gap)
    }

    /// Commits and bytes.
    pub(super) fn load(&self) -> (usize, usize) {
        (self.guests.len(), self.guests.values().map(|guest| guest.commit.size()).sum())
    }

    fn leave(&mut self, id: CommitId) -> Option<Guest> {
        let guest = self.guests.remove(&id)?;
        let (author, size) = (guest.commit.device(), guest.commit.size());
        settle(&mut self.authors, author, size);
        settle(&mut self.peers, guest.from, size);
        for missing in &guest.missing {
            if let Some(wanted) = self.wanted.get_mut(missing) {
                wanted.by.remove(&id);
                if wanted.by.is_empty() {
                    self.wanted.remove(missing);
                }
            }
        }
        Some(guest)
    }
}

/// Takes a commit off a load.
fn settle<K: Ord>(loads: &mut BTreeMap<K, Load>, key: K, size: usize) {
    if let Some(load) = loads.get_mut(&key) {
        load.commits -= 1;
        load.bytes -= size;
        if load.commits == 0 {
            loads.remove(&key);
        }
    }
}
