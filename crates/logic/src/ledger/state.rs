//! A ledger's memory as bytes, so that a device that starts need not read every commit again.
//!
//! Judging is done anew, and the signatures of control commits are checked again; the rest is trusted as much as the
//! store that holds it, which seals what it stores.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use thiserror::Error;

use super::accept::found;
use super::chains::{Chains, Past};
use super::commit::Commit;
use super::engine::Ledger;
use super::plane::Ruled;

/// Version of the bytes.
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Saved {
    /// Control commits with branch and past, those first that others name.
    ruled: Vec<(ByteBuf, u32, Past)>,
    chains: Chains,
}

/// Stored bytes that are no ledger of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadState {
    /// Written by a newer version of the program.
    #[error("the ledger was written by a newer version (format {0})")]
    TooNew(u8),
    /// Not a ledger.
    #[error("the stored ledger is damaged")]
    Damaged,
}

impl Ledger {
    /// The bytes to store, in one transaction with the commits that were accepted. Waiting commits are left out.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut ruled: Vec<_> = self.plane.ruled.values().collect();
        ruled.sort_by_key(|ruled| (ruled.header().lamport, ruled.commit.id()));
        let save = |ruled: &Ruled| (ByteBuf::from(ruled.commit.to_bytes()), ruled.branch, ruled.before.clone());
        let saved = Saved { ruled: ruled.into_iter().map(save).collect(), chains: self.plane.chains.clone() };
        postcard::to_extend(&saved, vec![VERSION]).expect("a ledger has only types that postcard can write")
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`BadState`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let body = match bytes {
            [VERSION, body @ ..] => body,
            [version, ..] if *version > VERSION => return Err(BadState::TooNew(*version)),
            _ => return Err(BadState::Damaged),
        };
        let saved: Saved = postcard::from_bytes(body).map_err(|_| BadState::Damaged)?;
        let (first, _, _) = saved.ruled.first().ok_or(BadState::Damaged)?;
        let genesis = Commit::read(first).map_err(|_| BadState::Damaged)?;
        let (mut plane, _) = found(&genesis).map_err(|_| BadState::Damaged)?;
        plane.chains = saved.chains;
        for (bytes, branch, before) in saved.ruled {
            let commit = Commit::read(&bytes).map_err(|_| BadState::Damaged)?;
            let on = plane.chains.branch(commit.device(), branch).ok_or(BadState::Damaged)?;
            let (member, rank) = (on.member, on.rank);
            let (depth, above) = plane.standing(commit.header().cap);
            plane.add(Ruled { commit, branch, before, member, rank, depth, above });
        }
        Ok(Self::around(plane))
    }
}
