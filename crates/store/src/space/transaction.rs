//! Writing to a space.

use std::cell::{Cell, RefCell};
use std::ops::Deref;

use super::error::{Part, SpaceError};
use super::guard::Watermark;
use super::reader::Reader;
use super::schema;
use super::tally::Tally;

/// Everything that is to be written together; from [`super::SpaceStore::transaction`].
#[derive(Debug)]
pub struct Transaction<'a> {
    reader: Reader<'a>,
    before: Tally,
    tally: RefCell<Tally>,
    pub(super) raised: Cell<Option<Watermark>>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(reader: Reader<'a>, tally: Tally) -> Self {
        Self { reader, before: tally.clone(), tally: RefCell::new(tally), raised: Cell::default() }
    }

    /// Notes in the totals that a body takes the place of another, comes or goes.
    pub(super) fn count(&self, part: Part, old: Option<&[u8]>, new: Option<&[u8]>) {
        self.tally.borrow_mut().swap(self.keys(), part, old, new);
    }

    /// Notes in the totals that a part was emptied.
    pub(super) fn count_none(&self, part: Part) {
        self.tally.borrow_mut().clear(part);
    }

    /// Sets the totals.
    pub(super) fn count_anew(&self, tally: Tally) {
        *self.tally.borrow_mut() = tally;
    }

    /// Writes the totals. All that is left is to commit.
    pub(super) fn finish(self) -> Result<(Tally, Option<Watermark>), SpaceError> {
        self.fault()?;
        let tally = self.tally.into_inner();
        if tally != self.before {
            schema::write_totals(self.reader.connection, self.reader.keys(), &tally)?;
        }
        Ok((tally, self.raised.get()))
    }
}

impl<'a> Deref for Transaction<'a> {
    type Target = Reader<'a>;

    fn deref(&self) -> &Self::Target {
        &self.reader
    }
}
