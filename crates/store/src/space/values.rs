//! Small values under a kind and a name: the state of the ledger, opened keys, heads, counters.

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::error::{Part, SpaceError};
use super::keys::Blind;
use super::reader::Reader;
use super::transaction::Transaction;

/// What the body of a value holds, so that names can be listed.
#[derive(Serialize, Deserialize)]
struct Named<'a> {
    #[serde(with = "serde_bytes")]
    name: &'a [u8],
    #[serde(with = "serde_bytes")]
    value: &'a [u8],
}

/// A name and its value.
pub type NamedValue = (Vec<u8>, Vec<u8>);

impl Reader<'_> {
    /// The value of that kind and name.
    ///
    /// # Errors
    /// [`SpaceError`], here and below.
    pub fn value(&self, kind: &str, name: &[u8]) -> Result<Option<Vec<u8>>, SpaceError> {
        let kind = self.keys().values(kind);
        let id = self.keys().value(&kind, name);
        let body = self.value_body(&kind, &id)?;
        Ok(body.map(|body| self.open_value(&kind, &id, &body)).transpose()?.map(|(_, value)| value))
    }

    /// All names and values of a kind, by rising names.
    ///
    /// # Errors
    /// As above.
    pub fn values(&self, kind: &str) -> Result<Vec<NamedValue>, SpaceError> {
        let kind = self.keys().values(kind);
        let mut query = self.connection.prepare_cached("SELECT id, body FROM named WHERE kind = ?")?;
        let mut rows = query.query(params![kind])?;
        let mut found = Vec::new();
        let damaged = |_| SpaceError::Damaged(Part::Values);
        while let Some(row) = rows.next()? {
            let id = row.get_ref(0)?.as_blob().map_err(damaged)?;
            let body = row.get_ref(1)?.as_blob().map_err(damaged)?;
            found.push(self.open_value(&kind, id, body)?);
        }
        found.sort();
        Ok(found)
    }

    fn value_body(&self, kind: &Blind, id: &Blind) -> Result<Option<Vec<u8>>, SpaceError> {
        let mut query = self.connection.prepare_cached("SELECT body FROM named WHERE kind = ? AND id = ?")?;
        Ok(query.query_row(params![kind, id], |row| Ok(row.get_ref(0)?.as_bytes()?.to_vec())).optional()?)
    }

    pub(super) fn open_value(&self, kind: &[u8], id: &[u8], body: &[u8]) -> Result<NamedValue, SpaceError> {
        let plain = self.keys().open(Part::Values, &[kind, id].concat(), body)?;
        let named: (ByteBuf, ByteBuf) = postcard::from_bytes(&plain).map_err(|_| SpaceError::Damaged(Part::Values))?;
        Ok((named.0.into_vec(), named.1.into_vec()))
    }
}

impl Transaction<'_> {
    /// Sets a value.
    ///
    /// # Errors
    /// As above.
    pub fn set_value(&self, kind: &str, name: &[u8], value: &[u8]) -> Result<(), SpaceError> {
        let kind = self.keys().values(kind);
        let id = self.keys().value(&kind, name);
        let old = self.value_body(&kind, &id)?;
        let named = postcard::to_stdvec(&Named { name, value }).expect("byte strings can be written");
        let body = self.keys().seal(Part::Values, &[kind, id].concat(), &named);
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO named (kind, id, body) VALUES (?, ?, ?)")?
            .execute(params![kind, id, body])?;
        self.count(Part::Values, old.as_deref(), Some(&body));
        Ok(())
    }

    /// Removes a value, if it is there.
    ///
    /// # Errors
    /// As above.
    pub fn remove_value(&self, kind: &str, name: &[u8]) -> Result<(), SpaceError> {
        let kind = self.keys().values(kind);
        let id = self.keys().value(&kind, name);
        let Some(old) = self.value_body(&kind, &id)? else { return Ok(()) };
        self.connection.prepare_cached("DELETE FROM named WHERE kind = ? AND id = ?")?.execute(params![kind, id])?;
        self.count(Part::Values, Some(&old), None);
        Ok(())
    }
}
