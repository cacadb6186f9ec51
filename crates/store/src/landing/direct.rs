//! A second handle on a large file that writes past the page cache (`O_DIRECT`, open(2)).
//!
//! Nobody is about to read what has just arrived, so a copy of it in memory is of no use; without it a gigabyte on ext4
//! costs the kernel a tenth of the processor time. Only whole pages in aligned memory can go this way; everything else,
//! and everything on file systems that cannot do it, goes through the page cache, which the kernel keeps in step.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

/// Memory, offset and length of what is written past the page cache are multiples of this: a page, which no common disk
/// or file system exceeds.
pub const ALIGN: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(crate) struct Direct {
    file: File,
    /// The file system took the handle but not a write.
    refused: AtomicBool,
}

impl Direct {
    /// A second handle on `file`, which lies as `name` in `dir`; `None` where that cannot be had.
    pub fn open(dir: impl AsFd, name: &OsStr, file: &File) -> Option<Self> {
        let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let direct = File::from(fs::openat(dir, name, flags, Mode::empty()).ok()?);
        let (ours, theirs) = (file.metadata().ok()?, direct.metadata().ok()?);
        let same = (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino());
        same.then_some(Self { file: direct, refused: AtomicBool::new(false) })
    }

    /// Writes all of `bytes`; false if they must go the ordinary way, whatever was written of them.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<bool> {
        let aligned = |number: usize| number.is_multiple_of(ALIGN);
        let fits = aligned(bytes.as_ptr().addr()) && aligned(bytes.len()) && offset.is_multiple_of(ALIGN as u64);
        if !fits || self.refused.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match self.file.write_all_at(bytes, offset) {
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::INVAL | Errno::OPNOTSUPP)) => {
                self.refused.store(true, Ordering::Relaxed);
                Ok(false)
            }
            done => done.map(|()| true),
        }
    }
}
