//! The proof that the other side knows the code, and the sealed messages that it allows.

use seal::DeviceId;
use seal::pake::Confirmed;
use seal::words::safety_words;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::message::{Channel, Purpose};
use crate::Misbehaved;
use crate::limits::FrameLimit;
use crate::pair::invitation::{InvitationId, Reference};
use crate::wire::{self, Frame, FrameTooBig};

/// Somebody at the other end of this channel knows the code. Only the exchange makes it.
#[derive(Debug)]
pub struct GuestProven {
    pub(super) channel: Channel,
    pub(super) purpose: Purpose,
    pub(super) invitation: Option<InvitationId>,
    pub(super) reference: Reference,
    pub(super) keys: Confirmed,
}

impl GuestProven {
    /// The device at the other end.
    pub fn remote(&self) -> DeviceId {
        self.channel.remote
    }

    /// The channel that it was proven on, and that alone.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// What the code was made for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// On the host: the invitation that was proven.
    pub fn invitation(&self) -> Option<InvitationId> {
        self.invitation
    }

    /// How the guest named it.
    pub fn reference(&self) -> Reference {
        self.reference
    }

    /// Words that both sides can compare for this channel alone.
    pub fn safety_words(&self) -> String {
        let (low, high) = if self.channel.local < self.channel.remote {
            (self.channel.local, self.channel.remote)
        } else {
            (self.channel.remote, self.channel.local)
        };
        safety_words(&[b"guest", low.as_bytes(), high.as_bytes(), &self.channel.exporter])
    }

    /// The next message to the other side, sealed under the agreed key.
    pub(crate) fn seal<M: Serialize>(&mut self, message: &M, limit: FrameLimit) -> Result<Frame, FrameTooBig> {
        let plain = postcard::to_stdvec(message)
            .map(Zeroizing::new)
            .map_err(|_| FrameTooBig { bytes: usize::MAX, limit: limit.bytes() })?;
        Frame::around(&self.keys.seal(&plain), limit)
    }

    /// The next message of the other side.
    pub(crate) fn open<M: DeserializeOwned>(&mut self, body: &[u8], limit: FrameLimit) -> Result<M, Misbehaved> {
        if body.len() > limit.bytes() {
            return Err(Misbehaved::FrameTooLong);
        }
        wire::decode(&self.keys.open(body).map_err(|_| Misbehaved::SealedMessageInvalid)?)
    }
}
