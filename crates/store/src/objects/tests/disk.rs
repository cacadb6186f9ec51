//! A disk that fails when a test says so, and that forgets what was not made durable when the power is cut.
//!
//! Per thread: a test sees only what it does itself.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::objects::fault::Step;

/// What happens at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::objects) enum Fault {
    /// No space, at this step only.
    Full,
    /// No space, at this step and all that follow but cuts and removals, until [`end`].
    StaysFull,
    /// The disk fails at this step.
    Broken,
    /// The process is killed, or the power is cut: nothing more happens.
    Crash,
}

#[derive(Default)]
struct Disk {
    /// Steps to go until it happens.
    fault: Option<(u32, Fault)>,
    happened: bool,
    /// Decides how much of a torn write is done, and what is left after the power is cut.
    dice: u64,
    unsynced: HashMap<PathBuf, Vec<(u64, usize)>>,
    created: Vec<PathBuf>,
    removed: Vec<(PathBuf, Vec<u8>)>,
}

thread_local! {
    static DISK: RefCell<Option<Disk>> = const { RefCell::new(None) };
}

/// From here on the disk is watched, and fails at the step after `steps` more, if at all.
pub(in crate::objects) fn begin(fault: Option<(u32, Fault)>, dice: u64) {
    DISK.set(Some(Disk { fault, dice: dice | 1, ..Disk::default() }));
}

/// The disk is whole again. Tells whether the fault has happened.
pub(in crate::objects) fn end() -> bool {
    DISK.take().is_some_and(|disk| disk.happened)
}

/// The power was cut: what was not made durable is there, or not, or in part. Ends the fault as well, and
/// tells whether it has happened.
pub(in crate::objects) fn cut_power() -> bool {
    let Some(mut disk) = DISK.take() else { return false };
    for (path, bytes) in std::mem::take(&mut disk.removed) {
        if disk.roll(2) == 0 {
            std::fs::write(path, bytes).unwrap();
        }
    }
    for path in std::mem::take(&mut disk.created) {
        if disk.roll(2) == 0 {
            let _ = std::fs::remove_file(path);
        }
    }
    for (path, writes) in std::mem::take(&mut disk.unsynced) {
        let Ok(mut bytes) = std::fs::read(&path) else { continue };
        for (offset, len) in writes.into_iter().rev() {
            disk.lose(&mut bytes, offset as usize, len);
        }
        std::fs::write(path, bytes).unwrap();
    }
    disk.happened
}

impl Disk {
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    fn lose(&mut self, bytes: &mut Vec<u8>, offset: usize, len: usize) {
        let end = (offset + len).min(bytes.len());
        if end <= offset {
            return;
        }
        match self.roll(4) {
            0 => {}
            1 if end == bytes.len() => bytes.truncate(offset + self.roll(len as u64 + 1) as usize),
            _ => {
                // Sectors reach the disk in any order.
                for sector in bytes[offset..end].chunks_mut(64) {
                    if self.roll(2) == 0 {
                        sector.fill(0);
                    }
                }
            }
        }
    }

    fn fails(&mut self, step: Option<Step>) -> io::Result<()> {
        let Some((steps, fault)) = &mut self.fault else { return Ok(()) };
        if *steps > 0 {
            *steps -= 1;
            return Ok(());
        }
        let fault = *fault;
        if fault == Fault::Full || fault == Fault::Broken {
            if step == Some(Step::Committed) {
                // Once it is done it is done.
                return Ok(());
            }
            self.fault = None;
        }
        if fault == Fault::StaysFull && matches!(step, Some(Step::Committed | Step::Cut | Step::Remove | Step::SyncDir))
        {
            return Ok(());
        }
        self.happened = true;
        Err(match fault {
            Fault::Full | Fault::StaysFull => io::ErrorKind::StorageFull.into(),
            Fault::Broken => io::Error::other("the disk fails"),
            Fault::Crash => io::Error::other("killed"),
        })
    }
}

fn with<T>(default: T, f: impl FnOnce(&mut Disk) -> T) -> T {
    DISK.with_borrow_mut(|disk| match disk {
        Some(disk) => f(disk),
        None => default,
    })
}

/// See [`crate::objects::fault`].
pub(in crate::objects) fn step(step: Step, path: &Path) -> io::Result<()> {
    with(Ok(()), |disk| {
        disk.fails(Some(step))?;
        match step {
            Step::Create => disk.created.push(path.to_owned()),
            Step::SyncFile => drop(disk.unsynced.remove(path)),
            Step::SyncDir => {
                disk.created.clear();
                disk.removed.clear();
            }
            Step::Remove => {
                if let Ok(bytes) = std::fs::read(path) {
                    disk.removed.push((path.to_owned(), bytes));
                }
                disk.unsynced.remove(path);
            }
            Step::Cut | Step::Commit | Step::Committed => {}
        }
        Ok(())
    })
}

/// See [`crate::objects::fault`].
pub(in crate::objects) fn write(path: &Path, offset: u64, len: usize) -> (usize, io::Result<()>) {
    with((len, Ok(())), |disk| {
        let outcome = disk.fails(None);
        let dead = disk.happened && matches!(disk.fault, Some((0, Fault::Crash))) && disk.roll(3) == 0;
        let count = match &outcome {
            Ok(()) => len,
            Err(_) if dead => 0,
            Err(_) => disk.roll(len as u64 + 1) as usize,
        };
        disk.unsynced.entry(path.to_owned()).or_default().push((offset, count));
        (count, outcome)
    })
}
