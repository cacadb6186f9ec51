//! The way through the sources beside the way through the space: for each thing that is walked, where it goes and what is
//! there.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::{ApiError, ErrorCode};
use logic::space::{self, Node, NodeKind, Rows, Tree, VersionId};
use store::source::{Entry, EntryKind};
use store::space::SpaceError;

use super::commit::{self, Found, Spot};
use super::jobs::Progress;
use super::target;
use crate::spaces::SpaceFault;

/// A thing that was walked, and what is where it goes.
pub(super) struct Planned {
    pub(super) entry: Entry,
    pub(super) parent: Arc<Spot>,
    pub(super) name: Vec<u8>,
    pub(super) found: Option<Found>,
    /// Of a directory: what stands for it.
    pub(super) spot: Option<Arc<Spot>>,
    pub(super) only_if: Option<Option<VersionId>>,
    /// Where it goes, for messages.
    pub(super) place: String,
}

type Left = BTreeMap<Node, [Vec<u8>; 2]>;

/// A directory that is being walked.
struct Level {
    spot: Arc<Spot>,
    /// What is in it and was not walked yet, with the names that it is shown by and was given; `None`: nothing is deleted.
    left: Option<Left>,
    /// In the space.
    path: Vec<u8>,
    /// In the sources.
    walked: PathBuf,
}

/// See the module.
pub(super) struct Levels<'a> {
    /// What the root shows although it cannot be read.
    pub(super) parts: &'a [space::Entry],
    levels: Vec<Level>,
    /// The name of the one source, if it is not its own.
    exact: Option<Vec<u8>>,
    /// The one source is the directory of the first level itself.
    whole: bool,
    pub(super) delete: bool,
    pub(super) only_if: Option<Option<VersionId>>,
    /// What lies below is left out.
    blocked: Option<PathBuf>,
    gone: Vec<Node>,
}

impl Levels<'_> {
    pub(super) fn new(base: Arc<Spot>, path: Vec<u8>, exact: Option<Vec<u8>>, whole: bool) -> Self {
        let base = Level { spot: base, left: None, path, walked: PathBuf::new() };
        Self {
            parts: &[],
            levels: vec![base],
            exact,
            whole,
            delete: false,
            only_if: None,
            blocked: None,
            gone: Vec::new(),
        }
    }

    /// Goes to the directory that holds what has so many names.
    fn climb(&mut self, depth: usize) {
        for level in self.levels.drain(depth.min(self.levels.len())..) {
            self.gone.extend(level.left.into_iter().flat_map(BTreeMap::into_keys));
        }
    }

    /// What is to be deleted at the end.
    pub(super) fn finish(mut self) -> Vec<Node> {
        self.climb(0);
        self.gone.sort_unstable();
        self.gone.dedup();
        self.gone
    }

    /// Something is not walked: what is there of it stays.
    pub(super) fn skip(&mut self, inside: &Path) {
        let depth = inside.components().count();
        if let Some(level) = self.levels.get_mut(depth).filter(|level| level.walked == inside) {
            // A directory that cannot be read to its end.
            level.left = None;
            return;
        }
        self.climb(depth);
        let Some(name) = inside.file_name() else { return };
        if let Some(left) = self.levels.last_mut().and_then(|level| level.left.as_mut()) {
            left.retain(|_, names| names.iter().all(|known| known != name.as_bytes()));
        }
    }

    /// `None`: it is left out.
    pub(super) fn visit<R: Rows<Error = SpaceError>>(
        &mut self,
        tree: &Tree<R>,
        entry: Entry,
        progress: &Progress,
    ) -> Result<Option<Planned>, SpaceFault> {
        let depth = entry.path.depth();
        self.climb(depth);
        if self.blocked.as_ref().is_some_and(|blocked| entry.path.as_path().starts_with(blocked)) {
            return Ok(None);
        }
        let is_dir = entry.kind == EntryKind::Directory;
        let (top, whole) = (depth == 1, depth == 1 && self.whole);
        let Some(level) = self.levels.last_mut() else { return Ok(None) };
        if whole {
            if !is_dir {
                let what = ApiError::new(ErrorCode::Exists, "a file cannot become the root of a space");
                return Err(SpaceFault::Asked(Box::new(what)));
            }
            let (spot, path) = (level.spot.clone(), level.path.clone());
            let left = self.left_in(tree, spot.node())?;
            self.levels.push(Level { spot, left, path, walked: entry.path.as_path().to_owned() });
            return Ok(None);
        }
        let name = match &self.exact {
            Some(exact) if top => exact.clone(),
            _ => entry.path.name().as_bytes().to_vec(),
        };
        let (parent, path) = (level.spot.clone(), target::below(&level.path, &name));
        let found = match parent.node() {
            Some(dir) => match self.parts.iter().find(|part| dir == Node::ROOT && part.name == name) {
                Some(part) => Some(commit::look_at(tree, part)?),
                None => commit::look(tree, dir, &name)?,
            },
            None => None,
        };
        if let Some((left, found)) = level.left.as_mut().zip(found.as_ref()) {
            left.remove(&found.entry.node);
        }
        let place = path.shown();
        let spot = match &found {
            Some(there) if !fits(&entry.kind, there.entry.kind) => {
                let what = if is_dir { "a file is there, and a folder" } else { "something else is there, and a file" };
                let what = format!("{place}: {what} was to be put");
                if top {
                    let what = ApiError::new(ErrorCode::Exists, what)
                        .hint("move or delete what is there (`warren mv`, `warren rm`; it can be restored)");
                    return Err(SpaceFault::Asked(Box::new(what)));
                }
                progress.warn(what);
                self.blocked = Some(entry.path.as_path().to_owned());
                return Ok(None);
            }
            Some(there) if is_dir => tree.entered(there.entry.inside())?.map(Spot::there),
            _ => is_dir.then(|| Spot::to_be(parent.realm)),
        };
        let only_if = self.only_if.filter(|_| top);
        if let Some(wanted) = only_if {
            let version = found.as_ref().and_then(|found| found.version);
            if is_dir || version != wanted {
                return Err(SpaceFault::Asked(Box::new(commit::changed(&place, found.is_some()))));
            }
        }
        if top {
            progress.made(path.clone());
        }
        if let Some(spot) = &spot {
            let there = found.is_some().then(|| spot.node()).flatten();
            let left = self.left_in(tree, there)?;
            let walked = entry.path.as_path().to_owned();
            self.levels.push(Level { spot: spot.clone(), left, path: path.0, walked });
        }
        Ok(Some(Planned { entry, parent, name, found, spot, only_if, place }))
    }

    fn left_in<R: Rows<Error = SpaceError>>(
        &self,
        tree: &Tree<R>,
        dir: Option<Node>,
    ) -> Result<Option<Left>, SpaceFault> {
        let Some(dir) = dir.filter(|_| self.delete) else { return Ok(None) };
        let entries = tree.list(dir)?.into_iter().filter(|entry| !entry.node.id.is_fixed());
        Ok(Some(entries.map(|entry| (entry.node, [entry.name, entry.given])).collect()))
    }
}

fn fits(source: &EntryKind, there: NodeKind) -> bool {
    match source {
        EntryKind::Directory => there.is_dir(),
        EntryKind::File { .. } => there == NodeKind::File,
        EntryKind::Symlink { .. } => there == NodeKind::Link,
    }
}
