//! The file of a space against a model in memory, crashes, and whoever can write to the disk.

mod attacks;
mod crash;
mod garden;
mod guard;
mod histories;
mod model;
mod society;

use std::path::PathBuf;

use logic::ledger::{self, Commit, CommitId, Header, Kind, RealmId, Shelved};
use seal::{DeviceKey, RecordKey, Timestamp};
use warren_store::space::{SpaceError, SpaceStore};

/// A file of a space in a folder of its own.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub key: RecordKey,
}

impl Place {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), key: RecordKey::generate() }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("space.db")
    }

    pub fn create(&self) -> SpaceStore {
        SpaceStore::create(&self.path(), &self.key, CommitId::from_bytes([5; 32])).unwrap()
    }

    pub fn open(&self) -> SpaceStore {
        SpaceStore::open(&self.path(), &self.key).unwrap()
    }

    /// SQLite without our eyes: what somebody with a hex editor has.
    pub fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }
}

/// A transaction of a test.
pub fn write<T>(
    store: &SpaceStore,
    work: impl FnOnce(&warren_store::space::Transaction<'_>) -> Result<T, SpaceError>,
) -> T {
    store.transaction(work).unwrap()
}

/// A data commit of a device that has seen nothing of others.
pub fn data(key: &DeviceKey, seq: u64, previous: CommitId, body: &[u8]) -> Shelved {
    let header = Header {
        version: ledger::VERSION,
        ledger: CommitId::from_bytes([5; 32]),
        device: key.id(),
        seq,
        previous,
        seen: Vec::new(),
        frontier: [0; 32],
        lamport: seq + 1,
        time: Timestamp(1_790_000_000_000),
        sure: true,
        cap: CommitId::ZERO,
        realm: RealmId::ROOT,
        epoch: CommitId::from_bytes([8; 32]),
        kind: Kind::Data,
        body_len: 0,
        body_hash: [0; 32],
    };
    Shelved { commit: Commit::make(key, header, body.to_vec()).unwrap(), branch: 0, after: None }
}

/// A chain of so many data commits.
pub fn chain(key: &DeviceKey, length: u64) -> Vec<Shelved> {
    let mut previous = CommitId::ZERO;
    let next = |seq: u64| {
        let shelved = data(key, seq, previous, format!("body {seq}").as_bytes());
        previous = shelved.commit.id();
        shelved
    };
    (0..length).map(next).collect()
}
