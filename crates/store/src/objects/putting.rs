//! Many objects, as they come: the disk writes while more are brought, and is waited for once.

use std::collections::HashSet;
use std::mem;

use seal::{Object, Timestamp};

use super::holds::Namespace;
use super::index;
use super::pack::{MAX_OBJECT, ObjectId};
use super::writer::Batch;
use super::{ObjectError, ObjectStore};

/// Objects that are being put. Nothing of it is here, held or durable before [`Self::finish`]; dropped, nothing ever was.
pub struct Putting {
    store: ObjectStore,
    namespace: Namespace,
    batch: Batch,
    /// All that were added.
    sizes: Vec<(ObjectId, u32)>,
    /// Those of the batch.
    written: HashSet<ObjectId>,
    bytes: u64,
}

impl ObjectStore {
    /// Begins to put objects that `namespace` is to hold.
    #[must_use]
    pub fn putting(&self, namespace: &Namespace) -> Putting {
        let (batch, sizes, written) = Default::default();
        Putting { store: self.clone(), namespace: *namespace, batch, sizes, written, bytes: 0 }
    }
}

impl Putting {
    /// Writes these, but for those that are here already. After an error nothing that was added since the last
    /// [`Self::finish`] will come to be here.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn add(&mut self, objects: &[Object]) -> Result<(), ObjectError> {
        self.try_add(objects).inspect_err(|_| {
            let batch = self.take();
            let _: Result<(), ()> = self.store.end(|writer| writer.settle(&self.store, batch, Err(())));
        })
    }

    fn try_add(&mut self, objects: &[Object]) -> Result<(), ObjectError> {
        if let Some(object) = objects.iter().find(|object| object.bytes().len() > MAX_OBJECT) {
            return Err(ObjectError::TooLong { id: object.id(), len: object.bytes().len() as u64 });
        }
        let absent = self.absent(objects)?;
        self.sizes.extend(objects.iter().map(|object| (object.id(), object.bytes().len() as u32)));
        self.store.check_quota(&self.namespace, &self.sizes)?;
        let store = &self.store;
        let bytes = absent.iter().map(|object| (object.id(), object.bytes()));
        self.batch.write(store, bytes, store.limits.keep_free, || store.writer().take(store))?;
        self.bytes += absent.iter().map(|object| object.bytes().len() as u64).sum::<u64>();
        Ok(())
    }

    /// Those that are not here and sound, each once.
    fn absent<'o>(&mut self, objects: &'o [Object]) -> Result<Vec<&'o Object>, ObjectError> {
        let connection = self.store.database.connection();
        let mut absent = Vec::new();
        for object in objects {
            let is_here =
                || Ok::<_, ObjectError>(index::find(&connection, &object.id())?.is_some_and(|row| row.is_here()));
            if !self.written.contains(&object.id()) && !is_here()? {
                self.written.insert(object.id());
                absent.push(object);
            }
        }
        Ok(absent)
    }

    /// Bytes that were written and are not durable yet.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes all that was added durable and lets it be held: all of it, or nothing. More may be added then.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub fn finish(&mut self, now: Timestamp) -> Result<(), ObjectError> {
        let sizes = mem::take(&mut self.sizes);
        let synced = self.batch.sync();
        let batch = self.take();
        let store = &self.store;
        store.end(|writer| {
            let outcome = synced.and_then(|()| {
                store.check_quota(&self.namespace, &sizes)?;
                store.change(|transaction| {
                    let numbers = batch.record(transaction, now)?;
                    store.hold_in(transaction, &self.namespace, &sizes, &numbers)
                })
            });
            writer.settle(store, batch, outcome)
        })
    }

    fn take(&mut self) -> Batch {
        self.sizes.clear();
        self.written.clear();
        self.bytes = 0;
        mem::take(&mut self.batch)
    }
}

impl Drop for Putting {
    fn drop(&mut self) {
        if !self.batch.is_empty() {
            let batch = self.take();
            self.store.end(|writer| writer.abandon(&self.store, batch));
        }
    }
}
