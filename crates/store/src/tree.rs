//! A directory handle under which every look-up stays.
//!
//! Paths are walked component by component, each opened relative to the handle of the one before with `O_NOFOLLOW`, so
//! a symlink anywhere on the way is an error, on every kernel. This gives what `openat2(RESOLVE_BENEATH |
//! RESOLVE_NO_SYMLINKS)` gives, without a second code path for kernels that lack it and without its 4096-byte limit; the
//! handles of recent directories are kept, so the usual look-up costs no system call at all.
//!
//! Used by `landing` (to write) and `source` (to read).

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk;
use crate::relpath::{RelPath, split_last};

/// Directory handles kept open. Work goes depth first, so that a few would do; when full the cache starts anew.
const KEPT_HANDLES: usize = 64;

/// The handle of a root directory and of recently used directories below it.
#[derive(Debug)]
pub(crate) struct Tree {
    root: Arc<OwnedFd>,
    recent: Mutex<HashMap<OsString, Arc<OwnedFd>>>,
}

impl Tree {
    /// A tree below the directory `root`.
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self { root: Arc::new(root), recent: Mutex::default() }
    }

    /// The root's handle.
    pub(crate) fn root(&self) -> &Arc<OwnedFd> {
        &self.root
    }

    /// The handle of a directory.
    pub(crate) fn dir(&self, path: &RelPath) -> io::Result<Arc<OwnedFd>> {
        self.dir_at(path.as_path().as_os_str())
    }

    /// The handle of the directory that holds `path`.
    pub(crate) fn parent(&self, path: &RelPath) -> io::Result<Arc<OwnedFd>> {
        self.dir_at(OsStr::from_bytes(split_last(path.as_path().as_os_str().as_bytes()).0))
    }

    /// Forgets kept handles; needed after directories were removed or renamed.
    pub(crate) fn forget(&self) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn dir_at(&self, joined: &OsStr) -> io::Result<Arc<OwnedFd>> {
        if joined.is_empty() {
            return Ok(self.root.clone());
        }
        if let Some(dir) = self.recent.lock().unwrap_or_else(PoisonError::into_inner).get(joined) {
            return Ok(dir.clone());
        }
        let (parent, name) = split_last(joined.as_bytes());
        let parent = self.dir_at(OsStr::from_bytes(parent))?;
        let dir = Arc::new(disk::open_dir_at(&parent, OsStr::from_bytes(name))?);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= KEPT_HANDLES {
            recent.clear();
        }
        recent.insert(joined.to_owned(), dir.clone());
        Ok(dir)
    }
}
