//! What differs between kernels and file systems, in one place: early write-back, reservations, holes, renames that
//! never overwrite, free space.
//!
//! Hints (`start_writeback`, `reserve`) may do nothing where the system has no such call; everything else either does
//! what it says or fails.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Opens a directory by path for listing and for fsync; the last component may be a symlink.
pub(crate) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    Ok(fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens a directory for looking up names in it; on Linux it need not be readable for that.
pub(crate) fn open_dir_for_look_up(path: &Path) -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    return Ok(fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?);
    #[cfg(not(target_os = "linux"))]
    open_dir(path)
}

/// Opens the directory `name` inside `dir`; a symlink in its place is an error.
pub(crate) fn open_dir_at(dir: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(fs::openat(dir, name, flags, Mode::empty())?)
}

/// Kind of what lies at `name` (a symlink is not followed), `None` when nothing does.
pub(crate) fn kind_at(dir: impl AsFd, name: &OsStr) -> io::Result<Option<FileType>> {
    match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Free space for this user on the file system that holds `dir`, in bytes.
pub(crate) fn free_space_at(dir: impl AsFd) -> io::Result<u64> {
    let stat = fs::fstatvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Free space in bytes for this user on the file system that holds `path`.
pub fn free_space(path: &Path) -> io::Result<u64> {
    let stat = fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes that everything below `dir` takes on the disk.
pub(crate) fn used_below(dir: &OwnedFd) -> io::Result<u64> {
    let mut used = 0;
    for entry in fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let stat = fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        used += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            used += used_below(&open_dir_at(dir, name)?)?;
        }
    }
    Ok(used)
}

/// Asks the kernel to begin writing the dirty pages of `file` now, without waiting.
///
/// On Linux `POSIX_FADV_DONTNEED` does this (mm/fadvise.c: it starts write-back of the range and drops the pages that
/// are clean already); `sync_file_range` would be the purer call but cannot be reached without `unsafe`.
pub(crate) fn start_writeback(file: impl AsFd) {
    #[cfg(target_os = "linux")]
    let _ = fs::fadvise(file, 0, None, fs::Advice::DontNeed);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// [`start_writeback`] of a part: `len` bytes from `offset`.
pub(crate) fn start_writeback_of(file: impl AsFd, offset: u64, len: u64) {
    #[cfg(target_os = "linux")]
    let _ = fs::fadvise(file, offset, std::num::NonZeroU64::new(len), fs::Advice::DontNeed);
    #[cfg(not(target_os = "linux"))]
    let _ = (file, offset, len);
}

/// Tells the kernel that `file` will be read from front to back.
pub(crate) fn will_read_forward(file: impl AsFd) {
    #[cfg(target_os = "linux")]
    let _ = fs::fadvise(file, 0, None, fs::Advice::Sequential);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// Reserves `len` bytes for `file` without changing its size, so that a full disk is noticed before the data comes.
/// File systems that cannot do this say nothing; a disk that is too full is an error.
pub(crate) fn reserve(file: impl AsFd, len: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if len > 0 {
        match fs::fallocate(file, fs::FallocateFlags::KEEP_SIZE, 0, len) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
            Err(e) => return Err(e.into()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, len);
    Ok(())
}

/// Turns a range of `file` into a hole. `false` where the file system cannot; the range is then unchanged.
pub(crate) fn punch_hole(file: impl AsFd, offset: u64, len: u64) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        let flags = fs::FallocateFlags::PUNCH_HOLE | fs::FallocateFlags::KEEP_SIZE;
        match fs::fallocate(file, flags, offset, len) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, offset, len);
        Ok(false)
    }
}

/// Makes everything on the file system that holds `dir` durable. `false` where the system has no such call.
pub(crate) fn sync_filesystem(dir: impl AsFd) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        fs::syncfs(dir)?;
        Ok(true)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = dir;
        Ok(false)
    }
}

/// Renames `from` to `to` and fails with `AlreadyExists` rather than replace anything.
pub(crate) fn rename_new(from_dir: BorrowedFd<'_>, from: &OsStr, to_dir: BorrowedFd<'_>, to: &OsStr) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    match fs::renameat_with(from_dir, from, to_dir, to, fs::RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        done => return Ok(done?),
    }
    rename_over_reservation(from_dir, from, to_dir, to)
}

/// For file systems without an exclusive rename (some network and FUSE ones): claims the name with something empty that
/// only one process can create, then renames over that.
fn rename_over_reservation(
    from_dir: BorrowedFd<'_>,
    from: &OsStr,
    to_dir: BorrowedFd<'_>,
    to: &OsStr,
) -> io::Result<()> {
    let directory = kind_at(from_dir, from)? == Some(FileType::Directory);
    if directory {
        fs::mkdirat(to_dir, to, Mode::RWXU)?;
    } else {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(to_dir, to, flags, Mode::RUSR | Mode::WUSR)?;
    }
    fs::renameat(from_dir, from, to_dir, to).map_err(|e| {
        let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        let _ = fs::unlinkat(to_dir, to, flags);
        e.into()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_exclusive_renames_move_and_never_replace() {
        for rename in [rename_new, rename_over_reservation] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(dir.path().join("d/in")).unwrap();
            std::fs::write(dir.path().join("f"), "new").unwrap();
            std::fs::write(dir.path().join("taken"), "old").unwrap();
            std::os::unix::fs::symlink("gone", dir.path().join("dangling")).unwrap();
            let fd = open_dir(dir.path()).unwrap();
            let go = |from: &str, to: &str| rename(fd.as_fd(), OsStr::new(from), fd.as_fd(), OsStr::new(to));
            for taken in ["taken", "dangling", "d"] {
                assert_eq!(go("f", taken).unwrap_err().kind(), io::ErrorKind::AlreadyExists, "{taken}");
            }
            assert_eq!(go("d", "taken").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            go("f", "f2").unwrap();
            go("d", "d2").unwrap();
            go("dangling", "link2").unwrap();
            assert_eq!(std::fs::read(dir.path().join("f2")).unwrap(), b"new");
            assert_eq!(std::fs::read(dir.path().join("taken")).unwrap(), b"old");
            assert!(dir.path().join("d2/in").is_dir());
            assert_eq!(std::fs::read_link(dir.path().join("link2")).unwrap(), Path::new("gone"));
        }
    }
}
