//! The directory of packs and the files in it.
//!
//! Every write, fsync, cut and removal of the store goes through here. Handles for reading are kept open, a bounded
//! number of them; a pack that is removed can still be read by whoever has its handle.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, flock, fsync};
use rustix::io::Errno;

use super::ObjectError;
use super::fault::{self, Step};
use super::pack::{PackId, pack_header};
use crate::disk;

/// Ending of a pack's name.
const ENDING: &str = "pack";

/// Handles that are kept open for reading.
const OPEN: usize = 32;

/// The directory of packs; held by one store at a time.
pub(super) struct Files {
    path: PathBuf,
    dir: OwnedFd,
    /// The one used last stands last.
    open: Mutex<Vec<(PackId, Arc<File>)>>,
}

impl Drop for Files {
    /// See [`HomeLock`](crate::home::HomeLock).
    fn drop(&mut self) {
        let _ = flock(&self.dir, FlockOperation::Unlock);
    }
}

impl Files {
    /// Opens the directory, makes it where there is none, and claims it.
    pub(super) fn open(path: &Path) -> Result<Self, ObjectError> {
        let at = |source| ObjectError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at)?;
        let parent = path.parent().unwrap_or(path);
        disk::open_dir(parent).and_then(|parent| Ok(fsync(parent)?)).map_err(at)?;
        let dir = disk::open_dir(path).map_err(at)?;
        match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(ObjectError::InUse(path.to_owned())),
            locked => locked.map_err(|e| at(e.into()))?,
        }
        Ok(Self { path: path.to_owned(), dir, open: Mutex::default() })
    }

    /// All packs with their sizes in bytes; what else lies in the directory is left alone.
    pub(super) fn list(&self) -> io::Result<Vec<(PackId, u64)>> {
        let mut packs = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if let Some(id) = entry.file_name().to_str().and_then(pack_of_name) {
                packs.push((id, entry.metadata()?.len()));
            }
        }
        packs.sort_unstable();
        Ok(packs)
    }

    /// Where a pack lies.
    pub(super) fn path_of(&self, pack: &PackId) -> PathBuf {
        self.path.join(format!("{}.{ENDING}", data_encoding::HEXLOWER.encode(pack)))
    }

    /// The directory itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a pack with nothing but its header, durably.
    pub(super) fn create(&self, pack: &PackId) -> io::Result<()> {
        let path = self.path_of(pack);
        fault::step(Step::Create, &path)?;
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let made = write_at(&file, &path, 0, &pack_header(pack)).and_then(|()| {
            sync(&file, &path)?;
            self.sync_names()
        });
        if made.is_err() {
            let _ = self.remove(pack);
        }
        made
    }

    /// A pack for reading and writing; `NotFound` when it is not there.
    pub(super) fn get(&self, pack: &PackId) -> io::Result<Arc<File>> {
        let mut open = self.handles();
        if let Some(place) = open.iter().position(|(id, _)| id == pack) {
            open[place..].rotate_left(1);
        } else {
            let file = File::options().read(true).write(true).open(self.path_of(pack))?;
            if open.len() >= OPEN {
                open.remove(0);
            }
            open.push((*pack, Arc::new(file)));
        }
        open.last().map(|(_, file)| file.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// As if so many others had been read since that no handle is kept.
    #[cfg(test)]
    pub(super) fn forget_handles(&self) {
        self.handles().clear();
    }

    fn handles(&self) -> MutexGuard<'_, Vec<(PackId, Arc<File>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes at an offset of a pack.
    pub(super) fn write(&self, pack: &PackId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        write_at(&*self.get(pack)?, &self.path_of(pack), offset, bytes)
    }

    /// Asks the system to begin writing a part of a pack to the disk, so that there is less to wait for later.
    pub(super) fn hurry(&self, pack: &PackId, offset: u64, len: u64) {
        if let Ok(file) = self.get(pack) {
            disk::start_writeback_of(&*file, offset, len);
        }
    }

    /// Makes a pack's bytes durable.
    pub(super) fn sync(&self, pack: &PackId) -> io::Result<()> {
        sync(&*self.get(pack)?, &self.path_of(pack))
    }

    /// Cuts a pack off at `len` bytes.
    pub(super) fn cut(&self, pack: &PackId, len: u64) -> io::Result<()> {
        fault::step(Step::Cut, &self.path_of(pack))?;
        self.get(pack)?.set_len(len)
    }

    /// Removes a pack durably; no error when it is not there.
    pub(super) fn remove(&self, pack: &PackId) -> io::Result<()> {
        let path = self.path_of(pack);
        fault::step(Step::Remove, &path)?;
        // Together, so that nobody opens it in between and keeps its space taken.
        let mut open = self.handles();
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => open.retain(|(id, _)| id != pack),
        }
        drop(open);
        self.sync_names()
    }

    fn sync_names(&self) -> io::Result<()> {
        fault::step(Step::SyncDir, &self.path)?;
        Ok(fsync(&self.dir)?)
    }
}

fn write_at(file: &File, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let (count, outcome) = fault::write(path, offset, bytes.len());
    file.write_all_at(&bytes[..count], offset)?;
    outcome
}

fn sync(file: &File, path: &Path) -> io::Result<()> {
    fault::step(Step::SyncFile, path)?;
    file.sync_data()
}

fn pack_of_name(name: &str) -> Option<PackId> {
    let (id, ending) = name.split_once('.')?;
    let id = data_encoding::HEXLOWER.decode(id.as_bytes()).ok()?;
    (ending == ENDING).then(|| PackId::try_from(id).ok()).flatten()
}
