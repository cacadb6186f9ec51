//! A file of a tree while it is received: written at any offset from any thread, read back for going on.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs;

use super::LandingError;
use super::direct::Direct;
use crate::disk;
use crate::meta::FileMeta;
use crate::relpath::RelPath;

/// After so many new bytes the kernel is asked to begin writing them to the disk: by the time the last byte has come,
/// most of a large file is there already, and the final flush is short.
const WRITEBACK_WINDOW: u64 = 8 << 20;

/// A file being received. Bytes never written read as zero and take no space. Dropping it without
/// [`close`](Self::close) keeps what was written.
#[derive(Debug)]
pub struct LandingFile {
    pub(super) file: File,
    direct: Option<Direct>,
    path: RelPath,
    /// Bytes that went through the page cache.
    written: AtomicU64,
}

impl LandingFile {
    /// `file` lies at `path`, whose directory is `dir`.
    pub(super) fn new(file: File, dir: impl AsFd, path: RelPath) -> Self {
        let direct = Direct::open(dir, path.name(), &file);
        Self { file, direct, path, written: AtomicU64::new(0) }
    }

    /// Its path in the tree.
    pub fn path(&self) -> &RelPath {
        &self.path
    }

    /// Its present length in bytes.
    pub fn len(&self) -> Result<u64, LandingError> {
        Ok(self.file.metadata().map_err(self.fail())?.len())
    }

    /// Is it still empty?
    pub fn is_empty(&self) -> Result<bool, LandingError> {
        Ok(self.len()? == 0)
    }

    /// Reserves space for `len` bytes so that a full disk is noticed at once and large files lie in one piece. Not for
    /// sparse files.
    pub fn reserve(&self, len: u64) -> Result<(), LandingError> {
        disk::reserve(&self.file, len).map_err(self.fail())
    }

    /// Writes all of `bytes` at `offset`, which may lie beyond the present end. Costs least where memory, offset and
    /// length are multiples of [`ALIGN`](super::ALIGN).
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), LandingError> {
        if let Some(direct) = &self.direct
            && direct.write_at(offset, bytes).map_err(self.fail())?
        {
            return Ok(());
        }
        self.file.write_all_at(bytes, offset).map_err(self.fail())?;
        let before = self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if before / WRITEBACK_WINDOW != (before + bytes.len() as u64) / WRITEBACK_WINDOW {
            disk::start_writeback(&self.file);
        }
        Ok(())
    }

    /// Makes a range read as zeros, as a hole where the file system can. The length does not change: what lies beyond
    /// the present end is zero already once [`set_len`](Self::set_len) has been called.
    pub fn zero_at(&self, offset: u64, len: u64) -> Result<(), LandingError> {
        let end = offset.saturating_add(len).min(self.len()?);
        if offset >= end || disk::punch_hole(&self.file, offset, end - offset).map_err(self.fail())? {
            return Ok(());
        }
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let mut at = offset;
        while at < end {
            let piece = (end - at).min(ZEROS.len() as u64) as usize;
            self.file.write_all_at(&ZEROS[..piece], at).map_err(self.fail())?;
            at += piece as u64;
        }
        Ok(())
    }

    /// Reads into `buffer` from `offset` until it is full or the file ends; returns how many bytes were read.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, LandingError> {
        read_full_at(&self.file, offset, buffer).map_err(self.fail())
    }

    /// Cuts the file or lets it grow by a hole.
    pub fn set_len(&self, len: u64) -> Result<(), LandingError> {
        self.file.set_len(len).map_err(self.fail())
    }

    /// Sets time and executable bit and closes the file. It is durable only after
    /// [`Building::finish`](super::Building::finish).
    pub fn close(self, meta: &FileMeta) -> Result<(), LandingError> {
        let set = || -> io::Result<()> {
            let mode = self.file.metadata()?.permissions().mode();
            if (mode & 0o100 != 0) != meta.executable {
                // Executable for whoever may read it, as the usual umask would have it.
                let execute = (mode & 0o444) >> 2;
                let mode = if meta.executable { mode | execute } else { mode & !0o111 };
                self.file.set_permissions(PermissionsExt::from_mode(mode & 0o777))?;
            }
            Ok(fs::futimens(&self.file, &meta.modified.as_timestamps())?)
        };
        set().map_err(self.fail())
    }

    pub(super) fn fail(&self) -> impl FnOnce(io::Error) -> LandingError {
        LandingError::at(self.path.as_path())
    }
}

/// Reads until `buffer` is full or the file ends.
pub(crate) fn read_full_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
