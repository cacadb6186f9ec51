//! The messages, what is signed, and what it is bound to.

use seal::pki::{Certificate, Crl};
use seal::{DeviceId, DeviceKey, Purpose, Signature};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{Credentials, HelloError};
use crate::Misbehaved;
use crate::limits::{CHAIN_CERTIFICATES, CRL_BYTES, HELLO_CRLS, HELLO_FRAME};
use crate::wire::{self, Frame, Version};

/// The channel that the hello runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// TLS exporter of the connection (RFC 8446 section 7.5): another one for every connection.
    pub exporter: [u8; 32],
    /// This device.
    pub local: DeviceId,
    /// The key that the other side proved in TLS.
    pub remote: DeviceId,
}

impl Context {
    /// Names the channel without telling the exporter, so that a replay is recognised as one.
    pub(super) fn tag(&self) -> [u8; 16] {
        let mut tag = [0; 16];
        blake3::Hasher::new_derive_key("warren 2026-11 hello channel tag v1")
            .update(&self.exporter)
            .finalize_xof()
            .fill(&mut tag);
        tag
    }
}

/// Which side speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Dialer,
    Responder,
}

/// A frame of the hello.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// Dialer.
    Hello(Signed),
    /// Responder: yes, and the same of itself.
    Reply(Signed),
    /// Responder: no, whatever the reason.
    Refused,
    /// Responder, to a proven member: no version in common.
    Incompatible(Version, Version),
    /// Responder, to whoever proved the key of a revoked chain: the revocation list (DER) that says so.
    Revoked(ByteBuf),
}

/// A statement as it was encoded by its maker, and the proof over it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Signed {
    #[serde(with = "serde_bytes")]
    pub(super) statement: Vec<u8>,
    pub(super) proof: Signature,
}

/// What a side says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Statement {
    /// Oldest and newest version that this side speaks.
    pub(super) versions: (Version, Version),
    /// Responder: the version from now on.
    pub(super) chosen: Option<Version>,
    pub(super) boot: [u8; 16],
    /// [`Context::tag`].
    pub(super) channel: [u8; 16],
    chain: Vec<ByteBuf>,
    crls: Vec<ByteBuf>,
}

impl Statement {
    /// What this device says on this channel.
    pub(super) fn new(
        credentials: &Credentials,
        context: &Context,
        versions: (Version, Version),
        chosen: Option<Version>,
    ) -> Self {
        let issuers = || credentials.chain.iter().skip(1).chain([&credentials.root]);
        let ours = credentials.crls.iter().filter(|crl| issuers().any(|issuer| crl.is_by(issuer)));
        Self {
            versions,
            chosen,
            boot: credentials.boot,
            channel: context.tag(),
            chain: credentials.chain.iter().map(|certificate| ByteBuf::from(certificate.der())).collect(),
            crls: ours.map(|crl| ByteBuf::from(crl.der())).collect(),
        }
    }

    /// The certificates, device first.
    pub(super) fn chain(&self) -> Result<Vec<Certificate>, Misbehaved> {
        match self.chain.len() {
            0 => Err(Misbehaved::ChainEmpty),
            1..=CHAIN_CERTIFICATES => self
                .chain
                .iter()
                .map(|der| Certificate::from_der(der.to_vec()).map_err(|_| Misbehaved::CertificateInvalid))
                .collect(),
            _ => Err(Misbehaved::ChainTooLong),
        }
    }

    /// The revocation lists that came along.
    pub(super) fn crls(&self) -> Result<Vec<Crl>, Misbehaved> {
        if self.crls.len() > HELLO_CRLS {
            return Err(Misbehaved::CrlWrongIssuer);
        }
        if self.crls.iter().any(|der| der.len() > CRL_BYTES) {
            return Err(Misbehaved::CrlTooBig);
        }
        self.crls.iter().map(|der| Crl::from_der(der.to_vec()).map_err(|_| Misbehaved::CrlInvalid)).collect()
    }
}

impl Signed {
    /// Encodes and signs; `first` is the dialer's statement where the responder speaks.
    pub(super) fn make(
        key: &DeviceKey,
        side: Side,
        context: &Context,
        first: &[u8],
        statement: &Statement,
    ) -> Result<Self, HelloError> {
        let statement = postcard::to_stdvec(statement).map_err(|_| HelloError::OwnCredentials)?;
        let proof = key.sign(Purpose::HelloProof, &transcript(side, context.local, context, first, &statement));
        Ok(Self { statement, proof })
    }

    /// Checks the proof of the other side.
    pub(super) fn check(&self, side: Side, context: &Context, first: &[u8]) -> Result<(), Misbehaved> {
        let bytes = transcript(side, context.remote, context, first, &self.statement);
        context.remote.verify(Purpose::HelloProof, &bytes, &self.proof).map_err(|_| Misbehaved::HelloProofInvalid)
    }
}

/// What a proof signs: side, exporter, speaker and listener, and both statements as far as they exist.
fn transcript(side: Side, speaker: DeviceId, context: &Context, first: &[u8], statement: &[u8]) -> Vec<u8> {
    let listener = if speaker == context.local { context.remote } else { context.local };
    let (label, first) = match side {
        Side::Dialer => (b'D', blake3::hash(b"")),
        Side::Responder => (b'R', blake3::hash(first)),
    };
    let said = blake3::hash(statement);
    let parts: [&[u8]; 6] =
        [&[label], &context.exporter, speaker.as_bytes(), listener.as_bytes(), first.as_bytes(), said.as_bytes()];
    parts.concat()
}

impl Message {
    pub(super) fn frame(&self) -> Result<Frame, HelloError> {
        wire::encode(self, HELLO_FRAME).map_err(|_| HelloError::OwnCredentials)
    }

    pub(super) fn read(body: &[u8]) -> Result<Self, Misbehaved> {
        if body.len() > HELLO_FRAME.bytes() {
            return Err(Misbehaved::FrameTooLong);
        }
        wire::decode(body)
    }
}
