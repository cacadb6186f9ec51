//! Reading: every object is verified each time.

use super::index::{self, Place, Row};
use super::pack::{MAX_OBJECT, ObjectId, RECORD_HEADER, ReadAt};
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
    /// The bytes of an object, which are what was stored, or an error: it is not here
    /// ([`Missing`](ObjectError::Missing)), not what it was ([`Damaged`](ObjectError::Damaged)), or the disk does not
    /// read ([`Io`](ObjectError::Io)). Whoever has the right bytes of such an object may put them again, which mends it.
    pub fn get(&self, id: &ObjectId) -> Result<Vec<u8>, ObjectError> {
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
                Ok(bytes) => {
                    if !row.sound {
                        self.note(&row, place, true);
                    }
                    return Ok(bytes);
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

    pub(super) fn read(&self, row: &Row, place: Place) -> Result<Vec<u8>, ObjectError> {
        if row.len as usize > MAX_OBJECT {
            return Err(ObjectError::Damaged(row.id));
        }
        let pack = index::pack(&self.database.connection(), place.pack)?.ok_or(ObjectError::Missing(row.id))?;
        let file = match self.files.get(&pack.id) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(ObjectError::Missing(row.id)),
            file => file.map_err(|source| ObjectError::at(&self.files.path_of(&pack.id), source))?,
        };
        let mut bytes = vec![0; row.len as usize];
        let start = place.start.saturating_add(RECORD_HEADER);
        let read = file
            .read_full_at(start, &mut bytes)
            .map_err(|source| ObjectError::at(&self.files.path_of(&pack.id), source))?;
        let sound = read == bytes.len() && ObjectId::of(&bytes) == row.id;
        if sound { Ok(bytes) } else { Err(ObjectError::Damaged(row.id)) }
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

impl From<ObjectError> for std::io::Error {
    fn from(error: ObjectError) -> Self {
        let kind = match &error {
            ObjectError::Missing(_) => std::io::ErrorKind::NotFound,
            ObjectError::Damaged(_) => std::io::ErrorKind::InvalidData,
            ObjectError::DiskFull(_) => std::io::ErrorKind::StorageFull,
            ObjectError::Io { source, .. } => source.kind(),
            ObjectError::Database(DatabaseError::Damaged(_)) => std::io::ErrorKind::InvalidData,
            _ => std::io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
