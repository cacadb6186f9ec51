//! Messages as an insider with real keys makes them: the byte formats of `docs/formats/`, written down a second time.
//! Those of the hello are in `testkit::forge`.

use logic::code::{Channel, Purpose as Aim};
use logic::pair::Refusal;
use logic::pair::invitation::Reference;
use logic::roster::{RosterUpdate, SignedRecord};
use seal::{DeviceId, MemberId, SealRecipient, Signature};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use testkit::forge::bytes;

/// A frame of the code exchange (`pairing.md`).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Code {
    Knock { version: u8, purpose: Aim, reference: Reference, pake: Vec<u8> },
    Answer { pake: Vec<u8> },
    Confirm([u8; seal::pake::CONFIRMATION]),
    Refused,
}

/// What the exchanged key is bound to; `channel` is the guest's.
pub fn code_context(purpose: Aim, reference: Reference, channel: &Channel) -> Vec<u8> {
    bytes(&(1u8, purpose, reference, channel.local, channel.remote, channel.exporter))
}

/// From the joiner.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromJoiner {
    Request(JoinRequest),
    Settled { device: ByteBuf, crl: ByteBuf, records: Vec<SignedRecord> },
}

/// Who wants to join.
#[derive(Debug, Serialize, Deserialize)]
pub struct JoinRequest {
    pub name: String,
    pub device_name: String,
    pub member: MemberId,
    pub recipient: SealRecipient,
    pub member_proof: Signature,
    pub device_proof: Signature,
}

/// What both keys of a joiner sign.
pub fn join_bytes(
    exporter: &[u8; 32],
    joiner: DeviceId,
    inviter: DeviceId,
    names: (&str, &str),
    member: MemberId,
    recipient: &SealRecipient,
) -> Vec<u8> {
    bytes(&(exporter, joiner, inviter, names, member, recipient))
}

/// From the inviter.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromInviter {
    Welcome { root: ByteBuf, certificate: ByteBuf, chains: RosterUpdate, roster: RosterUpdate },
    Refused(Refusal),
    Done,
}

/// A batch of the roster (`roster.md`).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Update {
    pub certificates: Vec<ByteBuf>,
    pub crls: Vec<ByteBuf>,
    pub records: Vec<SignedRecord>,
    pub more: bool,
}
