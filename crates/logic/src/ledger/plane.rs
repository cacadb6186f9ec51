//! The control plane: every control commit that was accepted, whole and in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use seal::pki::Certificate;
use seal::{DeviceId, MemberId};

use super::chains::{Chains, Past, Spot};
use super::commit::Commit;
use super::control::{Control, SpaceRole, Target};
use super::header::Header;
use super::id::CommitId;
use super::realms::Realms;

/// A control commit with what follows from its past alone.
#[derive(Debug, Clone)]
pub(super) struct Ruled {
    pub(super) commit: Commit,
    pub(super) branch: u32,
    /// Everything before it.
    pub(super) before: Past,
    /// For whom its device speaks.
    pub(super) member: MemberId,
    /// Age of its device among those of the member.
    pub(super) rank: (u64, CommitId),
    /// Grants between the founding member and this commit.
    pub(super) depth: usize,
    /// The members who made those grants.
    pub(super) above: BTreeSet<MemberId>,
}

impl Ruled {
    pub(super) fn header(&self) -> &Header {
        self.commit.header()
    }

    pub(super) fn control(&self) -> &Control {
        self.commit.control().expect("only control commits are ruled")
    }

    pub(super) fn spot(&self) -> Spot {
        Spot { seq: self.header().seq, id: self.commit.id(), branch: self.branch }
    }

    /// Member and role, if it is a grant.
    pub(super) fn grant(&self) -> Option<(MemberId, SpaceRole)> {
        match self.control() {
            Control::Grant { member, role } => Some((*member, *role)),
            _ => None,
        }
    }

    /// Whom it revokes, if it is a revocation.
    pub(super) fn target(&self) -> Option<Target> {
        match self.control() {
            Control::Revoke { target, .. } => Some(*target),
            _ => None,
        }
    }

    /// True where a member looks after its own devices: it needs no grant.
    pub(super) fn is_care(&self) -> bool {
        matches!(self.control(), Control::Revoke { target: Target::OwnDevice(_), .. })
    }
}

/// All control commits and the shape of all chains.
#[derive(Debug, Clone)]
pub(super) struct Plane {
    pub(super) genesis: CommitId,
    pub(super) root: Certificate,
    pub(super) founder: MemberId,
    pub(super) ruled: BTreeMap<CommitId, Ruled>,
    pub(super) realms: Arc<Realms>,
    pub(super) chains: Chains,
    /// Revocations by whom they are about.
    pub(super) revokes: BTreeMap<Target, BTreeSet<CommitId>>,
}

impl Plane {
    /// A plane that holds nothing yet.
    pub(super) fn new(genesis: CommitId, root: Certificate, founder: MemberId) -> Self {
        let (ruled, realms, chains, revokes) = Default::default();
        Self { genesis, root, founder, ruled, realms, chains, revokes }
    }

    /// Depth and granters of whoever acts under a cap.
    pub(super) fn standing(&self, cap: CommitId) -> (usize, BTreeSet<MemberId>) {
        let Some(grant) = self.ruled.get(&cap) else {
            return (0, BTreeSet::new());
        };
        let mut above = grant.above.clone();
        above.insert(grant.member);
        (grant.depth + 1, above)
    }

    /// True if that control commit lies in a past.
    pub(super) fn is_in(&self, ruled: &Ruled, past: &Past) -> bool {
        let device = ruled.commit.device();
        past.of(device).is_some_and(|newest| self.chains.reaches(device, newest, ruled.spot()))
    }

    /// Takes in an accepted control commit.
    pub(super) fn add(&mut self, ruled: Ruled) {
        let id = ruled.commit.id();
        match ruled.control() {
            Control::Realm { inherit, file } => {
                Arc::make_mut(&mut self.realms).add(id, ruled.header().realm, *inherit, *file);
            }
            Control::Revoke { target, .. } => {
                self.revokes.entry(*target).or_default().insert(id);
            }
            _ => {}
        }
        self.ruled.insert(id, ruled);
    }

    /// The revocations that may be about a member's device, by id.
    pub(super) fn revokes_of(&self, member: MemberId, device: DeviceId) -> impl Iterator<Item = &Ruled> {
        let targets = [Target::Member(member), Target::Device(device), Target::OwnDevice(device)];
        let ids: BTreeSet<_> = targets.iter().filter_map(|target| self.revokes.get(target)).flatten().collect();
        ids.into_iter().filter_map(|id| self.ruled.get(id))
    }

    /// Devices that speak, or on some branch spoke, for a member.
    pub(super) fn devices_of(&self, member: MemberId) -> impl Iterator<Item = DeviceId> {
        let speaks = move |branches: &Vec<super::chains::Branch>| branches.iter().any(|branch| branch.member == member);
        self.chains.0.iter().filter(move |(_, branches)| speaks(branches)).map(|(device, _)| *device)
    }
}
