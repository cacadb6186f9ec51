//! The device key of somebody who receives by a one-time code, kept beside what it has received so far.
//!
//! The sender serves a code to the one device key that proved it first. Whoever receives has no home, so that key would
//! be gone with the process and the code with it; kept here, the next process in the same folder is the same device
//! again. The file is named by what everybody may know about the code, and goes away with the end of the transfer.
//!
//! Invariants: one process at a time has a key (`flock`); only its owner can read it (0600, in a folder of mode 0700).
//! Format: one byte version (1), then the 32 bytes of the seed, then what the key's owner has noted for its successor
//! (nothing, or at most [`NOTE_MAX`] bytes).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::SystemTime;

use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::{LandingError, PARTIAL_DIR, remove_if_empty};
use crate::durable::{self, Existing};

/// What the names of these files begin with.
const PREFIX: &str = "key-";

const VERSION: u8 = 1;

/// Times that a file which vanishes between two looks at it is looked for.
const TRIES: usize = 32;

/// Bytes of a seed.
const SEED: usize = 32;

/// Most bytes of a note.
const NOTE_MAX: usize = 256;

/// A key that this process has for itself. Dropping it leaves it on disk for the next process.
#[derive(Debug)]
pub struct ReturnKey {
    received: OwnedFd,
    partial: OwnedFd,
    name: OsString,
    seed: Zeroizing<[u8; SEED]>,
    kept: bool,
    /// Its lock says that somebody works with the key.
    file: File,
}

impl ReturnKey {
    /// The key called `name`; if there is none, one from the seed `fresh` is kept durably first.
    pub(super) fn take(
        received: OwnedFd,
        partial: OwnedFd,
        name: &str,
        fresh: &[u8; SEED],
    ) -> Result<Self, LandingError> {
        let name = OsString::from(format!("{PREFIX}{name}"));
        let path = PathBuf::from(PARTIAL_DIR).join(&name);
        let mut kept = true;
        for _ in 0..TRIES {
            let taken = match open(&partial, &name) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    match durable::write_at(partial.as_fd(), &name, &encode(fresh), Existing::Keep) {
                        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                        written => written.map(|()| kept = false).map_err(LandingError::at(&path))?,
                    }
                    continue;
                }
                opened => opened.and_then(take_lock).map_err(LandingError::at(&path))?,
            };
            match taken {
                Taken::Ours(mut file) => {
                    let seed = decode(&mut file).ok_or(LandingError::InTheWay { path })?;
                    return Ok(Self { received, partial, name, seed, kept, file });
                }
                Taken::Theirs => return Err(LandingError::InUse),
                Taken::Gone => {}
            }
        }
        Err(LandingError::InUse)
    }

    /// Keys that nobody works with, nor has noted anything beside since `before`.
    pub(super) fn unused(received: &OwnedFd, partial: &OwnedFd, before: SystemTime) -> io::Result<Vec<Self>> {
        let mut unused = Vec::new();
        for entry in fs::Dir::read_from(partial)? {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if !name.as_bytes().starts_with(PREFIX.as_bytes()) {
                continue;
            }
            let Ok(Taken::Ours(mut file)) = open(partial, &name).and_then(take_lock) else { continue };
            if file.metadata()?.modified()? < before
                && let Some(seed) = decode(&mut file)
            {
                let (received, partial) = (received.try_clone()?, partial.try_clone()?);
                unused.push(Self { received, partial, name, seed, kept: true, file });
            }
        }
        Ok(unused)
    }

    /// The secret from which the device key grows.
    pub fn seed(&self) -> &[u8; SEED] {
        &self.seed
    }

    /// Was it kept by an earlier process?
    pub fn was_kept(&self) -> bool {
        self.kept
    }

    /// What was noted last, by this process or an earlier one; empty if nothing. A crash may have cut it short.
    pub fn note(&self) -> io::Result<Vec<u8>> {
        let mut note = vec![0; NOTE_MAX];
        let read = self.file.read_at(&mut note, 1 + SEED as u64)?;
        note.truncate(read);
        Ok(note)
    }

    /// Notes something for the next process. It is a convenience: not made durable, and cut where it is too long.
    pub fn set_note(&self, note: &[u8]) -> io::Result<()> {
        let note = &note[..note.len().min(NOTE_MAX)];
        let begin = 1 + SEED as u64;
        self.file.set_len(begin)?;
        self.file.write_all_at(note, begin)
    }

    /// Removes the key: nobody will come back with it.
    pub fn forget(self) -> Result<(), LandingError> {
        match fs::unlinkat(&self.partial, &self.name, AtFlags::empty()) {
            Err(Errno::NOENT) | Ok(()) => {}
            Err(e) => return Err(LandingError::at(&PathBuf::from(PARTIAL_DIR).join(&self.name))(e.into())),
        }
        remove_if_empty(&self.received);
        Ok(())
    }
}

enum Taken {
    Ours(File),
    /// Another process works with it.
    Theirs,
    /// It was removed meanwhile.
    Gone,
}

fn open(partial: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(fs::openat(partial, name, flags, Mode::empty())?.into())
}

fn take_lock(file: File) -> io::Result<Taken> {
    match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(Taken::Theirs),
        locked => locked?,
    }
    let stat = fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::EXIST.into());
    }
    Ok(if stat.st_nlink == 0 { Taken::Gone } else { Taken::Ours(file) })
}

fn encode(seed: &[u8; SEED]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(1 + SEED));
    bytes.push(VERSION);
    bytes.extend_from_slice(seed);
    bytes
}

fn decode(file: &mut File) -> Option<Zeroizing<[u8; SEED]>> {
    let mut bytes = Zeroizing::new([0; 1 + SEED]);
    file.read_exact(&mut bytes[..]).ok()?;
    let (&VERSION, seed) = bytes.split_first()? else { return None };
    Some(Zeroizing::new(seed.try_into().ok()?))
}
