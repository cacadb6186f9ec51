//! Changing a folder while programs work in it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use data_encoding::HEXLOWER;
use logic::folder::Print;
use logic::space::NodeKind;
use logic::transfer::path::RelPath;
use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{Folder, FolderError, TAKEN_OUT, print_at};
use crate::disk;
use crate::landing::direct::Direct;
use crate::meta::FileTime;
use crate::sequential::Sequential;
use crate::source::SourceFile;
use crate::xattr::{self, Attribute};

/// A file of so many bytes goes past the page cache.
const LARGE: u64 = 16 << 20;

/// A file or link that is being written, not yet where it will be. Removed if it never gets there.
#[derive(Debug)]
pub struct Staged<'a> {
    folder: &'a Folder,
    name: OsString,
    file: Option<File>,
}

impl Staged<'_> {
    /// Writes about so many bytes to it.
    ///
    /// # Panics
    /// For a link.
    pub fn write(&self, len: u64) -> Sequential<'_> {
        let file = self.file.as_ref().expect("a link has no content to write");
        let direct = (len >= LARGE).then(|| Direct::open(&self.folder.staging, &self.name, file)).flatten();
        Sequential::new(file, direct)
    }

    /// Sets what users keep beside the content of the file. `false`: the file system has no such thing.
    ///
    /// # Errors
    /// The file system.
    pub fn set_xattrs(&self, attributes: &[Attribute]) -> std::io::Result<bool> {
        self.file.as_ref().map_or(Ok(true), |file| xattr::write(file, attributes))
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        let _ = fs::unlinkat(&self.folder.staging, &self.name, AtFlags::empty());
    }
}

/// True if it is the same file with the same content. Its change time says nothing: renaming sets it.
fn is_it(expected: &Print, now: &Print) -> bool {
    let same = expected.kind == now.kind && expected.id == now.id;
    same && (expected.kind == NodeKind::Dir || (expected.size, expected.modified) == (now.size, now.modified))
}

impl Folder {
    /// A new file to write to.
    ///
    /// # Errors
    /// [`FolderError`], here and below.
    pub fn stage(&self) -> Result<Staged<'_>, FolderError> {
        let name = fresh();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&self.staging, &name, flags, Mode::RUSR | Mode::WUSR);
        let file = file.map_err(|error| self.top(error.into()))?;
        Ok(Staged { folder: self, name, file: Some(file.into()) })
    }

    /// A new link.
    ///
    /// # Errors
    /// As above.
    pub fn stage_link(&self, target: &[u8]) -> Result<Staged<'_>, FolderError> {
        let name = fresh();
        fs::symlinkat(OsStr::from_bytes(target), &self.staging, &name).map_err(|error| self.top(error.into()))?;
        Ok(Staged { folder: self, name, file: None })
    }

    /// Puts what was written in place of what is `expected` there (`None`: nothing), and says what it looks like now.
    ///
    /// # Errors
    /// [`FolderError::Changed`]: something else is there. Nothing was changed.
    pub fn put(
        &self,
        staged: &Staged<'_>,
        path: &RelPath,
        expected: Option<&Print>,
        modified: Option<FileTime>,
        mode: Option<u16>,
    ) -> Result<Print, FolderError> {
        let (dir, name) = self.place(path)?;
        let io = |error: Errno| FolderError::at(path)(error.into());
        if let Some(file) = &staged.file {
            if let Some(mode) = mode {
                fs::fchmod(file, Mode::from_raw_mode(mode.into())).map_err(io)?;
            }
            if let Some(time) = modified {
                fs::futimens(file, &time.as_timestamps()).map_err(io)?;
            }
            fs::fsync(file).map_err(io)?;
        }
        match expected {
            None => self.put_new(&staged.name, dir.as_fd(), name, path)?,
            Some(expected) => self.exchange(&staged.name, dir.as_fd(), name, path, expected)?,
        }
        print_at(&dir, name).map_err(FolderError::at(path))?.ok_or_else(|| FolderError::Changed(path.clone()))
    }

    fn put_new(&self, staged: &OsStr, dir: BorrowedFd<'_>, name: &OsStr, path: &RelPath) -> Result<(), FolderError> {
        match disk::rename_new(self.staging.as_fd(), staged, dir, name) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(FolderError::Changed(path.clone())),
            done => done.map_err(FolderError::at(path)),
        }
    }

    /// Names are exchanged, what came out is looked at, and goes back if it is not what was expected. Until that is known it
    /// has a name under which it is rescued after a crash.
    fn exchange(
        &self,
        staged: &OsStr,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        path: &RelPath,
        expected: &Print,
    ) -> Result<(), FolderError> {
        let io = |error: Errno| FolderError::at(path)(error.into());
        if print_at(dir, name).map_err(FolderError::at(path))?.as_ref() != Some(expected) {
            return Err(FolderError::Changed(path.clone()));
        }
        let out = Staged { folder: self, name: taken_out(), file: None };
        fs::renameat(&self.staging, staged, &self.staging, &out.name).map_err(io)?;
        let swap = || fs::renameat_with(&self.staging, &out.name, dir, name, RenameFlags::EXCHANGE);
        match swap() {
            Ok(()) => {}
            Err(Errno::NOENT) => return Err(FolderError::Changed(path.clone())),
            // The file system cannot: what was looked at just now is replaced.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return fs::renameat(&self.staging, &out.name, dir, name).map_err(io);
            }
            Err(error) => return Err(io(error)),
        }
        let was = print_at(&self.staging, &out.name).map_err(FolderError::at(path))?;
        if was.is_some_and(|was| is_it(expected, &was)) {
            return Ok(());
        }
        if let Err(error) = swap() {
            // It stays under that name, to be rescued.
            std::mem::forget(out);
            return Err(io(error));
        }
        Err(FolderError::Changed(path.clone()))
    }

    /// Makes a directory; one that is there is as good.
    ///
    /// # Errors
    /// [`FolderError::Changed`]: something else is there.
    pub fn make_dir(&self, path: &RelPath, mode: Option<u16>) -> Result<Print, FolderError> {
        let (dir, name) = self.place(path)?;
        let mode = Mode::from_raw_mode(mode.map_or(0o777, |mode| mode | 0o700).into());
        match fs::mkdirat(&dir, name, mode) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(FolderError::at(path)(error.into())),
        }
        let print = print_at(&dir, name).map_err(FolderError::at(path))?;
        print.filter(|print| print.kind == NodeKind::Dir).ok_or_else(|| FolderError::Changed(path.clone()))
    }

    /// Gives something another place, where nothing is.
    ///
    /// # Errors
    /// [`FolderError::Changed`]: it is not as expected, or something is at the other place.
    pub fn rename(&self, from: &RelPath, to: &RelPath, expected: &Print) -> Result<Print, FolderError> {
        let ((from_dir, from_name), (to_dir, to_name)) = (self.place(from)?, self.place(to)?);
        let now = print_at(&from_dir, from_name).map_err(FolderError::at(from))?;
        if !now.is_some_and(|now| is_it(expected, &now)) {
            return Err(FolderError::Changed(from.clone()));
        }
        match disk::rename_new(from_dir.as_fd(), from_name, to_dir.as_fd(), to_name) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(FolderError::Changed(to.clone()));
            }
            done => done.map_err(FolderError::at(to))?,
        }
        print_at(&to_dir, to_name).map_err(FolderError::at(to))?.ok_or_else(|| FolderError::Changed(to.clone()))
    }

    /// Removes something that looks as expected; a directory only if nothing is in it.
    ///
    /// # Errors
    /// [`FolderError::Changed`], [`FolderError::NotEmpty`]. What is not there is no error.
    pub fn remove(&self, path: &RelPath, expected: &Print) -> Result<(), FolderError> {
        let (dir, name) = match self.place(path) {
            Err(FolderError::Io { error, .. }) if super::is_nowhere(&error) => return Ok(()),
            place => place?,
        };
        let io = |error: Errno| FolderError::at(path)(error.into());
        match print_at(&dir, name).map_err(FolderError::at(path))? {
            None => return Ok(()),
            Some(now) if !is_it(expected, &now) => return Err(FolderError::Changed(path.clone())),
            Some(_) => {}
        }
        if expected.kind == NodeKind::Dir {
            return match fs::unlinkat(&dir, name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(Errno::NOTEMPTY | Errno::EXIST) => Err(FolderError::NotEmpty(path.clone())),
                Err(error) => Err(io(error)),
            };
        }
        // Taken out first: a program may write to it between the look and the end of it.
        let out = Staged { folder: self, name: taken_out(), file: None };
        match fs::renameat(&dir, name, &self.staging, &out.name) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(io(error)),
        }
        let now = print_at(&self.staging, &out.name).map_err(FolderError::at(path))?;
        if now.is_some_and(|now| is_it(expected, &now)) {
            return Ok(());
        }
        if let Err(error) = disk::rename_new(self.staging.as_fd(), &out.name, dir.as_fd(), name) {
            // It stays under that name, to be rescued.
            std::mem::forget(out);
            return Err(FolderError::at(path)(error));
        }
        Err(FolderError::Changed(path.clone()))
    }

    /// Opens a file for reading, without following links.
    ///
    /// # Errors
    /// As above.
    pub fn open_file(&self, path: &RelPath) -> Result<SourceFile, FolderError> {
        let (dir, name) = self.place(path)?;
        SourceFile::open(&dir, name).map_err(FolderError::at(path))
    }

    /// Where a link points.
    ///
    /// # Errors
    /// As above.
    pub fn link_target(&self, path: &RelPath) -> Result<Vec<u8>, FolderError> {
        let (dir, name) = self.place(path)?;
        let target = fs::readlinkat(&dir, name, Vec::new());
        let target = target.map_err(|error| FolderError::at(path)(error.into()))?;
        Ok(OsString::from_vec(target.into_bytes()).into_vec())
    }
}

/// A name for what was taken out of the folder and is not looked at yet.
fn taken_out() -> OsString {
    format!("{TAKEN_OUT}{}", HEXLOWER.encode(&seal::random::<16>())).into()
}

fn fresh() -> OsString {
    HEXLOWER.encode(&seal::random::<16>()).into()
}
