//! Parcels in memory: a fixed number of buffers per run, used again and again. Who waits for a buffer is held back by
//! who has not emptied one yet, so the pool is also what bounds the conveyor.

use logic::transfer::lane::{PARCEL_MAX, PIECE_HEADER};
use memmap2::MmapMut;
use net::memory::{LARGE_PAGE, large_page};
use std::sync::{Arc, Mutex, PoisonError};
use store::landing::ALIGN;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Buffers for parcels.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    free: Arc<Mutex<Vec<MmapMut>>>,
    permits: Arc<Semaphore>,
}

/// A buffer with a parcel in it; goes back to its pool when dropped.
#[derive(Debug)]
pub(super) struct Parcel {
    /// Taken only when the parcel is dropped.
    bytes: Option<MmapMut>,
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
        Some(Parcel { bytes: Some(free.unwrap_or_else(large_page)), used: 0, pool: self.clone(), _permit: permit })
    }

    /// Ends all waiting.
    pub fn close(&self) {
        self.permits.close();
    }
}

/// Where a parcel begins in its buffer, so that the content of a block that travels alone is aligned as the disk likes it.
const BEGIN: usize = ALIGN - PIECE_HEADER;

const _: () = assert!(BEGIN + PARCEL_MAX <= LARGE_PAGE);

impl Parcel {
    fn all(&self) -> &[u8] {
        self.bytes.as_ref().map_or(&[], |bytes| &bytes[BEGIN..])
    }

    fn all_mut(&mut self) -> &mut [u8] {
        self.bytes.as_mut().map_or(&mut [], |bytes| &mut bytes[BEGIN..])
    }

    /// Room for `len` more bytes at the end, to be filled and then counted with [`Parcel::grow`].
    pub fn room(&mut self, len: usize) -> &mut [u8] {
        let used = self.used;
        &mut self.all_mut()[used..used + len]
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
        &self.all()[..self.used]
    }

    /// What is in it, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let used = self.used;
        &mut self.all_mut()[..used]
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        let bytes = self.bytes.take();
        self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
    }
}
