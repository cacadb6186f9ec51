//! From what is stored to what SQLite sees: keyed hashes to look rows up, padded and sealed bodies.
//!
//! Every body is bound to the file, to its part and to its row; so it opens nowhere else, not in another space either.
//! Padding: the value, a byte 0x80, zeros up to a multiple of [`STEP`].

use data_encoding::HEXLOWER;
use logic::ledger::CommitId;
use logic::space::{Key, Table};
use seal::{DeviceId, RecordKey, TableKey};

use super::error::{Part, SpaceError};

/// Lengths are hidden in steps of so many bytes.
const STEP: usize = 32;
const END: u8 = 0x80;
/// A body begins with its version and a nonce that no other body has.
pub(super) const BEGINNING: usize = 25;

/// Names a file of a space; made with it, and in no other.
pub(super) type FileId = [u8; 16];
/// A keyed hash of what a row is looked up by.
pub(super) type Blind = [u8; 16];

/// The keys of one file.
pub(super) struct Keys {
    about: TableKey,
    tree: TableKey,
    heads: TableKey,
    bodies: TableKey,
    pasts: TableKey,
    notes: TableKey,
    values: TableKey,
}

/// Where a row of the tree lies.
pub(super) struct Spot {
    pub(super) kind: u8,
    pub(super) group: Blind,
    /// Empty, or a blind: as [`Self::rest`].
    pub(super) part: Vec<u8>,
    pub(super) rest: Vec<u8>,
}

impl Spot {
    /// What the body is bound to.
    pub(super) fn id(&self) -> Vec<u8> {
        row_id(self.kind, &self.group, &self.part, &self.rest)
    }
}

/// The id of a row of the tree from its columns.
pub(super) fn row_id(kind: u8, group: &[u8], part: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut id = Vec::with_capacity(3 + group.len() + part.len() + rest.len());
    // Lengths, so that no two rows have one id, whatever somebody has put into the columns.
    id.extend([kind, part.len().min(255) as u8, rest.len().min(255) as u8]);
    id.extend_from_slice(group);
    id.extend_from_slice(part);
    id.extend_from_slice(rest);
    id
}

impl Keys {
    pub(super) fn new(key: &RecordKey, file: &FileId) -> Self {
        let file = HEXLOWER.encode(file);
        let table = |name: &str| key.table(&format!("space/{file}/{name}"));
        Self {
            about: table("about"),
            tree: table("tree"),
            heads: table("heads"),
            bodies: table("bodies"),
            pasts: table("pasts"),
            notes: table("notes"),
            values: table("values"),
        }
    }

    fn of(&self, part: Part) -> &TableKey {
        match part {
            Part::Tree(_) => &self.tree,
            Part::Heads => &self.heads,
            Part::Bodies => &self.bodies,
            Part::Pasts => &self.pasts,
            Part::Notes => &self.notes,
            Part::Values => &self.values,
            Part::File => &self.about,
        }
    }

    /// The stored body of a value.
    pub(super) fn seal(&self, part: Part, id: &[u8], value: &[u8]) -> Vec<u8> {
        let mut plain = zeroize::Zeroizing::new(Vec::with_capacity((value.len() + 1).next_multiple_of(STEP)));
        plain.extend_from_slice(value);
        plain.push(END);
        let padded = plain.len().next_multiple_of(STEP);
        plain.resize(padded, 0);
        self.of(part).seal(id, &plain)
    }

    /// The value of a stored body.
    pub(super) fn open(&self, part: Part, id: &[u8], body: &[u8]) -> Result<Vec<u8>, SpaceError> {
        let mut plain = self.of(part).open(id, body).map_err(|_| SpaceError::Damaged(part))?;
        let end = plain.iter().rposition(|byte| *byte != 0).filter(|end| plain.get(*end) == Some(&END));
        plain.truncate(end.ok_or(SpaceError::Damaged(part))?);
        Ok(std::mem::take(&mut *plain))
    }

    /// The share of a body in the totals. The nonce stands for the whole: no two sealed bodies have the same.
    pub(super) fn fingerprint(&self, body: &[u8]) -> u128 {
        u128::from_le_bytes(self.about.blind(body.get(..BEGINNING).unwrap_or(body)))
    }

    /// The group column. All rows of a node share it, so that they lie beside each other: one page is written for a
    /// file rather than five.
    pub(super) fn group(&self, table: Table, group: &[u8]) -> Blind {
        let class = match table {
            Table::Node | Table::Version | Table::Head | Table::Place | Table::Been | Table::Child => 0,
            Table::Mount | Table::Commit | Table::Flag | Table::Name => Part::Tree(table).number() as u8,
        };
        self.tree.blind(&[&[0, class], group].concat())
    }

    /// The part column: equal names in two directories do not look equal.
    pub(super) fn part(&self, table: Table, group: &Blind, part: &[u8]) -> Vec<u8> {
        if part.is_empty() {
            return Vec::new();
        }
        self.tree.blind(&[&[1, Part::Tree(table).number() as u8], &group[..], part].concat()).to_vec()
    }

    pub(super) fn spot(&self, table: Table, key: &Key) -> Spot {
        let kind = Part::Tree(table).number() as u8;
        let group = self.group(table, &key.group);
        let part = self.part(table, &group, &key.part);
        let rest = if key.rest.is_empty() {
            Vec::new()
        } else {
            self.tree.blind(&[&[2, kind, part.len() as u8], &group[..], &part, &key.rest].concat()).to_vec()
        };
        Spot { kind, group, part, rest }
    }

    pub(super) fn commit(&self, id: &CommitId) -> Blind {
        self.heads.blind(&[&[0], &id.as_bytes()[..]].concat())
    }

    /// What commits with one number of one device share.
    pub(super) fn place(&self, device: &DeviceId, seq: u64) -> Blind {
        self.heads.blind(&[&[1], &device.as_bytes()[..], &seq.to_be_bytes()].concat())
    }

    /// What commits share that wait for one key.
    pub(super) fn wanted(&self, realm: &[u8], epoch: &[u8]) -> Blind {
        self.heads.blind(&[&[2], realm, epoch].concat())
    }

    pub(super) fn values(&self, kind: &str) -> Blind {
        self.values.blind(&[&[0], kind.as_bytes()].concat())
    }

    pub(super) fn value(&self, kind: &Blind, name: &[u8]) -> Blind {
        self.values.blind(&[&[1], &kind[..], name].concat())
    }
}
