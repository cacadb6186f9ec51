//! What a file system keeps beside contents, put back as it was.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{self, FileType, Mode};

use super::{Building, LandingError, LandingFile};
use crate::meta::FileTime;
use crate::relpath::RelPath;
use crate::xattr::{self, Attribute};

/// What is put back. What is `None` or empty stays as the system made it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes<'a> {
    /// Modification time.
    pub modified: Option<FileTime>,
    /// Permission bits (at most 0o777).
    pub mode: Option<u16>,
    /// Extended attributes; only those of users are set.
    pub xattrs: &'a [Attribute],
}

impl Attributes<'_> {
    /// `false`: the file system has no extended attributes.
    fn set(&self, file: impl AsFd, least: u16) -> io::Result<bool> {
        let file = file.as_fd();
        let kept = xattr::write(file, self.xattrs)?;
        if let Some(mode) = self.mode {
            fs::fchmod(file, Mode::from_raw_mode((mode & 0o777 | least).into()))?;
        }
        if let Some(modified) = self.modified {
            fs::futimens(file, &modified.as_timestamps())?;
        }
        Ok(kept)
    }
}

impl LandingFile {
    /// Puts back what was beside the content, and closes the file. As durable as [`close`](Self::close). `false`: this
    /// file system has no extended attributes.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn restore(self, attributes: &Attributes<'_>) -> Result<bool, LandingError> {
        attributes.set(&self.file, 0).map_err(self.fail())
    }
}

impl Building {
    /// Creates a small file with its contents and what was beside them; nothing may be there yet. `false`: as above.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn put_restored(
        &self,
        path: &RelPath,
        contents: &[u8],
        attributes: &Attributes<'_>,
    ) -> Result<bool, LandingError> {
        let put = || -> io::Result<bool> {
            let file = self.create(path, false)?;
            file.write_all_at(contents, 0)?;
            attributes.set(&file, 0)
        };
        let kept = put().map_err(LandingError::at(path.as_path()))?;
        self.note(path, FileType::RegularFile);
        Ok(kept)
    }

    /// Puts back what was beside the contents of a directory, after all that it holds was made. Its owner can always
    /// write there: it could not be moved into place otherwise. `false`: as above.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn restore_dir(&self, path: &RelPath, attributes: &Attributes<'_>) -> Result<bool, LandingError> {
        let set = || attributes.set(&*self.tree.dir(path)?, 0o700);
        set().map_err(LandingError::at(path.as_path()))
    }
}
