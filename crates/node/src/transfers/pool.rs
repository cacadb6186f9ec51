//! Parcels in memory: a fixed number of buffers per run, used again and again. Who waits for a buffer is held back by
//! who has not emptied one yet, so the pool is also what bounds the conveyor.

use logic::transfer::lane::{PARCEL_MAX, PIECE_HEADER};
use memmap2::MmapMut;
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
        Some(Parcel { bytes: Some(free.unwrap_or_else(fresh)), used: 0, pool: self.clone(), _permit: permit })
    }

    /// Ends all waiting.
    pub fn close(&self) {
        self.permits.close();
    }
}

/// Where a parcel begins in its buffer, so that the content of a block that travels alone is aligned as the disk likes it.
const BEGIN: usize = ALIGN - PIECE_HEADER;

/// What a buffer takes: one large page, where the system has those. The kernel pins and copies a large page at once, and the
/// processor finds what is in it by one entry of its tables.
const MAPPED: usize = 2 << 20;
const _: () = assert!(BEGIN + PARCEL_MAX <= MAPPED);

/// Zeroed memory, which costs nothing until it is touched. Mapped, because the heap would keep it after the run: the
/// allocator takes buffers that come and go for a reason to hold on to as much.
fn fresh() -> MmapMut {
    let buffer = MmapMut::map_anon(MAPPED).expect("as everywhere, a process without memory ends");
    // Only a wish: small pages do as well.
    #[cfg(target_os = "linux")]
    let _ = buffer.advise(memmap2::Advice::HugePage);
    buffer
}

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
