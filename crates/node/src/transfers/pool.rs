//! Parcels in memory: a fixed number of buffers per run, used again and again. Who waits for a buffer is held back by
//! who has not emptied one yet, so the pool is also what bounds the conveyor.

use logic::transfer::lane::PARCEL_MAX;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Buffers for parcels.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    free: Arc<Mutex<Vec<Box<[u8]>>>>,
    permits: Arc<Semaphore>,
}

/// A buffer with a parcel in it; goes back to its pool when dropped.
#[derive(Debug)]
pub(super) struct Parcel {
    bytes: Box<[u8]>,
    used: usize,
    pool: Pool,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool of `buffers` buffers; memory is taken when they are first used.
    pub fn new(buffers: usize) -> Self {
        Self { free: Arc::default(), permits: Arc::new(Semaphore::new(buffers)) }
    }

    /// An empty buffer as soon as there is one; `None` once the pool is closed.
    pub async fn take(&self) -> Option<Parcel> {
        let permit = self.permits.clone().acquire_owned().await.ok()?;
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // Fresh zeroed memory costs nothing until it is touched.
        let bytes = free.unwrap_or_else(|| vec![0; PARCEL_MAX].into_boxed_slice());
        Some(Parcel { bytes, used: 0, pool: self.clone(), _permit: permit })
    }

    /// Ends all waiting.
    pub fn close(&self) {
        self.permits.close();
    }
}

impl Parcel {
    /// Room for `len` more bytes at the end, to be filled and then counted with [`Parcel::grow`].
    pub fn room(&mut self, len: usize) -> &mut [u8] {
        &mut self.bytes[self.used..self.used + len]
    }

    /// Counts so many bytes of the room as filled.
    pub fn grow(&mut self, len: usize) {
        self.used += len;
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.grow(bytes.len());
    }

    /// Forgets everything behind `len`.
    pub fn truncate(&mut self, len: usize) {
        self.used = self.used.min(len);
    }

    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// What is in it, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.used]
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}
