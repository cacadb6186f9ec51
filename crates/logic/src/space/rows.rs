//! Where the tree is kept: rows of bytes under keys of bytes, in memory for tests, in a sealed database in the node.
//!
//! The fold asks for single rows and for the rows of one group (a node, a directory), never for all. Nobody needs to
//! read a key back or to keep an order: a database may store keyed hashes of the parts and seal the values.

use std::collections::BTreeMap;
use std::convert::Infallible;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::node::{Node, NodeId};
use super::record::{Been, Child, CommitRow, Flag, Head, Mount, Naming, NodeRecord, Place, VersionRow};
use super::stamp::{Stamp, VersionId};
use crate::ledger::RealmId;

/// What kinds of rows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// One row per node: what follows from its changes.
    Node,
    /// Versions and deletes of a node.
    Version,
    /// Those of them that nothing supersedes.
    Head,
    /// The places that a node was given.
    Place,
    /// Which nodes were ever given a place in a directory.
    Been,
    /// Which nodes a directory shows.
    Child,
    /// Which nodes show a realm.
    Mount,
    /// The commits that count, by device.
    Commit,
    /// What people should look at, by realm.
    Flag,
    /// The names that a realm was given.
    Name,
}

/// What a row is kept under. Scans ask for a group, or for a part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// A node, directory, device or realm.
    pub group: Vec<u8>,
    /// In tables by name: the folded name.
    pub part: Vec<u8>,
    /// Which row it is.
    pub rest: Vec<u8>,
}

/// The rows of a tree. A commit is applied or retracted in one transaction of the caller: after an error it rolls back.
pub trait Rows {
    /// What can go wrong.
    type Error;

    /// The row with that key.
    ///
    /// # Errors
    /// Those of the storage, here and below.
    fn get(&self, table: Table, key: &Key) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Sets a row.
    ///
    /// # Errors
    /// As above.
    fn put(&mut self, table: Table, key: &Key, row: &[u8]) -> Result<(), Self::Error>;

    /// Removes a row, if there is one.
    ///
    /// # Errors
    /// As above.
    fn delete(&mut self, table: Table, key: &Key) -> Result<(), Self::Error>;

    /// All rows of a group, or of a part of it, in any order.
    ///
    /// # Errors
    /// As above.
    fn scan(&self, table: Table, group: &[u8], part: Option<&[u8]>) -> Result<Vec<Vec<u8>>, Self::Error>;
}

/// Rows in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryRows(BTreeMap<(Table, Key), Vec<u8>>);

impl MemoryRows {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Rows for MemoryRows {
    type Error = Infallible;

    fn get(&self, table: Table, key: &Key) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.0.get(&(table, key.clone())).cloned())
    }

    fn put(&mut self, table: Table, key: &Key, row: &[u8]) -> Result<(), Infallible> {
        self.0.insert((table, key.clone()), row.to_vec());
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &Key) -> Result<(), Infallible> {
        self.0.remove(&(table, key.clone()));
        Ok(())
    }

    fn scan(&self, table: Table, group: &[u8], part: Option<&[u8]>) -> Result<Vec<Vec<u8>>, Infallible> {
        let from = Key { group: group.to_vec(), part: part.unwrap_or_default().to_vec(), rest: Vec::new() };
        let rows = self.0.range((table, from)..).take_while(|((of, key), _)| {
            *of == table && key.group == group && part.is_none_or(|part| key.part == part)
        });
        Ok(rows.map(|(_, row)| row.clone()).collect())
    }
}

/// What can go wrong with a tree.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault<E> {
    /// The storage failed.
    #[error(transparent)]
    Rows(E),
    /// A stored row cannot be read: the rows must be built again from the commits.
    #[error("a row of the table {0:?} is damaged; build the tree again from the commits")]
    Damaged(Table),
}

/// A result of the fold over those rows.
pub type Outcome<T, R> = Result<T, Fault<<R as Rows>::Error>>;

/// A kind of row with its table and key.
pub(super) trait Row: Serialize + DeserializeOwned {
    /// What its keys are made of.
    type Id;
    const TABLE: Table;
    fn key(id: &Self::Id) -> Key;
}

/// Declares a row: table, what it is found by, and the parts of its key.
macro_rules! row {
    ($row:ty, $table:ident, |$id:ident: $of:ty| $group:expr, $part:expr, $rest:expr) => {
        impl Row for $row {
            type Id = $of;
            const TABLE: Table = Table::$table;
            fn key($id: &Self::Id) -> Key {
                Key { group: $group, part: $part, rest: $rest }
            }
        }
    };
}

row!(NodeRecord, Node, |node: Node| node.key(), Vec::new(), Vec::new());
row!(VersionRow, Version, |id: (Node, VersionId)| id.0.key(), Vec::new(), change_key(&id.1));
row!(Head, Head, |id: (Node, VersionId)| id.0.key(), Vec::new(), change_key(&id.1));
row!(Place, Place, |id: (Node, Stamp)| id.0.key(), Vec::new(), change_key(&id.1.id()));
row!(Been, Been, |id: (Node, Vec<u8>, NodeId)| id.0.key(), id.1.clone(), id.2.0.to_vec());
row!(Child, Child, |id: (Node, Vec<u8>, NodeId)| id.0.key(), id.1.clone(), id.2.0.to_vec());
row!(Mount, Mount, |id: (RealmId, Node)| id.0.as_bytes().to_vec(), Vec::new(), id.1.key());
row!(CommitRow, Commit, |stamp: Stamp| stamp.device.as_bytes().to_vec(), Vec::new(), stamp.commit.as_bytes().to_vec());
row!(Naming, Name, |id: (RealmId, Stamp)| id.0.as_bytes().to_vec(), Vec::new(), change_key(&id.1.id()));
row!(Flag, Flag, |flag: (RealmId, Flag)| flag.0.as_bytes().to_vec(), flag.1.part(), flag.1.rest());

fn change_key(id: &VersionId) -> Vec<u8> {
    [&id.commit.as_bytes()[..], &id.index.to_be_bytes()].concat()
}

/// Typed access to rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Desk<R>(pub(super) R);

impl<R: Rows> Desk<R> {
    pub(super) fn get<T: Row>(&self, id: &T::Id) -> Outcome<Option<T>, R> {
        self.0.get(T::TABLE, &T::key(id)).map_err(Fault::Rows)?.map(|row| read(&row)).transpose()
    }

    pub(super) fn put<T: Row>(&mut self, id: &T::Id, row: &T) -> Outcome<(), R> {
        let bytes = postcard::to_stdvec(row).expect("rows have only types that postcard can write");
        self.0.put(T::TABLE, &T::key(id), &bytes).map_err(Fault::Rows)
    }

    pub(super) fn delete<T: Row>(&mut self, id: &T::Id) -> Outcome<(), R> {
        self.0.delete(T::TABLE, &T::key(id)).map_err(Fault::Rows)
    }

    /// Sets the row, or removes it.
    pub(super) fn set<T: Row>(&mut self, id: &T::Id, row: Option<&T>) -> Outcome<(), R> {
        match row {
            Some(row) => self.put(id, row),
            None => self.delete::<T>(id),
        }
    }

    pub(super) fn scan<T: Row>(&self, group: &[u8], part: Option<&[u8]>) -> Outcome<Vec<T>, R> {
        let rows = self.0.scan(T::TABLE, group, part).map_err(Fault::Rows)?;
        rows.iter().map(|row| read(row)).collect()
    }
}

fn read<T: Row, E>(row: &[u8]) -> Result<T, Fault<E>> {
    postcard::from_bytes(row).map_err(|_| Fault::Damaged(T::TABLE))
}
