//! Hellos as an insider with real keys makes them: the byte format of `docs/formats/hello.md`, written down a second
//! time.

use logic::hello::Context;
use logic::wire::decode;
use seal::{DeviceKey, Purpose, Signature};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// A frame of the hello.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Hello {
    /// From the dialer.
    Hello(Signed),
    /// From the responder.
    Reply(Signed),
    /// No, and not why.
    Refused,
    /// No version in common; lowest and highest of the responder.
    Incompatible(u16, u16),
    /// The dialer's certificate is revoked: the list that says so, in DER.
    Revoked(ByteBuf),
}

/// Statement and proof.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Signed {
    /// A [`Statement`], as bytes.
    pub statement: ByteBuf,
    /// Signature of the transcript.
    pub proof: Signature,
}

/// What a side says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Statement {
    /// Lowest and highest version.
    pub versions: (u16, u16),
    /// The responder's choice.
    pub chosen: Option<u16>,
    /// Names the run of the device.
    pub boot: [u8; 16],
    /// What the statement is bound to.
    pub channel: [u8; 16],
    /// Certificates in DER, the device's first.
    pub chain: Vec<ByteBuf>,
    /// Revocation lists in DER.
    pub crls: Vec<ByteBuf>,
}

impl Hello {
    /// An honest frame's body.
    pub fn read(body: &[u8]) -> Self {
        decode(body).expect("an honest hello")
    }

    /// The frame's body.
    pub fn bytes(&self) -> Vec<u8> {
        bytes(self)
    }

    /// What was said.
    pub fn signed(self) -> Signed {
        match self {
            Self::Hello(signed) | Self::Reply(signed) => signed,
            Self::Refused | Self::Incompatible(..) | Self::Revoked(_) => panic!("a refusal has no statement"),
        }
    }
}

impl Signed {
    /// An honest statement.
    pub fn statement(&self) -> Statement {
        decode(&self.statement).expect("an honest statement")
    }

    /// A statement, sensible or not, with a proof by the real key: only an insider can do this. `side` is `D` or `R`,
    /// `first` the dialer's statement where the responder speaks.
    pub fn make(key: &DeviceKey, side: u8, context: &Context, first: &[u8], statement: Vec<u8>) -> Self {
        let speaker = key.id();
        let listener = if speaker == context.local { context.remote } else { context.local };
        let (first, said) = (blake3::hash(first), blake3::hash(&statement));
        let parts: [&[u8]; 6] =
            [&[side], &context.exporter, speaker.as_bytes(), listener.as_bytes(), first.as_bytes(), said.as_bytes()];
        Self { proof: key.sign(Purpose::HelloProof, &parts.concat()), statement: ByteBuf::from(statement) }
    }
}

/// Any message as the body of a frame.
pub fn bytes<M: Serialize>(message: &M) -> Vec<u8> {
    postcard::to_stdvec(message).expect("plain data")
}
