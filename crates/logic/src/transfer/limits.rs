//! The numbers of the transfer protocol, in one place.

use std::time::Duration;

/// Version of the protocol that an offer names.
pub const VERSION: u8 = 1;
/// Longest control frame.
pub const CONTROL_FRAME_MAX: usize = 64 << 10;
/// A batch of entries or held blocks is closed when it is this long, so that it fits a frame with room to spare.
pub const BATCH_BYTES: usize = 32 << 10;
/// Content up to this size in total travels on the control stream: opening lanes would cost more than it.
pub const INLINE_MAX: u64 = 32 << 10;
/// Most entries of such a small transfer.
pub const INLINE_ENTRIES: u64 = 256;
/// Most entries of a transfer. More would not be a mistake of anybody's but an attack.
pub const ENTRIES_MAX: u64 = 100_000_000;
/// Entries that may be listed and not yet done.
pub const WINDOW: u32 = 16_384;
/// Bytes of names that the entries in the window may have together.
pub const WINDOW_BYTES: usize = 4 << 20;
/// Entries that the sender holds back beyond the window before its scan has to wait.
pub const BACKLOG: usize = 65_536;
/// The receiver reports after so many finished entries ...
pub const REPORT_ENTRIES: u32 = 1_024;
/// ... or after this time, whichever comes first.
pub const REPORT_EVERY: Duration = Duration::from_millis(100);
/// Blocks of one file that may arrive before an earlier one.
pub const EARLY_BLOCKS: usize = 4_096;
/// Block values that the receiver holds for blocks it said it has.
pub const HELD_VALUES: usize = 16_384;
/// Values in one message about held blocks.
pub const HELD_BATCH: usize = 512;
/// Bad blocks that are fetched again before the transfer is given up.
pub const BAD_BLOCKS: u32 = 3;
/// Times that blocks may be asked for again.
pub const REFETCHES: u32 = 64;
/// Readings of a file that changes under the sender's hands, the first included.
pub const GENERATIONS: u8 = 3;
/// Names listed in an offer.
pub const OFFER_NAMES: usize = 20;
/// Longest text that goes with an offer.
pub const TEXT_MAX: usize = 16 << 10;
/// Longest target of a symbolic link (`PATH_MAX` of Linux, without its NUL).
pub const LINK_TARGET_MAX: usize = 4_095;
/// Longest reason of a failure that is sent along.
pub const REASON_MAX: usize = 200;
/// Entries that this side may leave out by name.
pub const SKIPPED_MAX: usize = 65_536;
/// Bytes above the accepted ones that sources may grow by while they are sent.
pub const GROWTH: u64 = 64 << 20;
