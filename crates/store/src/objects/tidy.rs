//! Giving room back: objects that nobody holds are forgotten after a time of grace, packs that are mostly garbage are
//! written anew. Both go in steps and may be cut off at any point.

use std::time::Duration;

use seal::{Object, Timestamp};

use super::holds::past_hours;
use super::index::{self, Filling, PackRow, Row};
use super::pack::{ObjectId, PACK_HEADER, record_len};
use super::writer::Writer;
use super::{ObjectError, ObjectStore};

/// Rows that are forgotten in one step.
const STEP: usize = 1000;

/// Most bytes of objects that compaction holds in memory.
const IN_MEMORY: u64 = 16 << 20;

/// What [`ObjectStore::collect`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Objects that were forgotten.
    pub objects: u64,
    /// Their bytes, which are garbage in their packs now.
    pub bytes: u64,
    /// Is there more to do?
    pub more: bool,
}

/// What [`ObjectStore::compact`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes that were written anew.
    pub moved: u64,
    /// Bytes that were given back to the system.
    pub freed: u64,
    /// Is there more to do?
    pub more: bool,
}

impl Filling {
    /// Bytes of the pack that nothing points to.
    pub(super) fn garbage(&self) -> u64 {
        self.pack.len.saturating_sub(PACK_HEADER + self.live)
    }

    /// Is it worth writing anew? Where half of it is garbage, no more is written than is won. A pack of which only
    /// damaged objects are left waits until these have been put again or released.
    fn is_worth_it(&self) -> bool {
        self.objects == 0 || self.sound > 0 && self.garbage() > 0 && self.garbage() >= self.live
    }

    /// Is nothing in it yet?
    fn is_new(&self) -> bool {
        self.pack.len <= PACK_HEADER
    }
}

impl ObjectStore {
    /// Forgets objects that nobody has held for `grace`, some of them at a time. The time must be one that can be
    /// trusted: a clock that is far ahead ends all grace.
    pub fn collect(&self, now: Timestamp, grace: Duration) -> Result<Collected, ObjectError> {
        let _writer = self.writer();
        if !self.holds_known()? {
            return Err(ObjectError::HoldsUnknown);
        }
        let until = past_hours(now.minus(grace));
        self.change(|transaction| {
            let unused = index::unused(transaction, until, STEP)?;
            let mut collected = Collected { more: unused.len() == STEP, ..Collected::default() };
            for row in unused {
                index::remove(transaction, row.number)?;
                collected.objects += 1;
                collected.bytes += u64::from(row.len);
            }
            Ok(collected)
        })
    }

    /// Writes some of one pack anew, of those of which half or more is garbage: about `budget` bytes, one object at
    /// least. A pack is removed when nothing is left in it.
    pub fn compact(&self, budget: u64) -> Result<Compacted, ObjectError> {
        let mut compacted = Compacted::default();
        while compacted.moved < budget.max(1) {
            let step = self.compact_step((budget - compacted.moved).clamp(1, IN_MEMORY))?;
            compacted.moved += step.moved;
            compacted.freed += step.freed;
            compacted.more = step.more;
            if !step.more {
                break;
            }
        }
        Ok(compacted)
    }

    fn compact_step(&self, budget: u64) -> Result<Compacted, ObjectError> {
        let mut writer = self.writer();
        let Some(filling) = self.to_be_emptied(&writer)? else { return Ok(Compacted::default()) };
        writer.emptying = Some(filling.pack.number);
        writer.leave(filling.pack.number);
        let mut objects: Vec<(Row, Object)> = Vec::new();
        let mut moved = 0;
        let rows = index::sound_in(&self.database.connection(), filling.pack.number, STEP)?;
        for row in &rows {
            let Some(place) = row.place else { continue };
            match self.read(row, place) {
                Ok(object) => objects.push((*row, object)),
                Err(ObjectError::Damaged(_) | ObjectError::Missing(_)) => {
                    self.change(|transaction| index::set_sound(transaction, row.number, place, false))?;
                }
                Err(error) => return Err(error),
            }
            moved += record_len(row.len.into());
            if moved >= budget {
                break;
            }
        }
        self.move_all(&mut writer, filling.pack.number, &objects)?;
        let left = index::is_used(&self.database.connection(), filling.pack.number)?;
        let freed = if left { 0 } else { filling.pack.len };
        if !left {
            self.remove_pack(&filling.pack)?;
        }
        Ok(Compacted { moved, freed, more: true })
    }

    /// The pack that compaction is at, else one that is worth it.
    fn to_be_emptied(&self, writer: &Writer) -> Result<Option<Filling>, ObjectError> {
        let connection = self.database.connection();
        if let Some(pack) = writer.emptying {
            let filling = index::fillings(&connection, Some(pack))?.pop();
            if filling.is_some_and(|filling| filling.objects == 0 || filling.sound > 0) {
                return Ok(filling);
            }
        }
        // An empty pack that is being added to is not garbage.
        let waits = |filling: &Filling| {
            let number = filling.pack.number;
            writer.is_busy(number) || filling.is_new() && writer.is_idle(number)
        };
        let fillings = index::fillings(&connection, None)?;
        Ok(fillings.into_iter().find(|filling| filling.is_worth_it() && !waits(filling)))
    }

    /// Stores sound objects of `from` at another place. Objects that were not at a place any more stay where they are.
    pub(super) fn move_all(
        &self,
        writer: &mut Writer,
        from: i64,
        objects: &[(Row, Object)],
    ) -> Result<(), ObjectError> {
        // Into a pack that stays: not the one that is being emptied.
        writer.leave(from);
        let bytes: Vec<(ObjectId, &[u8])> = objects.iter().map(|(row, object)| (row.id, object.bytes())).collect();
        let batch = writer.append(self, &bytes, 0)?;
        let outcome = self.change(|transaction| {
            for ((row, _), (_, len, place)) in objects.iter().zip(batch.placed()) {
                index::set_place(transaction, row.number, *len, *place)?;
            }
            batch.record_lengths(transaction)
        });
        writer.settle(self, batch, outcome)
    }

    /// Removes a pack to which the index does not point: the file first, so that a crash leaves nothing that would be
    /// taken for a pack of unknown objects.
    pub(super) fn remove_pack(&self, pack: &PackRow) -> Result<(), ObjectError> {
        let failed = |source| ObjectError::at(&self.files.path_of(&pack.id), source);
        self.files.remove(&pack.id).map_err(failed)?;
        self.change(|transaction| index::remove_pack(transaction, pack.number))
    }
}
