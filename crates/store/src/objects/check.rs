//! Everything is read and verified, a slice at a time, so that damage is found while somebody else still has the
//! object.

use seal::Object;

use super::index::{self, Place, Row};
use super::pack::{ObjectId, PackKey, RECORD_HEADER, ReadAt};
use super::{ObjectError, ObjectStore};

/// Rows that are looked up together.
const STEP: usize = 256;

/// Where a check goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CheckPlace {
    pack: i64,
    start: u64,
}

/// What a slice of a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Objects that were read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects whose bytes are not what they were, or that the disk does not give.
    pub damaged: Vec<ObjectId>,
    /// Objects that were stored anew, because only what the pack says of them was damaged.
    pub mended: u64,
    /// Where to go on; `None` when all was read.
    pub next: Option<CheckPlace>,
}

impl ObjectStore {
    /// Reads about `budget` bytes of objects, one object at least, behind `place` (from the beginning without one), and
    /// verifies them. What is put or moved meanwhile is verified then, or later in the same check. The place stays good
    /// over restarts.
    pub fn check(&self, place: Option<CheckPlace>, budget: u64) -> Result<Checked, ObjectError> {
        let mut at = place.unwrap_or(CheckPlace { pack: 0, start: 0 });
        let mut checked = Checked::default();
        loop {
            let from = Place { pack: at.pack, start: at.start };
            let rows = index::behind(&self.database.connection(), from, STEP)?;
            if rows.is_empty() {
                return Ok(checked);
            }
            for row in rows {
                let Some(place) = row.place else { continue };
                at = CheckPlace { pack: place.pack, start: place.start };
                self.check_one(&row, place, &mut checked)?;
                if checked.bytes >= budget {
                    return Ok(Checked { next: Some(at), ..checked });
                }
            }
        }
    }

    /// Objects that somebody holds and that are lost or known to be damaged, a slice at a time: to be fetched from
    /// others and put again. Ends with an empty slice; goes on behind the number that stands with the last object.
    pub fn wanting(&self, after: u64) -> Result<Vec<(u64, ObjectId)>, ObjectError> {
        let rows = index::wanting(&self.database.connection(), index::signed(after), STEP)?;
        Ok(rows.iter().map(|row| (row.number.unsigned_abs(), row.id)).collect())
    }

    fn check_one(&self, row: &Row, place: Place, checked: &mut Checked) -> Result<(), ObjectError> {
        checked.objects += 1;
        checked.bytes += u64::from(row.len);
        match self.get(&row.id) {
            Ok(object) if !self.has_header(row, place)? => self.mend(row, place, object, checked),
            Ok(_) => Ok(()),
            Err(ObjectError::Damaged(_) | ObjectError::Missing(_) | ObjectError::Io { .. }) => {
                // Unless it was forgotten just now.
                if index::find(&self.database.connection(), &row.id)?.is_some() {
                    checked.damaged.push(row.id);
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Would the object be found without the index? Also `true` when it has moved meanwhile.
    fn has_header(&self, row: &Row, place: Place) -> Result<bool, ObjectError> {
        let Some(pack) = index::pack(&self.database.connection(), place.pack)? else { return Ok(true) };
        let Ok(file) = self.files.get(&pack.id) else { return Ok(true) };
        let mut header = [0; RECORD_HEADER as usize];
        let read = file.read_full_at(place.start, &mut header);
        let expected = PackKey::new(&pack.id).record_header(place.start, &row.id, row.len);
        Ok(read.is_ok() && header == expected)
    }

    fn mend(&self, row: &Row, place: Place, object: Object, checked: &mut Checked) -> Result<(), ObjectError> {
        let mut writer = self.writer();
        let now = index::find(&self.database.connection(), &row.id)?;
        if now.is_some_and(|now| now.place == Some(place)) {
            self.move_all(&mut writer, place.pack, &[(*row, object)])?;
            checked.mended += 1;
        }
        Ok(())
    }
}
