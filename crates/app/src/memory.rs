//! The allocator of the whole program: jemalloc (why, with numbers: `docs/experiments/transfer.md`).
//!
//! A device runs for months and works in bursts. glibc keeps what a burst freed (15 to 20 MiB); jemalloc gives it back.
//! It also begins large blocks on cache lines, as what copies memory likes them: glibc's own begin where its fastest copy
//! (`rep movsb`, up to glibc 2.38) is twenty times slower on Zen 3 and 4, if chance wills it so.

use tikv_jemalloc_ctl::{Access, AsName, Result, background_thread};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Freed memory goes back to the system after so many milliseconds; jemalloc's own ten seconds hold more than a device at
/// work needs.
const HELD: isize = 1000;

/// To be called before there are threads: what is set here holds for the arenas that come with them. Only a wish, as all
/// that is asked of an allocator: with its own settings it does as well, later.
pub fn give_back_soon() {
    let set = || -> Result<()> {
        "arenas.dirty_decay_ms\0".name().write(HELD)?;
        "arena.0.dirty_decay_ms\0".name().write(HELD)?;
        // Without a thread of its own only further allocations would give anything back.
        background_thread::write(true)
    };
    let _ = set();
}
