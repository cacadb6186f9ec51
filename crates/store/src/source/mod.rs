//! What is to be sent: the paths that a user names, walked lazily and read safely; or one item of the spool.
//!
//! A [`Source`] gives every named path a top-level name of its own (`x`, and `x (2)` for a second `x`). [`Source::walk`]
//! lists everything below in a fixed order (names by bytes, depth first, a directory before what it holds);
//! [`Source::open`] opens one of the listed files later. Neither follows a symlink, not even one that is swapped in
//! between: all look-ups are relative to directory handles. Only a symlink that the user names directly is followed.
//!
//! Names are bytes. What cannot be sent (sockets, devices, unreadable directories...) is reported and skipped.

mod file;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{self, AtFlags};

use crate::disk;
use crate::landing::numbered;
use crate::meta::FileTime;
use crate::relpath::RelPath;
use crate::spool::SpoolFile;
use crate::tree::Tree;
use crate::xattr::{self, Attribute};

pub use file::SourceFile;
pub use walk::Walk;

/// One thing to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies in the tree that is sent.
    pub path: RelPath,
    /// What it is.
    pub kind: EntryKind,
    /// Modification time.
    pub modified: FileTime,
    /// Permission bits (at most 0o777); of the spool none.
    pub mode: Option<u16>,
}

/// Kind of an [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory; what it holds follows.
    Directory,
    /// A plain file.
    File {
        /// Length in bytes when it was listed.
        size: u64,
        /// May the owner execute it?
        executable: bool,
        /// Does it take less space than its length, so that looking for holes pays?
        sparse: bool,
    },
    /// A symlink, sent as such.
    Symlink {
        /// What it points to, as bytes.
        target: OsString,
    },
}

/// Something that is not sent.
#[derive(Debug, thiserror::Error)]
#[error("{path:?} is left out: {why}")]
pub struct Skipped {
    /// Where it is on this machine.
    pub path: PathBuf,
    /// Where it would lie in the tree that is sent.
    pub inside: PathBuf,
    /// Why it is left out.
    pub why: SkipReason,
}

/// Why something is not sent.
#[derive(Debug, thiserror::Error)]
pub enum SkipReason {
    /// A socket, pipe or device.
    #[error("it is neither a file nor a folder nor a link")]
    Special,
    /// More than [`MAX_DEPTH`](crate::relpath::MAX_DEPTH) levels deep.
    #[error("it lies too deep")]
    TooDeep,
    /// A folder in which Warren builds what it is receiving, or what it puts into a folder in step.
    #[error("it is where Warren keeps what is unfinished")]
    PartialDir,
    /// It vanished, may not be read, or cannot be read.
    #[error("{0}")]
    Io(io::Error),
}

/// Why nothing can be sent from a path that the user named.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No path was named.
    #[error("nothing to send was named")]
    Nothing,
    /// There is nothing at this path, or a symlink leads nowhere.
    #[error("there is nothing at {path:?}")]
    Missing {
        /// The path as named.
        path: PathBuf,
    },
    /// It is a socket, pipe or device.
    #[error("{path:?} is neither a file nor a folder")]
    Special {
        /// The path as named.
        path: PathBuf,
    },
    /// Anything else.
    #[error("{path:?}: {source}")]
    Io {
        /// The path as named.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The paths that a user wants to send.
#[derive(Debug)]
pub struct Source {
    roots: Vec<Root>,
    by_name: HashMap<OsString, usize>,
}

/// One named path, resolved.
#[derive(Debug)]
struct Root {
    /// Its name in the tree that is sent.
    name: OsString,
    /// Where it is.
    path: PathBuf,
    at: RootAt,
}

#[derive(Debug)]
enum RootAt {
    Dir(Tree),
    /// A file: the directory that holds it and its name there.
    File(Arc<OwnedFd>, OsString),
    /// An item of the spool.
    Spool(Arc<SpoolFile>),
}

impl Source {
    /// Resolves the named paths. The same thing named twice counts once. The walk takes them in the order of their names.
    pub fn new<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, SourceError> {
        let mut source = Self { roots: Vec::new(), by_name: HashMap::new() };
        let mut seen = HashSet::new();
        for named in paths {
            let named = named.as_ref();
            let path = named.canonicalize().map_err(|e| SourceError::of(named, e))?;
            if seen.insert(path.clone()) {
                let wanted = named.file_name().or(path.file_name()).unwrap_or(OsStr::new("root"));
                source.add(named, path.clone(), wanted.to_owned())?;
            }
        }
        source.roots.sort_by(|a, b| a.name.cmp(&b.name));
        source.by_name = source.roots.iter().enumerate().map(|(at, root)| (root.name.clone(), at)).collect();
        if source.roots.is_empty() { Err(SourceError::Nothing) } else { Ok(source) }
    }

    /// Sees whether the files that were named themselves can be read: whoever names them wants to know it at once.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check_readable(&self) -> Result<(), SourceError> {
        self.roots.iter().try_for_each(|root| match &root.at {
            RootAt::File(dir, name) => {
                let opened = SourceFile::open(dir, name);
                opened.map(drop).map_err(|source| SourceError::of(&root.path, source))
            }
            RootAt::Dir(_) | RootAt::Spool(_) => Ok(()),
        })
    }

    /// One item of the spool, which is to arrive under `name`.
    pub fn spooled(name: OsString, file: Arc<SpoolFile>) -> Self {
        let root = Root { path: PathBuf::from(&name), name: name.clone(), at: RootAt::Spool(file) };
        Self { roots: vec![root], by_name: HashMap::from([(name, 0)]) }
    }

    /// Lists everything, anew from the beginning.
    pub fn walk(&self) -> Walk<'_> {
        Walk::new(self)
    }

    /// Top-level names in the order in which they are walked.
    pub fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.roots.iter().map(|root| root.name.as_os_str())
    }

    /// Where an entry is on this machine, for messages; `None` if it cannot be from this source.
    pub fn locate(&self, path: &RelPath) -> Option<PathBuf> {
        let root = self.root_of(path)?;
        let mut place = root.path.clone();
        place.extend(path.components().skip(1));
        Some(place)
    }

    /// Opens a listed file for reading. An error of kind `NotFound` or `InvalidInput` means that it vanished or became
    /// something else since.
    pub fn open(&self, path: &RelPath) -> io::Result<SourceFile> {
        let root = self.root_of(path).ok_or(io::ErrorKind::NotFound)?;
        match (&root.at, below(path)) {
            (RootAt::Dir(tree), Some(inner)) => SourceFile::open(&*tree.parent(&inner)?, inner.name()),
            (RootAt::File(dir, name), None) => SourceFile::open(dir, name),
            (RootAt::Spool(file), None) => Ok(SourceFile::spooled(file.clone())),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The extended attributes of a listed directory.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn dir_xattrs(&self, path: &RelPath) -> io::Result<Vec<Attribute>> {
        match self.root_of(path).map(|root| &root.at) {
            Some(RootAt::Dir(tree)) => match below(path) {
                Some(inner) => xattr::read(&*tree.dir(&inner)?),
                None => xattr::read(tree.root()),
            },
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn root_of(&self, path: &RelPath) -> Option<&Root> {
        let name = path.components().next()?;
        self.roots.get(*self.by_name.get(name)?)
    }

    fn add(&mut self, named: &Path, path: PathBuf, wanted: OsString) -> Result<(), SourceError> {
        let fail = |e: io::Error| SourceError::of(named, e);
        let kind = std::fs::metadata(&path).map_err(fail)?.file_type();
        let at = if kind.is_dir() {
            RootAt::Dir(Tree::new(disk::open_dir(&path).map_err(fail)?))
        } else if let (true, Some(parent), Some(name)) = (kind.is_file(), path.parent(), path.file_name()) {
            let dir = disk::open_dir_for_look_up(parent).map_err(fail)?;
            RootAt::File(Arc::new(dir), name.to_owned())
        } else {
            return Err(SourceError::Special { path: named.to_owned() });
        };
        let name = (1..)
            .map(|number| numbered(&wanted, number, kind.is_dir()))
            .find(|name| !self.by_name.contains_key(name))
            .unwrap_or(wanted);
        self.by_name.insert(name.clone(), self.roots.len());
        self.roots.push(Root { name, path, at });
        Ok(())
    }
}

impl SourceError {
    fn of(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            _ => Self::Io { path, source },
        }
    }
}

/// The path without its first component.
fn below(path: &RelPath) -> Option<RelPath> {
    RelPath::new(path.components().skip(1)).ok()
}

/// Status of `name` in `dir`, of the symlink itself if it is one.
fn stat_at(dir: &OwnedFd, name: &OsStr) -> io::Result<fs::Stat> {
    Ok(fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?)
}
