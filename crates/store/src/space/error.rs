//! What can go wrong with a space's file, and which part of it is concerned.

use std::fmt;
use std::io;

use logic::space::{Fault, Table};

use crate::database::DatabaseError;

/// A part of the file that can be damaged by itself. What is to be done differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// A table of the tree: [`super::Transaction::clear_tree`], then the commits are applied again.
    Tree(Table),
    /// Headers of commits: fetched again from others, [`super::Transaction::store`].
    Heads,
    /// Commits as they were received: as above.
    Bodies,
    /// What commits had seen: as above; without them look-ups only take longer.
    Pasts,
    /// What became of commits: judged and applied again.
    Notes,
    /// Named values: whoever named them knows whether they follow from something else.
    Values,
    /// The totals of all of these, or SQLite's own structures.
    File,
}

impl Part {
    /// Every part whose values are counted, in the order of the stored totals.
    pub(super) const COUNTED: [Self; 15] = [
        Self::Tree(Table::Node),
        Self::Tree(Table::Version),
        Self::Tree(Table::Head),
        Self::Tree(Table::Place),
        Self::Tree(Table::Been),
        Self::Tree(Table::Child),
        Self::Tree(Table::Mount),
        Self::Tree(Table::Commit),
        Self::Tree(Table::Flag),
        Self::Heads,
        Self::Bodies,
        Self::Pasts,
        Self::Notes,
        Self::Values,
        Self::Tree(Table::Name),
    ];

    /// Its place in [`Self::COUNTED`]; of a table of the tree also its number on disk.
    pub(super) const fn number(self) -> usize {
        match self {
            Self::Tree(Table::Node) => 0,
            Self::Tree(Table::Version) => 1,
            Self::Tree(Table::Head) => 2,
            Self::Tree(Table::Place) => 3,
            Self::Tree(Table::Been) => 4,
            Self::Tree(Table::Child) => 5,
            Self::Tree(Table::Mount) => 6,
            Self::Tree(Table::Commit) => 7,
            Self::Tree(Table::Flag) => 8,
            Self::Heads => 9,
            Self::Bodies => 10,
            Self::Pasts => 11,
            Self::Notes => 12,
            Self::Values => 13,
            Self::Tree(Table::Name) => 14,
            Self::File => 15,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tree(_) => "the tree, which can be built again from the commits",
            Self::Heads | Self::Bodies | Self::Pasts => "commits, which can be fetched again from other devices",
            Self::Notes => "notes about commits, which can be made again",
            Self::Values => "stored values",
            Self::File => "the file itself",
        })
    }
}

/// Why a space's file could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpaceError {
    /// Something in it is not what was written.
    #[error("the file of the space is damaged: {0}")]
    Damaged(Part),
    /// As the database of the device says it.
    #[error(transparent)]
    Database(DatabaseError),
    /// A write outside of a transaction; a fault in Warren.
    #[error("nothing can be written here")]
    ReadOnly,
    /// No commit of that id is stored; a fault in Warren.
    #[error("there is no such commit")]
    NoSuchCommit,
    /// A watermark was to be lowered; a fault in Warren.
    #[error("the watermark of a space never goes back")]
    WouldGoBack,
    /// Nobody knows whether the file of the space is an older one ([`super::Standing::Unknown`]).
    #[error("this device's copy of the space may be an older one: other devices have to be asked first")]
    Unguarded,
    /// The transaction is in the database, but the watermark beside it could not be written. Nothing of it may be shown
    /// to anybody before [`super::SpaceStore::mirror`] has succeeded.
    #[error("the watermark of the space cannot be written: {0}")]
    Unmirrored(io::Error),
}

impl From<rusqlite::Error> for SpaceError {
    fn from(error: rusqlite::Error) -> Self {
        DatabaseError::from(error).into()
    }
}

impl From<DatabaseError> for SpaceError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Damaged(_) => Self::Damaged(Part::File),
            other => Self::Database(other),
        }
    }
}

impl From<Fault<Self>> for SpaceError {
    fn from(fault: Fault<Self>) -> Self {
        match fault {
            Fault::Rows(error) => error,
            Fault::Damaged(table) => Self::Damaged(Part::Tree(table)),
        }
    }
}
