//! The receiver's disk side: a few threads that verify and write parcels, one that does everything else on the tree
//! under construction. They block; the run's tasks never do.

use super::control::Broken;
use super::late::Late;
use super::leftovers::name_hash;
use super::pool::{Parcel, Pool};
use logic::transfer::hash::{BLOCK, Value, VerifiedBlock, block_count, block_len, block_value};
use logic::transfer::lane::{Piece, PieceKind, Pieces};
use logic::transfer::limits::HELD_BATCH;
use logic::transfer::listing::Mtime;
use logic::transfer::path::RelPath;
use logic::transfer::{Admit, Effect, Reason, Receiver, Target};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use store::landing::{Building, LandingError, LandingFile};
use store::{FileMeta, FileTime};
use tokio::sync::Notify;

/// Files of several blocks that are kept open; beyond, they are opened for each block.
const OPEN_FILES: usize = 64;

/// Zeros to verify blocks that did not travel.
static ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];

/// What the threads and tasks of an incoming run share.
pub(super) struct Intake {
    engine: Mutex<Receiver>,
    /// Threads wait here for the engine: an entry to be listed, room to say what is held.
    progress: Condvar,
    /// The control task waits here for the engine.
    pub wake: Notify,
    building: Building,
    open: Mutex<HashMap<u32, Arc<LandingFile>>>,
    late: Mutex<Late>,
    pub pool: Pool,
    over: Mutex<Option<Broken>>,
}

/// Something for the thread that does not write content.
#[derive(Debug)]
pub(super) enum Chore {
    /// What the engine wants.
    Effect(Effect),
    /// Everything in this directory (`None`: the top) goes whose name is not among these.
    Prune { dir: Option<RelPath>, keep: HashSet<u64> },
}

/// A block on its way to the disk.
enum Step<'a> {
    Write(Piece, &'a [u8], Target),
    Here(Piece, VerifiedBlock, Target),
}

/// How a step ended.
enum Placed {
    Done(VerifiedBlock),
    Spoiled(Piece),
    Refused(Piece, Reason),
}

impl Intake {
    pub fn new(engine: Receiver, building: Building, pool: Pool) -> Self {
        Self {
            engine: Mutex::new(engine),
            progress: Condvar::new(),
            wake: Notify::new(),
            building,
            open: Mutex::default(),
            late: Mutex::default(),
            pool,
            over: Mutex::new(None),
        }
    }

    /// The engine; whoever changes it calls [`Intake::tell`] afterwards.
    pub fn engine(&self) -> MutexGuard<'_, Receiver> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the threads that wait for the engine.
    pub fn tell(&self) {
        self.progress.notify_all();
    }

    /// Ends the run from a thread.
    fn fail(&self, broken: Broken) {
        self.over.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(broken);
        self.stop();
        self.wake.notify_one();
    }

    /// Why a thread ended the run.
    pub fn failure(&self) -> Option<Broken> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Ends all threads soon.
    pub fn stop(&self) {
        self.engine().stop();
        self.pool.close();
        self.tell();
    }

    fn open_files(&self) -> MutexGuard<'_, HashMap<u32, Arc<LandingFile>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn late(&self) -> MutexGuard<'_, Late> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Verifies and writes parcels until there are no more.
    pub fn write(&self, parcels: &Mutex<tokio::sync::mpsc::UnboundedReceiver<Parcel>>) {
        loop {
            let next = parcels.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let Some(parcel) = next else { return };
            if let Err(broken) = self.write_parcel(parcel.bytes()) {
                return self.fail(broken);
            }
        }
    }

    /// Verifies and writes one parcel.
    pub fn write_parcel(&self, parcel: &[u8]) -> Result<(), Broken> {
        let steps = self.admit(parcel)?;
        let mut placed = Vec::with_capacity(steps.len());
        for step in steps {
            placed.push(self.step(step)?);
        }
        let mut engine = self.engine();
        for placed in placed {
            match placed {
                Placed::Done(block) => engine.placed(&block)?,
                Placed::Spoiled(piece) => engine.spoiled(&piece)?,
                Placed::Refused(piece, reason) => engine.refused(piece.entry, Some(piece.block), reason),
            }
        }
        drop(engine);
        self.tell();
        self.wake.notify_one();
        Ok(())
    }

    /// Asks the engine where the pieces belong; waits for those whose entries are not listed yet.
    fn admit<'a>(&self, parcel: &'a [u8]) -> Result<Vec<Step<'a>>, Broken> {
        let mut steps = Vec::new();
        let mut engine = self.engine();
        for item in Pieces::of(parcel) {
            let (piece, bytes) = item?;
            loop {
                match engine.admit(&piece)? {
                    Admit::Write(target) => steps.push(Step::Write(piece, bytes, target)),
                    Admit::Here(block, target) => steps.push(Step::Here(piece, block, target)),
                    Admit::Stale => {}
                    Admit::Early => {
                        engine = self.progress.wait(engine).unwrap_or_else(PoisonError::into_inner);
                        continue;
                    }
                }
                break;
            }
        }
        Ok(steps)
    }

    fn step(&self, step: Step<'_>) -> Result<Placed, Broken> {
        let (piece, done) = match step {
            Step::Here(piece, block, target) => (piece, self.keep(&piece, &target).map(|()| block)),
            Step::Write(piece, bytes, target) => {
                let content = if piece.kind == PieceKind::Zero { &ZEROS[..piece.len as usize] } else { bytes };
                let Ok(block) = VerifiedBlock::check(&piece, target.size, content) else {
                    return Ok(Placed::Spoiled(piece));
                };
                (piece, self.put(&piece, bytes, &target).map(|()| block))
            }
        };
        match done {
            Ok(block) => Ok(Placed::Done(block)),
            Err(error) => objection(error).map(|reason| Placed::Refused(piece, reason)),
        }
    }

    /// Writes a verified block.
    fn put(&self, piece: &Piece, bytes: &[u8], target: &Target) -> Result<(), LandingError> {
        if block_count(target.size) == 1 {
            return self.put_whole(piece, bytes, target);
        }
        let file = self.file(piece.entry, &target.path, target.exec)?;
        let offset = u64::from(piece.block) * BLOCK;
        match piece.kind {
            // Nothing was ever written there: a hole reads as zeros.
            PieceKind::Zero if target.fresh => Ok(()),
            PieceKind::Zero => file.zero_at(offset, piece.len.into()),
            PieceKind::Data | PieceKind::Same => file.write_at(offset, bytes),
        }
    }

    /// Writes a file of one block with its attributes.
    fn put_whole(&self, piece: &Piece, bytes: &[u8], target: &Target) -> Result<(), LandingError> {
        let path = disk_path(&target.path)?;
        let meta = meta(target.mtime, target.exec);
        if !target.fresh {
            self.building.remove(&path)?;
        }
        if piece.kind == PieceKind::Zero {
            let file = self.create(&path, target.exec)?;
            file.set_len(target.size)?;
            return file.close(&meta);
        }
        match self.building.put_file(&path, bytes, &meta) {
            Err(error) if is_missing(&error) => {
                self.make_parents(&path)?;
                self.building.put_file(&path, bytes, &meta)
            }
            done => done,
        }
    }

    /// A block that lies there already; a file of one block gets its attributes.
    fn keep(&self, piece: &Piece, target: &Target) -> Result<(), LandingError> {
        if block_count(target.size) > 1 {
            return Ok(());
        }
        let path = disk_path(&target.path)?;
        let Some(file) = self.building.resume_file(&path)? else {
            return Err(missing(&path));
        };
        file.set_len(piece.len.into())?;
        file.close(&meta(target.mtime, target.exec))
    }

    /// The handle of a file of several blocks.
    fn file(&self, entry: u32, path: &RelPath, exec: bool) -> Result<Arc<LandingFile>, LandingError> {
        let mut open = self.open_files();
        if let Some(file) = open.get(&entry) {
            return Ok(file.clone());
        }
        let path = disk_path(path)?;
        let file = match self.building.resume_file(&path)? {
            Some(file) => file,
            None => self.create(&path, exec)?,
        };
        let file = Arc::new(file);
        if open.len() < OPEN_FILES {
            open.insert(entry, file.clone());
        }
        Ok(file)
    }

    fn create(&self, path: &store::RelPath, exec: bool) -> Result<LandingFile, LandingError> {
        match self.building.create_file(path, exec) {
            Err(error) if is_missing(&error) => {
                self.make_parents(path)?;
                self.building.create_file(path, exec)
            }
            created => created,
        }
    }

    /// Content may overtake its directory's entry on the way to the disk.
    fn make_parents(&self, path: &store::RelPath) -> Result<(), LandingError> {
        let Some(parent) = path.parent() else { return Ok(()) };
        match self.building.create_dir(&parent) {
            Err(error) if is_missing(&error) => {
                self.make_parents(&parent)?;
                self.building.create_dir(&parent)
            }
            made => made,
        }
    }

    /// Does chores until there are no more.
    pub fn work(&self, chores: &mpsc::Receiver<Chore>) {
        while let Ok(chore) = chores.recv() {
            let done = match chore {
                Chore::Effect(effect) => self.perform(effect),
                Chore::Prune { dir, keep } => self.prune(dir.as_ref(), &keep),
            };
            if let Err(broken) = done {
                return self.fail(broken);
            }
            self.wake.notify_one();
        }
    }

    fn perform(&self, effect: Effect) -> Result<(), Broken> {
        let (entry, done) = match effect {
            Effect::Dir { entry, path, mtime } => (entry, self.make_dir(&path, mtime)),
            Effect::Link { entry, path, target, mtime } => (entry, self.late().link(&path, &target, mtime)),
            Effect::Close { entry, path, size, mtime, exec } => (entry, self.close(entry, &path, size, mtime, exec)),
            Effect::Remove { entry, path } => {
                self.open_files().remove(&entry);
                (entry, disk_path(&path).and_then(|path| self.building.remove(&path)))
            }
            Effect::ReadBack { .. } if !self.engine().is_running() => return Ok(()),
            Effect::ReadBack { entry, generation, path, size } => {
                return match self.read_back(entry, generation, &path, size) {
                    Ok(()) => Ok(()),
                    Err(error) => objection(error).map(|reason| self.engine().refused(entry, None, reason)),
                };
            }
        };
        match done {
            Ok(()) => self.engine().performed(entry),
            Err(error) => {
                let reason = objection(error)?;
                self.engine().refused(entry, None, reason);
            }
        }
        Ok(())
    }

    /// Removes everything from a directory that is not listed.
    fn prune(&self, dir: Option<&RelPath>, keep: &HashSet<u64>) -> Result<(), Broken> {
        let prune = || -> Result<(), LandingError> {
            let at = dir.map(disk_path).transpose()?;
            for name in self.building.names(at.as_ref())? {
                if !keep.contains(&name_hash(name.as_bytes()))
                    && let Ok(path) = RelPath::child(dir, name.as_bytes())
                {
                    self.building.remove(&disk_path(&path)?)?;
                }
            }
            Ok(())
        };
        prune().or_else(|error| objection(error).map(drop))
    }

    fn make_dir(&self, path: &RelPath, mtime: Mtime) -> Result<(), LandingError> {
        let at = disk_path(path)?;
        match self.building.create_dir(&at) {
            // What an earlier run left there has become a directory since.
            Err(LandingError::InTheWay { .. }) => {
                self.building.remove(&at)?;
                self.building.create_dir(&at)?;
            }
            made => made?,
        }
        self.late().dir(path, mtime)
    }

    fn close(&self, entry: u32, path: &RelPath, size: u64, mtime: Mtime, exec: bool) -> Result<(), LandingError> {
        let open = self.open_files().remove(&entry).and_then(Arc::into_inner);
        let path = disk_path(path)?;
        let file = match open {
            Some(file) => file,
            None => match self.building.resume_file(&path) {
                Ok(Some(file)) => file,
                Ok(None) => self.create(&path, exec)?,
                Err(LandingError::InTheWay { .. }) => {
                    self.building.remove(&path)?;
                    self.create(&path, exec)?
                }
                Err(error) => return Err(error),
            },
        };
        file.set_len(size)?;
        file.close(&meta(mtime, exec))
    }

    /// Hashes what an earlier run left of a file.
    fn read_back(&self, entry: u32, generation: u8, path: &RelPath, size: u64) -> Result<(), LandingError> {
        let path = disk_path(path)?;
        self.open_files().remove(&entry);
        let file = match self.building.resume_file(&path) {
            Err(LandingError::InTheWay { .. }) => {
                self.building.remove(&path)?;
                None
            }
            file => file?,
        };
        let Some(file) = file else {
            self.say_held(entry, generation, Vec::new(), true);
            return Ok(());
        };
        let len = file.len()?.min(size);
        file.set_len(len)?;
        let mut values: Vec<Value> = Vec::new();
        let mut buffer = vec![0; BLOCK.min(len) as usize];
        for block in 0..u32::try_from(block_count(size)).unwrap_or(u32::MAX) {
            let (offset, wanted) = (u64::from(block) * BLOCK, block_len(size, block) as usize);
            if offset + wanted as u64 > len || file.read_at(offset, &mut buffer[..wanted])? < wanted {
                break;
            }
            values.push(block_value(size, block, &buffer[..wanted]));
            if values.len() == HELD_BATCH && !self.say_held(entry, generation, std::mem::take(&mut values), false) {
                return Ok(());
            }
        }
        self.say_held(entry, generation, values, true);
        Ok(())
    }

    /// False once the run is over.
    fn say_held(&self, entry: u32, generation: u8, values: Vec<Value>, end: bool) -> bool {
        let mut engine = self.engine();
        while !engine.may_read_back() && engine.is_running() {
            engine = self.progress.wait(engine).unwrap_or_else(PoisonError::into_inner);
        }
        engine.read_back(entry, generation, values, end);
        let running = engine.is_running();
        drop(engine);
        self.wake.notify_one();
        running
    }

    /// Makes the links and sets the times of directories, once everything else is there.
    /// Gives the tree under construction and what could not be done.
    pub fn into_building(self) -> Result<(Building, Vec<String>), LandingError> {
        let late = self.late.into_inner().unwrap_or_else(PoisonError::into_inner);
        drop(self.open);
        let problems = late.apply(&self.building)?;
        Ok((self.building, problems))
    }
}

/// Which failures concern one name only; all others end the run.
fn objection(error: LandingError) -> Result<Reason, Broken> {
    match error {
        LandingError::InTheWay { .. } | LandingError::BadName { .. } => Ok(Reason::Other(error.to_string())),
        LandingError::DiskFull { .. } => Err(Broken::Stuck(Reason::DiskFull(0), error.to_string())),
        LandingError::Denied { .. } => Err(Broken::Stuck(Reason::Denied, error.to_string())),
        other => Err(Broken::Stuck(Reason::Other("cannot write".into()), other.to_string())),
    }
}

fn is_missing(error: &LandingError) -> bool {
    matches!(error, LandingError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

fn missing(path: &store::RelPath) -> LandingError {
    LandingError::Io { path: path.as_path().to_owned(), source: io::ErrorKind::NotFound.into() }
}

/// The same path in the store's terms, checked again where it meets the disk.
pub(super) fn disk_path(path: &RelPath) -> Result<store::RelPath, LandingError> {
    store::RelPath::new(path.names().map(OsStr::from_bytes))
        .map_err(|_| LandingError::BadName { path: path.to_string().into() })
}

pub(super) fn file_time(mtime: Mtime) -> FileTime {
    FileTime { seconds: mtime.secs, nanos: mtime.nanos }
}

fn meta(mtime: Mtime, executable: bool) -> FileMeta {
    FileMeta { modified: file_time(mtime), executable }
}
