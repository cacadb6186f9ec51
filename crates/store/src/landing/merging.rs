//! The other end of a landing: the tree goes into what is there already, directory into directory.
//!
//! Each file appears in one step, complete and durable; what is there is replaced in one step or stays. Directories that
//! are there are entered by handle, so a link in their place is never followed. Several such steps are not one: after a
//! crash some of the files are in place, and the rest has to be landed again.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, FileType};

use super::{Building, LandingError, names_in};
use crate::disk;

/// What happens to files that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clash {
    /// They stay.
    Keep,
    /// They are replaced.
    Replace,
}

/// What came of a tree.
#[derive(Debug, Default)]
pub struct Merged {
    /// The top-level items, where they are now or were before.
    pub paths: Vec<PathBuf>,
    /// Files that stayed as they were.
    pub kept: u64,
    /// Where something of another kind is in the way: a directory for a file, or the other way round.
    pub blocked: Vec<PathBuf>,
}

impl Building {
    /// Makes everything durable, then moves it into the received folder, and into the directories that are there. No
    /// [`LandingFile`](super::LandingFile) may be in use any more.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn merge(self, clash: Clash) -> Result<Merged, LandingError> {
        self.flush()?;
        let fail = || LandingError::at(&self.received_path);
        let mut names = names_in(self.tree.root(), usize::MAX).map_err(fail())?;
        names.sort_unstable();
        let paths = names.iter().map(|name| self.received_path.join(name)).collect();
        let mut merged = Merged { paths, ..Merged::default() };
        merge(self.tree.root(), &self.received, &self.received_path, clash, &mut merged).map_err(fail())?;
        self.tree.forget();
        self.abandon()?;
        Ok(merged)
    }
}

fn merge(from: &OwnedFd, to: &OwnedFd, place: &Path, clash: Clash, merged: &mut Merged) -> io::Result<()> {
    for name in names_in(from, usize::MAX)? {
        merge_one(from, to, &name, &place.join(&name), clash, merged)?;
    }
    Ok(fs::fsync(to)?)
}

fn merge_one(
    from: &OwnedFd,
    to: &OwnedFd,
    name: &OsStr,
    place: &Path,
    clash: Clash,
    merged: &mut Merged,
) -> io::Result<()> {
    loop {
        match disk::rename_new(from.as_fd(), name, to.as_fd(), name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => return done,
        }
        let (ours, theirs) = (disk::kind_at(from, name)?, disk::kind_at(to, name)?);
        let is_dir = |kind| kind == Some(FileType::Directory);
        match (is_dir(ours), is_dir(theirs)) {
            // It went away just now.
            _ if theirs.is_none() => continue,
            (true, true) => {
                let (from, to) = (disk::open_dir_at(from, name)?, disk::open_dir_at(to, name)?);
                merge(&from, &to, place, clash, merged)?;
            }
            (false, false) if clash == Clash::Replace => fs::renameat(from, name, to, name)?,
            (false, false) => merged.kept += 1,
            _ => merged.blocked.push(place.to_owned()),
        }
        return Ok(());
    }
}
