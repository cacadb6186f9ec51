//! What must hold of any set of commits, asked in another way than the engine does: with whole pasts as sets.

use std::collections::{BTreeMap, BTreeSet};

use seal::{DeviceId, MemberId};

use super::world::{Node, people};
use crate::ledger::*;

/// A history with everything that the questions need.
pub(crate) struct Case<'a> {
    commits: &'a BTreeMap<CommitId, Commit>,
    worth: BTreeMap<CommitId, Verdict>,
    members: BTreeMap<DeviceId, MemberId>,
    founder: MemberId,
    pasts: BTreeMap<CommitId, BTreeSet<CommitId>>,
    forks: BTreeMap<DeviceId, u64>,
}

macro_rules! hold {
    ($condition:expr, $($words:tt)*) => {
        if !$condition { return Err(format!($($words)*)); }
    };
}

impl<'a> Case<'a> {
    pub(super) fn new(commits: &'a BTreeMap<CommitId, Commit>, node: &Node) -> Self {
        let members = people().keys.iter().enumerate().map(|(at, key)| (key.id(), people().members[at / 2]));
        Self::of(commits, node.said.clone(), members.collect(), people().members[0])
    }

    /// Of all commits, what somebody said of each, whose the devices are, and who founded the ledger.
    pub(crate) fn of(
        commits: &'a BTreeMap<CommitId, Commit>,
        worth: BTreeMap<CommitId, Verdict>,
        members: BTreeMap<DeviceId, MemberId>,
        founder: MemberId,
    ) -> Self {
        let mut order: Vec<_> = commits.values().collect();
        order.sort_by_key(|commit| commit.header().lamport);
        let mut pasts: BTreeMap<CommitId, BTreeSet<CommitId>> = BTreeMap::new();
        let mut places: BTreeMap<(DeviceId, u64), usize> = BTreeMap::new();
        for commit in order {
            let header = commit.header();
            *places.entry((header.device, header.seq)).or_default() += 1;
            let named = header.seen.iter().map(|seen| seen.id).chain([header.previous]);
            let named: Vec<_> = named.filter(|id| !id.is_zero()).collect();
            let past = named.iter().flat_map(|id| pasts[id].iter().copied().chain([*id])).collect();
            pasts.insert(commit.id(), past);
        }
        let mut forks: BTreeMap<DeviceId, u64> = BTreeMap::new();
        for ((device, seq), _) in places.into_iter().filter(|(_, count)| *count > 1) {
            forks.entry(device).or_insert(seq);
        }
        Self { commits, worth, members, founder, pasts, forks }
    }

    fn counts(&self, id: &CommitId) -> bool {
        self.worth.get(id) == Some(&Verdict::Effective)
    }

    fn effective(&self) -> impl Iterator<Item = &'a Commit> {
        self.commits.values().filter(|commit| self.counts(&commit.id()))
    }

    fn knew(&self, later: &Commit, earlier: &Commit) -> bool {
        self.pasts[&later.id()].contains(&earlier.id())
    }

    fn member(&self, commit: &Commit) -> MemberId {
        self.members[&commit.device()]
    }

    /// The grants from a commit to the founding member, nearest first.
    fn caps(&self, commit: &Commit) -> Vec<&'a Commit> {
        let cap = |commit: &Commit| self.commits.get(&commit.header().cap);
        std::iter::successors(cap(commit), |grant| cap(grant)).collect()
    }

    /// The realm and those around it, with whether each inherits.
    fn realms(&self, realm: RealmId) -> Vec<(RealmId, bool)> {
        let by = |realm: RealmId| {
            self.commits
                .values()
                .find(|commit| commit.header().kind == Kind::Realm && RealmId::made_by(commit.id()) == realm)
        };
        let inherits =
            |realm: RealmId| matches!(by(realm).and_then(Commit::control), Some(Control::Realm { inherit: true, .. }));
        let next =
            |at: &(RealmId, bool)| by(at.0).map(|commit| (commit.header().realm, inherits(commit.header().realm)));
        std::iter::successors(Some((realm, inherits(realm))), next).collect()
    }

    fn role(&self, commit: &Commit) -> SpaceRole {
        match self.commits.get(&commit.header().cap).and_then(Commit::control) {
            Some(Control::Grant { role, .. }) => *role,
            _ => SpaceRole::Owner,
        }
    }

    fn is_care(commit: &Commit) -> bool {
        matches!(commit.control(), Some(Control::Revoke { target: Target::OwnDevice(_), .. }))
    }

    /// All questions. An answer is a violation.
    pub(crate) fn check(&self) -> Result<(), String> {
        for commit in self.commits.values() {
            hold!(self.worth.contains_key(&commit.id()), "nothing was said about {commit:?}");
        }
        self.check_rights()?;
        self.check_forks()?;
        self.check_revocations()?;
        self.check_reasons()
    }

    /// I3: rights lead to the founding member, through grants that count, on the right realm, with the right role.
    fn check_rights(&self) -> Result<(), String> {
        for commit in self.effective() {
            let kind = commit.header().kind;
            if matches!(kind, Kind::Genesis | Kind::Enter) || Self::is_care(commit) {
                continue;
            }
            let needed = if kind == Kind::Data { SpaceRole::Editor } else { SpaceRole::Owner };
            hold!(self.role(commit) >= needed, "{commit:?} counts with the role {:?}", self.role(commit));
            let mut holder = commit;
            let mut members = BTreeSet::from([self.member(commit)]);
            for grant in self.caps(commit) {
                hold!(self.counts(&grant.id()), "{commit:?} counts though {grant:?} above it does not");
                hold!(self.knew(holder, grant), "{holder:?} acts under what it did not know");
                let Some(Control::Grant { member, .. }) = grant.control() else {
                    return Err(format!("{holder:?} acts under no grant"));
                };
                hold!(*member == self.member(holder), "{holder:?} acts under somebody else's grant");
                hold!(members.insert(self.member(grant)), "{commit:?} counts by rights that lead in a circle");
                hold!(self.covers(grant, holder), "{holder:?} counts on a realm that its grant is not for");
                holder = grant;
            }
            if let Some(Control::Grant { member, .. }) = commit.control() {
                hold!(!members.contains(member), "{commit:?} grants something to a member above it");
            }
            hold!(self.member(holder) == self.founder, "{commit:?} counts without the founding member");
            hold!(kind != Kind::Resolve || self.member(commit) == self.founder, "{commit:?} is not its to settle");
        }
        Ok(())
    }

    fn covers(&self, grant: &Commit, commit: &Commit) -> bool {
        let way = self.realms(commit.header().realm);
        let Some(at) = way.iter().position(|(realm, _)| *realm == grant.header().realm) else { return false };
        let Some(Control::Grant { role, .. }) = grant.control() else { return false };
        *role == SpaceRole::Owner || way[..at].iter().all(|(_, inherits)| *inherits)
    }

    /// I4: of one chain one line counts, and nothing behind a fork that nobody settled.
    fn check_forks(&self) -> Result<(), String> {
        let mut newest: BTreeMap<DeviceId, &Commit> = BTreeMap::new();
        let mut order: Vec<_> = self.effective().collect();
        order.sort_by_key(|commit| commit.header().seq);
        for commit in order {
            if let Some(before) = newest.insert(commit.device(), commit) {
                hold!(self.knew(commit, before), "{before:?} and {commit:?} both count");
            }
        }
        for (device, fork) in &self.forks {
            let settles = |commit: &Commit| match commit.control() {
                Some(Control::Resolve { device: about, .. }) => about == device,
                Some(Control::Revoke { target: Target::Device(about), .. }) => about == device,
                Some(Control::Revoke { target: Target::Member(about), .. }) => {
                    self.commits.values().any(|commit| commit.device() == *device && self.member(commit) == *about)
                }
                _ => false,
            };
            let settled = self.effective().any(|commit| settles(commit) && self.member(commit) == self.founder);
            let behind = |commit: &&Commit| commit.device() == *device && commit.header().seq >= *fork;
            hold!(settled || !self.effective().any(|commit| behind(&commit)), "{device:?} counts behind its fork");
        }
        Ok(())
    }

    /// Whether whoever revoked stands above whoever wrote, and meant it. `None`: it is another question.
    fn is_voided_by(&self, commit: &Commit, revoke: &Commit) -> bool {
        let Some(Control::Revoke { target, .. }) = revoke.control() else { return false };
        if matches!(commit.header().kind, Kind::Genesis | Kind::Enter) || Self::is_care(commit) {
            return false;
        }
        let (author, by) = (self.member(commit), self.member(revoke));
        let named = match target {
            Target::OwnDevice(device) => return *device == commit.device() && by == author,
            Target::Device(device) => *device == commit.device(),
            Target::Member(member) => *member == author,
        };
        let inside = self.realms(commit.header().realm).iter().any(|(realm, _)| *realm == revoke.header().realm);
        let back = matches!(target, Target::Member(_))
            && self.commits.get(&commit.header().cap).is_some_and(|grant| self.knew(grant, revoke));
        let granters: BTreeSet<_> = self.caps(commit).into_iter().map(|grant| self.member(grant)).collect();
        let above = granters.contains(&by) && self.caps(revoke).len() < self.caps(commit).len();
        named && by != author && inside && !back && (above || self.role(commit) < SpaceRole::Owner)
    }

    /// What somebody above revoked and had not seen does not count; and nothing else is voided by a revocation.
    fn check_revocations(&self) -> Result<(), String> {
        let revokes: Vec<_> = self.effective().filter(|commit| commit.header().kind == Kind::Revoke).collect();
        for commit in self.commits.values() {
            let void = |revoke: &&&Commit| self.is_voided_by(commit, revoke) && !self.knew(revoke, commit);
            let by = revokes.iter().find(void);
            if let (true, Some(by)) = (self.counts(&commit.id()), by) {
                return Err(format!("{commit:?} counts in spite of {by:?}"));
            }
            let Some(Verdict::Void(Why::Revoked(said))) = self.worth.get(&commit.id()) else { continue };
            let revoke = &self.commits[said];
            hold!(self.counts(said), "{commit:?} is void by {revoke:?}, which does not count");
            if Self::is_care(commit) {
                let rank = |commit: &Commit| self.rank(commit.device());
                let by_elder = self.member(revoke) == self.member(commit) && rank(revoke) < rank(commit);
                let by_founder = self.member(revoke) == self.founder;
                hold!(by_elder || by_founder, "{commit:?} is void by {revoke:?}, which is not older");
            } else {
                hold!(self.is_voided_by(commit, revoke), "{commit:?} is void by {revoke:?}, which is not above it");
            }
            let forked = self.forks.contains_key(&commit.device());
            hold!(forked || !self.knew(revoke, commit), "{commit:?} is void though {revoke:?} had seen it");
        }
        Ok(())
    }

    /// Age of a device.
    fn rank(&self, device: DeviceId) -> (u64, CommitId) {
        let first = self.commits.values().filter(|commit| commit.device() == device && commit.header().seq == 0);
        first.map(|commit| (commit.header().lamport, commit.id())).min().unwrap()
    }

    /// Nothing is void without a reason.
    fn check_reasons(&self) -> Result<(), String> {
        for commit in self.commits.values() {
            let Some(Verdict::Void(why)) = self.worth.get(&commit.id()) else { continue };
            let (header, cap) = (commit.header(), self.commits.get(&commit.header().cap));
            let owner = header.kind == Kind::Data && self.role(commit) >= SpaceRole::Editor
                || self.role(commit) == SpaceRole::Owner;
            let just = match why {
                Why::Forked => self.forks.get(&commit.device()).is_some_and(|fork| header.seq >= *fork),
                Why::CapVoid => cap.is_some_and(|grant| !self.counts(&grant.id())),
                Why::RoleTooLow => !owner,
                Why::OutsideRealm => cap.is_some_and(|grant| !self.covers(grant, commit)),
                Why::Revoked(_) => true,
                Why::Circular => header.kind == Kind::Grant,
                Why::NotFounder => header.kind == Kind::Resolve && self.member(commit) != self.founder,
            };
            hold!(just, "{commit:?} is void without reason: {why:?}");
        }
        Ok(())
    }
}
