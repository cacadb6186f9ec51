//! Joining a circle: invitations, and the engine of both sides over a guest stream.
//!
//! A shared code is proven first ([`crate::code`]); until then neither side says anything about itself or the circle. Then,
//! sealed under the agreed key:
//!
//! | step | joiner | inviter (an admin) |
//! |---|---|---|
//! | 1 | [`Joiner::ask`]: names, keys, proofs of possession | [`Inviter::asked`], [`Asking::decide`]: uses up the invitation, certifies |
//! | 2 | [`Asked::answered`]: verifies root, chain, roster, inviter | or says that the name is taken: up to three names |
//! | 3 | [`Welcomed::settle`]: certifies its own device | [`Welcoming::settled`]: verifies, takes both into the roster |
//! | 4 | [`Settled::finish`] | |
//!
//! Both end with the same safety words. Private keys never travel: the member's and the device's key are made by the
//! joiner, and the inviter certifies only the member's. Byte level: `docs/formats/pairing.md`.

mod inviter;
mod joiner;
mod message;

pub mod invitation;

pub use inviter::{Admitted, Asking, Decision, Inviter, InviterFault, Welcoming};
pub use joiner::{Answer, Application, Asked, JoinFault, Joined, Joiner, Settled, Welcomed};
pub use message::{NotForJoining, Refusal};

use seal::{CircleId, MemberId};

/// Six words that two members compare: equal words mean that both see the same circle and the same two keys.
pub fn safety_words(circle: CircleId, one: MemberId, other: MemberId) -> String {
    let (low, high) = if one < other { (one, other) } else { (other, one) };
    seal::words::safety_words(&[b"members", circle.as_bytes(), low.as_bytes(), high.as_bytes()])
}
