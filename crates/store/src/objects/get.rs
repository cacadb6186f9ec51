//! Reading: every object is verified each time.

use std::fs::File;
use std::io;

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};
use seal::Object;

use super::index::{self, Place, Row};
use super::pack::{MAX_OBJECT, ObjectId, RECORD_HEADER};
use super::{ObjectError, ObjectStore};
use crate::database::DatabaseError;

/// What lies in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Objects in the index.
    pub objects: u64,
    /// Packs.
    pub packs: u64,
    /// Bytes of all packs.
    pub bytes: u64,
    /// Of these, bytes that [`ObjectStore::compact`] could give back.
    pub garbage: u64,
}

impl ObjectStore {
    /// An object, which is what was stored, or an error: it is not here
    /// ([`Missing`](ObjectError::Missing)), not what it was ([`Damaged`](ObjectError::Damaged)), or the disk does not
    /// read ([`Io`](ObjectError::Io)). Whoever has the right bytes of such an object may put them again, which mends it.
    pub fn get(&self, id: &ObjectId) -> Result<Object, ObjectError> {
        let mut failed: Option<(Row, Place, ObjectError)> = None;
        loop {
            let row = index::find(&self.database.connection(), id)?;
            let Some((row, place)) = row.and_then(|row| Some((row, row.place?))) else {
                return Err(ObjectError::Missing(*id));
            };
            // Compaction may have moved it since it was looked up; only a place that fails twice does fail.
            match failed.take() {
                Some((row, at, error)) if at == place => {
                    self.note(&row, at, false);
                    return Err(error);
                }
                _ => {}
            }
            match self.read(&row, place) {
                Ok(object) => {
                    if !row.sound {
                        self.note(&row, place, true);
                    }
                    return Ok(object);
                }
                Err(error) => failed = Some((row, place, error)),
            }
        }
    }

    /// Is the object here, and sound as far as is known?
    pub fn has(&self, id: &ObjectId) -> Result<bool, ObjectError> {
        Ok(index::find(&self.database.connection(), id)?.is_some_and(|row| row.is_here()))
    }

    /// Bytes of an object that the index knows, here or not.
    pub fn len(&self, id: &ObjectId) -> Result<Option<u64>, ObjectError> {
        Ok(index::find(&self.database.connection(), id)?.map(|row| row.len.into()))
    }

    /// Those of `ids` that are not here, or damaged.
    pub fn absent(&self, ids: &[ObjectId]) -> Result<Vec<ObjectId>, ObjectError> {
        let mut absent = Vec::new();
        for id in ids {
            if !self.has(id)? {
                absent.push(*id);
            }
        }
        Ok(absent)
    }

    /// Bytes that are free on its disk.
    pub fn free_space(&self) -> Result<u64, ObjectError> {
        let path = self.files.path();
        crate::disk::free_space(path).map_err(|source| ObjectError::at(path, source))
    }

    /// What there is and how much room it takes. Reads the whole index.
    pub fn totals(&self) -> Result<Totals, ObjectError> {
        let connection = self.database.connection();
        let mut totals = Totals::default();
        for filling in index::fillings(&connection, None)? {
            totals.packs += 1;
            totals.objects += filling.objects;
            totals.bytes += filling.pack.len;
            totals.garbage += filling.garbage();
        }
        Ok(totals)
    }

    pub(super) fn read(&self, row: &Row, place: Place) -> Result<Object, ObjectError> {
        if row.len as usize > MAX_OBJECT {
            return Err(ObjectError::Damaged(row.id));
        }
        let pack = index::pack(&self.database.connection(), place.pack)?.ok_or(ObjectError::Missing(row.id))?;
        let file = match self.files.get(&pack.id) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(ObjectError::Missing(row.id)),
            file => file.map_err(|source| ObjectError::at(&self.files.path_of(&pack.id), source))?,
        };
        let start = place.start.saturating_add(RECORD_HEADER);
        let bytes = read_at(&file, start, row.len as usize);
        let bytes = bytes.map_err(|source| ObjectError::at(&self.files.path_of(&pack.id), source))?;
        let object = Object::of(bytes);
        if object.id() == row.id { Ok(object) } else { Err(ObjectError::Damaged(row.id)) }
    }

    /// Remembers what was found, so that putting a damaged object again stores it again. That a full disk keeps this
    /// from being written is no reason to say anything else than what was found.
    pub(super) fn note(&self, row: &Row, place: Place, sound: bool) {
        if row.sound != sound {
            let _: Result<(), ObjectError> =
                self.change(|transaction| index::set_sound(transaction, row.number, place, sound));
        }
    }
}

/// As many bytes as there are, up to `len`.
fn read_at(file: &File, start: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let at = start.saturating_add(bytes.len() as u64);
        match pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

impl From<ObjectError> for io::Error {
    fn from(error: ObjectError) -> Self {
        let kind = match &error {
            ObjectError::Missing(_) => io::ErrorKind::NotFound,
            ObjectError::Damaged(_) => io::ErrorKind::InvalidData,
            ObjectError::DiskFull(_) => io::ErrorKind::StorageFull,
            ObjectError::Io { source, .. } => source.kind(),
            ObjectError::Database(DatabaseError::Damaged(_)) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
