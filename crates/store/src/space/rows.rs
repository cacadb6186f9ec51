//! The rows of the tree.

use logic::space::{Key, Rows, Table};
use rusqlite::{OptionalExtension, params};

use super::error::{Part, SpaceError};
use super::keys::{BEGINNING, row_id};
use super::reader::Reader;
use super::transaction::Transaction;

impl Reader<'_> {
    fn row(&self, table: Table, key: &Key) -> Result<Option<Vec<u8>>, SpaceError> {
        let spot = self.keys().spot(table, key);
        let mut query = self
            .connection
            .prepare_cached("SELECT body FROM tree WHERE grp = ? AND kind = ? AND part = ? AND rest = ?")?;
        let mut rows = query.query(params![spot.group, spot.kind, spot.part, spot.rest])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let body = row.get_ref(0)?.as_blob().map_err(|_| SpaceError::Damaged(Part::Tree(table)))?;
        self.keys().open(Part::Tree(table), &spot.id(), body).map(Some)
    }

    fn rows(&self, table: Table, group: &[u8], part: Option<&[u8]>) -> Result<Vec<Vec<u8>>, SpaceError> {
        let kind = Part::Tree(table).number() as u8;
        let group = self.keys().group(table, group);
        let mut query;
        let mut rows = match part.map(|part| self.keys().part(table, &group, part)) {
            None => {
                query =
                    self.connection.prepare_cached("SELECT part, rest, body FROM tree WHERE grp = ? AND kind = ?")?;
                query.query(params![group, kind])?
            }
            Some(part) => {
                query = self
                    .connection
                    .prepare_cached("SELECT part, rest, body FROM tree WHERE grp = ? AND kind = ? AND part = ?")?;
                query.query(params![group, kind, part])?
            }
        };
        let mut found = Vec::new();
        let damaged = |_| SpaceError::Damaged(Part::Tree(table));
        while let Some(row) = rows.next()? {
            let part = row.get_ref(0)?.as_blob().map_err(damaged)?;
            let rest = row.get_ref(1)?.as_blob().map_err(damaged)?;
            let body = row.get_ref(2)?.as_blob().map_err(damaged)?;
            found.push(self.keys().open(Part::Tree(table), &row_id(kind, &group, part, rest), body)?);
        }
        Ok(found)
    }
}

impl Transaction<'_> {
    /// The beginning of the body that a row has.
    fn beginning(&self, spot: &super::keys::Spot) -> Result<Option<Vec<u8>>, SpaceError> {
        let mut query = self.connection.prepare_cached(
            "SELECT substr(body, 1, ?) FROM tree WHERE grp = ? AND kind = ? AND part = ? AND rest = ?",
        )?;
        let look = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_bytes().unwrap_or_default().to_vec());
        Ok(query.query_row(params![BEGINNING as i64, spot.group, spot.kind, spot.part, spot.rest], look).optional()?)
    }

    /// Removes the whole tree, damaged rows as well. Every commit is unapplied then: see [`Reader::unsettled`].
    ///
    /// # Errors
    /// [`SpaceError`].
    pub fn clear_tree(&self) -> Result<(), SpaceError> {
        self.connection.execute("DELETE FROM tree", [])?;
        for part in Part::COUNTED.into_iter().filter(|part| matches!(part, Part::Tree(_))) {
            self.count_none(part);
        }
        self.unapply_all()
    }
}

impl Rows for &Reader<'_> {
    type Error = SpaceError;

    fn get(&self, table: Table, key: &Key) -> Result<Option<Vec<u8>>, SpaceError> {
        self.row(table, key)
    }

    fn put(&mut self, _: Table, _: &Key, _: &[u8]) -> Result<(), SpaceError> {
        Err(SpaceError::ReadOnly)
    }

    fn delete(&mut self, _: Table, _: &Key) -> Result<(), SpaceError> {
        Err(SpaceError::ReadOnly)
    }

    fn scan(&self, table: Table, group: &[u8], part: Option<&[u8]>) -> Result<Vec<Vec<u8>>, SpaceError> {
        self.rows(table, group, part)
    }
}

impl Rows for &Transaction<'_> {
    type Error = SpaceError;

    fn get(&self, table: Table, key: &Key) -> Result<Option<Vec<u8>>, SpaceError> {
        self.row(table, key)
    }

    fn put(&mut self, table: Table, key: &Key, row: &[u8]) -> Result<(), SpaceError> {
        let spot = self.keys().spot(table, key);
        let old = self.beginning(&spot)?;
        let body = self.keys().seal(Part::Tree(table), &spot.id(), row);
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO tree (grp, kind, part, rest, body) VALUES (?, ?, ?, ?, ?)")?
            .execute(params![spot.group, spot.kind, spot.part, spot.rest, body])?;
        self.count(Part::Tree(table), old.as_deref(), Some(&body));
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &Key) -> Result<(), SpaceError> {
        let spot = self.keys().spot(table, key);
        let Some(old) = self.beginning(&spot)? else { return Ok(()) };
        self.connection
            .prepare_cached("DELETE FROM tree WHERE grp = ? AND kind = ? AND part = ? AND rest = ?")?
            .execute(params![spot.group, spot.kind, spot.part, spot.rest])?;
        self.count(Part::Tree(table), Some(&old), None);
        Ok(())
    }

    fn scan(&self, table: Table, group: &[u8], part: Option<&[u8]>) -> Result<Vec<Vec<u8>>, SpaceError> {
        self.rows(table, group, part)
    }
}
