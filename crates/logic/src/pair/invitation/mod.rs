//! Invitations and one-time codes: what lets a stranger in, once.
//!
//! One invitation can be used in two ways: by its spoken code (33 secret bits: one wrong guess ends the invitation) or by
//! its link (128 secret bits: cannot be guessed, so a wrong one ends nothing; otherwise anybody who saw the id could end
//! it). Both are proven by SPAKE2 and used for nothing else.

mod book;
mod link;
mod ticket;

pub use book::{Aim, BookFull, Invitation, Invitations, State};
pub use link::{BadLink, Link};
pub use ticket::{BadTicket, InvitationId, LinkSecret, Reference, Ticket};

#[cfg(test)]
mod tests;
