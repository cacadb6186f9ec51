//! The walk over a [`Source`]: lazy, in a fixed order, with bounded memory.

use std::collections::BinaryHeap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;
use std::vec;

use rustix::fs::{self, Dir, FileType};

use super::{Entry, EntryKind, Root, RootAt, SkipReason, Skipped, Source, stat_at};
use crate::disk;
use crate::folder::STAGING;
use crate::landing::PARTIAL_DIR;
use crate::meta::FileTime;
use crate::relpath::RelPath;

/// Names of one directory held in memory. A larger one is read several times, for the next so many names each.
const NAMES_AT_ONCE: usize = 32_768;

/// Yields every [`Entry`] of a [`Source`] and everything that had to be left out.
#[derive(Debug)]
pub struct Walk<'a> {
    source: &'a Source,
    next_root: usize,
    stack: Vec<Level>,
    names_at_once: usize,
}

/// A directory being walked.
#[derive(Debug)]
struct Level {
    dir: Arc<OwnedFd>,
    path: RelPath,
    names: vec::IntoIter<OsString>,
    /// Where to read on when `names` is used up; `None` when the directory is.
    after: Option<OsString>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self { source, next_root: 0, stack: Vec::new(), names_at_once: NAMES_AT_ONCE }
    }

    #[cfg(test)]
    pub(super) fn with_names_at_once(mut self, names: usize) -> Self {
        self.names_at_once = names;
        self
    }

    fn begin_root(&mut self, root: &Root) -> Result<Entry, SkipReason> {
        let path = RelPath::new([&root.name]).map_err(|e| SkipReason::Io(io::Error::other(e)))?;
        match &root.at {
            RootAt::File(dir, name) => self.visit(dir, name, path),
            RootAt::Spool(file) => {
                let kind = EntryKind::File { size: file.len(), executable: false, sparse: false };
                Ok(Entry { path, kind, modified: file.modified(), mode: None })
            }
            RootAt::Dir(tree) => {
                let stat = fs::fstat(tree.root()).map_err(|e| SkipReason::Io(e.into()))?;
                self.descend(tree.root().clone(), path.clone()).map_err(SkipReason::Io)?;
                Ok(Entry { path, kind: EntryKind::Directory, modified: modified(&stat), mode: mode(&stat) })
            }
        }
    }

    /// Looks at `name` in `dir`; a directory is entered.
    fn visit(&mut self, dir: &OwnedFd, name: &OsStr, path: RelPath) -> Result<Entry, SkipReason> {
        let stat = stat_at(dir, name).map_err(SkipReason::Io)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => file_kind(&stat),
            FileType::Directory if name == PARTIAL_DIR || name == STAGING => return Err(SkipReason::PartialDir),
            FileType::Directory => {
                let inner = disk::open_dir_at(dir, name).map_err(SkipReason::Io)?;
                self.descend(Arc::new(inner), path.clone()).map_err(SkipReason::Io)?;
                EntryKind::Directory
            }
            FileType::Symlink => {
                let target = fs::readlinkat(dir, name, Vec::new()).map_err(|e| SkipReason::Io(e.into()))?;
                EntryKind::Symlink { target: OsString::from_vec(target.into_bytes()) }
            }
            _ => return Err(SkipReason::Special),
        };
        Ok(Entry { path, kind, modified: modified(&stat), mode: mode(&stat) })
    }

    fn descend(&mut self, dir: Arc<OwnedFd>, path: RelPath) -> io::Result<()> {
        let (names, after) = next_names(&dir, None, self.names_at_once)?;
        self.stack.push(Level { dir, path, names: names.into_iter(), after });
        Ok(())
    }

    /// The next name in the innermost directory that has one left.
    fn next_in_dirs(&mut self) -> Option<Result<Entry, Skipped>> {
        loop {
            let level = self.stack.last_mut()?;
            if let Some(name) = level.names.next() {
                let dir = level.dir.clone();
                let path = level.path.join(&name);
                let place = level.path.as_path().join(&name);
                let visited = match path {
                    Ok(path) => self.visit(&dir, &name, path),
                    Err(_) => Err(SkipReason::TooDeep),
                };
                return Some(visited.map_err(|why| self.skipped(&place, why)));
            }
            let Some(after) = level.after.take() else {
                self.stack.pop();
                continue;
            };
            match next_names(&level.dir, Some(&after), self.names_at_once) {
                Ok((names, after)) => (level.names, level.after) = (names.into_iter(), after),
                Err(e) => {
                    let place = level.path.as_path().to_owned();
                    return Some(Err(self.skipped(&place, SkipReason::Io(e))));
                }
            }
        }
    }

    /// `place` is the path in the tree that is sent; people want to know where that is on their disk.
    fn skipped(&self, place: &std::path::Path, why: SkipReason) -> Skipped {
        let mut components = place.iter();
        let root = components.next().and_then(|name| self.source.by_name.get(name));
        let mut path = root.map(|at| self.source.roots[*at].path.clone()).unwrap_or_default();
        path.extend(components);
        Skipped { path, inside: place.to_owned(), why }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Entry, Skipped>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(found) = self.next_in_dirs() {
            return Some(found);
        }
        let root = self.source.roots.get(self.next_root)?;
        self.next_root += 1;
        Some(self.begin_root(root).map_err(|why| {
            let inside = std::path::PathBuf::from(&root.name);
            Skipped { path: root.path.clone(), inside, why }
        }))
    }
}

/// The smallest `limit` names in `dir` that are greater than `after`, sorted, and the last of them if there may be more.
fn next_names(dir: &OwnedFd, after: Option<&OsStr>, limit: usize) -> io::Result<(Vec<OsString>, Option<OsString>)> {
    let mut smallest = BinaryHeap::new();
    let mut more = false;
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." || after.is_some_and(|after| name <= after) {
            continue;
        }
        if smallest.len() < limit {
            smallest.push(name.to_owned());
        } else {
            more = true;
            if let Some(mut largest) = smallest.peek_mut()
                && name < largest.as_os_str()
            {
                *largest = name.to_owned();
            }
        }
    }
    let names = smallest.into_sorted_vec();
    let after = if more { names.last().cloned() } else { None };
    Ok((names, after))
}

fn file_kind(stat: &fs::Stat) -> EntryKind {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let stored = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
    EntryKind::File { size, executable: stat.st_mode & 0o100 != 0, sparse: stored < size }
}

/// Of links there are none to speak of.
fn mode(stat: &fs::Stat) -> Option<u16> {
    let plain = FileType::from_raw_mode(stat.st_mode) != FileType::Symlink;
    plain.then(|| u16::try_from(stat.st_mode & 0o777).unwrap_or(0))
}

#[allow(clippy::unnecessary_cast, reason = "the fields' types differ between systems")]
fn modified(stat: &fs::Stat) -> FileTime {
    FileTime::from_stat(stat.st_mtime as i64, stat.st_mtime_nsec as u64)
}
