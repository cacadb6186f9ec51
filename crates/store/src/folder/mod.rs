//! A folder of the user's that is kept in step with a directory of a space: looking into it, and changing it.
//!
//! ```text
//! folder/                 what the user sees and changes at any moment
//! folder/.warren-sync/    mode 0700; says that this is the folder; files are written here first
//! folder/.warrenignore    what is left out, in the syntax of gitignore
//! ```
//!
//! Invariants: nothing is looked at or changed through a symbolic link; nothing is replaced or removed that does not look
//! as the caller expects it, whatever programs do meanwhile: what is in the way is taken out by an exchange of names,
//! looked at, and put back if it is another; a name shows a whole, durable file or the one before. What was put in place
//! is durable after [`Folder::sync`].
//!
//! All calls block. Called by the spaces of the node; what follows from what is found is decided in `logic::folder`.

mod look;
mod place;
#[cfg(test)]
mod tests;
mod watch;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logic::folder::{FileId, Print};
use logic::space::NodeKind;
use logic::transfer::path::RelPath;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, Stat};
use rustix::io::Errno;

use crate::disk;

pub use look::{LeftOut, Look, Rules};
pub use place::Staged;
pub use watch::{Dirty, Watch};

/// Where files are written before they are put in place.
pub const STAGING: &str = ".warren-sync";
/// How names begin there of what was taken out of the folder, and may be somebody's.
const TAKEN_OUT: &str = "out-";
/// The file that says what is left out.
pub const IGNORE: &str = ".warrenignore";

/// A folder that cannot be used, or a change of it that was not made.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It is not there, or not the one that it was: an empty mount point for example. Nothing follows from what is in it.
    #[error("{} is not the folder that was kept in step", .0.display())]
    NotTheFolder(PathBuf),
    /// Something else is there than expected: it changed meanwhile.
    #[error("{0} changed meanwhile")]
    Changed(RelPath),
    /// A directory in which something is left.
    #[error("{0} is not empty")]
    NotEmpty(RelPath),
    /// The file system said no.
    #[error("{path}: {error}")]
    Io {
        /// Where.
        path: RelPath,
        /// What.
        error: io::Error,
    },
    /// As above, for the folder itself.
    #[error("{}: {error}", path.display())]
    Top {
        /// Which.
        path: PathBuf,
        /// What.
        error: io::Error,
    },
}

impl FolderError {
    fn at(path: &RelPath) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.clone();
        move |error| Self::Io { path, error }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    root: Arc<OwnedFd>,
    staging: OwnedFd,
}

impl Folder {
    /// Begins with a folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`FolderError`], here and below.
    pub fn begin(path: &Path) -> Result<Self, FolderError> {
        let top = |error| FolderError::Top { path: path.to_owned(), error };
        std::fs::create_dir_all(path).map_err(top)?;
        let root = disk::open_dir(path).map_err(top)?;
        match fs::mkdirat(&root, STAGING, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(top(error.into())),
        }
        fs::fsync(&root).map_err(|error| top(error.into()))?;
        Self::open(path)
    }

    /// Opens a folder that was begun with, and removes what a crash has left in it.
    ///
    /// # Errors
    /// [`FolderError::NotTheFolder`] and others.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let top = |error| FolderError::Top { path: path.to_owned(), error };
        let root = match disk::open_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(FolderError::NotTheFolder(path.to_owned()));
            }
            root => root.map_err(top)?,
        };
        let staging = match disk::open_dir_at(&root, OsStr::new(STAGING)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(FolderError::NotTheFolder(path.to_owned()));
            }
            staging => staging.map_err(top)?,
        };
        let folder = Self { path: path.to_owned(), root: Arc::new(root), staging };
        folder.clear_staging().map_err(top)?;
        Ok(folder)
    }

    /// Ends keeping it in step: what marks it goes, everything else stays.
    ///
    /// # Errors
    /// As above.
    pub fn end(self) -> Result<(), FolderError> {
        match fs::unlinkat(&self.root, STAGING, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(FolderError::Top { path: self.path, error: error.into() }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is still the folder at its path, with its mark.
    ///
    /// # Errors
    /// [`FolderError::NotTheFolder`].
    pub fn check(&self) -> Result<(), FolderError> {
        let gone = || FolderError::NotTheFolder(self.path.clone());
        let now = fs::stat(&self.path).map_err(|_| gone())?;
        let held = fs::fstat(&self.root).map_err(|_| gone())?;
        let marked = fs::statat(&self.root, STAGING, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        if marked && (now.st_dev, now.st_ino) == (held.st_dev, held.st_ino) { Ok(()) } else { Err(gone()) }
    }

    fn clear_staging(&self) -> io::Result<()> {
        for entry in Dir::read_from(&self.staging)? {
            let entry = entry?;
            let name = entry.file_name();
            match name.to_bytes().strip_prefix(TAKEN_OUT.as_bytes()) {
                // Cut off before it was known whose it is: it goes back into the folder, under a name of its own.
                Some(number) => {
                    let rescued = [b"rescued-", number].concat();
                    let name = OsStr::from_bytes(name.to_bytes());
                    disk::rename_new(self.staging.as_fd(), name, self.root.as_fd(), OsStr::from_bytes(&rescued))?;
                }
                None if matches!(name.to_bytes(), b"." | b"..") => {}
                None => fs::unlinkat(&self.staging, name, AtFlags::empty())?,
            }
        }
        Ok(())
    }

    /// The handle of a directory, reached without following links; `None`: the folder itself.
    fn dir(&self, path: Option<&RelPath>) -> io::Result<Arc<OwnedFd>> {
        let mut dir = self.root.clone();
        for name in path.into_iter().flat_map(RelPath::names) {
            dir = Arc::new(disk::open_dir_at(&dir, OsStr::from_bytes(name))?);
        }
        Ok(dir)
    }

    /// The handle of the directory around something, and its name there.
    fn place<'a>(&self, path: &'a RelPath) -> Result<(Arc<OwnedFd>, &'a OsStr), FolderError> {
        let dir = self.dir(path.parent().as_ref()).map_err(FolderError::at(path))?;
        Ok((dir, OsStr::from_bytes(path.name())))
    }

    /// What something looks like; `None` if nothing is there or nothing that a space could keep.
    ///
    /// # Errors
    /// As above.
    pub fn print(&self, path: &RelPath) -> Result<Option<Print>, FolderError> {
        match self.dir(path.parent().as_ref()) {
            Ok(dir) => print_at(dir, OsStr::from_bytes(path.name())).map_err(FolderError::at(path)),
            Err(error) if is_nowhere(&error) => Ok(None),
            Err(error) => Err(FolderError::at(path)(error)),
        }
    }

    /// Makes what was done in these directories durable (`None`: the folder itself).
    ///
    /// # Errors
    /// As above.
    pub fn sync<'a>(&self, dirs: impl IntoIterator<Item = Option<&'a RelPath>>) -> Result<(), FolderError> {
        for dir in dirs {
            let synced = match self.dir(dir) {
                Ok(handle) => fs::fsync(&handle).map_err(io::Error::from),
                // Removed or moved since: the directory around it says so.
                Err(error) if is_nowhere(&error) => Ok(()),
                Err(error) => Err(error),
            };
            synced.map_err(|error| match dir {
                Some(path) => FolderError::at(path)(error),
                None => FolderError::Top { path: self.path.clone(), error },
            })?;
        }
        Ok(())
    }
}

/// Nothing there, or something on the way that is no directory.
fn is_nowhere(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

fn print_at(dir: impl AsFd, name: &OsStr) -> io::Result<Option<Print>> {
    match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(print_of(&stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a `stat` says; `None` of sockets, devices and the like.
fn print_of(stat: &Stat) -> Option<Print> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => NodeKind::Dir,
        FileType::RegularFile => NodeKind::File,
        FileType::Symlink => NodeKind::Link,
        _ => return None,
    };
    let time = |seconds: i64, nanos: u64| (seconds, u32::try_from(nanos).unwrap_or(0));
    Some(Print {
        kind,
        id: FileId { device: stat.st_dev, inode: stat.st_ino },
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified: time(stat.st_mtime, stat.st_mtime_nsec),
        changed: time(stat.st_ctime, stat.st_ctime_nsec),
        mode: (stat.st_mode & 0o777) as u16,
    })
}
