//! The shape of every device's chain: branches, and what lies before each tip.
//!
//! An honest chain has one branch. Where a device signed two commits with one predecessor, another branch begins. Branch
//! numbers are this store's own: they depend on the order of arrival, and nothing that is decided may.

use std::collections::BTreeMap;

use seal::{DeviceId, MemberId};
use serde::{Deserialize, Serialize};

use super::frontier::Frontier;
use super::id::CommitId;

/// A commit of a known device, and the branch that it lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// Its number.
    pub seq: u64,
    /// Which.
    pub id: CommitId,
    /// Its branch here.
    pub branch: u32,
}

/// A frontier whose commits are all stored here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past(pub(super) BTreeMap<DeviceId, Spot>);

impl Past {
    /// The same without branches.
    pub fn frontier(&self) -> Frontier {
        Frontier(self.0.iter().map(|(device, spot)| (*device, (spot.seq, spot.id))).collect())
    }

    pub(super) fn of(&self, device: DeviceId) -> Option<Spot> {
        self.0.get(&device).copied()
    }

    pub(super) fn with(mut self, device: DeviceId, spot: Spot) -> Self {
        self.0.insert(device, spot);
        self
    }
}

/// A branch of a chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Branch {
    /// Where it leaves another one; `None`: it begins the chain.
    pub(super) parent: Option<u32>,
    /// Number of its first commit.
    pub(super) start: u64,
    /// Its first commit.
    pub(super) first: CommitId,
    /// The commit of the parent with that number.
    pub(super) rival: Option<CommitId>,
    /// Its newest commit.
    pub(super) tip: Spot,
    /// Logical time of the tip.
    pub(super) lamport: u64,
    /// What the tip has seen, itself included.
    pub(super) after: Past,
    /// For whom the device speaks, by the chain's first commit.
    pub(super) member: MemberId,
    /// Age among the devices of its member: logical time and id of the chain's first commit.
    pub(super) rank: (u64, CommitId),
}

/// Part of the line that counts in a forked chain: commits `start..=until` of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) branch: u32,
    pub(super) start: u64,
    pub(super) until: u64,
}

/// The chains of all devices.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Chains(pub(super) BTreeMap<DeviceId, Vec<Branch>>);

impl Chains {
    /// The branches of a device; the first is the one that came first.
    pub(super) fn of(&self, device: DeviceId) -> &[Branch] {
        self.0.get(&device).map_or(&[], Vec::as_slice)
    }

    /// One branch.
    pub(super) fn branch(&self, device: DeviceId, number: u32) -> Option<&Branch> {
        self.of(device).get(usize::try_from(number).ok()?)
    }

    /// The branch whose tip is this commit.
    pub(super) fn ending_in(&self, device: DeviceId, tip: CommitId) -> Option<&Branch> {
        self.of(device).iter().find(|branch| branch.tip.id == tip)
    }

    /// The way down from a commit: each branch with the greatest number on it.
    fn way_down(&self, device: DeviceId, branch: u32, seq: u64) -> Vec<(u32, u64)> {
        let mut way = vec![(branch, seq)];
        let mut at = self.branch(device, branch);
        while let Some((parent, start)) = at.and_then(|branch| Some((branch.parent?, branch.start))) {
            way.push((parent, start.saturating_sub(1)));
            at = self.branch(device, parent);
        }
        way
    }

    /// True if `low` is `high` or lies before it in the chain.
    pub(super) fn reaches(&self, device: DeviceId, high: Spot, low: Spot) -> bool {
        if self.of(device).len() == 1 {
            return low.seq <= high.seq;
        }
        let way = self.way_down(device, high.branch, high.seq);
        way.into_iter().any(|(branch, seq)| branch == low.branch && low.seq <= seq)
    }

    /// How many commits from the beginning of `line` lie at or before `spot`.
    pub(super) fn shared(&self, device: DeviceId, spot: Spot, line: &[Segment]) -> u64 {
        let way = self.way_down(device, spot.branch, spot.seq);
        let on = |segment: &Segment| {
            let (_, seq) = way.iter().find(|(branch, _)| *branch == segment.branch)?;
            let last = segment.until.min(*seq);
            (last >= segment.start).then(|| last.saturating_add(1))
        };
        line.iter().filter_map(on).max().unwrap_or(0)
    }

    /// Takes the later one of two commits of a chain; of two branches the first argument's stays.
    pub(super) fn later(&self, device: DeviceId, one: Spot, other: Spot) -> Spot {
        if self.reaches(device, other, one) { other } else { one }
    }

    /// Puts a commit behind `previous` (or at the beginning). Returns its branch.
    pub(super) fn extend(&mut self, device: DeviceId, previous: Option<Spot>, new: NewTip) -> u32 {
        let branches = self.0.entry(device).or_default();
        let number = u32::try_from(branches.len()).unwrap_or(u32::MAX);
        let at = previous.and_then(|spot| branches.iter_mut().position(|branch| branch.tip.id == spot.id));
        let branch = at.map_or(number, |at| u32::try_from(at).unwrap_or(u32::MAX));
        let tip = Spot { seq: new.seq, id: new.id, branch };
        let after = new.before.with(device, tip);
        match at.and_then(|at| branches.get_mut(at)) {
            Some(branch) => (branch.tip, branch.lamport, branch.after) = (tip, new.lamport, after),
            None => branches.push(Branch {
                parent: previous.map(|spot| spot.branch),
                start: new.seq,
                first: new.id,
                rival: new.rival,
                tip,
                lamport: new.lamport,
                after,
                member: new.member,
                rank: new.rank,
            }),
        }
        branch
    }
}

/// A commit that was accepted, as [`Chains::extend`] takes it.
pub(super) struct NewTip {
    pub(super) seq: u64,
    pub(super) id: CommitId,
    pub(super) lamport: u64,
    pub(super) before: Past,
    pub(super) rival: Option<CommitId>,
    pub(super) member: MemberId,
    pub(super) rank: (u64, CommitId),
}
