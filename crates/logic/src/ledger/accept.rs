//! Structural acceptance: whether a commit fits what is known. Decided once, before it is stored.
//!
//! It depends on the commit and its past alone, so all honest devices decide alike. What a commit may do is not asked
//! here: whoever breaks a rule of this file never made an honest commit, whoever lacks a right may have had it.

use seal::pki::{Certificate, verify_root};

use super::chains::{Past, Spot};
use super::commit::Commit;
use super::control::Control;
use super::header::{Header, Kind, Seen};
use super::id::{CommitId, RealmId};
use super::plane::{Plane, Ruled};
use super::shelf::{Shelf, Stored};
use crate::Misbehaved;
use crate::limits::{DELEGATION_DEPTH, REALM_DEPTH};
use seal::{DeviceId, MemberId};

/// Why a commit is not accepted (yet).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Not {
    /// These must come first.
    Yet(Vec<Seen>),
    /// Never.
    Ever(Misbehaved),
}

impl From<Misbehaved> for Not {
    fn from(offence: Misbehaved) -> Self {
        Self::Ever(offence)
    }
}

/// Where an accepted commit stands.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) previous: Option<Spot>,
    pub(super) before: Past,
    pub(super) member: MemberId,
    pub(super) rank: (u64, CommitId),
}

/// Checks a first commit. Its ledger, and its plane, begin with it.
pub(super) fn found(commit: &Commit) -> Result<(Plane, Placed), Misbehaved> {
    let header = commit.header();
    let Some(Control::Genesis { root, entry }) = commit.control() else {
        return Err(Misbehaved::CommitFirstWrong);
    };
    let empty = Past::default();
    let plain = header.ledger.is_zero()
        && header.seq == 0
        && header.previous.is_zero()
        && header.seen.is_empty()
        && header.frontier == empty.frontier().hash()
        && header.lamport == 1
        && header.cap.is_zero()
        && header.realm == RealmId::ROOT
        && header.epoch.is_zero();
    if !plain {
        return Err(Misbehaved::CommitFirstWrong);
    }
    let root = Certificate::from_der(root.to_vec()).map_err(|_| Misbehaved::DeviceUncertified)?;
    verify_root(&root, root.facts().not_before).map_err(|_| Misbehaved::DeviceUncertified)?;
    let member = entry.owner(header.device, &root)?;
    let placed = Placed { previous: None, before: empty, member, rank: (header.lamport, commit.id()) };
    Ok((Plane::new(commit.id(), root, member), placed))
}

impl Plane {
    /// Checks any other commit.
    pub(super) fn place(&self, commit: &Commit, shelf: &dyn Shelf) -> Result<Placed, Not> {
        let header = commit.header();
        if header.ledger != self.genesis || header.kind == Kind::Genesis {
            return Err(Misbehaved::CommitForeign.into());
        }
        let first = header.seq == 0;
        if first != (header.kind == Kind::Enter) || first != header.previous.is_zero() {
            return Err(Misbehaved::CommitFirstWrong.into());
        }
        let (previous, seen) = self.named(header, shelf)?;
        let before = self.before(header, previous.as_ref(), &seen, shelf)?;
        let lamports = previous.iter().chain(&seen).map(|stored| stored.header.lamport);
        if lamports.max().and_then(|latest| latest.checked_add(1)) != Some(header.lamport) {
            return Err(Misbehaved::CommitLamportWrong.into());
        }
        let previous = previous.map(|stored| spot(header.previous, &stored));
        let (member, rank) = self.speaker(commit, previous, &before)?;
        let placed = Placed { previous, before, member, rank };
        self.check_words(commit, &placed)?;
        Ok(placed)
    }

    /// What the header names, if it is all there.
    fn named(&self, header: &Header, shelf: &dyn Shelf) -> Result<(Option<Stored>, Vec<Stored>), Not> {
        let sorted = header.seen.is_sorted_by(|one, next| one.device < next.device);
        if !sorted || header.seen.iter().any(|seen| seen.device == header.device) {
            return Err(Misbehaved::CommitSeenWrong.into());
        }
        let mut missing = Vec::new();
        let mut look = |seen: &Seen| {
            let stored = shelf.stored(&seen.id);
            if stored.is_none() {
                missing.push(*seen);
            }
            stored
        };
        let before_it = header.seq.checked_sub(1);
        let previous = before_it.and_then(|seq| look(&Seen { device: header.device, seq, id: header.previous }));
        let seen: Vec<_> = header.seen.iter().filter_map(&mut look).collect();
        if !missing.is_empty() {
            return Err(Not::Yet(missing));
        }
        let is = |stored: &Stored, device, seq| stored.header.device == device && stored.header.seq == seq;
        if !previous.iter().all(|stored| is(stored, header.device, header.seq - 1)) {
            return Err(Misbehaved::CommitPreviousWrong.into());
        }
        if !seen.iter().zip(&header.seen).all(|(stored, named)| is(stored, named.device, named.seq)) {
            return Err(Misbehaved::CommitSeenWrong.into());
        }
        Ok((previous, seen))
    }

    /// The commit's past: that of the one before it, and what it has seen since. Nothing may be seen twice, and whoever
    /// has seen a commit has seen what that commit had seen, unless that is another branch of a forked chain.
    fn before(
        &self,
        header: &Header,
        previous: Option<&Stored>,
        seen: &[Stored],
        shelf: &dyn Shelf,
    ) -> Result<Past, Misbehaved> {
        let mut before = match previous {
            Some(stored) => self.after(header.device, header.previous, stored.branch, shelf)?,
            None => Past::default(),
        };
        for (named, stored) in header.seen.iter().zip(seen) {
            let new = spot(named.id, stored);
            let old = before.of(named.device);
            if old.is_some_and(|old| self.chains.reaches(named.device, old, new)) {
                return Err(Misbehaved::CommitSeenWrong);
            }
            before.0.insert(named.device, new);
        }
        for (named, stored) in header.seen.iter().zip(seen) {
            let theirs = self.after(named.device, named.id, stored.branch, shelf)?;
            if !theirs.0.iter().all(|(device, spot)| self.has(&before, *device, *spot, header.device)) {
                return Err(Misbehaved::CommitFrontierWrong);
            }
        }
        if before.frontier().hash() != header.frontier {
            return Err(Misbehaved::CommitFrontierWrong);
        }
        Ok(before)
    }

    /// False if `past` stops short of `spot`.
    fn has(&self, past: &Past, device: DeviceId, spot: Spot, own: DeviceId) -> bool {
        match past.of(device) {
            Some(mine) => mine.id == spot.id || !self.chains.reaches(device, spot, mine),
            // Others have seen a chain of this device that it begins anew: a fork, and evidence.
            None => device == own,
        }
    }

    /// What a stored commit has seen, itself included: known for tips, stored for some, else replayed from there.
    pub(super) fn after(
        &self,
        device: DeviceId,
        id: CommitId,
        branch: u32,
        shelf: &dyn Shelf,
    ) -> Result<Past, Misbehaved> {
        let (mut way, mut at) = (Vec::new(), (id, branch));
        let mut past = loop {
            if let Some(tip) = self.chains.branch(device, at.1).filter(|branch| branch.tip.id == at.0) {
                break tip.after.clone();
            }
            if let Some(past) = shelf.after(&at.0) {
                break past;
            }
            // Stored commits have stored predecessors: a gap here is a damaged store, and nothing is accepted on it.
            let stored = shelf.stored(&at.0).ok_or(Misbehaved::CommitPreviousWrong)?;
            let previous = stored.header.previous;
            way.push((at.0, stored));
            match shelf.stored(&previous) {
                Some(before) => at = (previous, before.branch),
                None => break Past::default(),
            }
        };
        for (id, stored) in way.into_iter().rev() {
            for seen in &stored.header.seen {
                let branch = shelf.stored(&seen.id).map_or(0, |seen| seen.branch);
                past.0.insert(seen.device, Spot { seq: seen.seq, id: seen.id, branch });
            }
            past.0.insert(device, spot(id, &stored));
        }
        Ok(past)
    }

    /// For whom the device speaks on this branch, and how old it is.
    fn speaker(
        &self,
        commit: &Commit,
        previous: Option<Spot>,
        before: &Past,
    ) -> Result<(MemberId, (u64, CommitId)), Misbehaved> {
        let device = commit.device();
        if let Some(branch) = previous.and_then(|spot| self.chains.branch(device, spot.branch)) {
            return Ok((branch.member, branch.rank));
        }
        let Some(Control::Enter(entry)) = commit.control() else {
            return Err(Misbehaved::CommitFirstWrong);
        };
        let genesis = self.ruled.get(&self.genesis).expect("a plane begins with its first commit");
        if !self.is_in(genesis, before) {
            return Err(Misbehaved::CommitFirstWrong);
        }
        Ok((entry.owner(device, &self.root)?, (commit.header().lamport, commit.id())))
    }

    /// Realm, epoch and cap: each must be what it is named as, and lie in the past.
    fn check_words(&self, commit: &Commit, placed: &Placed) -> Result<(), Misbehaved> {
        let header = commit.header();
        let known = |id: &CommitId| self.ruled.get(id).filter(|ruled| self.is_in(ruled, &placed.before));
        if header.realm != RealmId::ROOT {
            let by = self.realms.get(header.realm).and_then(|facts| known(&facts.by));
            by.ok_or(Misbehaved::CommitRealmUnknown)?;
        }
        if header.kind == Kind::Realm && self.realms.depth(header.realm) >= REALM_DEPTH {
            return Err(Misbehaved::CommitRealmUnknown);
        }
        let epoch_fits = match header.kind {
            Kind::Data => known(&header.epoch)
                .is_some_and(|ruled| ruled.header().kind == Kind::Rekey && ruled.header().realm == header.realm),
            _ => header.epoch.is_zero(),
        };
        if !epoch_fits {
            return Err(Misbehaved::CommitEpochInvalid);
        }
        let care = matches!(commit.control(), Some(Control::Revoke { target: super::Target::OwnDevice(_), .. }));
        let cap_fits = if header.kind == Kind::Enter || care {
            header.cap.is_zero() && header.realm == RealmId::ROOT
        } else if header.cap.is_zero() {
            placed.member == self.founder
        } else {
            let grant = known(&header.cap).filter(|ruled| ruled.depth < DELEGATION_DEPTH);
            grant.and_then(Ruled::grant).is_some_and(|(member, _)| member == placed.member)
        };
        if cap_fits { Ok(()) } else { Err(Misbehaved::CommitCapInvalid) }
    }
}

/// A stored commit as an entry of a past.
fn spot(id: CommitId, stored: &Stored) -> Spot {
    Spot { seq: stored.header.seq, id, branch: stored.branch }
}
