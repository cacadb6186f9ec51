//! A file while it is sent.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{self, FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use crate::disk;
use crate::landing::read_full_at;
use crate::meta::{FileMeta, FileTime};
use crate::spool::SpoolFile;
use crate::xattr::{self, Attribute};

/// Files from this size on are announced to the kernel as read from front to back.
const LARGE: u64 = 1 << 20;

/// A file opened for sending. Reading needs no position, so that several threads may share it.
#[derive(Debug)]
pub struct SourceFile {
    content: Content,
    stamp: Stamp,
    mode: Option<u16>,
}

/// Where the bytes are.
#[derive(Debug)]
enum Content {
    /// In a file of the user's.
    Disk(File),
    /// In the spool, where nobody changes them.
    Spool(Arc<SpoolFile>),
}

/// What changes when somebody changes a file. (Not proof against somebody who sets the clock back; the hash of what
/// was sent is.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: FileTime,
    /// Time of the last change of contents, name or mode: cannot be set by programs.
    changed: FileTime,
    inode: u64,
}

impl SourceFile {
    pub(crate) fn open(dir: &OwnedFd, name: &OsStr) -> io::Result<Self> {
        // Not to be caught by a pipe that was put in the file's place: O_NONBLOCK.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(fs::openat(dir, name, flags, Mode::empty())?);
        let stat = fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no longer a plain file"));
        }
        let stamp = Stamp::of(&stat);
        if stamp.size >= LARGE {
            disk::will_read_forward(&file);
        }
        Ok(Self { content: Content::Disk(file), stamp, mode: Some(u16::try_from(stat.st_mode & 0o777).unwrap_or(0)) })
    }

    pub(super) fn spooled(file: Arc<SpoolFile>) -> Self {
        let (size, modified) = (file.len(), file.modified());
        let stamp = Stamp { size, modified, changed: modified, inode: 0 };
        Self { content: Content::Spool(file), stamp, mode: None }
    }

    /// Length in bytes when it was opened.
    pub fn len(&self) -> u64 {
        self.stamp.size
    }

    /// Was it empty when it was opened?
    pub fn is_empty(&self) -> bool {
        self.stamp.size == 0
    }

    /// Time and executable bit when it was opened.
    pub fn meta(&self) -> FileMeta {
        FileMeta { modified: self.stamp.modified, executable: self.mode.is_some_and(|mode| mode & 0o100 != 0) }
    }

    /// Permission bits (at most 0o777) when it was opened; of the spool none.
    pub fn mode(&self) -> Option<u16> {
        self.mode
    }

    /// Its extended attributes.
    ///
    /// # Errors
    /// Those of the system.
    pub fn xattrs(&self) -> io::Result<Vec<Attribute>> {
        match &self.content {
            Content::Disk(file) => xattr::read(file),
            Content::Spool(_) => Ok(Vec::new()),
        }
    }

    /// Reads into `buffer` from `offset` until it is full or the file ends; returns how many bytes were read.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.content {
            Content::Disk(file) => read_full_at(file, offset, buffer),
            Content::Spool(file) => file.read_at(offset, buffer),
        }
    }

    /// The first range from `offset` on that holds data; everything before it and after the last one is holes.
    /// `None` when only holes follow. File systems without holes report everything as data.
    pub fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        if offset >= self.stamp.size {
            return Ok(None);
        }
        let Content::Disk(file) = &self.content else { return Ok(Some(offset..self.stamp.size)) };
        let start = match fs::seek(file, SeekFrom::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL) => return Ok(Some(offset..self.stamp.size)),
            Err(e) => return Err(e.into()),
        };
        let end = fs::seek(file, SeekFrom::Hole(start))?;
        Ok((start < self.stamp.size).then(|| start..end.min(self.stamp.size)))
    }

    /// Was the file changed or replaced since it was opened?
    pub fn changed(&self) -> io::Result<bool> {
        match &self.content {
            Content::Disk(file) => Ok(Stamp::of(&fs::fstat(file)?) != self.stamp),
            Content::Spool(_) => Ok(false),
        }
    }
}

impl Stamp {
    #[allow(clippy::unnecessary_cast, reason = "the fields' types differ between systems")]
    fn of(stat: &fs::Stat) -> Self {
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: FileTime::from_stat(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            changed: FileTime::from_stat(stat.st_ctime as i64, stat.st_ctime_nsec as u64),
            inode: stat.st_ino as u64,
        }
    }
}
