//! Joining a circle: invitations, and the engine of both sides over a guest stream.
//!
//! Order: a shared code is proven first ([`crate::code`]); until then neither side says anything about itself or the
//! circle. Then, sealed under the agreed key: the joiner asks with its name and keys, the inviter (an admin) issues the
//! member certificate and welcomes it with all that it knows of the circle, the joiner certifies its own device and says
//! so. Byte level: `docs/formats/pairing.md`.

pub mod invitation;
