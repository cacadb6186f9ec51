//! Index and packs made to agree: after a crash, a loss, or when either is an older copy than the other.
//!
//! - A pack is longer than the index knows: what was appended was not acknowledged, or the index is an older copy. Whole
//!   records are taken in, held by nobody; the torn end is cut off.
//! - A pack is shorter, or not there: what the index has there is lost, and may turn up in another pack.
//! - A pack is unknown: the index is older or was lost. It is read as a whole, nothing is cut off, and nothing at all
//!   is removed any more until it has been confirmed who holds what.

use std::collections::HashMap;
use std::fs::File;

use rusqlite::Connection;
use seal::Timestamp;

use super::holds::begun_hours;
use super::index::{self, PackRow, Place};
use super::pack::{PACK_HEADER, PackId, PackKey, RECORD_HEADER, Record, Scanner, read_pack_header};
use super::writer::Writer;
use super::{ObjectError, ObjectStore};

/// Key of the one row of doubts.
const HOLDS: &[u8] = b"holds";

/// What had to be done to make index and packs agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Packs that are not there any more.
    pub packs_lost: u64,
    /// Packs that the index did not know.
    pub packs_found: u64,
    /// Objects that the index did not know; nobody holds them so far.
    pub objects_found: u64,
    /// Objects that had been lost or damaged and were found elsewhere.
    pub objects_restored: u64,
    /// Bytes of torn records that were cut off.
    pub cut: u64,
}

impl ObjectStore {
    /// Makes the index anew from the packs, one after the other; what was right stays right all the time. Who holds what
    /// stays as it is, also of objects that do not turn up.
    pub fn rebuild(&self, now: Timestamp) -> Result<Recovered, ObjectError> {
        let mut recovered = self.recover(now)?;
        let _writer = self.writer();
        let packs = index::packs(&self.database.connection())?;
        let mut missed = self.change(|transaction| index::lose_strays(transaction))?;
        for pack in &packs {
            missed += self.scan_again(pack, now, &mut recovered)?;
        }
        if missed > 0 {
            // What is not where it should be may lie once more in a pack that was looked at before.
            for pack in &packs {
                self.scan_again(pack, now, &mut recovered)?;
            }
        }
        Ok(recovered)
    }

    /// Doubts what the index says of a pack and reads it anew; tells how many objects were not found.
    fn scan_again(&self, pack: &PackRow, now: Timestamp, recovered: &mut Recovered) -> Result<u64, ObjectError> {
        let failed = |source| ObjectError::at(&self.files.path_of(&pack.id), source);
        let file = self.files.get(&pack.id).map_err(failed)?;
        let key = pack_key(&file, &pack.id);
        self.change(|transaction| {
            let before = index::doubt(transaction, pack.number)?;
            let mut found = Recovered::default();
            for record in Scanner::new(&*file, key, PACK_HEADER, pack.len) {
                take_in(transaction, pack.number, &record, false, now, &mut found)?;
            }
            recovered.objects_found += found.objects_found;
            recovered.objects_restored += found.objects_restored.saturating_sub(before);
            Ok(before.saturating_sub(found.objects_restored))
        })
    }

    /// `false` when the index was lost or put back from an older copy, and what is held may not be known.
    pub fn holds_known(&self) -> Result<bool, ObjectError> {
        Ok(self.doubts.get(HOLDS)?.is_none())
    }

    /// Says that every namespace holds again what it needs, so that the rest may be removed.
    pub fn confirm_holds(&self) -> Result<(), ObjectError> {
        self.doubts.delete(HOLDS)?;
        Ok(())
    }

    pub(super) fn recover(&self, now: Timestamp) -> Result<Recovered, ObjectError> {
        // Whoever appends meanwhile would lose what is cut off.
        let mut writer = self.lone_writer();
        writer.reset();
        let listed = self.files.list().map_err(|source| ObjectError::at(self.files.path(), source))?;
        let mut on_disk: HashMap<PackId, u64> = listed.iter().copied().collect();
        let mut recovered = Recovered::default();
        let known = index::packs(&self.database.connection())?;
        for pack in known {
            match on_disk.remove(&pack.id) {
                None => self.lose_pack(&pack, &mut recovered)?,
                Some(size) if size < pack.len => self.shorten(&pack, size)?,
                Some(size) if size > pack.len => {
                    match self.take_in_tail(&mut writer, &pack, size, now, &mut recovered) {
                        // Nothing in it was acknowledged; there is another time for it.
                        Err(ObjectError::DiskFull(_)) => writer.give_up(pack.number),
                        taken => taken?,
                    }
                }
                Some(_) => {}
            }
        }
        for (id, size) in listed {
            if on_disk.contains_key(&id) {
                self.take_in_unknown(&id, size, now, &mut recovered)?;
            }
        }
        let packs = index::packs(&self.database.connection())?;
        writer.choose(self, &packs);
        Ok(recovered)
    }

    fn lose_pack(&self, pack: &PackRow, recovered: &mut Recovered) -> Result<(), ObjectError> {
        recovered.packs_lost += self.change(|transaction| {
            let used = index::is_used(transaction, pack.number)?;
            index::lose_behind(transaction, pack.number, 0)?;
            index::remove_pack(transaction, pack.number)?;
            Ok(u64::from(used))
        })?;
        Ok(())
    }

    fn shorten(&self, pack: &PackRow, size: u64) -> Result<(), ObjectError> {
        self.change(|transaction| {
            index::lose_behind(transaction, pack.number, size)?;
            index::set_pack_len(transaction, pack.number, size)
        })
    }

    fn take_in_tail(
        &self,
        writer: &mut Writer,
        pack: &PackRow,
        size: u64,
        now: Timestamp,
        recovered: &mut Recovered,
    ) -> Result<(), ObjectError> {
        let failed = |source| ObjectError::at(&self.files.path_of(&pack.id), source);
        let file = self.files.get(&pack.id).map_err(failed)?;
        let key = PackKey::new(&pack.id);
        let mut scanner = Scanner::new(&*file, key.clone(), pack.len, size);
        let mut end = pack.len;
        self.change(|transaction| {
            while let Some(record) = scanner.next() {
                if record.sound {
                    // Written again: after a failed fsync the system may think that it is on the disk.
                    let header = key.record_header(record.offset, &record.id, record.len);
                    self.files.write(&pack.id, record.offset, &header).map_err(failed)?;
                    self.files.write(&pack.id, record.offset + RECORD_HEADER, scanner.body()).map_err(failed)?;
                    take_in(transaction, pack.number, &record, true, now, recovered)?;
                    end = record.end();
                }
            }
            if scanner.met_unreadable() {
                writer.give_up(pack.number);
            } else if end != size {
                self.files.cut(&pack.id, end).map_err(failed)?;
                recovered.cut += size.saturating_sub(end);
            }
            self.files.sync(&pack.id).map_err(failed)?;
            index::set_pack_len(transaction, pack.number, end)
        })
    }

    fn take_in_unknown(
        &self,
        id: &PackId,
        size: u64,
        now: Timestamp,
        recovered: &mut Recovered,
    ) -> Result<(), ObjectError> {
        let failed = |source| ObjectError::at(&self.files.path_of(id), source);
        if size <= PACK_HEADER {
            return self.files.remove(id).map_err(failed);
        }
        self.doubts.put(HOLDS, &1)?;
        let file = self.files.get(id).map_err(failed)?;
        let key = pack_key(&file, id);
        self.files.sync(id).map_err(failed)?;
        let mut scanner = Scanner::new(&*file, key, PACK_HEADER, size);
        self.change(|transaction| {
            let number = index::add_pack(transaction, id, size)?;
            for record in scanner.by_ref() {
                take_in(transaction, number, &record, false, now, recovered)?;
            }
            if scanner.met_unreadable() && !index::is_used(transaction, number)? {
                // Perhaps another time.
                index::remove_pack(transaction, number)?;
            }
            recovered.packs_found += 1;
            Ok(())
        })
    }
}

/// The key of a pack: its name says the same as its header, and one of them may be wrong.
fn pack_key(file: &File, name: &PackId) -> PackKey {
    PackKey::new(&read_pack_header(file).ok().flatten().unwrap_or(*name))
}

/// Tells the index of a record that was found in a pack, if it is needed there. A damaged one is noted where it may
/// have been acknowledged: its id is what it takes to fetch it from somebody else.
fn take_in(
    index: &Connection,
    pack: i64,
    record: &Record,
    unacknowledged: bool,
    now: Timestamp,
    recovered: &mut Recovered,
) -> Result<(), ObjectError> {
    let place = Place { pack, start: record.offset };
    match index::find(index, &record.id)? {
        Some(row) if record.sound && !row.is_here() => {
            index::set_place(index, row.number, record.len, place)?;
            recovered.objects_restored += 1;
        }
        None if record.sound || !unacknowledged => {
            index::add(index, &record.id, record.len, place, record.sound, begun_hours(now))?;
            recovered.objects_found += 1;
        }
        _ => {}
    }
    Ok(())
}
