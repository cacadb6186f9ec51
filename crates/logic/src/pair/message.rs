//! Messages of joining. All are sealed under the key that the code gave.

use seal::{DeviceId, MemberId, SealRecipient, Signature};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use thiserror::Error;

use crate::code::Channel;
use crate::roster::{RosterUpdate, SignedRecord};

/// Why an inviter does not welcome somebody who proved the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Error)]
pub enum Refusal {
    /// Another member has that name: ask with another one.
    #[error("somebody in the circle has that name already")]
    NameTaken,
    /// The invitation ended meanwhile.
    #[error("the invitation was used or ended meanwhile")]
    InvitationOver,
    /// The inviter cannot certify members, or not now.
    #[error("the inviter cannot admit anybody now")]
    Unable,
}

/// The code was made, or used, for something else than joining.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the code is not for joining a circle")]
pub struct NotForJoining;

/// From the joiner.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromJoiner {
    Request(JoinRequest),
    Settled(Settlement),
}

/// From the inviter.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromInviter {
    Welcome(Box<Welcome>),
    Refused(Refusal),
    Done,
}

/// Who wants to join.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct JoinRequest {
    pub(super) name: String,
    pub(super) device_name: String,
    pub(super) member: MemberId,
    pub(super) recipient: SealRecipient,
    /// By the member's key over [`JoinRequest::signed_bytes`].
    pub(super) member_proof: Signature,
    /// By the device's key over the same.
    pub(super) device_proof: Signature,
}

impl JoinRequest {
    /// What both keys sign: the channel, and all that is asked for.
    pub(super) fn signed_bytes(
        exporter: &[u8; 32],
        joiner: DeviceId,
        inviter: DeviceId,
        names: (&str, &str),
        member: MemberId,
        recipient: &SealRecipient,
    ) -> Vec<u8> {
        postcard::to_stdvec(&(exporter, joiner, inviter, names, member, recipient))
            .expect("ids and texts always encode")
    }

    /// The same for a request that came over `channel`.
    pub(super) fn bytes_to_check(&self, channel: &Channel) -> Vec<u8> {
        let names = (self.name.as_str(), self.device_name.as_str());
        Self::signed_bytes(&channel.exporter, channel.remote, channel.local, names, self.member, &self.recipient)
    }
}

/// What a new member gets.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Welcome {
    pub(super) root: ByteBuf,
    /// The new member's certificate.
    pub(super) certificate: ByteBuf,
    /// Chains and revocation lists of the new member and of the inviter's device.
    pub(super) chains: RosterUpdate,
    /// The rest of the circle, as far as it fits; the remainder follows when they are linked.
    pub(super) roster: RosterUpdate,
}

/// What the new member made itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Settlement {
    pub(super) device: ByteBuf,
    pub(super) crl: ByteBuf,
    pub(super) records: Vec<SignedRecord>,
}
