//! The listing: every entry of the tree, in an order that needs no memory to check.
//!
//! Entries come depth first; inside a directory the names ascend by their bytes. An entry says only its depth and its
//! name, so a path is built here from checked names and cannot be sent. Duplicates show as names that do not ascend.

use super::hash::Value;
use super::limits::{ENTRIES_MAX, LINK_TARGET_MAX};
use super::message::Totals;
use super::path::{DEPTH_MAX, RelPath, check_name};
use crate::Misbehaved;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// A modification time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mtime {
    /// Seconds since 1970, negative before.
    pub secs: i64,
    /// Nanoseconds of the second, below 10^9.
    pub nanos: u32,
}

impl Mtime {
    /// Refuses times that no file system can hold.
    pub fn check(self) -> Result<(), Misbehaved> {
        // The year 9999 and its mirror: far outside of what is true, inside of what systems accept.
        const FAR: i64 = 253_402_300_800;
        if self.nanos >= 1_000_000_000 || !(-FAR..FAR).contains(&self.secs) {
            return Err(Misbehaved::TimeInvalid);
        }
        Ok(())
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A directory; what is in it follows.
    Dir {
        /// Modification time.
        mtime: Mtime,
    },
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Modification time.
        mtime: Mtime,
        /// Whether it may be executed.
        exec: bool,
    },
    /// A symbolic link, sent as a link.
    Link {
        /// Where it points, as it stands.
        target: ByteBuf,
        /// Modification time of the link itself.
        mtime: Mtime,
    },
}

/// One line of the listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// How many directories it is in.
    pub depth: u8,
    /// Its name there.
    pub name: ByteBuf,
    /// What it is.
    pub kind: Kind,
}

impl Entry {
    fn check(&self) -> Result<(), Misbehaved> {
        check_name(&self.name)?;
        match &self.kind {
            Kind::Dir { mtime } | Kind::File { mtime, .. } => mtime.check(),
            Kind::Link { target, mtime } => {
                if target.is_empty() || target.len() > LINK_TARGET_MAX || target.contains(&0) {
                    return Err(Misbehaved::LinkTargetInvalid);
                }
                mtime.check()
            }
        }
    }
}

/// A directory on the way to the current entry.
#[derive(Debug, Clone, Default)]
struct Level {
    path: Option<RelPath>,
    last: Vec<u8>,
}

/// Checks, counts and hashes entries as they come; the same code on both sides.
#[derive(Debug, Clone)]
pub struct Listing {
    levels: Vec<Level>,
    totals: Totals,
    hasher: blake3::Hasher,
}

impl Default for Listing {
    fn default() -> Self {
        Self { levels: vec![Level::default()], totals: Totals::default(), hasher: blake3::Hasher::new() }
    }
}

impl Listing {
    /// Takes the next entry and gives its path.
    pub fn push(&mut self, entry: &Entry) -> Result<RelPath, Misbehaved> {
        entry.check()?;
        if self.totals.entries >= ENTRIES_MAX {
            return Err(Misbehaved::ListingTooLong);
        }
        let depth = usize::from(entry.depth);
        let level = self.levels.get(depth).ok_or(Misbehaved::EntryWithoutParent)?;
        if !level.last.is_empty() && level.last.as_slice() >= entry.name.as_slice() {
            return Err(Misbehaved::ListingUnsorted);
        }
        let path = RelPath::child(level.path.as_ref(), &entry.name)?;
        if depth >= DEPTH_MAX {
            return Err(Misbehaved::PathTooDeep);
        }
        self.levels.truncate(depth + 1);
        self.levels[depth].last = entry.name.to_vec();
        self.totals.entries += 1;
        match entry.kind {
            Kind::Dir { .. } => self.levels.push(Level { path: Some(path.clone()), last: Vec::new() }),
            Kind::File { size, .. } => {
                self.totals.files += 1;
                self.totals.bytes = self.totals.bytes.checked_add(size).ok_or(Misbehaved::MoreThanAccepted)?;
            }
            Kind::Link { .. } => {}
        }
        self.hasher.update(&super::message::encode(entry));
        Ok(path)
    }

    /// What was listed so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Number of the next entry.
    pub fn next(&self) -> u32 {
        u32::try_from(self.totals.entries).unwrap_or(u32::MAX)
    }

    /// Hash over all entries so far.
    pub fn hash(&self) -> Value {
        self.hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn dir(depth: u8, name: &str) -> Entry {
        Entry { depth, name: ByteBuf::from(name), kind: Kind::Dir { mtime: Mtime::default() } }
    }

    fn file(depth: u8, name: &str, size: u64) -> Entry {
        let kind = Kind::File { size, mtime: Mtime::default(), exec: false };
        Entry { depth, name: ByteBuf::from(name), kind }
    }

    fn refused(entries: &[Entry]) -> Misbehaved {
        let mut listing = Listing::default();
        entries.iter().find_map(|entry| listing.push(entry).err()).unwrap()
    }

    #[test]
    fn paths_follow_from_depth_and_name() {
        let mut listing = Listing::default();
        let tree = [dir(0, "a"), dir(1, "b"), file(2, "c", 5), file(1, "d", 7), file(0, "e", 1)];
        let paths: Vec<_> = tree.iter().map(|entry| listing.push(entry).unwrap().to_string()).collect();
        assert_eq!(paths, ["a", "a/b", "a/b/c", "a/d", "e"]);
        assert_eq!(listing.totals(), Totals { files: 3, bytes: 13, entries: 5 });
    }

    #[test]
    fn listings_that_break_the_rules_are_refused() {
        let time = |secs, nanos| Entry { kind: Kind::Dir { mtime: Mtime { secs, nanos } }, ..dir(0, "a") };
        let link = |target: &[u8]| Entry {
            kind: Kind::Link { target: ByteBuf::from(target), mtime: Mtime::default() },
            ..dir(0, "l")
        };
        for (entries, offence) in [
            (vec![dir(0, "a"), dir(0, "a")], Misbehaved::ListingUnsorted),
            (vec![dir(0, "b"), dir(0, "a")], Misbehaved::ListingUnsorted),
            (vec![dir(0, "a"), file(1, "x", 0), file(1, "x", 0)], Misbehaved::ListingUnsorted),
            (vec![dir(1, "a")], Misbehaved::EntryWithoutParent),
            (vec![file(0, "a", 1), file(1, "b", 1)], Misbehaved::EntryWithoutParent),
            (vec![link(b"/tmp"), file(1, "b", 1)], Misbehaved::EntryWithoutParent),
            (vec![file(0, "a/../../b", 1)], Misbehaved::NameWithSeparator),
            (vec![file(0, "..", 1)], Misbehaved::NameTraversal),
            (vec![file(0, "/etc/passwd", 1)], Misbehaved::NameWithSeparator),
            (vec![link(b"")], Misbehaved::LinkTargetInvalid),
            (vec![link(b"a\0b")], Misbehaved::LinkTargetInvalid),
            (vec![link(&[b'x'; LINK_TARGET_MAX + 1])], Misbehaved::LinkTargetInvalid),
            (vec![time(0, 1_000_000_000)], Misbehaved::TimeInvalid),
            (vec![time(i64::MIN, 0)], Misbehaved::TimeInvalid),
            (vec![file(0, "a", u64::MAX), file(0, "b", 1)], Misbehaved::MoreThanAccepted),
        ] {
            assert_eq!(refused(&entries), offence, "{entries:?}");
        }
        let deep: Vec<_> = (0..=DEPTH_MAX as u8).map(|depth| dir(depth, "d")).collect();
        assert_eq!(refused(&deep), Misbehaved::PathTooDeep);
    }
}
