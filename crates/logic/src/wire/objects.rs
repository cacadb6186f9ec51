//! What is said on a stream for encrypted objects. Whoever opened it asks or offers, one thing after the other; bytes follow
//! the messages, each object as its length (big-endian `u32`, or [`ABSENT`]) and so many bytes. Format:
//! `docs/formats/wire.md`.

use seal::ObjectId;
use serde::{Deserialize, Serialize};

use super::frame::{Frame, FrameTooBig, decode, encode};
use crate::Misbehaved;
use crate::limits::{OBJECTS_FRAME, OBJECTS_NAMED};

/// Stands for the length of an object that is not here.
pub const ABSENT: u32 = u32::MAX;

/// One message; see the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Objects {
    /// The opener wants these. The answer is the bytes of each, in this order.
    Get(Vec<ObjectId>),
    /// The opener has these. The answer is [`Self::Want`] or [`Self::Full`].
    Offer(Vec<ObjectId>),
    /// Those of what was offered that are wanted, by their places, rising. The bytes of each follow from the opener, and
    /// then comes [`Self::Stored`] or [`Self::Full`].
    Want(Vec<u16>),
    /// What was wanted is durable.
    Stored,
    /// There is no room for all of it; what was stored is not wanted again.
    Full,
}

impl Objects {
    /// The message as a frame.
    ///
    /// # Errors
    /// [`FrameTooBig`] above [`OBJECTS_NAMED`].
    pub fn frame(&self) -> Result<Frame, FrameTooBig> {
        encode(self, OBJECTS_FRAME)
    }

    /// Reads the body of a frame.
    ///
    /// # Errors
    /// The first offence.
    pub fn read(body: &[u8]) -> Result<Self, Misbehaved> {
        let message = decode(body)?;
        let fits = match &message {
            Self::Get(ids) | Self::Offer(ids) => (1..=OBJECTS_NAMED).contains(&ids.len()),
            Self::Want(places) => {
                places.len() <= OBJECTS_NAMED
                    && places.is_sorted_by(|one, next| one < next)
                    && places.iter().all(|place| usize::from(*place) < OBJECTS_NAMED)
            }
            Self::Stored | Self::Full => true,
        };
        if fits { Ok(message) } else { Err(Misbehaved::ObjectsGarbled) }
    }
}
