//! The rows of the index: which packs there are, where each object lies, and who holds it.
//!
//! Ids, places and lengths stand in clear, because the packs show them anyway. Numbers from the database are not
//! trusted further than that a wrong one makes an object damaged.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use super::ObjectError;
use super::holds::Tag;
use super::pack::{ObjectId, PackId, record_len};

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the pack.
    pub pack: i64,
    /// Where the record begins in it.
    pub start: u64,
}

/// An object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub number: i64,
    pub id: ObjectId,
    pub len: u32,
    /// `None` when it is lost.
    pub place: Option<Place>,
    /// Nothing else is known so far.
    pub sound: bool,
}

impl Row {
    /// Is it here, as far as is known?
    pub(super) fn is_here(&self) -> bool {
        self.sound && self.place.is_some()
    }
}

/// A pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackRow {
    pub number: i64,
    pub id: PackId,
    /// Its bytes up to here are durable.
    pub len: u64,
}

const ROW: &str = "number, id, len, pack, start, sound";

fn row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let place = match (row.get::<_, Option<i64>>(3)?, row.get::<_, Option<i64>>(4)?) {
        (Some(pack), Some(start)) => Some(Place { pack, start: start.unsigned_abs() }),
        _ => None,
    };
    let len: i64 = row.get(2)?;
    let len = u32::try_from(len).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(2, len))?;
    Ok(Row { number: row.get(0)?, id: row.get(1)?, len, place, sound: row.get(5)? })
}

fn pack_row(row: &SqlRow<'_>) -> rusqlite::Result<PackRow> {
    Ok(PackRow { number: row.get(0)?, id: row.get(1)?, len: row.get::<_, i64>(2)?.unsigned_abs() })
}

/// SQLite's integers are signed; nothing of ours comes near their end.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

// --- packs

pub(super) fn packs(index: &Connection) -> Result<Vec<PackRow>, ObjectError> {
    let mut query = index.prepare_cached("SELECT number, id, len FROM packs ORDER BY number")?;
    Ok(query.query_map([], pack_row)?.collect::<Result<_, _>>()?)
}

pub(super) fn pack(index: &Connection, number: i64) -> Result<Option<PackRow>, ObjectError> {
    let mut query = index.prepare_cached("SELECT number, id, len FROM packs WHERE number = ?")?;
    Ok(query.query_row([number], pack_row).optional()?)
}

pub(super) fn add_pack(index: &Connection, id: &PackId, len: u64) -> Result<i64, ObjectError> {
    index.prepare_cached("INSERT INTO packs (id, len) VALUES (?, ?)")?.execute(params![id, signed(len)])?;
    Ok(index.last_insert_rowid())
}

pub(super) fn set_pack_len(index: &Connection, number: i64, len: u64) -> Result<(), ObjectError> {
    index.prepare_cached("UPDATE packs SET len = ? WHERE number = ?")?.execute(params![signed(len), number])?;
    Ok(())
}

/// Forgets a pack in which nothing lies.
pub(super) fn remove_pack(index: &Connection, number: i64) -> Result<(), ObjectError> {
    index.prepare_cached("DELETE FROM packs WHERE number = ?")?.execute([number])?;
    Ok(())
}

/// Whatever reaches beyond `len` bytes of a pack is lost.
pub(super) fn lose_behind(index: &Connection, pack: i64, len: u64) -> Result<(), ObjectError> {
    index
        .prepare_cached(
            "UPDATE objects SET pack = NULL, start = NULL, sound = 1 WHERE pack = ?1 AND start + len + ?2 > ?3",
        )?
        .execute(params![pack, signed(super::pack::RECORD_HEADER), signed(len)])?;
    Ok(())
}

/// Nothing that lies in this pack counts as sound any more; tells how many objects that are.
pub(super) fn doubt(index: &Connection, pack: i64) -> Result<u64, ObjectError> {
    Ok(index.prepare_cached("UPDATE objects SET sound = 0 WHERE pack = ?")?.execute([pack])? as u64)
}

/// Whatever lies in a pack that does not exist is lost; tells how many objects that are.
pub(super) fn lose_strays(index: &Connection) -> Result<u64, ObjectError> {
    let lost = index.execute(
        "UPDATE objects SET pack = NULL, start = NULL, sound = 1
         WHERE pack IS NOT NULL AND pack NOT IN (SELECT number FROM packs)",
        [],
    )?;
    Ok(lost as u64)
}

// --- objects

pub(super) fn find(index: &Connection, id: &ObjectId) -> Result<Option<Row>, ObjectError> {
    let mut query = index.prepare_cached(&format!("SELECT {ROW} FROM objects WHERE id = ?"))?;
    Ok(query.query_row([id], row).optional()?)
}

pub(super) fn add(
    index: &Connection,
    id: &ObjectId,
    len: u32,
    place: Place,
    sound: bool,
    unused_since: i64,
) -> Result<i64, ObjectError> {
    index
        .prepare_cached("INSERT INTO objects (id, len, pack, start, sound, unused_since) VALUES (?, ?, ?, ?, ?, ?)")?
        .execute(params![id, len, place.pack, signed(place.start), sound, unused_since])?;
    Ok(index.last_insert_rowid())
}

/// The object lies here now, has this length, and is sound.
pub(super) fn set_place(index: &Connection, number: i64, len: u32, place: Place) -> Result<(), ObjectError> {
    index
        .prepare_cached("UPDATE objects SET len = ?, pack = ?, start = ?, sound = 1 WHERE number = ?")?
        .execute(params![len, place.pack, signed(place.start), number])?;
    Ok(())
}

/// What was found at `place`; nothing changes when the object has moved meanwhile.
pub(super) fn set_sound(index: &Connection, number: i64, place: Place, sound: bool) -> Result<(), ObjectError> {
    index
        .prepare_cached("UPDATE objects SET sound = ? WHERE number = ? AND pack = ? AND start = ?")?
        .execute(params![sound, number, place.pack, signed(place.start)])?;
    Ok(())
}

/// Objects behind `place`, in the order in which they lie.
pub(super) fn behind(index: &Connection, place: Place, limit: usize) -> Result<Vec<Row>, ObjectError> {
    let sql = format!("SELECT {ROW} FROM objects WHERE (pack, start) > (?, ?) ORDER BY pack, start LIMIT ?");
    let mut query = index.prepare_cached(&sql)?;
    let rows = query.query_map(params![place.pack, signed(place.start), signed(limit as u64)], row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Sound objects of a pack, in the order in which they lie.
pub(super) fn sound_in(index: &Connection, pack: i64, limit: usize) -> Result<Vec<Row>, ObjectError> {
    let sql = format!("SELECT {ROW} FROM objects WHERE pack = ? AND sound = 1 ORDER BY start LIMIT ?");
    let mut query = index.prepare_cached(&sql)?;
    let rows = query.query_map(params![pack, signed(limit as u64)], row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Does anything lie in this pack?
pub(super) fn is_used(index: &Connection, pack: i64) -> Result<bool, ObjectError> {
    let mut query = index.prepare_cached("SELECT EXISTS (SELECT 1 FROM objects WHERE pack = ?)")?;
    Ok(query.query_row([pack], |row| row.get(0))?)
}

/// Objects with a higher number than `after`, by number.
pub(super) fn after(index: &Connection, after: i64, limit: usize) -> Result<Vec<Row>, ObjectError> {
    let mut query =
        index.prepare_cached(&format!("SELECT {ROW} FROM objects WHERE number > ? ORDER BY number LIMIT ?"))?;
    let rows = query.query_map(params![after, signed(limit as u64)], row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Objects that somebody holds and that are lost or damaged, by number.
pub(super) fn wanting(index: &Connection, after: i64, limit: usize) -> Result<Vec<Row>, ObjectError> {
    let sql = format!(
        "SELECT {ROW} FROM objects WHERE (pack IS NULL OR sound = 0) AND number > ?
         AND EXISTS (SELECT 1 FROM holds WHERE object = number) ORDER BY number LIMIT ?"
    );
    let mut query = index.prepare_cached(&sql)?;
    let rows = query.query_map(params![after, signed(limit as u64)], row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Objects that nobody holds since `until` or earlier.
pub(super) fn unused(index: &Connection, until: i64, limit: usize) -> Result<Vec<Row>, ObjectError> {
    let sql = format!(
        "SELECT {ROW} FROM objects WHERE unused_since <= ?
         AND NOT EXISTS (SELECT 1 FROM holds WHERE object = number) ORDER BY unused_since LIMIT ?"
    );
    let mut query = index.prepare_cached(&sql)?;
    let rows = query.query_map(params![until, signed(limit as u64)], row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Forgets an object.
pub(super) fn remove(index: &Connection, number: i64) -> Result<(), ObjectError> {
    index.prepare_cached("DELETE FROM objects WHERE number = ?")?.execute([number])?;
    Ok(())
}

/// A pack and what of it the index points to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filling {
    pub pack: PackRow,
    /// Objects in it, sound and all.
    pub sound: u64,
    pub objects: u64,
    /// Bytes of their records.
    pub live: u64,
}

/// How full the packs are: one of them, or all.
pub(super) fn fillings(index: &Connection, pack: Option<i64>) -> Result<Vec<Filling>, ObjectError> {
    // `record_len` in SQL: header, and up to the next multiple of eight.
    debug_assert_eq!((record_len(0), record_len(1), record_len(8)), (56, 64, 64));
    let mut query = index.prepare_cached(
        "SELECT p.number, p.id, p.len, count(o.number), total(o.sound), total((o.len + 63) / 8 * 8)
         FROM packs p LEFT JOIN objects o ON o.pack = p.number
         WHERE p.number BETWEEN ?1 AND ?2 GROUP BY p.number ORDER BY p.number",
    )?;
    let (first, last) = pack.map_or((0, i64::MAX), |pack| (pack, pack));
    let rows = query.query_map([first, last], |row| {
        Ok(Filling {
            pack: pack_row(row)?,
            objects: row.get::<_, i64>(3)?.unsigned_abs(),
            sound: row.get::<_, f64>(4)? as u64,
            live: row.get::<_, f64>(5)? as u64,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

// --- holds

/// `true` when it is new.
pub(super) fn hold(index: &Connection, number: i64, tag: &Tag) -> Result<bool, ObjectError> {
    let mut insert = index.prepare_cached("INSERT OR IGNORE INTO holds (object, tag) VALUES (?, ?)")?;
    let new = insert.execute(params![number, tag])? > 0;
    index
        .prepare_cached("UPDATE objects SET unused_since = NULL WHERE number = ? AND unused_since IS NOT NULL")?
        .execute([number])?;
    Ok(new)
}

pub(super) fn holds(index: &Connection, number: i64, tag: &Tag) -> Result<bool, ObjectError> {
    let mut query = index.prepare_cached("SELECT EXISTS (SELECT 1 FROM holds WHERE object = ? AND tag = ?)")?;
    Ok(query.query_row(params![number, tag], |row| row.get(0))?)
}

/// `true` when it was there. An object that nobody holds then is unused since `now`, or forgotten if it is lost.
pub(super) fn release(index: &Connection, row: &Row, tag: &Tag, now: i64) -> Result<bool, ObjectError> {
    let mut delete = index.prepare_cached("DELETE FROM holds WHERE object = ? AND tag = ?")?;
    if delete.execute(params![row.number, tag])? == 0 {
        return Ok(false);
    }
    let mut query = index.prepare_cached("SELECT EXISTS (SELECT 1 FROM holds WHERE object = ?)")?;
    let held: bool = query.query_row([row.number], |row| row.get(0))?;
    match (held, row.place) {
        (true, _) => {}
        (false, None) => remove(index, row.number)?,
        (false, Some(_)) => {
            let mut mark = index.prepare_cached("UPDATE objects SET unused_since = ? WHERE number = ?")?;
            mark.execute(params![now, row.number])?;
        }
    }
    Ok(true)
}
