//! The sender's disk side: one thread that scans, a few that read and hash. They block; the run's tasks never do.

use super::listing::{entry, mtime, stand_in};
use super::pool::{Parcel, Pool};
use logic::transfer::hash::{block_value, is_zero};
use logic::transfer::lane::{PIECE_HEADER, Piece, PieceKind};
use logic::transfer::{Job, ReadState, Reason, Sender, Work};
use rustix::io::Errno;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use store::source::{EntryKind, SkipReason, Source, SourceFile};
use store::{FileTime, RelPath};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

/// Entries that the scan hands over at once.
const SCAN_BATCH: usize = 128;

/// What a file was when it was listed or last found changed.
#[derive(Debug, Clone)]
struct Listed {
    path: RelPath,
    size: u64,
    modified: FileTime,
}

/// The listed files that the receiver has not confirmed, by their numbers.
#[derive(Debug, Default)]
struct Files {
    first: u32,
    listed: VecDeque<Option<Box<Listed>>>,
    /// Files of several blocks that are being read.
    open: HashMap<u32, Arc<SourceFile>>,
}

impl Files {
    fn get(&mut self, entry: u32) -> Option<&mut Listed> {
        let index = entry.checked_sub(self.first)? as usize;
        self.listed.get_mut(index)?.as_deref_mut()
    }
}

/// What the threads and tasks of an outgoing run share.
pub(super) struct Outgo {
    engine: Mutex<Sender>,
    /// Readers and the scan wait here for the engine.
    work: Condvar,
    /// The control task waits here for the engine.
    pub wake: Notify,
    /// Told once, when the scan has found everything.
    pub scanned: Notify,
    /// `None` where only a text is sent.
    source: Option<Source>,
    files: Mutex<Files>,
    /// What the scan left out, for the user.
    skipped: Mutex<Vec<Skip>>,
    pub pool: Pool,
}

/// Something that the scan left out.
#[derive(Debug)]
pub(super) struct Skip {
    pub path: String,
    pub reason: String,
    /// False if it is of a kind that is never sent.
    pub failed: bool,
}

impl Outgo {
    pub fn new(engine: Sender, source: Option<Source>, pool: Pool) -> Self {
        Self {
            engine: Mutex::new(engine),
            work: Condvar::new(),
            wake: Notify::new(),
            scanned: Notify::new(),
            source,
            files: Mutex::default(),
            skipped: Mutex::default(),
            pool,
        }
    }

    /// The engine; whoever changes it calls [`Outgo::tell`] afterwards.
    pub fn engine(&self) -> MutexGuard<'_, Sender> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the threads that wait for the engine.
    pub fn tell(&self) {
        self.work.notify_all();
    }

    /// What the scan had to leave out since the last call.
    pub fn take_skipped(&self) -> Vec<Skip> {
        std::mem::take(&mut *self.skipped.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where an entry is on this machine, or its number if it is long confirmed.
    pub fn describe(&self, entry: u32) -> String {
        match self.files().get(entry) {
            Some(listed) => listed.path.as_path().display().to_string(),
            None => format!("entry {entry}"),
        }
    }

    /// Forgets files that the receiver has confirmed.
    pub fn forget_below(&self, end: u32) {
        let mut files = self.files();
        while files.first < end && files.listed.pop_front().is_some() {
            files.first += 1;
        }
    }

    /// Walks the source and feeds the engine, as far ahead as it wants.
    pub fn scan(&self) {
        let mut batch = Vec::with_capacity(SCAN_BATCH);
        for found in self.source.iter().flat_map(Source::walk) {
            match found {
                Ok(entry) => batch.push(entry),
                Err(skipped) => match stand_in(&skipped) {
                    Some(entry) => batch.push(entry),
                    None => {
                        let failed = !matches!(skipped.why, SkipReason::Special | SkipReason::PartialDir);
                        let path = skipped.path.display().to_string();
                        self.skip(Skip { path, reason: skipped.why.to_string(), failed });
                    }
                },
            }
            if batch.len() == SCAN_BATCH && !self.hand_over(&mut batch) {
                return;
            }
        }
        if self.hand_over(&mut batch) {
            self.engine().scan_ended();
            self.tell();
            self.wake.notify_one();
            self.scanned.notify_one();
        }
    }

    fn skip(&self, skip: Skip) {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).push(skip);
    }

    /// Gives entries to the engine; false once the run is over.
    fn hand_over(&self, batch: &mut Vec<store::source::Entry>) -> bool {
        let mut engine = self.engine();
        while !engine.has_room() && !engine.is_over() {
            engine = self.work.wait(engine).unwrap_or_else(PoisonError::into_inner);
        }
        let mut files = self.files();
        for found in batch.drain(..) {
            let entry = entry(&found);
            match engine.scanned(entry) {
                Ok(_) => files.listed.push_back(listed(found)),
                Err(objection) => {
                    let path = found.path.as_path().display().to_string();
                    let reason = format!("the receiver could not take it ({objection})");
                    self.skip(Skip { path, reason, failed: true });
                }
            }
        }
        drop(files);
        let over = engine.is_over();
        drop(engine);
        self.tell();
        self.wake.notify_one();
        !over
    }

    /// Reads, hashes and packs until the run is over. Parcels go to `parcels`.
    pub fn read(&self, parcels: &mpsc::UnboundedSender<Parcel>, runtime: &Handle) {
        while let Some(mut parcel) = runtime.block_on(self.pool.take()) {
            let Some(jobs) = self.wait_for_jobs() else { return };
            for job in &jobs {
                self.read_job(job, &mut parcel);
            }
            if !parcel.bytes().is_empty() && parcels.send(parcel).is_err() {
                return;
            }
        }
    }

    fn wait_for_jobs(&self) -> Option<Vec<Job>> {
        let mut engine = self.engine();
        loop {
            match engine.next_work() {
                Work::Jobs(jobs) => return Some(jobs),
                Work::Over => return None,
                Work::Wait => engine = self.work.wait(engine).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Appends one block to the parcel, unless it turns out that it must not be sent.
    fn read_job(&self, job: &Job, parcel: &mut Parcel) {
        let start = parcel.bytes().len();
        let sendable = match self.try_job(job, parcel) {
            Ok(Some(file)) => self.account(job, &file, parcel, start),
            Ok(None) => false,
            Err(_) => {
                self.look_again(job);
                false
            }
        };
        if !sendable {
            parcel.truncate(start);
        }
    }

    /// Reads the block behind room for its header. `None`: the file was given up meanwhile.
    fn try_job(&self, job: &Job, parcel: &mut Parcel) -> io::Result<Option<Arc<SourceFile>>> {
        let Some(file) = self.open(job)? else { return Ok(None) };
        parcel.grow(PIECE_HEADER);
        let offset = u64::from(job.block) * logic::transfer::hash::BLOCK;
        let len = job.len as usize;
        if file.read_at(offset, parcel.room(len))? != len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        parcel.grow(len);
        Ok(Some(file))
    }

    /// Opens the file of a job, once for all its blocks, and sees that it is still what was listed.
    fn open(&self, job: &Job) -> io::Result<Option<Arc<SourceFile>>> {
        let listed = {
            let mut files = self.files();
            if let Some(file) = files.open.get(&job.entry) {
                return Ok(Some(file.clone()));
            }
            match files.get(job.entry) {
                Some(listed) => listed.clone(),
                None => return Ok(None),
            }
        };
        let file = Arc::new(self.open_path(&listed.path)?);
        if file.len() != listed.size || file.meta().modified != listed.modified {
            return Err(io::Error::other("changed since it was listed"));
        }
        if !job.is_whole() {
            self.files().open.insert(job.entry, file.clone());
        }
        Ok(Some(file))
    }

    fn open_path(&self, path: &RelPath) -> io::Result<SourceFile> {
        self.source.as_ref().ok_or(io::ErrorKind::NotFound)?.open(path)
    }

    /// Hashes the block, writes its header, and tells the engine. False if it must not be sent.
    fn account(&self, job: &Job, file: &SourceFile, parcel: &mut Parcel, start: usize) -> bool {
        let content = &parcel.bytes()[start + PIECE_HEADER..];
        let value = block_value(job.size, job.block, content);
        let kind = match job.held {
            // Zeros never travel, so that they are there already is not worth a word.
            _ if is_zero(content) => PieceKind::Zero,
            Some(held) if held == value => PieceKind::Same,
            _ => PieceKind::Data,
        };
        let unchanged = !job.is_whole() || file.changed().is_ok_and(|changed| !changed);
        if !unchanged {
            self.look_again(job);
            return false;
        }
        let state = self.engine().read(job, value);
        match state {
            ReadState::Stale => return false,
            ReadState::More => {}
            ReadState::Complete => self.complete(job, file),
        }
        let piece = Piece { kind, generation: job.generation, entry: job.entry, block: job.block, len: job.len, value };
        parcel.bytes_mut()[start..start + PIECE_HEADER].copy_from_slice(&piece.encode());
        if kind != PieceKind::Data {
            parcel.truncate(start + PIECE_HEADER);
        }
        true
    }

    /// All blocks of a file were read.
    fn complete(&self, job: &Job, file: &SourceFile) {
        if !job.is_whole() {
            self.files().open.remove(&job.entry);
            if !file.changed().is_ok_and(|changed| !changed) {
                return self.look_again(job);
            }
        }
        self.engine().confirm(job.entry, job.generation);
        if !job.is_whole() {
            self.wake.notify_one();
        }
    }

    /// Something is wrong with a file: it changed, vanished, or cannot be read. The engine decides what follows.
    fn look_again(&self, job: &Job) {
        let path = {
            let mut files = self.files();
            files.open.remove(&job.entry);
            files.get(job.entry).map(|listed| listed.path.clone())
        };
        let Some(path) = path else { return };
        match self.open_path(&path).and_then(|file| probe(&file).map(|()| file)) {
            Ok(file) => {
                let (size, modified) = (file.len(), file.meta().modified);
                // The engine first: only one of several readers of an old reading starts a new one.
                let mut engine = self.engine();
                if engine.changed(job.entry, job.generation, size, mtime(modified))
                    && let Some(listed) = self.files().get(job.entry)
                {
                    (listed.size, listed.modified) = (size, modified);
                }
            }
            Err(error) => self.engine().unreadable(job.entry, Reason::Other(unreadable(&error))),
        }
        self.tell();
        self.wake.notify_one();
    }
}

/// Why a listed file cannot be sent, in words.
fn unreadable(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR) => "it vanished while it was to be sent".into(),
        Some(Errno::ACCESS | Errno::PERM) => "it may not be read".into(),
        // A symbolic link in its place is not followed.
        Some(Errno::LOOP) => "it is no longer a plain file".into(),
        _ => error.to_string(),
    }
}

/// Sees whether a file can be read at all, so that a bad disk is not taken for a change.
fn probe(file: &SourceFile) -> io::Result<()> {
    file.read_at(0, &mut [0; 1]).map(drop)
}

fn listed(found: store::source::Entry) -> Option<Box<Listed>> {
    match found.kind {
        EntryKind::File { size, .. } => Some(Box::new(Listed { path: found.path, size, modified: found.modified })),
        EntryKind::Directory | EntryKind::Symlink { .. } => None,
    }
}

/// A name for people.
pub(super) fn show(name: &[u8]) -> String {
    OsStr::from_bytes(name).to_string_lossy().into_owned()
}
