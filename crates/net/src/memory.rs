//! Memory for what goes through in large amounts.

use memmap2::MmapMut;

/// A buffer of one large page (2 MiB).
pub const LARGE_PAGE: usize = 2 << 20;

/// Zeroed memory of [`LARGE_PAGE`] bytes, which costs nothing until it is touched: one large page, where the system has
/// those. The kernel pins and copies a large page at once, and the processor finds what is in it by one entry of its
/// tables. Mapped, because the heap would keep it: an allocator takes buffers that come and go for a reason to hold on to
/// as much.
///
/// # Panics
/// Without memory, as everywhere.
pub fn large_page() -> MmapMut {
    let memory = MmapMut::map_anon(LARGE_PAGE).expect("as everywhere, a process without memory ends");
    // Only a wish: small pages do as well.
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage);
    memory
}
