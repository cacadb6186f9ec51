//! A tree while it is built: directories, files and links are made relative to directory handles.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::publish::{self, Landed, Plan};
use super::{LandingError, LandingFile, LandingId, id_name, make_dir, remove_if_empty, remove_tree};
use crate::disk;
use crate::meta::{FileMeta, FileTime};
use crate::relpath::RelPath;
use crate::tree::Tree;

/// Up to so many items are made durable one by one; above, the whole file system is flushed once. On a quiet ext4 one
/// fsync took as long as one flush of everything (3 ms), so the flush is faster from the second item on; but it also
/// waits for whatever other programs have written, which a short message should not have to do.
const FEW: usize = 4;

const TREE: &str = "tree";

/// A tree being received. Dropping it leaves everything on disk for a later [`begin`](super::Landing::begin).
#[derive(Debug)]
pub struct Building {
    pub(super) received: OwnedFd,
    pub(super) received_path: PathBuf,
    pub(super) partial: OwnedFd,
    pub(super) id: OsString,
    /// The directory of this transfer; its lock says that somebody works on it.
    pub(super) dir: OwnedFd,
    pub(super) tree: Tree,
    resumed: bool,
    plan: Option<Plan>,
    made: Mutex<Made>,
}

/// What has to be made durable at the end.
#[derive(Debug)]
enum Made {
    Few(Vec<(RelPath, FileType)>),
    Many,
}

impl Building {
    pub(super) fn begin(
        received: OwnedFd,
        received_path: &Path,
        partial: OwnedFd,
        id: &LandingId,
    ) -> Result<Self, LandingError> {
        let id = id_name(id);
        let path = received_path.join(super::PARTIAL_DIR).join(&id);
        let fail = || LandingError::at(&path);
        make_dir(&partial, &id, Mode::RWXU).map_err(fail())?;
        let dir = disk::open_dir_at(&partial, &id).map_err(fail())?;
        match fs::flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(LandingError::InUse),
            locked => locked.map_err(|e| fail()(e.into()))?,
        }
        let plan = Plan::load(&dir)?;
        let resumed = !make_dir(&dir, OsStr::new(TREE), Mode::RWXU).map_err(fail())?;
        let tree = Tree::new(disk::open_dir_at(&dir, OsStr::new(TREE)).map_err(fail())?);
        // What an earlier process wrote may still be in memory only: such trees are flushed as a whole.
        let made = Mutex::new(if resumed { Made::Many } else { Made::Few(Vec::new()) });
        let received_path = received_path.to_owned();
        Ok(Self { received, received_path, partial, id, dir, tree, resumed, plan, made })
    }

    /// Was something of this transfer here before?
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Was everything complete and durable before an interruption? Then only [`finish`](Self::finish) is left to do.
    pub fn is_complete(&self) -> bool {
        self.plan.is_some()
    }

    /// Free space for this user, in bytes.
    pub fn free_space(&self) -> Result<u64, LandingError> {
        disk::free_space_at(&self.received).map_err(LandingError::at(&self.received_path))
    }

    /// The file system of the received folder, by number.
    pub fn volume(&self) -> Result<u64, LandingError> {
        fs::fstat(&self.received).map(|stat| stat.st_dev).map_err(|e| LandingError::at(&self.received_path)(e.into()))
    }

    /// Bytes that the tree takes on the disk.
    pub fn used(&self) -> Result<u64, LandingError> {
        disk::used_below(self.tree.root()).map_err(LandingError::at(Path::new(&self.id)))
    }

    /// Creates a directory; its parent must exist. A directory that is there already is fine.
    pub fn create_dir(&self, path: &RelPath) -> Result<(), LandingError> {
        let create = || -> io::Result<()> {
            let parent = self.tree.parent(path)?;
            let created = make_dir(&parent, path.name(), Mode::from_raw_mode(0o777))?;
            if !created && disk::kind_at(&parent, path.name())? != Some(FileType::Directory) {
                return Err(Errno::EXIST.into());
            }
            Ok(())
        };
        create().map_err(LandingError::at(path.as_path()))?;
        self.note(path, FileType::Directory);
        Ok(())
    }

    /// Creates an empty file for writing by [`LandingFile::write_at`]; nothing may be there yet.
    pub fn create_file(&self, path: &RelPath, executable: bool) -> Result<LandingFile, LandingError> {
        let create = || -> io::Result<LandingFile> {
            let file = self.create(path, executable)?;
            Ok(LandingFile::new(file, self.tree.parent(path)?, path.clone()))
        };
        let file = create().map_err(LandingError::at(path.as_path()))?;
        self.note(path, FileType::RegularFile);
        Ok(file)
    }

    /// Creates a small file with its contents in one go; nothing may be there yet.
    pub fn put_file(&self, path: &RelPath, contents: &[u8], meta: &FileMeta) -> Result<(), LandingError> {
        let put = || -> io::Result<()> {
            let file = self.create(path, meta.executable)?;
            file.write_all_at(contents, 0)?;
            Ok(fs::futimens(&file, &meta.modified.as_timestamps())?)
        };
        put().map_err(LandingError::at(path.as_path()))?;
        self.note(path, FileType::RegularFile);
        Ok(())
    }

    /// Opens a file that an earlier run has left, for reading back and going on; `None` when nothing is there.
    /// Anything but a plain file with one name is [`InTheWay`](LandingError::InTheWay).
    pub fn resume_file(&self, path: &RelPath) -> Result<Option<LandingFile>, LandingError> {
        let open = || -> io::Result<Option<LandingFile>> {
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let opened = self.tree.parent(path).and_then(|dir| {
                let file = fs::openat(&dir, path.name(), flags, Mode::empty())?;
                Ok((dir, file))
            });
            let (dir, file) = match opened {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                opened => opened?,
            };
            let stat = fs::fstat(&file)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
                return Err(Errno::EXIST.into());
            }
            Ok(Some(LandingFile::new(file.into(), dir, path.clone())))
        };
        open().map_err(LandingError::at(path.as_path()))
    }

    /// Creates a symlink; it is never followed here. Best made last, as nothing can be put below one.
    pub fn symlink(&self, path: &RelPath, target: &OsStr) -> Result<(), LandingError> {
        self.tree
            .parent(path)
            .and_then(|dir| Ok(fs::symlinkat(target, dir, path.name())?))
            .map_err(LandingError::at(path.as_path()))?;
        self.note(path, FileType::Symlink);
        Ok(())
    }

    /// Target of a symlink that an earlier run has left, `None` when there is none.
    pub fn read_link(&self, path: &RelPath) -> Result<Option<OsString>, LandingError> {
        use std::os::unix::ffi::OsStringExt;
        let read = || -> io::Result<Option<OsString>> {
            match self.tree.parent(path).and_then(|dir| Ok(fs::readlinkat(dir, path.name(), Vec::new())?)) {
                Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()))),
                Err(e) if matches!(Errno::from_io_error(&e), Some(Errno::NOENT | Errno::INVAL)) => Ok(None),
                Err(e) => Err(e),
            }
        };
        read().map_err(LandingError::at(path.as_path()))
    }

    /// Sets the modification time of a directory or symlink, for directories after all that they hold has been made.
    pub fn set_modified(&self, path: &RelPath, modified: FileTime) -> Result<(), LandingError> {
        self.tree
            .parent(path)
            .and_then(|dir| Ok(fs::utimensat(dir, path.name(), &modified.as_timestamps(), AtFlags::SYMLINK_NOFOLLOW)?))
            .map_err(LandingError::at(path.as_path()))
    }

    /// Names in a directory of the tree (`None`: its top), in no order; empty when there is no such directory.
    pub fn names(&self, path: Option<&RelPath>) -> Result<Vec<OsString>, LandingError> {
        use std::os::unix::ffi::OsStrExt;
        let read = || -> io::Result<Vec<OsString>> {
            let dir = match path {
                Some(path) => self.tree.dir(path)?,
                None => self.tree.root().clone(),
            };
            let names = fs::Dir::read_from(&dir)?
                .map(|entry| entry.map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned()));
            let names: Vec<_> = names.collect::<Result<_, _>>()?;
            Ok(names.into_iter().filter(|name| name != "." && name != "..").collect())
        };
        match read() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            names => names.map_err(LandingError::at(path.map_or(Path::new(""), RelPath::as_path))),
        }
    }

    /// Removes whatever lies at `path`, with all below it; no error when nothing does.
    pub fn remove(&self, path: &RelPath) -> Result<(), LandingError> {
        self.tree.forget();
        match self.tree.parent(path).and_then(|dir| remove_tree(&dir, path.name())) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(LandingError::at(path.as_path())),
        }
    }

    /// Makes everything durable, then moves the top-level items into the received folder under names that are free
    /// there. No [`LandingFile`] may be in use any more.
    pub fn finish(mut self) -> Result<Landed, LandingError> {
        let plan = match self.plan.take() {
            Some(plan) => plan,
            None => {
                self.flush()?;
                Plan::make(&self)?
            }
        };
        publish::publish(self, plan)
    }

    /// Removes everything of this transfer; what has landed already stays.
    pub fn abandon(self) -> Result<(), LandingError> {
        remove_tree(&self.partial, &self.id).map_err(LandingError::at(Path::new(&self.id)))?;
        remove_if_empty(&self.received);
        Ok(())
    }

    pub(super) fn create(&self, path: &RelPath, executable: bool) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
        Ok(fs::openat(self.tree.parent(path)?, path.name(), flags, mode)?.into())
    }

    pub(super) fn note(&self, path: &RelPath, kind: FileType) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Made::Few(items) = &mut *made {
            items.push((path.clone(), kind));
            if items.len() > FEW {
                *made = Made::Many;
            }
        }
    }

    pub(super) fn flush(&self) -> Result<(), LandingError> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Made::Few(items) => self.flush_each(items),
            Made::Many => match disk::sync_filesystem(&self.dir).map_err(LandingError::at(&self.received_path))? {
                true => Ok(()),
                false => publish::flush_below(self.tree.root()).map_err(LandingError::at(&self.received_path)),
            },
        }
    }

    /// Flushes every file that was made, then every directory that got a new entry.
    fn flush_each(&self, items: &[(RelPath, FileType)]) -> Result<(), LandingError> {
        let mut dirs = BTreeSet::new();
        for (path, kind) in items {
            let flush = || -> io::Result<()> {
                if *kind == FileType::RegularFile {
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                    fs::fsync(fs::openat(self.tree.parent(path)?, path.name(), flags, Mode::empty())?)?;
                } else if *kind == FileType::Directory {
                    fs::fsync(self.tree.dir(path)?)?;
                }
                Ok(())
            };
            match flush() {
                // Removed again by the caller.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                done => done.map_err(LandingError::at(path.as_path()))?,
            }
            dirs.extend(path.parent().map(|parent| parent.as_path().to_owned()));
        }
        for dir in dirs {
            let sync = RelPath::new(dir.components().map(|c| c.as_os_str().to_owned()))
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))
                .and_then(|path| Ok(fs::fsync(self.tree.dir(&path)?)?));
            match sync {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                done => done.map_err(LandingError::at(&dir))?,
            }
        }
        fs::fsync(self.tree.root()).map_err(|e| LandingError::at(&self.received_path)(e.into()))
    }
}

impl Drop for Building {
    /// Closing the handle would release the lock as well, but not while a process that is just being started still
    /// holds a copy of it.
    fn drop(&mut self) {
        let _ = fs::flock(&self.dir, FlockOperation::Unlock);
    }
}
