//! Judging: what every control commit is worth. A pure function of the set of control commits.
//!
//! A commit counts if it lies on the line of its device that counts, if the grant that it acts under counts and allows
//! it, and if no revocation that counts voids it. These questions lead from commit to commit, and always downwards:
//!
//! 1. care (a member revokes its own device) of the founding member, by age of the revoking device;
//! 2. what the founding member does, forks being settled by it alone;
//! 3. care of other members, by age of the revoking device;
//! 4. what members do by one grant, by two, ...: only whoever acts by fewer grants voids;
//! 5. what editors do, on which nothing else depends.
//!
//! So there is always an answer, and two owners who revoke each other both stay (security: the duel cannot be put into
//! words). [`Judge::verdict`] marks what it works on; meeting a mark means that the rules are not sound.

use std::collections::{BTreeMap, BTreeSet};

use seal::{DeviceId, MemberId};

use super::chains::Segment;
use super::control::{Control, SpaceRole, Target};
use super::header::Kind;
use super::id::{CommitId, RealmId};
use super::judgement::{Judgement, Verdict, Why};
use super::plane::{Plane, Ruled};
use super::rules::Rules;

/// Whoever acts, as far as revocations ask.
pub(super) struct Act<'a> {
    pub(super) device: DeviceId,
    pub(super) member: MemberId,
    pub(super) rank: (u64, CommitId),
    /// `None`: a member looks after its own devices.
    pub(super) under: Option<Under<'a>>,
}

/// What somebody acts under.
pub(super) struct Under<'a> {
    pub(super) cap: CommitId,
    pub(super) role: SpaceRole,
    pub(super) depth: usize,
    pub(super) above: &'a BTreeSet<MemberId>,
}

enum Mark {
    Open,
    Done(Verdict),
}

pub(super) struct Judge<'a> {
    pub(super) plane: &'a Plane,
    pub(super) rules: Rules,
    marks: BTreeMap<CommitId, Mark>,
    lines: BTreeMap<DeviceId, Vec<Segment>>,
}

/// Judges everything.
pub(super) fn judge(plane: &Plane, rules: Rules) -> Judgement {
    let mut judge = Judge { plane, rules, marks: BTreeMap::new(), lines: BTreeMap::new() };
    // From the bottom upwards, so that the way down is always short.
    let mut order: Vec<_> = plane.ruled.values().collect();
    order.sort_by_key(|ruled| judge.level(ruled));
    let control = order.into_iter().map(|ruled| (ruled.commit.id(), judge.verdict(ruled))).collect();
    let forked = plane.chains.0.iter().filter(|(_, branches)| branches.len() > 1);
    let lines = forked.map(|(device, _)| (*device, judge.line(*device))).collect();
    Judgement::new(plane, rules, control, lines)
}

impl Judge<'_> {
    /// Where a commit stands in the order of the module's header.
    fn level(&self, ruled: &Ruled) -> (usize, (u64, CommitId)) {
        let founders = ruled.member == self.plane.founder;
        match (ruled.is_care(), founders) {
            (true, true) => (0, ruled.rank),
            (true, false) => (2, ruled.rank),
            (false, true) => (1 + 2 * ruled.depth, (0, CommitId::ZERO)),
            (false, false) => (2 + 2 * ruled.depth, (1, CommitId::ZERO)),
        }
    }

    /// What a control commit is worth.
    fn verdict(&mut self, ruled: &Ruled) -> Verdict {
        let id = ruled.commit.id();
        match self.marks.get(&id) {
            Some(Mark::Done(verdict)) => return *verdict,
            Some(Mark::Open) => {
                debug_assert!(false, "the rules lead in a circle at {:?}", ruled.commit);
                return Verdict::Void(Why::Circular);
            }
            None => {}
        }
        self.marks.insert(id, Mark::Open);
        let verdict = self.weigh(ruled).map_or_else(Verdict::Void, |()| Verdict::Effective);
        self.marks.insert(id, Mark::Done(verdict));
        verdict
    }

    fn counts(&mut self, ruled: &Ruled) -> bool {
        self.verdict(ruled) == Verdict::Effective
    }

    fn weigh(&mut self, ruled: &Ruled) -> Result<(), Why> {
        let (device, header) = (ruled.commit.device(), ruled.header());
        if self.plane.chains.of(device).len() > 1 {
            let line = self.line(device);
            let on = |part: &Segment| part.branch == ruled.branch && (part.start..=part.until).contains(&header.seq);
            if !line.iter().any(on) {
                return Err(Why::Forked);
            }
        }
        match header.kind {
            Kind::Genesis | Kind::Enter => return Ok(()),
            _ if ruled.is_care() => return self.check_revokes(ruled, None),
            _ => {}
        }
        let (role, granted) = self.cap(ruled)?;
        if self.rules.role && role < SpaceRole::Owner {
            return Err(Why::RoleTooLow);
        }
        if self.rules.realm && !self.plane.realms.counts(role, granted, header.realm, self.rules.inherit) {
            return Err(Why::OutsideRealm);
        }
        match ruled.control() {
            Control::Grant { member, .. }
                if self.rules.circle && (*member == ruled.member || ruled.above.contains(member)) =>
            {
                return Err(Why::Circular);
            }
            Control::Resolve { .. } if self.rules.founder && (ruled.member, ruled.depth) != (self.plane.founder, 0) => {
                return Err(Why::NotFounder);
            }
            _ => {}
        }
        self.check_revokes(ruled, Some(role))
    }

    /// Role and realm of what a commit acts under.
    fn cap(&mut self, ruled: &Ruled) -> Result<(SpaceRole, RealmId), Why> {
        let plane = self.plane;
        let Some(grant) = plane.ruled.get(&ruled.header().cap) else {
            return Ok((SpaceRole::Owner, RealmId::ROOT));
        };
        if self.rules.cap && !self.counts(grant) {
            return Err(Why::CapVoid);
        }
        let (_, role) = grant.grant().ok_or(Why::CapVoid)?;
        Ok((role, grant.header().realm))
    }

    fn check_revokes(&mut self, ruled: &Ruled, role: Option<SpaceRole>) -> Result<(), Why> {
        let (plane, header) = (self.plane, ruled.header());
        let under = role.map(|role| Under { cap: header.cap, role, depth: ruled.depth, above: &ruled.above });
        let act = Act { device: header.device, member: ruled.member, rank: ruled.rank, under };
        for revoke in plane.revokes_of(ruled.member, header.device) {
            let is_about = self.rules.revoke
                && (!self.rules.scope || in_scope(plane, revoke, header.realm))
                && is_about(plane, self.rules, revoke, &act);
            if is_about && !self.knew(revoke, ruled) && self.counts(revoke) {
                return Err(Why::Revoked(revoke.commit.id()));
            }
        }
        Ok(())
    }

    /// True if the revoking device had seen the commit.
    fn knew(&self, revoke: &Ruled, ruled: &Ruled) -> bool {
        self.rules.cut && self.plane.is_in(ruled, &revoke.before)
    }

    /// The line of a chain that counts: up to its first fork, and on where the fork was settled.
    fn line(&mut self, device: DeviceId) -> Vec<Segment> {
        if let Some(line) = self.lines.get(&device) {
            return line.clone();
        }
        let branches = self.plane.chains.of(device);
        if !self.rules.fork {
            let all = |number| Segment { branch: number, start: 0, until: u64::MAX };
            return (0..u32::try_from(branches.len()).unwrap_or(u32::MAX)).map(all).collect();
        }
        let mut line = Vec::new();
        let roots: BTreeSet<_> = branches.iter().filter(|branch| branch.parent.is_none()).map(|b| b.first).collect();
        let mut at = match roots.len() {
            1 => Some((0, 0)),
            _ => self.settled(device, &roots).and_then(|keep| self.begun_by(device, keep, 0)),
        };
        while let Some((branch, start)) = at {
            let others = branches.iter().filter(|other| other.parent == Some(branch) && other.start > start);
            let fork = others.clone().map(|other| other.start).min();
            line.push(Segment { branch, start, until: fork.map_or(u64::MAX, |fork| fork - 1) });
            let Some(fork) = fork else { break };
            let there = others.filter(|other| other.start == fork);
            let children: BTreeSet<_> = there.flat_map(|other| [Some(other.first), other.rival]).flatten().collect();
            at = self
                .settled(device, &children)
                .and_then(|keep| self.begun_by(device, keep, fork).or(Some((branch, fork))));
        }
        self.lines.insert(device, line.clone());
        line
    }

    /// The branch that begins with that commit.
    fn begun_by(&self, device: DeviceId, first: CommitId, start: u64) -> Option<(u32, u64)> {
        let number = self.plane.chains.of(device).iter().position(|branch| branch.first == first)?;
        Some((u32::try_from(number).ok()?, start))
    }

    /// Which of several commits with one predecessor counts: what the founding member resolved first, or had seen when
    /// it first revoked the device. Forks of its own devices are settled by nobody.
    fn settled(&mut self, device: DeviceId, children: &BTreeSet<CommitId>) -> Option<CommitId> {
        let plane = self.plane;
        if plane.chains.of(device).iter().any(|branch| branch.member == plane.founder) {
            return None;
        }
        let mut found: Vec<(u64, &Ruled, CommitId)> = Vec::new();
        let may = |ruled: &&Ruled| !self.rules.founder || (ruled.member == plane.founder && ruled.depth == 0);
        for ruled in plane.ruled.values().filter(may) {
            if let Some(keep) = self.choice(ruled, device, children) {
                found.push((ruled.header().lamport, ruled, keep));
            }
        }
        found.sort_by_key(|(lamport, ruled, _)| (*lamport, ruled.commit.id()));
        found.into_iter().find(|(_, ruled, _)| self.counts(ruled)).map(|(_, _, keep)| keep)
    }

    /// Which child a commit speaks for, if any.
    fn choice(&self, ruled: &Ruled, device: DeviceId, children: &BTreeSet<CommitId>) -> Option<CommitId> {
        match ruled.control() {
            Control::Resolve { device: about, keep } if *about == device => children.get(keep).copied(),
            Control::Revoke { target: Target::Device(about), .. } if *about == device => {
                self.seen_child(ruled, device, children)
            }
            Control::Revoke { target: Target::Member(about), .. }
                if self.plane.chains.of(device).iter().any(|branch| branch.member == *about) =>
            {
                self.seen_child(ruled, device, children)
            }
            _ => None,
        }
    }

    fn seen_child(&self, ruled: &Ruled, device: DeviceId, children: &BTreeSet<CommitId>) -> Option<CommitId> {
        let newest = ruled.before.of(device)?;
        let branches = self.plane.chains.of(device);
        let lies = |child: &CommitId| {
            let begins = branches.iter().zip(0..).find(|(branch, _)| branch.first == *child);
            let rival = branches.iter().find(|branch| branch.rival == Some(*child));
            let place = begins.map(|(branch, number)| (number, branch.start));
            let place = place.or_else(|| rival.and_then(|other| Some((other.parent?, other.start))));
            place.is_some_and(|(branch, seq)| {
                self.plane.chains.reaches(device, newest, super::chains::Spot { seq, id: *child, branch })
            })
        };
        children.iter().copied().find(lies)
    }
}

/// True if the revocation reaches what is done on that realm.
pub(super) fn in_scope(plane: &Plane, revoke: &Ruled, realm: RealmId) -> bool {
    plane.realms.within(realm, revoke.header().realm)
}

/// True if the revocation is about whoever acts, and its maker stands high enough. Realm, cut and worth aside.
pub(super) fn is_about(plane: &Plane, rules: Rules, revoke: &Ruled, act: &Act<'_>) -> bool {
    let Some(target) = revoke.target() else { return false };
    let named = match target {
        Target::OwnDevice(device) => {
            let elder = act.under.is_some() || revoke.rank < act.rank || !rules.elder;
            return device == act.device && revoke.member == act.member && elder;
        }
        Target::Member(member) => member == act.member,
        Target::Device(device) => device == act.device,
    };
    if !named || revoke.member == act.member {
        return false;
    }
    let Some(under) = &act.under else {
        let founders = revoke.member == plane.founder && revoke.depth == 0;
        return founders && matches!(target, Target::Device(_));
    };
    let stays = rules.lost && matches!(target, Target::Device(_));
    let granted_since = plane.ruled.get(&under.cap).is_some_and(|grant| plane.is_in(revoke, &grant.before));
    if rules.again && !stays && granted_since {
        return false;
    }
    let above = under.above.contains(&revoke.member) && (revoke.depth < under.depth || !rules.shallower);
    under.role < SpaceRole::Owner || above || !rules.above
}
