//! The commits: what the ledger's engine hands out to be stored, and looks up again.
//!
//! The header lies by itself, so that a look-up need not read a body of a megabyte; the commit as it was received lies
//! beside it and is checked again, signature included, when it is taken from here.

use logic::ledger::{Commit, CommitId, Header, Kind, Past, Shelf, Shelved, Stored};
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, params};
use seal::DeviceId;
use serde::{Deserialize, Serialize};

use super::error::{Part, SpaceError};
use super::keys::Blind;
use super::notes::{Note, Reading, Worth};
use super::reader::Reader;
use super::transaction::Transaction;

/// Version of [`Head`].
const VERSION: u8 = 1;

/// A commit without its body.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Head {
    version: u8,
    pub(super) id: CommitId,
    pub(super) branch: u32,
    pub(super) header: Header,
}

/// A stored body where there may be none.
pub(super) fn blob(value: ValueRef<'_>, part: Part) -> Result<Option<&[u8]>, SpaceError> {
    value.as_blob_or_null().map_err(|_| SpaceError::Damaged(part))
}

impl Reader<'_> {
    pub(super) fn open_head(&self, id: &[u8], body: &[u8]) -> Result<Head, SpaceError> {
        let head = self.keys().open(Part::Heads, id, body)?;
        let head: Option<Head> = postcard::from_bytes(&head).ok();
        head.filter(|head| head.version == VERSION).ok_or(SpaceError::Damaged(Part::Heads))
    }

    /// A column of the row of a commit, opened; `None` if there is no such row or it is null.
    fn column<T>(
        &self,
        query: &str,
        part: Part,
        row: &Blind,
        open: impl FnOnce(&[u8]) -> Result<T, SpaceError>,
    ) -> Result<Option<T>, SpaceError> {
        let mut query = self.connection.prepare_cached(query)?;
        let mut rows = query.query(params![row])?;
        let Some(found) = rows.next()? else { return Ok(None) };
        blob(found.get_ref(0)?, part)?.map(open).transpose()
    }

    pub(super) fn head(&self, id: &CommitId) -> Result<Option<Head>, SpaceError> {
        let row = self.keys().commit(id);
        self.column("SELECT head FROM commits WHERE id = ?", Part::Heads, &row, |body| self.open_head(&row, body))
    }

    fn past(&self, id: &CommitId) -> Result<Option<Past>, SpaceError> {
        let row = self.keys().commit(id);
        self.column("SELECT past FROM commits WHERE id = ?", Part::Pasts, &row, |body| self.open_past(&row, body))
    }

    pub(super) fn open_past(&self, row: &[u8], body: &[u8]) -> Result<Past, SpaceError> {
        let past = self.keys().open(Part::Pasts, row, body)?;
        postcard::from_bytes(&past).map_err(|_| SpaceError::Damaged(Part::Pasts))
    }

    fn line(&self, device: &DeviceId, seq: u64) -> Result<Vec<CommitId>, SpaceError> {
        let place = self.keys().place(device, seq);
        let mut query =
            self.connection.prepare_cached("SELECT id, head FROM commits WHERE place = ? ORDER BY number")?;
        let mut rows = query.query(params![place])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let id = blob(row.get_ref(0)?, Part::Heads)?.unwrap_or_default();
            let head = blob(row.get_ref(1)?, Part::Heads)?.unwrap_or_default();
            found.push(self.open_head(id, head)?.id);
        }
        Ok(found)
    }

    /// A commit as it was received, for whoever will check it anyway.
    ///
    /// # Errors
    /// [`SpaceError`].
    pub fn commit_bytes(&self, id: &CommitId) -> Result<Option<Vec<u8>>, SpaceError> {
        let row = self.keys().commit(id);
        let query = "SELECT body FROM bodies WHERE number = (SELECT number FROM commits WHERE id = ?)";
        let bytes = self.column(query, Part::Bodies, &row, |body| self.keys().open(Part::Bodies, &row, body))?;
        match bytes {
            None if self.head(id)?.is_some() => Err(SpaceError::Damaged(Part::Bodies)),
            bytes => Ok(bytes),
        }
    }

    /// Commits as they were received that came after `after`, in that order, without those that are damaged; and how far that
    /// is, `None` at the end.
    ///
    /// # Errors
    /// [`SpaceError`].
    pub fn bodies(&self, after: i64, limit: usize) -> Result<(Vec<Vec<u8>>, Option<i64>), SpaceError> {
        let query = "SELECT number, id, body FROM commits LEFT JOIN bodies USING (number) WHERE number > ?
             ORDER BY number LIMIT ?";
        let mut query = self.connection.prepare_cached(query)?;
        let mut rows = query.query(params![after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
        let (mut bodies, mut last) = (Vec::new(), None);
        while let Some(row) = rows.next()? {
            let bytes = |column| row.get_ref(column).ok().and_then(|value| value.as_blob().ok());
            let body = bytes(1).zip(bytes(2)).and_then(|(id, body)| self.keys().open(Part::Bodies, id, body).ok());
            bodies.extend(body);
            last = Some(row.get(0)?);
        }
        Ok((bodies, last))
    }

    fn whole(&self, id: &CommitId) -> Result<Option<Commit>, SpaceError> {
        let Some(bytes) = self.commit_bytes(id)? else { return Ok(None) };
        let commit = Commit::read(&bytes).ok().filter(|commit| commit.id() == *id);
        commit.map(Some).ok_or(SpaceError::Damaged(Part::Bodies))
    }
}

/// Failures end the transaction, or the reading, with an error: an engine must not take what cannot be read for unknown.
impl Shelf for Reader<'_> {
    fn stored(&self, id: &CommitId) -> Option<Stored> {
        let head = self.or_fault(self.head(id))?;
        Some(Stored { header: head.header, branch: head.branch })
    }

    fn at(&self, device: DeviceId, seq: u64) -> Vec<CommitId> {
        self.or_fault(self.line(&device, seq))
    }

    fn after(&self, id: &CommitId) -> Option<Past> {
        self.or_fault(self.past(id))
    }

    fn commit(&self, id: &CommitId) -> Option<Commit> {
        self.or_fault(self.whole(id))
    }
}

impl Shelf for Transaction<'_> {
    fn stored(&self, id: &CommitId) -> Option<Stored> {
        (**self).stored(id)
    }

    fn at(&self, device: DeviceId, seq: u64) -> Vec<CommitId> {
        (**self).at(device, seq)
    }

    fn after(&self, id: &CommitId) -> Option<Past> {
        (**self).after(id)
    }

    fn commit(&self, id: &CommitId) -> Option<Commit> {
        (**self).commit(id)
    }
}

/// The stored bodies of a commit.
struct Row {
    number: i64,
    head: Vec<u8>,
    past: Option<Vec<u8>>,
}

impl Transaction<'_> {
    /// Stores a commit. One that is stored already is replaced, so that damage is mended, and keeps its note.
    ///
    /// # Errors
    /// [`SpaceError`].
    pub fn store(&self, shelved: &Shelved) -> Result<(), SpaceError> {
        let Shelved { commit, branch, after } = shelved;
        let (id, header) = (commit.id(), commit.header());
        let row = self.keys().commit(&id);
        let head = Head { version: VERSION, id, branch: *branch, header: header.clone() };
        let head = self.keys().seal(Part::Heads, &row, &encode(&head));
        let past = after.as_ref().map(|past| self.keys().seal(Part::Pasts, &row, &encode(past)));
        let bytes = self.keys().seal(Part::Bodies, &row, &commit.to_bytes());
        let old = self.found(&row)?;
        let number = match &old {
            Some(old) => {
                let query = "UPDATE commits SET head = ?, past = ? WHERE number = ?";
                self.connection.prepare_cached(query)?.execute(params![head, past, old.number])?;
                old.number
            }
            None => self.insert(&row, header, &head, past.as_deref())?,
        };
        let old_bytes = self.body_of(number)?;
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO bodies (number, body) VALUES (?, ?)")?
            .execute(params![number, bytes])?;
        self.count(Part::Heads, old.as_ref().map(|old| &old.head[..]), Some(&head));
        self.count(Part::Pasts, old.as_ref().and_then(|old| old.past.as_deref()), past.as_deref());
        self.count(Part::Bodies, old_bytes.as_deref(), Some(&bytes));
        Ok(())
    }

    fn insert(&self, row: &Blind, header: &Header, head: &[u8], past: Option<&[u8]>) -> Result<i64, SpaceError> {
        let reading = if header.kind == Kind::Data { Reading::Sealed } else { Reading::Clear };
        let note = Note { worth: Worth::Unjudged, reading, applied: false };
        let body = self.keys().seal(Part::Notes, row, &note.to_bytes());
        let place = self.keys().place(&header.device, header.seq);
        let lamport = i64::try_from(header.lamport).unwrap_or(i64::MAX);
        self.connection
            .prepare_cached(
                "INSERT INTO commits (id, place, lamport, unsettled, head, note, past) VALUES (?, ?, ?, 1, ?, ?, ?)",
            )?
            .execute(params![row, place, lamport, head, body, past])?;
        self.count(Part::Notes, None, Some(&body));
        Ok(self.connection.last_insert_rowid())
    }

    fn found(&self, row: &Blind) -> Result<Option<Row>, SpaceError> {
        let mut query = self.connection.prepare_cached("SELECT number, head, past FROM commits WHERE id = ?")?;
        let read = |row: &rusqlite::Row<'_>| {
            let past = row.get_ref(2)?.as_bytes_or_null()?.map(<[u8]>::to_vec);
            Ok(Row { number: row.get(0)?, head: row.get_ref(1)?.as_bytes()?.to_vec(), past })
        };
        Ok(query.query_row(params![row], read).optional()?)
    }

    fn body_of(&self, number: i64) -> Result<Option<Vec<u8>>, SpaceError> {
        let mut query = self.connection.prepare_cached("SELECT body FROM bodies WHERE number = ?")?;
        Ok(query.query_row(params![number], |row| Ok(row.get_ref(0)?.as_bytes()?.to_vec())).optional()?)
    }
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("commits have only types that postcard can write")
}
