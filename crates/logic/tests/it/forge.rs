//! Hellos as an attacker makes them: the byte format of `docs/formats/hello.md`, written down a second time.

use logic::hello::Context;
use logic::wire;
use seal::{DeviceId, DeviceKey, Purpose, Signature};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// A frame of the hello.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Message {
    Hello(Signed),
    Reply(Signed),
    Refused,
    Incompatible(u16, u16),
    Revoked(ByteBuf),
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

impl Message {
    pub fn read(body: &[u8]) -> Self {
        wire::decode(body).unwrap()
    }

    pub fn bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap()
    }

    pub fn signed(self) -> Signed {
        match self {
            Self::Hello(signed) | Self::Reply(signed) => signed,
            Self::Refused | Self::Incompatible(..) | Self::Revoked(_) => panic!("a refusal has no statement"),
        }
    }
}

impl Signed {
    pub fn statement(&self) -> Statement {
        wire::decode(&self.statement).unwrap()
    }

    /// A statement with a proof by the real key: only an insider can do this.
    pub fn make(key: &DeviceKey, side: u8, context: &Context, first: &[u8], statement: &Statement) -> Self {
        let statement = postcard::to_stdvec(statement).unwrap();
        let bytes = transcript(side, key.id(), context, first, &statement);
        Self { statement: ByteBuf::from(statement), proof: key.sign(Purpose::HelloProof, &bytes) }
    }
}

fn transcript(side: u8, speaker: DeviceId, context: &Context, first: &[u8], statement: &[u8]) -> Vec<u8> {
    let listener = if speaker == context.local { context.remote } else { context.local };
    let (first, said) = (blake3::hash(first), blake3::hash(statement));
    [&[side][..], &context.exporter, speaker.as_bytes(), listener.as_bytes(), first.as_bytes(), said.as_bytes()]
        .concat()
}
