//! The one durable write: temporary file, write, fsync, rename, fsync of the directory.
//!
//! After a crash at any point the target holds either the old bytes or the new ones, never a mixture; a temporary file
//! may stay behind and is removed by [`sweep`]. Used for the keystore, the settings and every other small file that must
//! not be lost; bulk data has its own path in `landing`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::disk;

/// Temporary files begin with this.
const TEMPORARY: &str = ".warren-tmp-";

/// What is to happen when the target exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced in one step.
    Replace,
    /// The write fails with `AlreadyExists`.
    Keep,
}

/// Writes `bytes` to `path` durably; the file can be read by its owner only (mode 0600).
pub fn write(path: &Path, bytes: &[u8], existing: Existing) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let dir = disk::open_dir(directory_of(path))?;
    write_at(dir.as_fd(), name, bytes, existing)
}

/// Removes a file durably; no error when it is not there.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    Ok(fs::fsync(disk::open_dir(directory_of(path))?)?)
}

/// Removes what crashed writes have left in `dir`. Only for whoever is the sole writer there.
pub fn sweep(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_bytes().starts_with(TEMPORARY.as_bytes()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// [`write`] relative to a directory handle.
pub(crate) fn write_at(dir: BorrowedFd<'_>, name: &OsStr, bytes: &[u8], existing: Existing) -> io::Result<()> {
    Staged::new(dir, bytes)?.publish(name, existing)
}

/// New contents that lie complete and durable beside the target, under a temporary name; removed when dropped.
struct Staged<'a> {
    dir: BorrowedFd<'a>,
    temporary: String,
    published: bool,
}

impl<'a> Staged<'a> {
    fn new(dir: BorrowedFd<'a>, bytes: &[u8]) -> io::Result<Self> {
        let (temporary, file) = create_temporary(dir)?;
        let staged = Self { dir, temporary, published: false };
        let mut file = File::from(file);
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(staged)
    }

    fn publish(mut self, name: &OsStr, existing: Existing) -> io::Result<()> {
        let temporary = OsStr::new(&self.temporary);
        match existing {
            Existing::Replace => fs::renameat(self.dir, temporary, self.dir, name)?,
            Existing::Keep => disk::rename_new(self.dir, temporary, self.dir, name)?,
        }
        self.published = true;
        Ok(fs::fsync(self.dir)?)
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::unlinkat(self.dir, &self.temporary, AtFlags::empty());
        }
    }
}

/// Creates a file that was not there before. The number makes names of one process differ, `O_EXCL` settles the rest.
fn create_temporary(dir: BorrowedFd<'_>) -> io::Result<(String, rustix::fd::OwnedFd)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{TEMPORARY}{}-{number}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match fs::openat(dir, &name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => return Ok((name, file)),
            Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// The directory that holds `path`; a bare name lies in the current one.
fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_crash_before_publishing_leaves_the_old_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        write(&path, b"old", Existing::Replace).unwrap();
        let fd = disk::open_dir(dir.path()).unwrap();

        // Killed between the write and the rename: no destructor runs.
        std::mem::forget(Staged::new(fd.as_fd(), b"new and longer").unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()).len(), 2);

        sweep(dir.path()).unwrap();
        assert_eq!(names(dir.path()), ["keys"]);
        write(&path, b"new", Existing::Replace).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn failure_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        write(&path, b"mine", Existing::Keep).unwrap();
        let refused = write(&path, b"theirs", Existing::Keep).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        std::fs::create_dir(dir.path().join("d")).unwrap();
        write(&dir.path().join("d"), b"over a directory", Existing::Replace).unwrap_err();
        assert_eq!(names(dir.path()), ["d", "keys"]);
    }

    #[test]
    fn only_the_owner_may_read_and_removal_is_idempotent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        write(&path, b"secret", Existing::Replace).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }
}
