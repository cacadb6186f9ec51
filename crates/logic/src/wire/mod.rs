//! How messages travel: frames, the header of every stream, and the control messages between members.
//!
//! A frame is a big-endian `u32` length and so many bytes of postcard. The limit of a frame is checked before its body is
//! read; nothing here allocates by a number that came from outside. Byte level: `docs/formats/wire.md`.

mod address;
mod control;
mod frame;
mod header;
mod objects;

pub use address::Address;
pub use control::{Bye, Control};
pub use frame::{Deframer, FRAME_PREFIX, Frame, FrameTooBig, body_len, decode, encode};
pub use header::{GuestHeader, LinkToken, StreamHeader, TransferId};
pub use objects::{ABSENT, Objects};

/// Version of the protocol between members, negotiated by the hello.
pub type Version = u16;

/// The oldest version that this device speaks.
pub const VERSION_MIN: Version = 1;
/// The newest version that this device speaks.
pub const VERSION_MAX: Version = 2;
/// From which version on devices tell each other about spaces.
pub const VERSION_SPACES: Version = 2;

#[cfg(test)]
mod tests;
