//! What the space shows, done in the folder.
//!
//! There is nothing to decide: what is in step follows the space. Whatever a program changed in the folder meanwhile is
//! not as it was known, so it is left alone and told to the space first.

mod giving;
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use logic::folder::{Base, Known};
use logic::space::{Content, Entry, Node, VersionId};
use logic::transfer::path::{NAME_MAX, RelPath};
use serde_bytes::ByteBuf;
use store::folder::{Folder, FolderError, Rules};

use giving::Put;
use places::Place;

use super::base::{self, FolderId, Rows};
use super::{FolderFault, Hands};
use crate::spaces::{Kept, SpaceFault};

/// Things that are put in place before they are noted together: noting is a write that waits for the disk.
const AT_ONCE: usize = 256;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Directories in which something was not as known: to be looked at.
    pub(super) dirty: BTreeSet<Option<RelPath>>,
    /// Things whose content is not on this device yet.
    pub(super) waiting: u64,
    /// Where they are.
    pub(super) later: BTreeSet<Node>,
    /// Directories that have to be gone through once more: something belongs there and was elsewhere.
    pub(super) again: BTreeSet<Node>,
    /// What could not be done, with the reason.
    pub(super) warnings: Vec<String>,
    /// What was done.
    pub(super) done: u64,
}

/// See the module.
pub(super) struct Down<'a> {
    pub(super) kept: &'a Kept,
    pub(super) folder: &'a Folder,
    pub(super) id: FolderId,
    pub(super) top: Node,
    pub(super) rules: &'a Rules,
    pub(super) hands: &'a Hands,
    passed: Passed,
    /// Put in place and not noted yet.
    fresh: Vec<Known>,
    /// Where that was: to be made durable first.
    touched: BTreeSet<Option<RelPath>>,
    /// Known where it was, and not shown there.
    unseen: Vec<Known>,
    /// Somebody was asked for a content in this round and did not have it: each would be waited for.
    in_vain: bool,
}

impl<'a> Down<'a> {
    pub(super) fn new(
        kept: &'a Kept,
        folder: &'a Folder,
        id: FolderId,
        top: Node,
        rules: &'a Rules,
        hands: &'a Hands,
    ) -> Self {
        let (passed, fresh, touched, unseen) = Default::default();
        Self { kept, folder, id, top, rules, hands, passed, fresh, touched, unseen, in_vain: false }
    }

    /// Goes through these directories, and through what is new in them all the way down. `None`: through everything.
    pub(super) fn run(mut self, dirs: Option<BTreeSet<Node>>) -> Result<Passed, FolderFault> {
        let everything = dirs.is_none();
        let mut open: Vec<Node> = dirs.unwrap_or_else(|| BTreeSet::from([self.top])).into_iter().collect();
        // What is around something first; it may be what moves.
        let depth = |dir: &Node| {
            let path = self.kept.space.tree(|tree| Ok(tree.path(*dir)?))?;
            Ok::<_, SpaceFault>(path.map_or(0, |path| path.split(|byte| *byte == b'/').count() + path.len().min(1)))
        };
        let depths = open.iter().map(depth).collect::<Result<Vec<_>, _>>()?;
        let mut ordered: Vec<_> = depths.into_iter().zip(open).collect();
        ordered.sort();
        open = ordered.into_iter().rev().map(|(_, dir)| dir).collect();
        while let Some(dir) = open.pop() {
            self.hands.go_on()?;
            // Where it is by now.
            let Place::At(path) = self.place(dir)? else { continue };
            let entries = self.kept.space.tree(|tree| Ok(tree.list(dir)?))?;
            let known = self.rows(|rows| rows.inside(dir))?;
            let mut known: BTreeMap<Node, Known> = known.into_iter().map(|known| (known.node, known)).collect();
            for entry in entries.iter().filter(|entry| !entry.node.id.is_fixed()) {
                let Some(place) = self.allowed(path.as_ref(), entry) else {
                    known.remove(&entry.node);
                    continue;
                };
                let was = known.remove(&entry.node);
                let fresh = was.is_none();
                let is_dir = entry.kind.is_dir();
                let there = self.entry(dir, &place, entry, was)?;
                if there && is_dir && (fresh || everything) {
                    open.push(entry.node);
                }
            }
            self.unseen.extend(known.into_values());
        }
        self.flush()?;
        for known in std::mem::take(&mut self.unseen) {
            let now = self.rows(|rows| rows.of(known.node))?;
            if now.as_ref() == Some(&known) {
                self.drop_all(&known)?;
            }
        }
        self.flush()?;
        Ok(self.passed)
    }

    fn rows<T>(&self, look: impl FnOnce(&Rows<'_>) -> Result<T, SpaceFault>) -> Result<T, SpaceFault> {
        self.kept.space.tree(|tree| look(&Rows { store: tree.rows(), folder: self.id }))
    }

    /// What is known of a node, noted or not.
    fn known(&self, node: Node) -> Result<Option<Known>, SpaceFault> {
        match self.fresh.iter().rfind(|known| known.node == node) {
            Some(known) => Ok(Some(known.clone())),
            None => self.rows(|rows| rows.of(node)),
        }
    }

    /// Brings one entry in step; says whether it is there then.
    fn entry(&mut self, dir: Node, path: &RelPath, entry: &Entry, was: Option<Known>) -> Result<bool, FolderFault> {
        let known = match was {
            None => self.known(entry.node)?,
            was => was,
        };
        let known = match known {
            Some(known) if (known.dir, &known.name[..]) != (dir, &entry.name[..]) => {
                match self.relocate(known, dir, path)? {
                    Some(known) => Some(known),
                    None => return Ok(false),
                }
            }
            known => known,
        };
        let version = entry.brief.as_ref().map(|brief| brief.version.id());
        let is_dir = entry.kind.is_dir();
        match &known {
            Some(known) if known.version == version || is_dir => Ok(true),
            known => self.bring(dir, path, entry, version, known.as_ref()),
        }
    }

    /// Gives something its new place.
    fn relocate(&mut self, known: Known, dir: Node, path: &RelPath) -> Result<Option<Known>, FolderFault> {
        self.flush()?;
        let Some(from) = self.known_place(&known)? else {
            // What was around it is not there any more: it comes anew.
            self.kept.space.jot(|store| base::remove_all(store, self.id, known.node))?;
            return Ok(None);
        };
        let mut moved = self.folder.rename(&from, path, &known.print);
        if matches!(&moved, Err(FolderError::Changed(at)) if at == path) && self.park(dir, path)? {
            moved = self.folder.rename(&from, path, &known.print);
        }
        let Some(print) = self.settled(moved, [&from, path])? else { return Ok(None) };
        self.passed.done += 1;
        // Renaming sets the change time only, and what is known of the content holds.
        let known = Known { dir, name: ByteBuf::from(path.name()), print, ..known };
        self.touched.insert(from.parent());
        self.note(path, known.clone());
        self.flush()?;
        Ok(Some(known))
    }

    /// Something that is known is where something else belongs: it gets another name, until it is its turn.
    fn park(&mut self, dir: Node, path: &RelPath) -> Result<bool, FolderFault> {
        let Some(other) = self.rows(|rows| rows.child(dir, path.name()))? else { return Ok(false) };
        let mut name = path.name().to_vec();
        let suffix = format!(".{}", data_encoding::HEXLOWER.encode(&seal::random::<4>()));
        name.truncate(NAME_MAX - suffix.len());
        name.extend_from_slice(suffix.as_bytes());
        let Ok(aside) = RelPath::child(path.parent().as_ref(), &name) else { return Ok(false) };
        let Some(print) = self.settled(self.folder.rename(path, &aside, &other.print), [path, &aside])? else {
            return Ok(false);
        };
        let parked = Known { name: ByteBuf::from(name), print, ..other };
        self.unseen.push(parked.clone());
        self.note(&aside, parked);
        self.flush()?;
        Ok(true)
    }

    /// Puts something in place, new or over what was there.
    fn bring(
        &mut self,
        dir: Node,
        path: &RelPath,
        entry: &Entry,
        version: Option<VersionId>,
        known: Option<&Known>,
    ) -> Result<bool, FolderFault> {
        let written = match version {
            Some(id) => self.kept.space.tree(|tree| Ok(tree.version(entry.content(), id)?))?.and_then(|v| v.written),
            None => None,
        };
        let written = written.unwrap_or_default();
        // A directory that is there would do, but if it is known it is another one, which goes away with what is in it.
        let is_other = |other: Option<Known>| other.is_some_and(|other| other.node != entry.node);
        let taken = known.is_none() && is_other(self.rows(|rows| rows.child(dir, path.name()))?);
        let mut put = if taken { Put::Blocked } else { self.put(path, entry, &written, known)? };
        if taken && self.park(dir, path)? {
            put = self.put(path, entry, &written, known)?;
        }
        let print = match put {
            Put::There(print) => print,
            Put::Waiting => {
                self.passed.waiting += 1;
                self.passed.later.insert(dir);
                return Ok(false);
            }
            Put::Blocked => {
                self.passed.dirty.insert(path.parent());
                return Ok(false);
            }
            Put::Failed => return Ok(false),
        };
        let hash = match &written.content {
            Content::File { hash, .. } => Some(*hash),
            _ => None,
        };
        self.passed.done += 1;
        let name = ByteBuf::from(path.name());
        self.note(path, Known { node: entry.node, dir, name, version, hash, print });
        if self.fresh.len() >= AT_ONCE {
            self.flush()?;
        }
        Ok(true)
    }

    /// Removes what is not shown any more, from the bottom up.
    fn drop_all(&mut self, known: &Known) -> Result<(), FolderFault> {
        self.hands.go_on()?;
        for inner in self.rows(|rows| rows.inside(known.node))? {
            self.drop_all(&inner)?;
        }
        let Some(path) = self.known_place(known)? else { return Ok(()) };
        if let Some(dir) = self.belongs(known.node)? {
            self.passed.again.insert(dir);
            return Ok(());
        }
        self.check_gone(known)?;
        match self.folder.remove(&path, &known.print) {
            // What is left in it is known to nobody else: it stays, and the directory with it.
            Err(FolderError::NotEmpty(_)) => return Ok(()),
            removed => {
                if self.settled(removed, [&path])?.is_none() {
                    return Ok(());
                }
            }
        }
        self.passed.done += 1;
        self.folder.sync([path.parent().as_ref()])?;
        self.kept.space.jot(|store| base::remove(store, self.id, known.node))?;
        Ok(())
    }

    /// What was done; `None` if it was not, and why is noted.
    fn settled<'p, T>(
        &mut self,
        done: Result<T, FolderError>,
        places: impl IntoIterator<Item = &'p RelPath>,
    ) -> Result<Option<T>, FolderFault> {
        match done {
            Ok(value) => Ok(Some(value)),
            Err(FolderError::Changed(_)) => {
                self.passed.dirty.extend(places.into_iter().map(RelPath::parent));
                Ok(None)
            }
            Err(FolderError::Io { path, error }) if !is_fatal(&error) => {
                self.warn(format!("{path}: {error}"));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn note(&mut self, path: &RelPath, known: Known) {
        self.touched.insert(path.parent());
        self.fresh.push(known);
    }

    /// Makes durable what is in place, and only then notes it: else an older file would seem to be a newer change.
    fn flush(&mut self) -> Result<(), FolderFault> {
        let touched = std::mem::take(&mut self.touched);
        self.folder.sync(touched.iter().map(Option::as_ref))?;
        let fresh = std::mem::take(&mut self.fresh);
        if !fresh.is_empty() {
            self.kept.space.jot(|store| fresh.iter().try_for_each(|known| base::set(store, self.id, known)))?;
        }
        Ok(())
    }

    fn warn(&mut self, what: String) {
        if self.passed.warnings.len() < super::WARNINGS {
            self.passed.warnings.push(what);
        }
    }
}

/// What stops everything: others would fail as well.
fn is_fatal(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}
