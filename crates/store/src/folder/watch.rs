//! Watching a folder: which directories somebody changed something in.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use logic::transfer::path::RelPath;
use notify::event::EventKind;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::STAGING;

/// Directories to look into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Those; `None`: the folder itself.
    pub dirs: BTreeSet<Option<RelPath>>,
    /// Everything: the system lost count.
    pub all: bool,
}

impl Dirty {
    /// True if there is nothing to look at.
    pub fn is_empty(&self) -> bool {
        !self.all && self.dirs.is_empty()
    }

    /// Both together.
    pub fn merge(&mut self, other: Self) {
        self.dirs.extend(other.dirs);
        self.all |= other.all;
    }
}

/// A watched folder. Ends when dropped.
pub struct Watch {
    dirty: Arc<Mutex<Dirty>>,
    _watcher: RecommendedWatcher,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// Watches a folder; `wake` is called, from another thread, whenever there is something to look at.
    ///
    /// # Errors
    /// The system has no room for as many watches, for example. Who cannot watch looks at everything now and then.
    pub fn new(path: &Path, wake: impl Fn() + Send + 'static) -> Result<Self, notify::Error> {
        let dirty = Arc::new(Mutex::new(Dirty::default()));
        // Events name the path that the system knows.
        let root = path.canonicalize().map_err(notify::Error::io)?;
        let (noted, base) = (dirty.clone(), root.clone());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let found = found(&base, event);
            if !found.is_empty() {
                noted.lock().unwrap_or_else(PoisonError::into_inner).merge(found);
                wake();
            }
        })?;
        watcher.watch(&root, RecursiveMode::Recursive)?;
        Ok(Self { dirty, _watcher: watcher })
    }

    /// What there is to look at, and forgets it.
    pub fn take(&self) -> Dirty {
        std::mem::take(&mut *self.dirty.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What an event means. Reading means nothing: this device reads, too.
fn found(root: &Path, event: notify::Result<notify::Event>) -> Dirty {
    let all = Dirty { all: true, ..Dirty::default() };
    let Ok(event) = event else { return all };
    if event.need_rescan() {
        return all;
    }
    let paths = event.paths.iter().filter(|_| !matches!(event.kind, EventKind::Access(_)));
    Dirty { dirs: paths.filter_map(|path| around(root, path)).collect(), all: false }
}

/// The directory around a path; `None`: it is none of the folder's.
fn around(root: &Path, path: &Path) -> Option<Option<RelPath>> {
    let inside = path.strip_prefix(root).ok()?;
    if inside.components().next().is_some_and(|top| top.as_os_str() == OsStr::new(STAGING)) {
        return None;
    }
    let dir = inside.parent().map(|dir| dir.as_os_str().as_bytes()).unwrap_or_default();
    if dir.is_empty() { Some(None) } else { RelPath::parse(dir).ok().map(Some) }
}
