//! Where received trees are built, and how they appear in the folder of received files.
//!
//! ```text
//! received/                       what the user sees
//! received/.warren-partial/       mode 0700
//!     <transfer id, hex>/tree/    the tree while it is built
//!     <transfer id, hex>/plan     exists once everything in the tree is complete and durable
//!     key-<name of the code>      see `return_key`
//! ```
//!
//! Invariants: nothing is ever written outside `tree/` before the end, whatever names a peer sends (see `tree`);
//! nothing in the received folder is ever overwritten; a name appears there only after all that it stands for is
//! durable; a crash at any moment loses no finished item and names none twice (see `publish`).
//!
//! All calls block; [`Building`] and [`LandingFile`] may be used from several threads at once. Called by the transfer
//! service of the node.

mod building;
pub(crate) mod direct;
mod file;
mod merging;
mod names;
mod publish;
mod restoring;
mod return_key;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{AtFlags, Dir, Mode};
use rustix::io::Errno;

use crate::disk;

pub use building::Building;
pub use direct::ALIGN;
pub use file::LandingFile;
pub(crate) use file::read_full_at;
pub use merging::{Clash, Merged};
pub(crate) use names::numbered;
pub use publish::Landed;
pub use restoring::Attributes;
pub use return_key::ReturnKey;

/// Name of the folder inside the received folder where trees are built.
pub const PARTIAL_DIR: &str = ".warren-partial";

/// Times that a partial folder which vanishes between two looks at it is made again.
const TRIES: usize = 32;

/// Identifies a transfer; the caller's business where it comes from.
pub type LandingId = [u8; 16];

/// Why receiving to disk failed. Paths are relative to the tree, or absolute for the received folder itself.
#[derive(Debug, thiserror::Error)]
pub enum LandingError {
    /// No space left, or the quota is used up.
    #[error("the disk is full: {path:?} cannot be written")]
    DiskFull {
        /// What was to be written.
        path: PathBuf,
    },
    /// The system refuses to let this user write there.
    #[error("no permission to write {path:?}")]
    Denied {
        /// What was to be written.
        path: PathBuf,
    },
    /// Something of another kind, or something unexpected, is there already.
    #[error("something else is in the way at {path:?}")]
    InTheWay {
        /// Where.
        path: PathBuf,
    },
    /// The file system of the received folder cannot hold this name.
    #[error("this disk cannot hold the name {path:?}")]
    BadName {
        /// The name.
        path: PathBuf,
    },
    /// Another process builds this very transfer.
    #[error("another process is receiving this transfer here")]
    InUse,
    /// The plan of a landing is damaged; abandoning the transfer clears it.
    #[error("the plan of an interrupted landing is damaged")]
    DamagedPlan,
    /// Anything else.
    #[error("{path:?}: {source}")]
    Io {
        /// What was worked on.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl LandingError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::DiskFull { path },
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Self::Denied { path },
            Some(Errno::EXIST | Errno::NOTDIR | Errno::LOOP | Errno::ISDIR) => Self::InTheWay { path },
            Some(Errno::NAMETOOLONG | Errno::ILSEQ | Errno::INVAL) => Self::BadName { path },
            _ => Self::Io { path, source },
        }
    }
}

/// The folder of received files.
#[derive(Debug)]
pub struct Landing {
    path: PathBuf,
    dir: OwnedFd,
}

impl Landing {
    /// Opens the received folder and creates it where it is missing.
    pub fn open(received: &Path) -> Result<Self, LandingError> {
        let fail = || LandingError::at(received);
        std::fs::create_dir_all(received).map_err(fail())?;
        let dir = disk::open_dir(received).map_err(fail())?;
        Ok(Self { path: received.to_owned(), dir })
    }

    /// Sees whether something can be received into this folder, which is created where it is missing. Leaves nothing
    /// else behind.
    pub fn probe(received: &Path) -> Result<(), LandingError> {
        Self::open(received)?.begin(&seal::random())?.abandon()
    }

    /// Removes what is left in `received` of transfer `id`, if there is anything.
    ///
    /// # Errors
    /// [`LandingError::InUse`] while another process builds it.
    pub fn discard(received: &Path, id: &LandingId) -> Result<(), LandingError> {
        let dir = match disk::open_dir(received) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            dir => dir.map_err(LandingError::at(received))?,
        };
        let landing = Self { path: received.to_owned(), dir };
        if landing.has(id)? { landing.begin(id)?.abandon() } else { Ok(()) }
    }

    /// Begins to build the tree of transfer `id`, or goes on where it was left. One process at a time may do so.
    pub fn begin(&self, id: &LandingId) -> Result<Building, LandingError> {
        self.in_partial_dir(|received, partial| Building::begin(received, &self.path, partial, id))
    }

    /// The key with which to receive by a one-time code: the one that an earlier process kept here under `name`, else
    /// one that grows from `fresh`. `name` is seen by whoever sees the folder; it must be a plain word.
    ///
    /// # Errors
    /// [`LandingError::InUse`] while another process has it.
    pub fn return_key(&self, name: &str, fresh: &[u8; 32]) -> Result<ReturnKey, LandingError> {
        self.in_partial_dir(|received, partial| ReturnKey::take(received, partial, name, fresh))
    }

    /// The keys that earlier processes kept here and that nobody has come back with since `before`.
    pub fn unused_keys(&self, before: SystemTime) -> Result<Vec<ReturnKey>, LandingError> {
        self.in_partial_dir(|received, partial| {
            ReturnKey::unused(&received, &partial, before).map_err(LandingError::at(&self.path.join(PARTIAL_DIR)))
        })
    }

    /// Is something of transfer `id` here?
    pub fn has(&self, id: &LandingId) -> Result<bool, LandingError> {
        Ok(self.unfinished()?.contains(id))
    }

    /// Transfers of which something is left in the partial folder.
    pub fn unfinished(&self) -> Result<Vec<LandingId>, LandingError> {
        let path = self.path.join(PARTIAL_DIR);
        let read = || -> io::Result<Vec<LandingId>> {
            let dir = match disk::open_dir_at(&self.dir, OsStr::new(PARTIAL_DIR)) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                dir => dir?,
            };
            let mut ids = Vec::new();
            for entry in Dir::read_from(&dir)? {
                ids.extend(parse_id(entry?.file_name().to_bytes()));
            }
            ids.sort_unstable();
            Ok(ids)
        };
        read().map_err(LandingError::at(&path))
    }

    /// Free space for this user, in bytes.
    pub fn free_space(&self) -> Result<u64, LandingError> {
        disk::free_space_at(&self.dir).map_err(LandingError::at(&self.path))
    }

    /// Does something in the partial folder. Whoever ends there removes the folder if it is empty, perhaps just after it
    /// was opened here: then once more.
    fn in_partial_dir<T>(&self, work: impl Fn(OwnedFd, OwnedFd) -> Result<T, LandingError>) -> Result<T, LandingError> {
        let once = || {
            let partial = self.partial_dir()?;
            work(self.dir.try_clone().map_err(LandingError::at(&self.path))?, partial)
        };
        for _ in 0..TRIES {
            match once() {
                Err(LandingError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                done => return done,
            }
        }
        once()
    }

    fn partial_dir(&self) -> Result<OwnedFd, LandingError> {
        let name = OsStr::new(PARTIAL_DIR);
        make_dir(&self.dir, name, Mode::RWXU)
            .and_then(|_| disk::open_dir_at(&self.dir, name))
            .map_err(LandingError::at(&self.path.join(name)))
    }
}

/// Removes the partial folder in `received`; fails silently when something else is under way there.
fn remove_if_empty(received: &OwnedFd) {
    let _ = rustix::fs::unlinkat(received, PARTIAL_DIR, AtFlags::REMOVEDIR);
}

/// Creates a directory; `false` when something is there already.
fn make_dir(parent: &OwnedFd, name: &OsStr, mode: Mode) -> io::Result<bool> {
    match rustix::fs::mkdirat(parent, name, mode) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn id_name(id: &LandingId) -> OsString {
    data_encoding::HEXLOWER.encode(id).into()
}

fn parse_id(name: &[u8]) -> Option<LandingId> {
    data_encoding::HEXLOWER.decode(name).ok()?.try_into().ok()
}

/// Removes `name` in `dir` with everything below it, following no symlink; no error when it is not there.
/// Directories are emptied in batches, so that memory stays bounded.
fn remove_tree(dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
    use rustix::fs::{AtFlags, FileType, unlinkat};
    const BATCH: usize = 1024;
    match disk::kind_at(dir, name)? {
        None => return Ok(()),
        Some(FileType::Directory) => {}
        Some(_) => return Ok(unlinkat(dir, name, AtFlags::empty())?),
    }
    let inner = disk::open_dir_at(dir, name)?;
    loop {
        let batch = names_in(&inner, BATCH)?;
        if batch.is_empty() {
            return Ok(unlinkat(dir, name, AtFlags::REMOVEDIR)?);
        }
        for name in batch {
            remove_tree(&inner, &name)?;
        }
    }
}

/// At most `limit` names in a directory, in the order in which the system has them.
fn names_in(dir: &OwnedFd, limit: usize) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
        if names.len() == limit {
            break;
        }
    }
    Ok(names)
}
