//! What somebody has seen: of each device the newest commit.

use std::collections::BTreeMap;

use seal::DeviceId;
use serde::{Deserialize, Serialize};

use super::header::Seen;
use super::id::CommitId;

/// Separates frontier hashes from every other hash.
const CONTEXT: &str = "warren 2026-11 frontier v1";

/// Of each device the newest commit that was seen, and with it everything before that in its chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier(pub(super) BTreeMap<DeviceId, (u64, CommitId)>);

impl Frontier {
    /// BLAKE3 (derive_key) of the entries in order: device (32), number (u64, big endian), commit (32).
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        for (device, (seq, id)) in &self.0 {
            hasher.update(device.as_bytes()).update(&seq.to_be_bytes()).update(id.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// The newest commit of a device.
    pub fn of(&self, device: DeviceId) -> Option<(u64, CommitId)> {
        self.0.get(&device).copied()
    }

    /// Puts in an entry; an older one of the device is replaced.
    pub fn set(&mut self, device: DeviceId, seq: u64, id: CommitId) {
        self.0.insert(device, (seq, id));
    }

    /// True if the device's commit of that number was seen.
    pub fn covers(&self, device: DeviceId, seq: u64) -> bool {
        self.of(device).is_some_and(|(newest, _)| newest >= seq)
    }

    /// True if of no device less was seen than in `other`. Which branch of a forked chain it was is not looked at.
    pub fn dominates(&self, other: &Self) -> bool {
        other.0.iter().all(|(device, (seq, _))| self.covers(*device, *seq))
    }

    /// What is here and was not, or was another commit, in `before`: sorted by device.
    pub fn since(&self, before: &Self) -> Vec<Seen> {
        let news = self.0.iter().filter(|(device, entry)| before.0.get(device) != Some(entry));
        news.map(|(&device, &(seq, id))| Seen { device, seq, id }).collect()
    }

    /// Its entries, sorted by device.
    pub fn entries(&self) -> impl Iterator<Item = Seen> {
        self.0.iter().map(|(&device, &(seq, id))| Seen { device, seq, id })
    }

    /// How many devices it names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
