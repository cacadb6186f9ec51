//! Looking at everything: does each value open where it lies, are they all there, do the indexes follow from them?

use std::collections::BTreeMap;

use logic::ledger::{Commit, CommitId};
use rusqlite::{Row, params};

use super::SpaceStore;
use super::error::{Part, SpaceError};
use super::keys::row_id;
use super::reader::Reader;
use super::schema;
use super::shelf::{Head, blob};
use super::tally::Tally;

/// Commits that a report names, at most.
const NAMED: usize = 1000;

/// What is wrong with a part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    /// Values that do not open, or say something else than the rows around them.
    pub values: u64,
    /// Values are missing, doubled or older than they should be: the totals say so.
    pub totals: bool,
    /// Commits that it is about, where that can be told; at most 1,000.
    pub commits: Vec<CommitId>,
}

/// What a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows of the tree that were read.
    pub rows: u64,
    /// Commits that were read.
    pub commits: u64,
    /// What is wrong; empty: nothing.
    pub damage: BTreeMap<Part, Damage>,
}

impl Report {
    /// True if nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }

    fn bad(&mut self, part: Part, commit: Option<CommitId>) {
        let damage = self.damage.entry(part).or_default();
        damage.values += 1;
        if damage.commits.len() < NAMED {
            damage.commits.extend(commit);
        }
    }
}

impl SpaceStore {
    /// Reads and checks everything, signatures included. Takes a while; others can go on reading and writing.
    ///
    /// # Errors
    /// [`SpaceError`] where it could not be read at all. Damage is no error but in the report.
    pub fn check(&self) -> Result<Report, SpaceError> {
        match self.read(|reader| Ok(Check::of(reader)?.0)) {
            // Torn where it begins: not even a transaction can be.
            Err(SpaceError::Damaged(part)) => {
                let mut report = Report::default();
                report.bad(part, None);
                Ok(report)
            }
            checked => checked,
        }
    }

    /// Makes the totals those of what is there: when damage that they told of has been mended.
    ///
    /// # Errors
    /// As above.
    pub fn recount(&self) -> Result<(), SpaceError> {
        self.transaction(|transaction| {
            let (_, tally) = Check::of(transaction)?;
            transaction.count_anew(tally);
            Ok(())
        })
    }
}

struct Check<'a> {
    reader: &'a Reader<'a>,
    report: Report,
    tally: Tally,
}

impl<'a> Check<'a> {
    /// What is wrong, and the totals of what is there.
    fn of(reader: &'a Reader<'a>) -> Result<(Report, Tally), SpaceError> {
        let mut check = Self { reader, report: Report::default(), tally: Tally::default() };
        check.unless_torn(Self::structure)?;
        check.unless_torn(Self::tree)?;
        check.unless_torn(Self::commits)?;
        check.unless_torn(Self::values)?;
        match schema::read_totals(reader.connection, reader.keys()) {
            Ok(totals) => {
                for part in totals.differences(&check.tally) {
                    check.report.damage.entry(part).or_default().totals = true;
                }
            }
            Err(SpaceError::Damaged(part)) => check.report.bad(part, None),
            Err(error) => return Err(error),
        }
        Ok((check.report, check.tally))
    }

    /// A torn file is a finding, a failing disk is an error.
    fn unless_torn(&mut self, step: impl FnOnce(&mut Self) -> Result<(), SpaceError>) -> Result<(), SpaceError> {
        match step(self) {
            Err(SpaceError::Damaged(part)) => {
                self.report.bad(part, None);
                Ok(())
            }
            other => other,
        }
    }

    /// What SQLite thinks of its file.
    fn structure(&mut self) -> Result<(), SpaceError> {
        let found: String = self.reader.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if found == "ok" { Ok(()) } else { Err(SpaceError::Damaged(Part::File)) }
    }

    fn take(&mut self, part: Part, body: &[u8]) {
        self.tally.swap(self.reader.keys(), part, None, Some(body));
    }

    fn tree(&mut self) -> Result<(), SpaceError> {
        let mut query = self.reader.connection.prepare("SELECT grp, kind, part, rest, body FROM tree")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            self.report.rows += 1;
            let kind = row.get_ref(1)?.as_i64().ok().and_then(|kind| usize::try_from(kind).ok());
            let part = kind.and_then(|kind| Part::COUNTED.get(kind)).filter(|part| matches!(part, Part::Tree(_)));
            let (Some(kind), Some(part)) = (kind, part) else {
                self.report.bad(Part::File, None);
                continue;
            };
            let body = bytes(row, 4)?;
            let id = row_id(kind as u8, bytes(row, 0)?, bytes(row, 2)?, bytes(row, 3)?);
            if self.reader.keys().open(*part, &id, body).is_err() {
                self.report.bad(*part, None);
            }
            self.take(*part, body);
        }
        Ok(())
    }

    fn commits(&mut self) -> Result<(), SpaceError> {
        let mut query = self.reader.connection.prepare(
            "SELECT commits.id, head, note, past, bodies.body, place, lamport, unsettled, wanted
             FROM commits LEFT JOIN bodies USING (number)",
        )?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            self.report.commits += 1;
            self.commit(row)?;
        }
        let lost = "SELECT count(*) FROM bodies WHERE number NOT IN (SELECT number FROM commits)";
        let lost: i64 = self.reader.connection.query_row(lost, [], |row| row.get(0))?;
        if lost > 0 {
            self.report.bad(Part::Bodies, None);
        }
        Ok(())
    }

    fn commit(&mut self, row: &Row<'_>) -> Result<(), SpaceError> {
        let id = bytes(row, 0)?;
        self.take(Part::Heads, bytes(row, 1)?);
        self.take(Part::Notes, bytes(row, 2)?);
        if let Some(past) = row.get_ref(3)?.as_bytes_or_null().unwrap_or_default() {
            self.take(Part::Pasts, past);
        }
        if let Some(body) = row.get_ref(4)?.as_bytes_or_null().unwrap_or_default() {
            self.take(Part::Bodies, body);
        }
        let head = match self.reader.open_head(id, bytes(row, 1)?) {
            Ok(head) if self.reader.keys().commit(&head.id) == *id => head,
            _ => {
                self.report.bad(Part::Heads, None);
                return Ok(());
            }
        };
        if !self.leads_back(row, &head)? {
            self.report.bad(Part::Heads, Some(head.id));
        }
        if !self.note_fits(row, &head)? {
            self.report.bad(Part::Notes, Some(head.id));
        }
        if self.past_fails(row)? {
            self.report.bad(Part::Pasts, Some(head.id));
        }
        if !self.body_fits(row, &head)? {
            self.report.bad(Part::Bodies, Some(head.id));
        }
        Ok(())
    }

    /// Found where it must be, and the commit before it is there.
    fn leads_back(&self, row: &Row<'_>, head: &Head) -> Result<bool, SpaceError> {
        let header = &head.header;
        let place = self.reader.keys().place(&header.device, header.seq);
        let lamport: Option<i64> = row.get(6).unwrap_or_default();
        let found = *bytes(row, 5)? == place && lamport.map(i64::cast_unsigned) == Some(header.lamport);
        let previous = self.reader.keys().commit(&header.previous);
        let mut query = self.reader.connection.prepare_cached("SELECT 1 FROM commits WHERE id = ?")?;
        Ok(found && (header.seq == 0 || query.exists(params![previous])?))
    }

    fn note_fits(&self, row: &Row<'_>, head: &Head) -> Result<bool, SpaceError> {
        let Ok(note) = self.reader.open_note(bytes(row, 0)?, bytes(row, 2)?) else { return Ok(false) };
        let (unsettled, wanted) = self.reader.indexed(&head.header, &note);
        let said: Option<i64> = row.get(7).unwrap_or_default();
        let wants = row.get_ref(8)?.as_bytes_or_null().unwrap_or_default();
        Ok(said == unsettled && wants == wanted.as_ref().map(|wanted| &wanted[..]))
    }

    fn past_fails(&self, row: &Row<'_>) -> Result<bool, SpaceError> {
        let Ok(past) = blob(row.get_ref(3)?, Part::Pasts) else { return Ok(true) };
        let Some(past) = past else { return Ok(false) };
        Ok(self.reader.open_past(bytes(row, 0)?, past).is_err())
    }

    /// The whole commit opens, its signature holds, and it is the one of the head.
    fn body_fits(&self, row: &Row<'_>, head: &Head) -> Result<bool, SpaceError> {
        let Ok(Some(body)) = blob(row.get_ref(4)?, Part::Bodies) else { return Ok(false) };
        let opened = self.reader.keys().open(Part::Bodies, bytes(row, 0)?, body);
        let commit = opened.ok().and_then(|bytes| Commit::read(&bytes).ok());
        Ok(commit.is_some_and(|commit| commit.id() == head.id && *commit.header() == head.header))
    }

    fn values(&mut self) -> Result<(), SpaceError> {
        let mut query = self.reader.connection.prepare("SELECT kind, id, body FROM named")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let body = bytes(row, 2)?;
            if self.reader.open_value(bytes(row, 0)?, bytes(row, 1)?, body).is_err() {
                self.report.bad(Part::Values, None);
            }
            self.take(Part::Values, body);
        }
        Ok(())
    }
}

/// The bytes of a column; none where there is a number or nothing.
fn bytes<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], SpaceError> {
    Ok(row.get_ref(column)?.as_bytes().unwrap_or_default())
}
