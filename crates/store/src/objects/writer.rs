//! Appending: a batch has the packs that it adds to for itself, one fsync each, and a way back when anything fails before
//! the index knows of it.

use std::mem;
use std::sync::Arc;

use rusqlite::Connection;
use seal::Timestamp;

use super::files::Files;
use super::index::{self, PackRow, Place};
use super::pack::{ObjectId, PACK_HEADER, PackKey, is_aligned, read_pack_header, record_len};
use super::{Numbers, ObjectError, ObjectStore};
use crate::disk;

/// Small pieces are gathered up to this many bytes.
const GATHERED: usize = 1 << 20;

/// Pieces from this length on are written by themselves.
const LARGE: usize = 128 << 10;

/// After so many bytes the disk is to begin.
const HURRY: u64 = 4 << 20;

/// Packs that are added to again after a start.
const CHOSEN: usize = 4;

/// Who appends to which pack.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// Packs with room that no batch has; the one used last stands last.
    idle: Vec<PackRow>,
    /// Packs that a batch has.
    busy: Vec<i64>,
    /// Packs in which something went wrong: what is on the disk behind their end is not certain.
    given_up: Vec<i64>,
    /// The pack that compaction is at.
    pub(super) emptying: Option<i64>,
}

/// Records that the index does not know yet. Must come to [`Writer::settle`] or [`Writer::abandon`].
#[derive(Default)]
pub(super) struct Batch {
    placed: Vec<(ObjectId, u32, Place)>,
    grown: Vec<Grown>,
    /// What is being added to.
    stream: Option<Stream>,
}

/// A pack that a batch has made longer.
#[derive(Debug, Clone, Copy)]
struct Grown {
    before: PackRow,
    len: u64,
}

impl Batch {
    /// Is there nothing in it?
    pub(super) fn is_empty(&self) -> bool {
        self.grown.is_empty()
    }

    /// Where the record of each object lies.
    pub(super) fn placed(&self) -> &[(ObjectId, u32, Place)] {
        &self.placed
    }

    /// Appends records, if as many bytes as `keep_free` stay free; `take` gives packs.
    pub(super) fn write<'a>(
        &mut self,
        store: &ObjectStore,
        objects: impl Iterator<Item = (ObjectId, &'a [u8])> + Clone,
        keep_free: u64,
        mut take: impl FnMut() -> Result<PackRow, ObjectError>,
    ) -> Result<(), ObjectError> {
        let path = store.files.path();
        let needed: u64 = objects.clone().map(|(_, bytes)| record_len(bytes.len() as u64)).sum();
        if needed == 0 {
            return Ok(());
        }
        let free = disk::free_space(path).map_err(|source| ObjectError::at(path, source))?;
        if free < needed.saturating_add(keep_free) {
            return Err(ObjectError::DiskFull(path.to_owned()));
        }
        for (id, bytes) in objects {
            if self.stream.as_ref().is_some_and(|stream| stream.is_full(store.limits.pack)) {
                self.sync()?;
            }
            let stream = match &mut self.stream {
                Some(stream) => stream,
                none => {
                    let pack = take()?;
                    self.grown.push(Grown { before: pack, len: pack.len });
                    none.insert(Stream::new(store.files.clone(), pack))
                }
            };
            let start = stream.append(&id, bytes)?;
            self.placed.push((id, bytes.len() as u32, Place { pack: stream.pack.number, start }));
        }
        Ok(())
    }

    /// Makes all of it durable.
    pub(super) fn sync(&mut self) -> Result<(), ObjectError> {
        if let (Some(stream), Some(grown)) = (self.stream.take(), self.grown.last_mut()) {
            grown.len = stream.finish()?;
        }
        Ok(())
    }

    /// Tells the index of the batch; returns the objects' numbers. Those that are new are held by nobody.
    pub(super) fn record(&self, transaction: &Connection, now: Timestamp) -> Result<Numbers, ObjectError> {
        let mut numbers = Numbers::with_capacity(self.placed.len());
        for (id, len, place) in &self.placed {
            let number = match index::find(transaction, id)? {
                Some(row) => {
                    index::set_place(transaction, row.number, *len, *place)?;
                    row.number
                }
                None => index::add(transaction, id, *len, *place, true, super::holds::begun_hours(now))?,
            };
            numbers.insert(*id, number);
        }
        self.record_lengths(transaction)?;
        Ok(numbers)
    }

    /// Tells the index how long the packs are now.
    pub(super) fn record_lengths(&self, transaction: &Connection) -> Result<(), ObjectError> {
        self.grown.iter().try_for_each(|grown| index::set_pack_len(transaction, grown.before.number, grown.len))
    }
}

impl Writer {
    /// Appends records, durably, if as many bytes as `keep_free` stay free.
    pub(super) fn append(
        &mut self,
        store: &ObjectStore,
        objects: &[(ObjectId, &[u8])],
        keep_free: u64,
    ) -> Result<Batch, ObjectError> {
        let mut batch = Batch::default();
        let written = batch.write(store, objects.iter().copied(), keep_free, || self.take(store));
        match written.and_then(|()| batch.sync()) {
            Ok(()) => Ok(batch),
            Err(error) => {
                self.take_back(store, &batch);
                Err(error)
            }
        }
    }

    /// The end of a batch: either the index knows of it, or it is taken back.
    pub(super) fn settle<T, E>(&mut self, store: &ObjectStore, batch: Batch, outcome: Result<T, E>) -> Result<T, E> {
        match &outcome {
            Ok(_) => {
                for Grown { before, len } in batch.grown {
                    self.give_back(store, PackRow { len, ..before });
                }
            }
            Err(_) => self.take_back(store, &batch),
        }
        outcome
    }

    /// The end of a batch of which nothing failed and nothing is wanted.
    pub(super) fn abandon(&mut self, store: &ObjectStore, batch: Batch) {
        let Batch { grown, stream, .. } = batch;
        drop(stream);
        for Grown { before, .. } in grown {
            match store.files.cut(&before.id, before.len) {
                Ok(()) => self.give_back(store, before),
                Err(_) => self.give_up(before.number),
            }
        }
    }

    /// Does a batch have this pack, or wait for one?
    pub(super) fn is_busy(&self, pack: i64) -> bool {
        self.busy.contains(&pack)
    }

    /// Does any batch have a pack?
    pub(super) fn works(&self) -> bool {
        !self.busy.is_empty()
    }

    /// Is this a pack that will be added to?
    pub(super) fn is_idle(&self, pack: i64) -> bool {
        self.idle.iter().any(|idle| idle.number == pack)
    }

    /// Adds nothing more to this pack.
    pub(super) fn leave(&mut self, pack: i64) {
        self.idle.retain(|idle| idle.number != pack);
    }

    /// Forgets which packs are added to, and what went wrong: the index has been made anew.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Adds nothing more to this pack until the store is opened again.
    pub(super) fn give_up(&mut self, pack: i64) {
        self.leave(pack);
        self.busy.retain(|busy| *busy != pack);
        self.given_up.push(pack);
    }

    /// The pack that a batch may add to, a new one where there is none with room.
    pub(super) fn take(&mut self, store: &ObjectStore) -> Result<PackRow, ObjectError> {
        let pack = match self.idle.pop() {
            Some(pack) => pack,
            None => Self::new_pack(store)?,
        };
        self.busy.push(pack.number);
        Ok(pack)
    }

    fn give_back(&mut self, store: &ObjectStore, pack: PackRow) {
        self.busy.retain(|busy| *busy != pack.number);
        if has_room(store, &pack) && !self.given_up.contains(&pack.number) {
            self.idle.push(pack);
        }
    }

    fn new_pack(store: &ObjectStore) -> Result<PackRow, ObjectError> {
        // Written to the index before anything lies in it: a pack that the index does not know was not made by us
        // after this index was written.
        let id = seal::random();
        let path = store.files.path_of(&id);
        store.files.create(&id).map_err(|source| ObjectError::at(&path, source))?;
        let added = store.change(|transaction| index::add_pack(transaction, &id, PACK_HEADER));
        let number = added.inspect_err(|_| {
            let _ = store.files.remove(&id);
        })?;
        Ok(PackRow { number, id, len: PACK_HEADER })
    }

    /// Chooses packs with room when the store is opened.
    pub(super) fn choose(&mut self, store: &ObjectStore, packs: &[PackRow]) {
        let is_good = |pack: &&PackRow| {
            let whole = || store.files.get(&pack.id).and_then(|file| read_pack_header(&*file));
            has_room(store, pack)
                && !self.given_up.contains(&pack.number)
                && matches!(whole(), Ok(Some(id)) if id == pack.id)
        };
        self.idle = packs.iter().rev().filter(is_good).take(CHOSEN).copied().collect();
        self.idle.reverse();
    }

    /// Gives the space of a batch back that came to nothing. Its packs are left alone from then on: after a failed
    /// fsync nobody knows what of them is on the disk, and after a failed commit the index may yet come back with it.
    fn take_back(&mut self, store: &ObjectStore, batch: &Batch) {
        for grown in &batch.grown {
            self.give_up(grown.before.number);
            let _ = store.files.cut(&grown.before.id, grown.before.len);
            if grown.before.len == PACK_HEADER {
                let _ = store.remove_pack(&grown.before);
            }
        }
    }
}

fn has_room(store: &ObjectStore, pack: &PackRow) -> bool {
    pack.len < store.limits.pack && is_aligned(pack.len)
}

/// The records of one batch that go into one pack.
struct Stream {
    files: Arc<Files>,
    key: PackKey,
    /// The pack as it was before.
    pack: PackRow,
    /// Where the gathered bytes will lie.
    at: u64,
    /// Up to here the system writes already.
    hurried: u64,
    gathered: Vec<u8>,
}

impl Stream {
    fn new(files: Arc<Files>, pack: PackRow) -> Self {
        Self { files, key: PackKey::new(&pack.id), pack, at: pack.len, hurried: pack.len, gathered: Vec::new() }
    }

    fn end(&self) -> u64 {
        self.at + self.gathered.len() as u64
    }

    fn is_full(&self, limit: u64) -> bool {
        self.end() >= limit
    }

    /// Returns where the record begins.
    fn append(&mut self, id: &ObjectId, bytes: &[u8]) -> Result<u64, ObjectError> {
        let start = self.end();
        let header = self.key.record_header(start, id, bytes.len() as u32);
        self.push(&header)?;
        self.push(bytes)?;
        let padding = start + record_len(bytes.len() as u64) - self.end();
        self.push(&[0; 8][..padding as usize])?;
        Ok(start)
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), ObjectError> {
        if self.gathered.len() + bytes.len() > GATHERED || bytes.len() >= LARGE {
            self.flush()?;
        }
        if bytes.len() >= LARGE {
            return self.write(bytes);
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ObjectError> {
        let gathered = mem::take(&mut self.gathered);
        if gathered.is_empty() { Ok(()) } else { self.write(&gathered) }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ObjectError> {
        self.files.write(&self.pack.id, self.at, bytes).map_err(|e| self.fail(e))?;
        self.at += bytes.len() as u64;
        if self.at - self.hurried >= HURRY {
            self.files.hurry(&self.pack.id, self.hurried, self.at - self.hurried);
            self.hurried = self.at;
        }
        Ok(())
    }

    /// All of it is durable; returns how long the pack is then.
    fn finish(mut self) -> Result<u64, ObjectError> {
        self.flush()?;
        self.files.sync(&self.pack.id).map_err(|e| self.fail(e))?;
        Ok(self.at)
    }

    fn fail(&self, source: std::io::Error) -> ObjectError {
        ObjectError::at(&self.files.path_of(&self.pack.id), source)
    }
}
