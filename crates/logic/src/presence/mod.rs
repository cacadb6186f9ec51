//! Who is online: one table of links, which decides when to dial, ping, give up, and which of two links to keep.
//!
//! Rules:
//! - every wanted device without a link is dialled; after a failure again with growing, jittered pauses; a sighting on
//!   the LAN ends the pause. The device with the greater id waits a little first, so that two usually make one link.
//! - two links to the same run of a peer (same boot id), one dialled from each side: both sides keep the one that the
//!   smaller device id dialled. Any other second link is newer knowledge: it replaces the first at once.
//! - a run of a device that comes back after a later one was there is no restart: two copies of one home are at work. Then
//!   the link in use is kept while it lives, so that they do not take it from each other again and again.
//! - a link that did not last is not dialled again at once, but after a pause as for a failure.
//! - a link is pinged every 3 s and is dead after 10 s of silence.
//!
//! Called by `node`, with the time; acts only through [`Presence::poll`].

mod backoff;
mod table;

pub use table::{Action, CloseReason, LinkId, Presence, Up};

use std::time::Duration;

/// Silence after which a link is asked whether it lives.
pub const PING_EVERY: Duration = Duration::from_secs(3);
/// Silence after which a link is dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(10);
/// How long the device with the greater id leaves the first dial to the other one.
pub const YIELD: Duration = Duration::from_millis(700);
/// First pause after a dial that failed.
pub const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause between dials.
pub const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A link that lasted so long was a good one.
pub const LASTING: Duration = Duration::from_secs(5);
/// So long after a device was seen twice it is taken to be there twice; and it is told so often at the most.
pub const DOUBLED_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
