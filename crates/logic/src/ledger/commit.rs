//! A commit: header, signature and body, as they were received.
//!
//! A [`Commit`] exists only if its bytes are canonical, within limits, its signature holds and its body is the signed
//! one. Whether it fits the ledger is another question ([`super::Ledger`]).

use std::fmt;
use std::sync::Arc;

use seal::{DeviceId, DeviceKey, Purpose, Signature};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::control::Control;
use super::header::{Header, Kind, VERSION};
use super::id::CommitId;
use crate::Misbehaved;
use crate::limits::{COMMIT_BODY_BYTES, COMMIT_BYTES, COMMIT_HEADER_BYTES, COMMIT_SEEN};
use crate::wire;

/// How a commit travels and is stored.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    #[serde(borrow, with = "serde_bytes")]
    header: &'a [u8],
    signature: Signature,
    #[serde(borrow, with = "serde_bytes")]
    body: &'a [u8],
}

/// A commit whose signature holds. Cheap to clone.
#[derive(Clone)]
pub struct Commit(Arc<Checked>);

struct Checked {
    id: CommitId,
    header: Header,
    control: Option<Control>,
    header_bytes: Vec<u8>,
    signature: Signature,
    body: Vec<u8>,
}

/// A commit that this device wanted to make and that nobody would accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadDraft {
    /// The key is not that of the device in the header.
    #[error("the commit belongs to another device than the key")]
    OtherKey,
    /// Header or body is above the limits.
    #[error("the commit is above the size limit")]
    TooBig,
    /// The body does not belong to the kind, or breaks its rules.
    #[error("the body does not fit the kind of the commit")]
    Body,
}

impl Commit {
    /// Signs a commit. Length and hash of the body are filled in here.
    ///
    /// # Errors
    /// [`BadDraft`].
    pub fn make(key: &DeviceKey, mut header: Header, body: Vec<u8>) -> Result<Self, BadDraft> {
        if key.id() != header.device {
            return Err(BadDraft::OtherKey);
        }
        if body.len() > COMMIT_BODY_BYTES || header.seen.len() > COMMIT_SEEN {
            return Err(BadDraft::TooBig);
        }
        header.body_len = u32::try_from(body.len()).map_err(|_| BadDraft::TooBig)?;
        header.body_hash = *blake3::hash(&body).as_bytes();
        let header_bytes = postcard::to_stdvec(&header).expect("a header has only types that postcard can write");
        if header_bytes.len() > COMMIT_HEADER_BYTES {
            return Err(BadDraft::TooBig);
        }
        let control = control(header.kind, &body).map_err(|_| BadDraft::Body)?;
        let id = CommitId::of_header(&header_bytes);
        let signature = key.sign(Purpose::Commit, id.as_bytes());
        Ok(Self(Arc::new(Checked { id, header, control, header_bytes, signature, body })))
    }

    /// Reads and checks what somebody sent.
    ///
    /// # Errors
    /// The first offence. Nothing is allocated for what is above the limits.
    pub fn read(bytes: &[u8]) -> Result<Self, Misbehaved> {
        if bytes.len() > COMMIT_BYTES {
            return Err(Misbehaved::CommitTooBig);
        }
        let wire: Wire<'_> = wire::decode(bytes).map_err(|_| Misbehaved::CommitGarbled)?;
        if wire.header.len() > COMMIT_HEADER_BYTES || wire.body.len() > COMMIT_BODY_BYTES {
            return Err(Misbehaved::CommitTooBig);
        }
        let header: Header = wire::decode(wire.header).map_err(|_| Misbehaved::CommitGarbled)?;
        let canonical = postcard::to_stdvec(&header).is_ok_and(|again| again == wire.header);
        if header.version != VERSION || !canonical {
            return Err(Misbehaved::CommitGarbled);
        }
        if header.seen.len() > COMMIT_SEEN {
            return Err(Misbehaved::CommitTooBig);
        }
        let id = CommitId::of_header(wire.header);
        header
            .device
            .verify(Purpose::Commit, id.as_bytes(), &wire.signature)
            .map_err(|_| Misbehaved::CommitSignatureInvalid)?;
        let same_length = usize::try_from(header.body_len) == Ok(wire.body.len());
        if !same_length || *blake3::hash(wire.body).as_bytes() != header.body_hash {
            return Err(Misbehaved::CommitBodyWrong);
        }
        let control = control(header.kind, wire.body)?;
        let (header_bytes, body) = (wire.header.to_vec(), wire.body.to_vec());
        let commit = Self(Arc::new(Checked { id, header, control, header_bytes, signature: wire.signature, body }));
        // Lengths could be written in several ways.
        if commit.to_bytes() == bytes { Ok(commit) } else { Err(Misbehaved::CommitGarbled) }
    }

    /// What [`Self::read`] takes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Checked { header_bytes, signature, body, .. } = &*self.0;
        postcard::to_stdvec(&Wire { header: header_bytes, signature: *signature, body })
            .expect("a commit has only types that postcard can write")
    }

    /// Its name.
    pub fn id(&self) -> CommitId {
        self.0.id
    }

    /// What it says in the clear.
    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// Who made it.
    pub fn device(&self) -> DeviceId {
        self.0.header.device
    }

    /// The body as it is stored: sealed for data, clear for control.
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// The body of a control commit.
    pub fn control(&self) -> Option<&Control> {
        self.0.control.as_ref()
    }

    /// Bytes that it takes, nearly.
    pub fn size(&self) -> usize {
        self.0.header_bytes.len() + self.0.body.len() + 80
    }
}

/// The body, where it is clear.
fn control(kind: Kind, body: &[u8]) -> Result<Option<Control>, Misbehaved> {
    if !kind.is_control() {
        return Ok(None);
    }
    match Control::read(body)? {
        control if control.kind() == kind => Ok(Some(control)),
        _ => Err(Misbehaved::CommitControlInvalid),
    }
}

impl PartialEq for Commit {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Commit {}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Header { device, seq, kind, .. } = self.header();
        write!(f, "Commit({:?}: {kind:?} {seq} of {device:?})", self.0.id)
    }
}
