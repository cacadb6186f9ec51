//! What earlier runs left under construction although the source does not have it any more.
//!
//! A resumed run sees the whole listing again, depth first, so the names of a directory are all known as soon as the
//! listing leaves it; only directories on the way to the current entry are remembered, by hashes of names.

use super::writing::Chore;
use logic::transfer::FromSender;
use logic::transfer::listing::{Entry, Kind};
use logic::transfer::path::RelPath;
use std::collections::HashSet;

/// Directories whose listing is not complete.
#[derive(Debug)]
pub(super) struct Leftovers {
    levels: Vec<(Option<RelPath>, HashSet<u64>)>,
}

impl Default for Leftovers {
    fn default() -> Self {
        Self { levels: vec![(None, HashSet::new())] }
    }
}

impl Leftovers {
    /// Looks at a message before the engine checks it; gives the directories that are complete now. What the engine
    /// refuses ends the run, so nothing need be checked here.
    pub fn note(&mut self, message: &FromSender) -> Vec<Chore> {
        match message {
            FromSender::Entries { entries, .. } => entries.iter().flat_map(|entry| self.entry(entry)).collect(),
            FromSender::ListingEnd { .. } => self.leave(0),
            _ => Vec::new(),
        }
    }

    fn entry(&mut self, entry: &Entry) -> Vec<Chore> {
        let depth = usize::from(entry.depth);
        let complete = self.leave(depth + 1);
        if let Some((dir, names)) = self.levels.get_mut(depth) {
            names.insert(name_hash(&entry.name));
            let path = RelPath::child(dir.as_ref(), &entry.name);
            if let (Kind::Dir { .. }, Ok(path)) = (&entry.kind, path) {
                self.levels.push((Some(path), HashSet::new()));
            }
        }
        complete
    }

    fn leave(&mut self, depth: usize) -> Vec<Chore> {
        let left = self.levels.drain(depth.min(self.levels.len())..);
        left.map(|(dir, keep)| Chore::Prune { dir, keep }).collect()
    }
}

/// 64 bits are enough: a collision only leaves a file in place that was sent before.
pub(super) fn name_hash(name: &[u8]) -> u64 {
    let hash = blake3::hash(name);
    hash.as_bytes().iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}
