//! Messages of the exchange, and what it is bound to. Byte level: `docs/formats/pairing.md`.

use seal::DeviceId;
use serde::{Deserialize, Serialize};

use crate::Misbehaved;
use crate::limits::GUEST_FRAME;
use crate::pair::invitation::{Aim, Reference};
use crate::wire::{self, Frame};

/// Version of the exchange.
pub(super) const VERSION: u8 = 1;

/// The channel that the exchange runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    /// TLS exporter of the connection (RFC 8446 section 7.5).
    pub exporter: [u8; 32],
    /// This device.
    pub local: DeviceId,
    /// The key that the other side proved in TLS.
    pub remote: DeviceId,
}

/// What the guest wants; must be what the code was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Purpose {
    /// To join a circle.
    Join,
    /// To fetch one transfer.
    Get,
}

impl From<Aim> for Purpose {
    fn from(aim: Aim) -> Self {
        match aim {
            Aim::Join { .. } => Self::Join,
            Aim::Get { .. } => Self::Get,
        }
    }
}

/// Everything that travels before the code is proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Message {
    /// Guest: which code, and the first SPAKE2 message.
    Knock { version: u8, purpose: Purpose, reference: Reference, pake: Vec<u8> },
    /// Host: the other SPAKE2 message.
    Answer { pake: Vec<u8> },
    /// Both: proof of the agreed key.
    Confirm([u8; seal::pake::CONFIRMATION]),
    /// Host: no, whatever the reason.
    Refused,
}

impl Message {
    pub(super) fn frame(&self) -> Frame {
        wire::encode(self, GUEST_FRAME).expect("the longest message has two ids and a SPAKE2 message of 33 bytes")
    }

    pub(super) fn read(body: &[u8]) -> Result<Self, Misbehaved> {
        if body.len() > GUEST_FRAME.bytes() {
            return Err(Misbehaved::FrameTooLong);
        }
        wire::decode(body)
    }
}

/// What the agreed key is bound to: version, aim, code, both ids, channel.
pub(super) fn context(
    purpose: Purpose,
    reference: Reference,
    guest: DeviceId,
    host: DeviceId,
    exporter: &[u8; 32],
) -> Vec<u8> {
    let bound = (VERSION, purpose, reference, guest, host, exporter);
    postcard::to_stdvec(&bound).expect("ids and numbers always encode")
}
