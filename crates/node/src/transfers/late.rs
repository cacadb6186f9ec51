//! What can only be done when all files are in place: symbolic links (so that nothing is ever written through one) and
//! the times of directories (which change with everything made in them).
//!
//! A tree may have millions of them, so beyond a little they wait in an unnamed file on the disk, not in memory.

use super::writing::{disk_path, file_time};
use logic::transfer::listing::Mtime;
use logic::transfer::path::RelPath;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use store::landing::{Building, LandingError};

/// So many bytes are kept in memory.
const MEMORY: usize = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Task {
    path: RelPath,
    /// Target of a link; `None` for a directory.
    link: Option<Vec<u8>>,
    mtime: Mtime,
}

/// Work for the end.
#[derive(Debug, Default)]
pub(super) struct Late {
    memory: Vec<u8>,
    disk: Option<File>,
}

impl Late {
    /// Notes a directory that exists.
    pub fn dir(&mut self, path: &RelPath, mtime: Mtime) -> Result<(), LandingError> {
        self.push(Task { path: path.clone(), link: None, mtime })
    }

    /// Notes a link to be made.
    pub fn link(&mut self, path: &RelPath, target: &[u8], mtime: Mtime) -> Result<(), LandingError> {
        self.push(Task { path: path.clone(), link: Some(target.to_vec()), mtime })
    }

    fn push(&mut self, task: Task) -> Result<(), LandingError> {
        let bytes = logic::transfer::message::encode(&task);
        self.memory.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        self.memory.extend_from_slice(&bytes);
        if self.memory.len() > MEMORY { self.spill().map_err(failed) } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        let file = match &mut self.disk {
            Some(file) => file,
            empty => empty.insert(tempfile::tempfile()?),
        };
        file.write_all(&self.memory)?;
        self.memory.clear();
        Ok(())
    }

    /// Does it all: first the links, then the times, which making links changes. Gives what failed, for the user.
    pub fn apply(mut self, building: &Building) -> Result<Vec<String>, LandingError> {
        let mut problems = Vec::new();
        self.each(|task| {
            if let Some(target) = &task.link
                && let Err(error) = make_link(building, &task.path, target, task.mtime)
            {
                problems.push(error.to_string());
            }
        })?;
        self.each(|task| {
            let time = file_time(task.mtime);
            if task.link.is_none()
                && let Err(error) = disk_path(&task.path).and_then(|path| building.set_modified(&path, time))
            {
                problems.push(error.to_string());
            }
        })?;
        Ok(problems)
    }

    fn each(&mut self, mut visit: impl FnMut(Task)) -> Result<(), LandingError> {
        let mut read = || -> io::Result<()> {
            if let Some(file) = &mut self.disk {
                file.rewind()?;
                visit_all(BufReader::new(file), &mut visit)?;
            }
            visit_all(&self.memory[..], &mut visit)
        };
        read().map_err(failed)
    }
}

fn visit_all(mut from: impl Read, visit: &mut impl FnMut(Task)) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let mut len = [0; 4];
        if from.read(&mut len[..1])? == 0 {
            return Ok(());
        }
        from.read_exact(&mut len[1..])?;
        bytes.resize(u32::from_be_bytes(len) as usize, 0);
        from.read_exact(&mut bytes)?;
        visit(postcard::from_bytes(&bytes).map_err(io::Error::other)?);
    }
}

fn make_link(building: &Building, path: &RelPath, target: &[u8], mtime: Mtime) -> Result<(), LandingError> {
    let path = disk_path(path)?;
    let target = OsStr::from_bytes(target);
    // Left by an earlier landing that was interrupted, or something that has become a link since.
    if building.read_link(&path)?.as_deref() != Some(target) {
        building.remove(&path)?;
        building.symlink(&path, target)?;
    }
    building.set_modified(&path, file_time(mtime))
}

fn failed(source: io::Error) -> LandingError {
    LandingError::Io { path: "the list of links and directories".into(), source }
}
