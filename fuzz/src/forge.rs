//! Messages as an insider with real keys makes them: the byte formats of `docs/formats/`, written down a second time.

use logic::code::{Channel, Purpose as Aim};
use logic::hello::Context;
use logic::pair::Refusal;
use logic::pair::invitation::Reference;
use logic::roster::{RosterUpdate, SignedRecord};
use seal::{DeviceId, DeviceKey, MemberId, Purpose, SealRecipient, Signature};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// A frame of the hello (`hello.md`).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Hello {
    Hello(Signed),
    Reply(Signed),
    Refused,
    Incompatible(u16, u16),
}

/// Statement and proof.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Signed {
    pub statement: ByteBuf,
    pub proof: Signature,
}

/// What a side says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Statement {
    pub versions: (u16, u16),
    pub chosen: Option<u16>,
    pub boot: [u8; 16],
    pub channel: [u8; 16],
    pub chain: Vec<ByteBuf>,
    pub crls: Vec<ByteBuf>,
}

impl Signed {
    /// A statement, sensible or not, with a proof by the real key.
    pub fn make(key: &DeviceKey, side: u8, context: &Context, first: &[u8], statement: Vec<u8>) -> Self {
        let speaker = key.id();
        let listener = if speaker == context.local { context.remote } else { context.local };
        let (first, said) = (blake3::hash(first), blake3::hash(&statement));
        let parts: [&[u8]; 6] =
            [&[side], &context.exporter, speaker.as_bytes(), listener.as_bytes(), first.as_bytes(), said.as_bytes()];
        Self { proof: key.sign(Purpose::HelloProof, &parts.concat()), statement: ByteBuf::from(statement) }
    }
}

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

/// Any message as the body of a frame.
pub fn bytes<M: Serialize>(message: &M) -> Vec<u8> {
    postcard::to_stdvec(message).expect("plain data")
}
