//! What is stored, as the engine looks it up and hands it out.

use std::collections::BTreeMap;

use seal::DeviceId;

use super::chains::Past;
use super::commit::Commit;
use super::header::Header;
use super::id::CommitId;

/// Every so many commits of a chain what it has seen is stored beside the commit, and beside every control commit.
pub(super) const SNAPSHOT_EVERY: u64 = 64;

/// A commit to be stored, with what is to be stored beside it.
#[derive(Debug, Clone)]
pub struct Shelved {
    /// The commit.
    pub commit: Commit,
    /// Its branch; 0 unless its device forked its chain.
    pub branch: u32,
    /// What it has seen, itself included; for some commits only.
    pub after: Option<Past>,
}

/// A stored commit without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What it says in the clear.
    pub header: Header,
    /// As in [`Shelved`].
    pub branch: u32,
}

/// Look-ups into what is stored. The caller has performed every [`super::Action::Store`] that it took.
pub trait Shelf {
    /// A commit without its body.
    fn stored(&self, id: &CommitId) -> Option<Stored>;
    /// The commits of a device with that number: several if it forked its chain.
    fn at(&self, device: DeviceId, seq: u64) -> Vec<CommitId>;
    /// What was stored as [`Shelved::after`].
    fn after(&self, id: &CommitId) -> Option<Past>;
    /// The whole commit.
    fn commit(&self, id: &CommitId) -> Option<Commit>;
}

/// A shelf in memory: for tests, and for ledgers that are read from files.
#[derive(Debug, Clone, Default)]
pub struct MemoryShelf {
    commits: BTreeMap<CommitId, Shelved>,
    places: BTreeMap<(DeviceId, u64), Vec<CommitId>>,
}

impl MemoryShelf {
    /// Stores.
    pub fn store(&mut self, shelved: Shelved) {
        let (id, header) = (shelved.commit.id(), shelved.commit.header());
        let place = self.places.entry((header.device, header.seq)).or_default();
        if !place.contains(&id) {
            place.push(id);
        }
        self.commits.insert(id, shelved);
    }

    /// All that is stored.
    pub fn commits(&self) -> impl Iterator<Item = &Commit> {
        self.commits.values().map(|shelved| &shelved.commit)
    }
}

impl Shelf for MemoryShelf {
    fn stored(&self, id: &CommitId) -> Option<Stored> {
        let shelved = self.commits.get(id)?;
        Some(Stored { header: shelved.commit.header().clone(), branch: shelved.branch })
    }

    fn at(&self, device: DeviceId, seq: u64) -> Vec<CommitId> {
        self.places.get(&(device, seq)).cloned().unwrap_or_default()
    }

    fn after(&self, id: &CommitId) -> Option<Past> {
        self.commits.get(id)?.after.clone()
    }

    fn commit(&self, id: &CommitId) -> Option<Commit> {
        self.commits.get(id).map(|shelved| shelved.commit.clone())
    }
}

/// A shelf, and on top of it what was accepted and is not stored yet.
pub(super) struct Desk<'a> {
    pub(super) shelf: &'a dyn Shelf,
    pub(super) fresh: &'a MemoryShelf,
}

impl Shelf for Desk<'_> {
    fn stored(&self, id: &CommitId) -> Option<Stored> {
        self.fresh.stored(id).or_else(|| self.shelf.stored(id))
    }

    fn at(&self, device: DeviceId, seq: u64) -> Vec<CommitId> {
        let mut ids = self.shelf.at(device, seq);
        let fresh = self.fresh.at(device, seq);
        ids.extend(fresh.into_iter().filter(|id| self.shelf.stored(id).is_none()));
        ids
    }

    fn after(&self, id: &CommitId) -> Option<Past> {
        self.fresh.after(id).or_else(|| self.shelf.after(id))
    }

    fn commit(&self, id: &CommitId) -> Option<Commit> {
        self.fresh.commit(id).or_else(|| self.shelf.commit(id))
    }
}
