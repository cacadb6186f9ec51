//! What became of each commit: what the ledger says it is worth, whether its body could be opened, whether it is in the
//! tree. From this follows what is left to do after a crash, or when a key comes.
//!
//! The sealed note decides; the columns in clear are indexes that follow from it and are checked against it.

use logic::ledger::{CommitId, EpochId, Header, RealmId, Verdict, Why};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::error::{Part, SpaceError};
use super::keys::Blind;
use super::reader::Reader;
use super::shelf::blob;
use super::transaction::Transaction;

/// Version of [`Saved`].
const VERSION: u8 = 1;
/// Notes that are rewritten at a time.
const BATCH: i64 = 1000;

/// What a commit is worth, as the ledger said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// The ledger has not said it yet.
    Unjudged,
    /// It counts.
    Effective,
    /// It does not.
    Void(Why),
    /// It did not for a while, and counts.
    Again,
}

impl Worth {
    /// True if it counts.
    pub fn counts(self) -> bool {
        matches!(self, Self::Effective | Self::Again)
    }
}

impl From<Verdict> for Worth {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Effective => Self::Effective,
            Verdict::Void(why) => Self::Void(why),
        }
    }
}

/// Whether the body of a commit could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reading {
    /// It is clear: a control commit.
    Clear,
    /// It is sealed, and nobody has tried yet.
    Sealed,
    /// Its key is not here.
    Waits,
    /// It was opened.
    Opened,
    /// It opens to nothing that can be read, and counts for nothing.
    Unreadable,
    /// A newer version of the program can read it.
    TooNew,
    /// Its bytes are damaged on this disk.
    Lost,
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// What it is worth.
    pub worth: Worth,
    /// Whether it can be read.
    pub reading: Reading,
    /// Whether the tree has taken it in.
    pub applied: bool,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u8,
    worth: u8,
    revoked_by: Option<CommitId>,
    reading: Reading,
    applied: bool,
}

impl Note {
    /// True if nothing is left to be done with what is here.
    pub fn is_settled(&self) -> bool {
        let wanted = self.worth.counts() && self.reading == Reading::Opened;
        let to_open = self.worth.counts() && self.reading == Reading::Sealed;
        self.worth != Worth::Unjudged && !to_open && self.applied == wanted
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let (worth, revoked_by) = match self.worth {
            Worth::Unjudged => (0, None),
            Worth::Effective => (1, None),
            Worth::Again => (2, None),
            Worth::Void(Why::Forked) => (3, None),
            Worth::Void(Why::CapVoid) => (4, None),
            Worth::Void(Why::RoleTooLow) => (5, None),
            Worth::Void(Why::OutsideRealm) => (6, None),
            Worth::Void(Why::Revoked(by)) => (7, Some(by)),
            Worth::Void(Why::Circular) => (8, None),
            Worth::Void(Why::NotFounder) => (9, None),
        };
        let saved = Saved { version: VERSION, worth, revoked_by, reading: self.reading, applied: self.applied };
        postcard::to_stdvec(&saved).expect("a note has only types that postcard can write")
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let saved: Saved = postcard::from_bytes(bytes).ok()?;
        let worth = match (saved.version, saved.worth, saved.revoked_by) {
            (VERSION, 0, None) => Worth::Unjudged,
            (VERSION, 1, None) => Worth::Effective,
            (VERSION, 2, None) => Worth::Again,
            (VERSION, 3, None) => Worth::Void(Why::Forked),
            (VERSION, 4, None) => Worth::Void(Why::CapVoid),
            (VERSION, 5, None) => Worth::Void(Why::RoleTooLow),
            (VERSION, 6, None) => Worth::Void(Why::OutsideRealm),
            (VERSION, 7, Some(by)) => Worth::Void(Why::Revoked(by)),
            (VERSION, 8, None) => Worth::Void(Why::Circular),
            (VERSION, 9, None) => Worth::Void(Why::NotFounder),
            _ => return None,
        };
        Some(Self { worth, reading: saved.reading, applied: saved.applied })
    }
}

/// The place of a commit in the log: by logical time, then by arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    lamport: i64,
    number: i64,
}

/// A commit in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Which.
    pub id: CommitId,
    /// What it says in the clear.
    pub header: Header,
    /// As in [`logic::ledger::Stored`].
    pub branch: u32,
    /// What became of it.
    pub note: Note,
    /// Where it is in the log.
    pub moment: Moment,
}

/// What [`Reader::log_row`] reads.
const COLUMNS: &str = "SELECT id, head, note, lamport, number FROM commits";

impl Reader<'_> {
    /// What became of a commit; `None` if it is not stored.
    ///
    /// # Errors
    /// [`SpaceError`], here and below.
    pub fn note(&self, id: &CommitId) -> Result<Option<Note>, SpaceError> {
        let row = self.keys().commit(id);
        self.note_body(&row)?.map(|body| self.open_note(&row, &body)).transpose()
    }

    /// How many commits are stored.
    ///
    /// # Errors
    /// As above.
    pub fn commits(&self) -> Result<u64, SpaceError> {
        let mut query = self.connection.prepare_cached("SELECT count(*) FROM commits")?;
        Ok(query.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// Commits that are not judged, not opened, or in the tree without counting, or the other way round, from the
    /// beginning of logical time: what is left to do.
    ///
    /// # Errors
    /// As above.
    pub fn unsettled(&self, limit: usize) -> Result<Vec<Logged>, SpaceError> {
        self.logged(
            &format!("{COLUMNS} WHERE unsettled IS NOT NULL ORDER BY lamport, number LIMIT ?"),
            params![size(limit)],
        )
    }

    /// Commits that wait for a key, from the beginning of logical time.
    ///
    /// # Errors
    /// As above.
    pub fn waiting_for(&self, realm: RealmId, epoch: EpochId, limit: usize) -> Result<Vec<Logged>, SpaceError> {
        let wanted = self.keys().wanted(realm.as_bytes(), epoch.as_bytes());
        self.logged(
            &format!("{COLUMNS} WHERE wanted = ? ORDER BY lamport, number LIMIT ?"),
            params![wanted, size(limit)],
        )
    }

    /// One commit for each key that is waited for, and how many wait for it.
    ///
    /// # Errors
    /// As above.
    pub fn wanted_keys(&self) -> Result<Vec<(RealmId, EpochId, u64)>, SpaceError> {
        let mut query = self.connection.prepare_cached(
            "SELECT id, head, count(*) FROM commits WHERE wanted IS NOT NULL GROUP BY wanted ORDER BY min(number)",
        )?;
        let mut rows = query.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let id = blob(row.get_ref(0)?, Part::Heads)?.unwrap_or_default();
            let head = blob(row.get_ref(1)?, Part::Heads)?.unwrap_or_default();
            let header = self.open_head(id, head)?.header;
            found.push((header.realm, header.epoch, row.get::<_, i64>(2)?.unsigned_abs()));
        }
        Ok(found)
    }

    /// Commits before a moment, or the newest ones, newest first. What they say of the time is not what orders them.
    ///
    /// # Errors
    /// As above.
    pub fn log(&self, before: Option<Moment>, limit: usize) -> Result<Vec<Logged>, SpaceError> {
        let before = before.unwrap_or(Moment { lamport: i64::MAX, number: i64::MAX });
        self.logged(
            &format!("{COLUMNS} WHERE (lamport, number) < (?, ?) ORDER BY lamport DESC, number DESC LIMIT ?"),
            params![before.lamport, before.number, size(limit)],
        )
    }

    /// Commits in the order in which they came, after the `number` of the last one ([`Moment::arrival`]).
    ///
    /// # Errors
    /// As above.
    pub fn arrived(&self, after: i64, limit: usize) -> Result<Vec<Logged>, SpaceError> {
        self.logged(&format!("{COLUMNS} WHERE number > ? ORDER BY number LIMIT ?"), params![after, size(limit)])
    }

    /// As which a commit came, counted from 1; `None`: it is not stored.
    ///
    /// # Errors
    /// As above.
    pub fn arrival(&self, id: &CommitId) -> Result<Option<i64>, SpaceError> {
        let mut query = self.connection.prepare_cached("SELECT number FROM commits WHERE id = ?")?;
        Ok(query.query_row(params![self.keys().commit(id)], |row| row.get(0)).optional()?)
    }

    /// The number of the commit that came last; 0: there is none.
    ///
    /// # Errors
    /// As above.
    pub fn last_arrival(&self) -> Result<i64, SpaceError> {
        let mut query = self.connection.prepare_cached("SELECT max(number) FROM commits")?;
        Ok(query.query_row([], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(0))
    }

    fn logged(&self, query: &str, parameters: impl rusqlite::Params) -> Result<Vec<Logged>, SpaceError> {
        let mut query = self.connection.prepare_cached(query)?;
        let mut rows = query.query(parameters)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let id = blob(row.get_ref(0)?, Part::Heads)?.unwrap_or_default();
            let head = self.open_head(id, blob(row.get_ref(1)?, Part::Heads)?.unwrap_or_default())?;
            let note = self.open_note(id, blob(row.get_ref(2)?, Part::Notes)?.unwrap_or_default())?;
            let moment = Moment { lamport: row.get(3)?, number: row.get(4)? };
            found.push(Logged { id: head.id, header: head.header, branch: head.branch, note, moment });
        }
        Ok(found)
    }

    fn note_body(&self, row: &Blind) -> Result<Option<Vec<u8>>, SpaceError> {
        let mut query = self.connection.prepare_cached("SELECT note FROM commits WHERE id = ?")?;
        Ok(query.query_row(params![row], |row| Ok(row.get_ref(0)?.as_bytes()?.to_vec())).optional()?)
    }

    pub(super) fn open_note(&self, row: &[u8], body: &[u8]) -> Result<Note, SpaceError> {
        let note = self.keys().open(Part::Notes, row, body)?;
        Note::from_bytes(&note).ok_or(SpaceError::Damaged(Part::Notes))
    }

    /// What the index columns must be.
    pub(super) fn indexed(&self, header: &Header, note: &Note) -> (Option<i64>, Option<Blind>) {
        let wanted = || self.keys().wanted(header.realm.as_bytes(), header.epoch.as_bytes());
        ((!note.is_settled()).then_some(1), (note.reading == Reading::Waits).then(wanted))
    }
}

impl Moment {
    /// The number by which commits are counted as they come, from 1.
    pub fn arrival(&self) -> i64 {
        self.number
    }
}

impl Transaction<'_> {
    /// Says what became of a commit, in place of what was said before.
    ///
    /// # Errors
    /// As above; [`SpaceError::NoSuchCommit`].
    pub fn set_note(&self, id: &CommitId, note: &Note) -> Result<(), SpaceError> {
        let row = self.keys().commit(id);
        let old = self.note_body(&row)?.ok_or(SpaceError::NoSuchCommit)?;
        let head = self.head(id)?.ok_or(SpaceError::NoSuchCommit)?;
        let (unsettled, wanted) = self.indexed(&head.header, note);
        let body = self.keys().seal(Part::Notes, &row, &note.to_bytes());
        self.connection
            .prepare_cached("UPDATE commits SET note = ?, unsettled = ?, wanted = ? WHERE id = ?")?
            .execute(params![body, unsettled, wanted, row])?;
        self.count(Part::Notes, Some(&old), Some(&body));
        Ok(())
    }

    /// Says what a commit is worth.
    ///
    /// # Errors
    /// As above.
    pub fn judged(&self, id: &CommitId, worth: Worth) -> Result<Note, SpaceError> {
        let note = self.note(id)?.ok_or(SpaceError::NoSuchCommit)?;
        let note = Note { worth, ..note };
        self.set_note(id, &note)?;
        Ok(note)
    }

    /// Says of every commit that the tree does not have it. Damaged notes begin anew; damaged heads are left alone.
    pub(super) fn unapply_all(&self) -> Result<(), SpaceError> {
        let mut after = 0;
        loop {
            let numbers: Vec<i64> = self
                .connection
                .prepare_cached("SELECT number FROM commits WHERE number > ? ORDER BY number LIMIT ?")?
                .query_map(params![after, BATCH], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let Some(last) = numbers.last() else { return Ok(()) };
            after = *last;
            for number in numbers {
                self.unapply(number)?;
            }
        }
    }

    fn unapply(&self, number: i64) -> Result<(), SpaceError> {
        let mut query = self.connection.prepare_cached("SELECT id, head, note FROM commits WHERE number = ?")?;
        let (id, head, old): (Vec<u8>, Vec<u8>, Vec<u8>) = query.query_row(params![number], |row| {
            let bytes = |at| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_bytes()?.to_vec());
            Ok((bytes(0)?, bytes(1)?, bytes(2)?))
        })?;
        let Ok(head) = self.open_head(&id, &head) else { return Ok(()) };
        let fresh = Note {
            worth: Worth::Unjudged,
            reading: if head.header.kind.is_control() { Reading::Clear } else { Reading::Sealed },
            applied: false,
        };
        let note = self.open_note(&id, &old).map_or(fresh, |note| Note { applied: false, ..note });
        let (unsettled, wanted) = self.indexed(&head.header, &note);
        let body = self.keys().seal(Part::Notes, &id, &note.to_bytes());
        self.connection
            .prepare_cached("UPDATE commits SET note = ?, unsettled = ?, wanted = ? WHERE number = ?")?
            .execute(params![body, unsettled, wanted, number])?;
        self.count(Part::Notes, Some(&old), Some(&body));
        Ok(())
    }
}

fn size(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
