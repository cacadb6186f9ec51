//! Appending: records of a batch, one fsync, and a way back when anything fails before the index knows of them.

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

/// Whoever appends; there is one.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// The pack that is being added to.
    active: Option<PackRow>,
    /// Packs in which something went wrong: what is on the disk behind their end is not certain.
    given_up: Vec<i64>,
    /// The pack that compaction is at.
    pub(super) emptying: Option<i64>,
}

/// Records that are durable, but not in the index yet. Must come to [`Writer::settle`].
#[derive(Debug, Default)]
pub(super) struct Batch {
    placed: Vec<(ObjectId, u32, Place)>,
    grown: Vec<Grown>,
}

/// A pack that a batch has made longer.
#[derive(Debug, Clone, Copy)]
struct Grown {
    before: PackRow,
    len: u64,
}

impl Batch {
    /// Where the record of each object lies.
    pub(super) fn placed(&self) -> &[(ObjectId, u32, Place)] {
        &self.placed
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
        if objects.is_empty() {
            return Ok(Batch::default());
        }
        let path = store.files.path();
        let needed: u64 = objects.iter().map(|(_, bytes)| record_len(bytes.len() as u64)).sum();
        let free = disk::free_space(path).map_err(|source| ObjectError::at(path, source))?;
        if free < needed.saturating_add(keep_free) {
            return Err(ObjectError::DiskFull(path.to_owned()));
        }
        let mut batch = Batch::default();
        match self.write(store, objects, &mut batch) {
            Ok(()) => Ok(batch),
            Err(error) => {
                // Whoever brings wrong bytes does not wear out packs.
                match error {
                    ObjectError::WrongId(_) if self.cut_back(store, &batch) => {}
                    _ => self.take_back(store, &batch),
                }
                Err(error)
            }
        }
    }

    /// The end of a batch: either the index knows of it, or it is taken back.
    pub(super) fn settle<T>(
        &mut self,
        store: &ObjectStore,
        batch: Batch,
        outcome: Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        match &outcome {
            Ok(_) => {
                if let Some(grown) = batch.grown.last() {
                    self.active = Some(PackRow { len: grown.len, ..grown.before });
                }
            }
            Err(_) => self.take_back(store, &batch),
        }
        outcome
    }

    /// Is this the pack that is being added to?
    pub(super) fn is_active(&self, pack: i64) -> bool {
        self.active.is_some_and(|active| active.number == pack)
    }

    /// Adds nothing more to this pack.
    pub(super) fn leave(&mut self, pack: i64) {
        self.active.take_if(|active| active.number == pack);
    }

    /// Forgets which pack is being added to, and what went wrong: the index has been made anew.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Adds nothing more to this pack until the store is opened again.
    pub(super) fn give_up(&mut self, pack: i64) {
        self.leave(pack);
        self.given_up.push(pack);
    }

    fn write(
        &mut self,
        store: &ObjectStore,
        objects: &[(ObjectId, &[u8])],
        batch: &mut Batch,
    ) -> Result<(), ObjectError> {
        let mut stream: Option<Stream<'_>> = None;
        for (id, bytes) in objects {
            let mut current = match stream.take() {
                Some(stream) if !stream.is_full(store.limits.pack) => stream,
                full => {
                    if let Some(full) = full {
                        full.finish(batch)?;
                        self.active = None;
                    }
                    Stream::new(&store.files, self.active(store)?, batch)
                }
            };
            let start = current.append(id, bytes)?;
            // While the disk is at work.
            super::verify(id, bytes)?;
            batch.placed.push((*id, bytes.len() as u32, Place { pack: current.pack.number, start }));
            stream = Some(current);
        }
        stream.map_or(Ok(()), |stream| stream.finish(batch))
    }

    /// The pack that is to be added to, a new one where there is none with room.
    fn active(&mut self, store: &ObjectStore) -> Result<PackRow, ObjectError> {
        let has_room = |pack: &PackRow| pack.len < store.limits.pack && is_aligned(pack.len);
        if let Some(pack) = self.active.filter(has_room) {
            return Ok(pack);
        }
        // Written to the index before anything lies in it: a pack that the index does not know was not made by us
        // after this index was written.
        let id = seal::random();
        let path = store.files.path_of(&id);
        store.files.create(&id).map_err(|source| ObjectError::at(&path, source))?;
        let added = store.change(|transaction| index::add_pack(transaction, &id, PACK_HEADER));
        let number = added.inspect_err(|_| {
            let _ = store.files.remove(&id);
        })?;
        let pack = PackRow { number, id, len: PACK_HEADER };
        self.active = Some(pack);
        Ok(pack)
    }

    /// Chooses a pack with room when the store is opened.
    pub(super) fn choose(&mut self, store: &ObjectStore, packs: &[PackRow]) {
        let has_room = |pack: &&PackRow| {
            let whole = || store.files.get(&pack.id).and_then(|file| read_pack_header(&*file));
            pack.len < store.limits.pack
                && is_aligned(pack.len)
                && !self.given_up.contains(&pack.number)
                && matches!(whole(), Ok(Some(id)) if id == pack.id)
        };
        self.active = packs.iter().rev().find(has_room).copied();
    }

    /// Gives the space of a batch back before it was made durable; `false` when it stays as it is.
    fn cut_back(&self, store: &ObjectStore, batch: &Batch) -> bool {
        let [grown] = batch.grown.as_slice() else { return false };
        store.files.cut(&grown.before.id, grown.before.len).is_ok()
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

/// The records of one batch that go into one pack.
struct Stream<'a> {
    files: &'a Files,
    key: PackKey,
    /// The pack as it was before.
    pack: PackRow,
    /// Where the gathered bytes will lie.
    at: u64,
    /// Up to here the system writes already.
    hurried: u64,
    gathered: Vec<u8>,
}

impl<'a> Stream<'a> {
    fn new(files: &'a Files, pack: PackRow, batch: &mut Batch) -> Self {
        batch.grown.push(Grown { before: pack, len: pack.len });
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
        let gathered = std::mem::take(&mut self.gathered);
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

    /// All of it is durable.
    fn finish(mut self, batch: &mut Batch) -> Result<(), ObjectError> {
        self.flush()?;
        self.files.sync(&self.pack.id).map_err(|e| self.fail(e))?;
        if let Some(grown) = batch.grown.last_mut() {
            grown.len = self.at;
        }
        Ok(())
    }

    fn fail(&self, source: std::io::Error) -> ObjectError {
        ObjectError::at(&self.files.path_of(&self.pack.id), source)
    }
}
