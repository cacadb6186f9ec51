//! What proves, or makes it likely, that a device cheats: kept in the file of the space, by what it is about, so that the
//! same thing is kept once.

use logic::ledger::evidence::Signed;
use logic::ledger::{Equivocation, Frontier, HeadStatement, Shelf};
use seal::{DeviceId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::spaces::{Space, SpaceFault};

/// Under which kind of value it is stored.
const EVIDENCE: &str = "evidence";
/// Separates names of evidence from every other hash.
const CONTEXT: &str = "warren 2026-11 evidence v1";
/// Pieces that are kept of one space: one device can make any number.
const MOST: usize = 1000;

/// What it is, with what somebody else can check it by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Two records that no honest device signs both: proof to anybody.
    Proof(Signed),
    /// A device shows less than it signed. What it shows is not signed: this device's word.
    Withheld {
        /// The statement.
        signed: ByteBuf,
        /// What it shows.
        shown: Frontier,
    },
}

impl Kind {
    pub(super) fn withheld(signed: &HeadStatement, shown: &Frontier) -> Self {
        Self::Withheld { signed: ByteBuf::from(signed.as_bytes()), shown: shown.clone() }
    }

    /// `fork`, `rollback` or `withheld`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Proof(Signed::Fork { .. }) => "fork",
            Self::Proof(Signed::Rollback { .. }) => "rollback",
            Self::Withheld { .. } => "withheld",
        }
    }

    /// True if it is what it says it is about `device`, by signatures alone.
    pub(crate) fn proves(&self, device: DeviceId) -> bool {
        matches!(self, Self::Proof(signed) if signed.proves_against(device))
    }

    /// What makes two pieces the same: for what is no proof, whose it is.
    fn name_of(&self, device: DeviceId) -> [u8; 16] {
        let bytes = match self {
            Self::Withheld { .. } => device.as_bytes().to_vec(),
            _ => postcard::to_stdvec(self).unwrap_or_default(),
        };
        let hash = blake3::derive_key(CONTEXT, &[self.name().as_bytes(), &bytes].concat());
        *hash.first_chunk().expect("a hash has 32 bytes")
    }
}

/// A piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Evidence {
    /// What it is.
    pub kind: Kind,
    /// Against whom.
    pub device: DeviceId,
    /// When it was found, by this device's clock.
    pub found: Timestamp,
}

#[derive(Serialize, Deserialize)]
enum Saved {
    V1(Evidence),
}

/// Keeps a piece. False: it was here, or there are too many.
pub(super) fn keep(space: &Space, kind: Kind, device: DeviceId, found: Timestamp) -> Result<bool, SpaceFault> {
    let name = kind.name_of(device);
    let saved = Saved::V1(Evidence { kind, device, found });
    let bytes = postcard::to_stdvec(&saved).expect("evidence has only types that postcard can write");
    space.jot(|store| {
        if store.value(EVIDENCE, &name)?.is_some() || store.values(EVIDENCE)?.len() >= MOST {
            return Ok(false);
        }
        store.set_value(EVIDENCE, &name, &bytes)?;
        Ok(true)
    })
}

/// Keeps what a fork proves.
pub(in crate::spaces) fn keep_fork(space: &Space, fork: &Equivocation, found: Timestamp) -> Result<bool, SpaceFault> {
    let commit =
        |id| space.look(|_, store| Ok(Shelf::commit(store, &id).map(|commit| ByteBuf::from(commit.to_bytes()))));
    match (commit(fork.one)?, commit(fork.other)?) {
        (Some(one), Some(other)) => keep(space, Kind::Proof(Signed::Fork { one, other }), fork.device, found),
        _ => Ok(false),
    }
}

/// All that is kept of a space, by name.
pub(crate) fn all(space: &Space) -> Result<Vec<([u8; 16], Evidence)>, SpaceFault> {
    let read = |(name, bytes): (Vec<u8>, Vec<u8>)| {
        let Ok(Saved::V1(evidence)) = postcard::from_bytes(&bytes) else { return None };
        Some((name.try_into().ok()?, evidence))
    };
    Ok(space.peek(|store| Ok(store.values(EVIDENCE)?))?.into_iter().filter_map(read).collect())
}
