//! What this device knows of its circle: certificates, revocation lists, beacon keys, addresses.
//!
//! Devices tell each other what they know ([`Summary`], [`RosterUpdate`]); [`Roster::merge`] verifies everything before it
//! accepts anything. What is kept depends only on what was seen, never on the order, the time or the sender: certificates
//! are accepted when they lead to the root by signatures and rules, of lists and records the newest is kept. So merging is
//! commutative, associative and idempotent, and devices that have seen the same keep the same.
//!
//! Who is a member *now* is a view of it ([`View`]): chains are verified at the given time against the newest revocation
//! lists. Two members with one name: whoever was certified first keeps it, the other is shown as `name~2`.
//!
//! Bounds: every collection has a limit that depends on its owner alone, so nobody can push out what others made.

mod absorb;
mod issue;
mod messages;
mod record;
mod state;
mod view;

pub use issue::{Due, Me};
pub use messages::{RosterUpdate, Summary};
pub use record::{AddressRecord, BeaconRecord, SignedRecord};
pub use state::{BadRoster, Roster};
pub use view::{Change, DeviceView, ID_PREFIX, MemberView, Standing, View};
