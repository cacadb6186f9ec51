//! Two strangers prove to each other that they share a code, without telling it: SPAKE2 over a guest stream.
//!
//! The guest (who was told the code) dials the host (who made it):
//!
//! | step | guest | host |
//! |---|---|---|
//! | 1 | [`Guest::knock`]: which code, aim, SPAKE2 message | [`Knock::read`], [`Knock::answer`]: SPAKE2 message |
//! | 2 | [`Guest::confirm`]: confirmation first | [`Host::confirm`]: checks, a wrong one burns the code, then its own |
//! | 3 | [`Confirming::finish`]: checks | |
//!
//! Both end with a [`GuestProven`], which [`crate::pair`] or the transfer of a one-time code demands. The exchange is bound
//! to the TLS exporter and both device keys: somebody in the middle has two channels and ends with two different keys. A
//! guest who stops before step 2 has learned nothing, so only a wrong confirmation burns.

mod guest;
mod host;
mod message;
mod proven;

pub use guest::{Confirming, Guest, GuestFault};
pub use host::{Host, Knock, Turned};
pub use message::{Channel, Purpose};
pub use proven::GuestProven;
