//! The end of a landing: moving the top-level items of a finished tree to where the user sees them.
//!
//! Several renames are not one step, so the plan of them is written durably first. An item that is still in the tree
//! has not been moved; one that is not has its place in the received folder under the planned name, because the plan is
//! written anew before any other name is used. So a crash at any moment can be gone on from, and no item lands twice.
//! The plan goes away when the caller has recorded the outcome ([`Landed::settle`]).
//!
//! Format of the plan: one byte version (1), then postcard of [`Vec<Move>`].

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{Building, LandingError, names_in, numbered};
use crate::disk;
use crate::durable::{self, Existing};
use crate::relpath::RelPath;

const PLAN: &str = "plan";
const VERSION: u8 = 1;

/// Where the top-level items of a tree go. Its existence says that the tree is complete and durable.
#[derive(Debug)]
pub(super) struct Plan(Vec<Move>);

#[derive(Debug, Serialize, Deserialize)]
struct Move {
    /// Name in the tree.
    from: Vec<u8>,
    /// Name in the received folder.
    to: Vec<u8>,
    /// 1 for the plain name, else the number in the name.
    number: u32,
}

/// What has landed: complete, durable, in place.
#[derive(Debug)]
pub struct Landed {
    building: Building,
    paths: Vec<PathBuf>,
}

impl Landed {
    /// The top-level items in the received folder, in the order of their names in the tree.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Forgets the transfer; to be called once the outcome is recorded. Until then
    /// [`Landing::begin`](super::Landing::begin) with the same id finds it complete and `finish` gives the same paths.
    pub fn settle(self) -> Result<Vec<PathBuf>, LandingError> {
        self.building.abandon()?;
        Ok(self.paths)
    }
}

impl Plan {
    /// The plan of an interrupted landing.
    pub(super) fn load(dir: &OwnedFd) -> Result<Option<Self>, LandingError> {
        let read = || -> io::Result<Option<Vec<u8>>> {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = match fs::openat(dir, PLAN, flags, Mode::empty()) {
                Err(Errno::NOENT) => return Ok(None),
                file => file?,
            };
            let mut bytes = Vec::new();
            std::fs::File::from(file).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        };
        let Some(bytes) = read().map_err(LandingError::at(Path::new(PLAN)))? else {
            return Ok(None);
        };
        Self::decode(&bytes).map(Some).ok_or(LandingError::DamagedPlan)
    }

    /// Even our own disk must not lead outside the two folders: names are checked.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, moves) = bytes.split_first()? else {
            return None;
        };
        let moves: Vec<Move> = postcard::from_bytes(moves).ok()?;
        let plain = |name: &Vec<u8>| RelPath::new([OsStr::from_bytes(name)]).is_ok();
        moves.iter().all(|m| plain(&m.from) && plain(&m.to)).then_some(Self(moves))
    }

    /// Chooses names that are free now, and writes the plan durably.
    pub(super) fn make(building: &Building) -> Result<Self, LandingError> {
        let choose = || -> io::Result<Vec<Move>> {
            let mut names = names_in(building.tree.root(), usize::MAX)?;
            names.sort_unstable();
            let mut taken = HashSet::new();
            let mut moves = Vec::with_capacity(names.len());
            for name in names {
                let chosen = Move::choose(building, &name, 1, &taken)?;
                taken.insert(chosen.to.clone());
                moves.push(chosen);
            }
            Ok(moves)
        };
        let plan = Self(choose().map_err(LandingError::at(&building.received_path))?);
        plan.save(building)?;
        Ok(plan)
    }

    fn save(&self, building: &Building) -> Result<(), LandingError> {
        let bytes = postcard::to_extend(&self.0, vec![VERSION]).map_err(|_| LandingError::DamagedPlan)?;
        durable::write_at(building.dir.as_fd(), OsStr::new(PLAN), &bytes, Existing::Replace)
            .map_err(LandingError::at(&building.received_path))
    }
}

impl Move {
    /// The first name from `number` on that is neither in the received folder nor planned for another item.
    fn choose(building: &Building, name: &OsStr, number: u32, taken: &HashSet<Vec<u8>>) -> io::Result<Self> {
        let is_dir = disk::kind_at(building.tree.root(), name)? == Some(FileType::Directory);
        let mut number = number;
        loop {
            let to = numbered(name, number, is_dir);
            if !taken.contains(to.as_bytes()) && disk::kind_at(&building.received, &to)?.is_none() {
                return Ok(Self { from: name.as_bytes().to_vec(), to: to.as_bytes().to_vec(), number });
            }
            number += 1;
        }
    }
}

/// Carries out a plan, from wherever it was interrupted.
pub(super) fn publish(building: Building, mut plan: Plan) -> Result<Landed, LandingError> {
    for at in 0..plan.0.len() {
        while !move_item(&building, &plan.0[at])? {
            // Somebody else has taken the name meanwhile.
            let taken = plan.0.iter().map(|m| m.to.clone()).collect();
            let lost = &plan.0[at];
            plan.0[at] = Move::choose(&building, OsStr::from_bytes(&lost.from), lost.number + 1, &taken)
                .map_err(LandingError::at(&building.received_path))?;
            plan.save(&building)?;
        }
    }
    fs::fsync(&building.received).map_err(|e| LandingError::at(&building.received_path)(e.into()))?;
    let paths = plan.0.iter().map(|m| building.received_path.join(OsStr::from_bytes(&m.to))).collect();
    Ok(Landed { building, paths })
}

/// `false` when the planned name is taken.
fn move_item(building: &Building, item: &Move) -> Result<bool, LandingError> {
    let (from, to) = (OsStr::from_bytes(&item.from), OsStr::from_bytes(&item.to));
    let root = building.tree.root();
    match disk::rename_new(root.as_fd(), from, building.received.as_fd(), to) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            // Taken, unless it was this item that took it before an interruption.
            Ok(disk::kind_at(root, from).map_err(LandingError::at(Path::new(from)))?.is_none())
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        done => done.map(|()| true).map_err(LandingError::at(Path::new(to))),
    }
}

/// Makes everything below a directory durable, where there is no call for the whole file system.
pub(super) fn flush_below(dir: &OwnedFd) -> io::Result<()> {
    for name in names_in(dir, usize::MAX)? {
        match disk::kind_at(dir, &name)? {
            Some(FileType::Directory) => flush_below(&disk::open_dir_at(dir, &name)?)?,
            Some(FileType::RegularFile) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                fs::fsync(fs::openat(dir, &name, flags, Mode::empty())?)?;
            }
            _ => {}
        }
    }
    Ok(fs::fsync(dir)?)
}
