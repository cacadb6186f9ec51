//! A ledger's memory as bytes, so that a device that starts need not read every commit again.
//!
//! The bytes say which commits are control commits, and where every chain ends; the control commits themselves are taken
//! from the shelf. So little is written with each commit, however much was decided before. Judging is done anew, and the
//! signatures of control commits are checked again; the rest is trusted as much as the store that holds it, which seals
//! what it stores.

use seal::DeviceId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::accept::found;
use super::chains::{Chains, Past, Spot};
use super::commit::Commit;
use super::engine::Ledger;
use super::id::CommitId;
use super::plane::{Plane, Ruled};
use super::rules::Rules;
use super::shelf::Shelf;

/// Version of the bytes.
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Saved {
    /// Control commits, those first that others name; the first one begins the ledger.
    ruled: Vec<CommitId>,
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
        let ruled = ruled.into_iter().map(|ruled| ruled.commit.id()).collect();
        let saved = Saved { ruled, chains: self.plane.chains.clone() };
        postcard::to_extend(&saved, vec![VERSION]).expect("a ledger has only types that postcard can write")
    }

    /// Reads what [`Self::to_bytes`] wrote; every commit that was accepted before is on the shelf.
    ///
    /// # Errors
    /// [`BadState`].
    pub fn from_bytes(bytes: &[u8], shelf: &dyn Shelf) -> Result<Self, BadState> {
        Self::from_bytes_with(bytes, shelf, Rules::ALL)
    }

    pub(crate) fn from_bytes_with(bytes: &[u8], shelf: &dyn Shelf, rules: Rules) -> Result<Self, BadState> {
        let body = match bytes {
            [VERSION, body @ ..] => body,
            [version, ..] if *version > VERSION => return Err(BadState::TooNew(*version)),
            _ => return Err(BadState::Damaged),
        };
        let saved: Saved = postcard::from_bytes(body).map_err(|_| BadState::Damaged)?;
        let fetch = |id: &CommitId| shelf.commit(id).filter(|commit| commit.id() == *id).ok_or(BadState::Damaged);
        let genesis = fetch(saved.ruled.first().ok_or(BadState::Damaged)?)?;
        let (mut plane, _) = found(&genesis).map_err(|_| BadState::Damaged)?;
        plane.chains = saved.chains;
        for id in &saved.ruled {
            let ruled = recall(&plane, fetch(id)?, shelf).ok_or(BadState::Damaged)?;
            plane.add(ruled);
        }
        Ok(Self::around(plane, rules))
    }
}

/// A control commit as it was when it was accepted.
fn recall(plane: &Plane, commit: Commit, shelf: &dyn Shelf) -> Option<Ruled> {
    let (id, device) = (commit.id(), commit.device());
    let branch = shelf.stored(&id)?.branch;
    let on = plane.chains.branch(device, branch)?;
    let (member, rank) = (on.member, on.rank);
    let before = before(&commit, device, shelf)?;
    let (depth, above) = plane.standing(commit.header().cap);
    Some(Ruled { commit, branch, before, member, rank, depth, above })
}

/// What a commit had seen: what is stored as seen after it, with its predecessor in its own place.
fn before(commit: &Commit, device: DeviceId, shelf: &dyn Shelf) -> Option<Past> {
    let mut past = shelf.after(&commit.id())?;
    past.0.remove(&device);
    let header = commit.header();
    if header.seq == 0 {
        return Some(past);
    }
    let branch = shelf.stored(&header.previous)?.branch;
    Some(past.with(device, Spot { seq: header.seq - 1, id: header.previous, branch }))
}
