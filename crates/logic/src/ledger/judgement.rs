//! The result of judging: what counts, who may do what, which keys are in use. Questions are answered in constant time
//! and a little more for every revocation of whoever it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use seal::{DeviceId, MemberId};

use super::chains::Segment;
use super::control::{SpaceRole, Target};
use super::header::Kind;
use super::holders::holders;
use super::id::{CommitId, EpochId, RealmId};
use super::judge::{Act, Under, is_about};
use super::plane::Plane;
use super::realms::{RealmFacts, Realms};
use super::rules::Rules;
use super::shelf::Stored;

/// What a commit is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It counts.
    Effective,
    /// It does not, though it is kept.
    Void(Why),
}

/// Why a commit does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Its device signed two different commits with one number, and this is one of them or comes after.
    Forked,
    /// The grant that it acts under does not count.
    CapVoid,
    /// The role of that grant does not allow it.
    RoleTooLow,
    /// That grant is for another realm.
    OutsideRealm,
    /// Somebody who may do so revoked the device or its member, and had not seen this commit.
    Revoked(CommitId),
    /// It grants something to its maker or to a member above its maker.
    Circular,
    /// It settles a fork, and is not by the founding member.
    NotFounder,
}

/// A revocation as it cuts what is done under one grant.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cut {
    by: CommitId,
    /// Realm that it reaches.
    scope: RealmId,
    /// `None`: every device of the member.
    device: Option<DeviceId>,
    /// How many commits of each device still count.
    known: BTreeMap<DeviceId, u64>,
}

impl Cut {
    fn is_about(&self, device: DeviceId) -> bool {
        self.device.is_none_or(|only| only == device)
    }

    fn known(&self, device: DeviceId) -> u64 {
        self.known.get(&device).copied().unwrap_or(0)
    }
}

/// A grant, or what the founding member acts under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantState {
    /// To whom.
    pub member: MemberId,
    /// What.
    pub role: SpaceRole,
    /// On which realm.
    pub realm: RealmId,
    /// Grants from the founding member to here, this one included.
    pub depth: usize,
    /// Whether it counts.
    pub effective: bool,
    cuts: Vec<Cut>,
}

/// A device as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceState {
    /// For whom it speaks.
    pub member: MemberId,
    /// Its first commit, with certificates and sealing keys.
    pub entered: CommitId,
}

/// A key of a realm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// Which.
    pub id: EpochId,
    /// True if nobody has the key who may not read now.
    pub clean: bool,
}

/// What all control commits together mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    founder: MemberId,
    control: BTreeMap<CommitId, Verdict>,
    grants: BTreeMap<CommitId, GrantState>,
    realms: Arc<Realms>,
    /// Forked chains only.
    lines: BTreeMap<DeviceId, Vec<Segment>>,
    devices: BTreeMap<DeviceId, DeviceState>,
    /// Keys of each realm that count, oldest first, with the devices that can have them.
    epochs: BTreeMap<RealmId, Vec<(EpochId, BTreeSet<DeviceId>)>>,
    rules: RulesForData,
}

/// The rules that data is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RulesForData {
    cap: bool,
    role: bool,
    realm: bool,
    inherit: bool,
    scope: bool,
    cut: bool,
}

impl Judgement {
    pub(super) fn new(
        plane: &Plane,
        rules: Rules,
        control: BTreeMap<CommitId, Verdict>,
        lines: BTreeMap<DeviceId, Vec<Segment>>,
    ) -> Self {
        let Rules { cap, role, realm, inherit, scope, cut, .. } = rules;
        let mut judgement = Self {
            founder: plane.founder,
            control,
            grants: BTreeMap::new(),
            realms: Arc::clone(&plane.realms),
            lines,
            devices: BTreeMap::new(),
            epochs: BTreeMap::new(),
            rules: RulesForData { cap, role, realm, inherit, scope, cut },
        };
        judgement.collect_devices(plane);
        judgement.collect_grants(plane, rules);
        judgement.collect_epochs(plane);
        judgement
    }

    fn collect_devices(&mut self, plane: &Plane) {
        for (device, branches) in &plane.chains.0 {
            let branch = match self.lines.get(device) {
                Some(line) => line.first().and_then(|part| plane.chains.branch(*device, part.branch)),
                None => branches.first(),
            };
            let state = branch.map(|branch| DeviceState { member: branch.member, entered: branch.rank.1 });
            self.devices.extend(state.map(|state| (*device, state)));
        }
    }

    fn collect_grants(&mut self, plane: &Plane, rules: Rules) {
        let founders = (CommitId::ZERO, plane.founder, SpaceRole::Owner, RealmId::ROOT, true);
        let given = plane.ruled.iter().filter_map(|(id, ruled)| {
            let (member, role) = ruled.grant()?;
            Some((*id, member, role, ruled.header().realm, self.is_effective(id)))
        });
        let all: Vec<_> = std::iter::once(founders).chain(given).collect();
        for (cap, member, role, realm, effective) in all {
            let (depth, above) = plane.standing(cap);
            let under = Under { cap, role, depth, above: &above };
            let cuts = self.cuts(plane, rules, member, &under);
            self.grants.insert(cap, GrantState { member, role, realm, depth, effective, cuts });
        }
    }

    /// The revocations that count against whoever acts under a grant.
    fn cuts(&self, plane: &Plane, rules: Rules, member: MemberId, under: &Under<'_>) -> Vec<Cut> {
        let devices: Vec<_> = plane.devices_of(member).collect();
        let ids = plane.revokes.iter().filter(|(target, _)| match target {
            Target::Member(about) => *about == member,
            Target::Device(device) | Target::OwnDevice(device) => devices.contains(device),
        });
        let counting = ids.flat_map(|(target, ids)| ids.iter().map(move |id| (*target, id)));
        let cut = |(target, id): (Target, &CommitId)| {
            let revoke = plane.ruled.get(id).filter(|_| rules.revoke && self.is_effective(id))?;
            let only = match target {
                Target::Member(_) => None,
                Target::Device(device) | Target::OwnDevice(device) => Some(device),
            };
            // Age matters only where a member looks after its own devices, and that is no data.
            let device = only.unwrap_or(DeviceId::from_bytes([0; 32]));
            let under = Under { above: under.above, ..*under };
            let act = Act { device, member, rank: (u64::MAX, CommitId::ZERO), under: Some(under) };
            let known = devices.iter().map(|device| (*device, self.known(plane, *device, revoke))).collect();
            is_about(plane, rules, revoke, &act).then(|| Cut {
                by: *id,
                scope: revoke.header().realm,
                device: only,
                known,
            })
        };
        counting.filter_map(cut).collect()
    }

    /// How many commits of the line that counts a revocation had seen.
    fn known(&self, plane: &Plane, device: DeviceId, revoke: &super::plane::Ruled) -> u64 {
        let Some(spot) = revoke.before.of(device) else { return 0 };
        match self.lines.get(&device) {
            Some(line) => plane.chains.shared(device, spot, line),
            None => spot.seq.saturating_add(1),
        }
    }

    fn collect_epochs(&mut self, plane: &Plane) {
        let mut holders = holders(plane);
        let mut found: BTreeMap<RealmId, Vec<_>> = BTreeMap::new();
        for (id, ruled) in plane.ruled.iter().filter(|(id, _)| self.is_effective(id)) {
            if let Some(devices) = holders.remove(id) {
                found.entry(ruled.header().realm).or_default().push((ruled.header().lamport, *id, devices));
            }
        }
        for (realm, mut keys) in found {
            keys.sort_by_key(|(lamport, id, _)| (*lamport, *id));
            self.epochs.insert(realm, keys.into_iter().map(|(_, id, devices)| (id, devices)).collect());
        }
    }

    fn is_effective(&self, id: &CommitId) -> bool {
        self.control.get(id) == Some(&Verdict::Effective)
    }

    /// What a control commit is worth; `None`: it is none of this ledger.
    pub fn control(&self, id: &CommitId) -> Option<Verdict> {
        self.control.get(id).copied()
    }

    /// All control commits.
    pub fn controls(&self) -> impl Iterator<Item = (CommitId, Verdict)> {
        self.control.iter().map(|(id, verdict)| (*id, *verdict))
    }

    /// What a data commit is worth that was accepted into this ledger.
    pub fn counts(&self, stored: &Stored) -> Verdict {
        self.weigh(stored).map_or_else(Verdict::Void, |()| Verdict::Effective)
    }

    fn weigh(&self, stored: &Stored) -> Result<(), Why> {
        let header = &stored.header;
        debug_assert_eq!(header.kind, Kind::Data);
        if let Some(line) = self.lines.get(&header.device) {
            let on = |part: &Segment| part.branch == stored.branch && (part.start..=part.until).contains(&header.seq);
            if !line.iter().any(on) {
                return Err(Why::Forked);
            }
        }
        let grant = self.grants.get(&header.cap).ok_or(Why::CapVoid)?;
        if self.rules.cap && !grant.effective {
            return Err(Why::CapVoid);
        }
        if self.rules.role && grant.role < SpaceRole::Editor {
            return Err(Why::RoleTooLow);
        }
        if !self.is_for(grant, header.realm) {
            return Err(Why::OutsideRealm);
        }
        let cuts = grant.cuts.iter().filter(|cut| cut.is_about(header.device) && self.is_inside(cut, header.realm));
        let mut void = cuts.filter(|cut| !self.rules.cut || header.seq >= cut.known(header.device));
        void.next().map_or(Ok(()), |cut| Err(Why::Revoked(cut.by)))
    }

    fn is_for(&self, grant: &GrantState, realm: RealmId) -> bool {
        !self.rules.realm || self.realms.counts(grant.role, grant.realm, realm, self.rules.inherit)
    }

    fn is_inside(&self, cut: &Cut, realm: RealmId) -> bool {
        !self.rules.scope || self.realms.within(realm, cut.scope)
    }

    /// The member that founded the ledger: owner of everything.
    pub fn founder(&self) -> MemberId {
        self.founder
    }

    /// Grants, by the commit that made them; zero: what the founding member acts under.
    pub fn grants(&self) -> impl Iterator<Item = (CommitId, &GrantState)> {
        self.grants.iter().map(|(id, grant)| (*id, grant))
    }

    /// The strongest grants that a member holds on a realm now: strongest role first, then nearest to the founding
    /// member. Revoked ones are left out, single lost devices are not looked at.
    fn held(&self, member: MemberId, realm: RealmId) -> Vec<(CommitId, &GrantState)> {
        let whole = |cut: &&Cut| cut.device.is_none() && self.is_inside(cut, realm);
        let holds = |grant: &GrantState| {
            grant.member == member
                && grant.effective
                && self.is_for(grant, realm)
                && !grant.cuts.iter().any(|cut| whole(&cut))
        };
        let mut held: Vec<_> = self.grants().filter(|(_, grant)| holds(grant)).collect();
        held.sort_by_key(|(id, grant)| (std::cmp::Reverse(grant.role), grant.depth, *id));
        held
    }

    /// The strongest grant that a member holds on a realm now; zero: what the founding member acts under.
    pub fn standing(&self, member: MemberId, realm: RealmId) -> Option<(CommitId, &GrantState)> {
        self.held(member, realm).into_iter().next()
    }

    /// What a member may do on a realm now.
    pub fn role_of(&self, member: MemberId, realm: RealmId) -> Option<SpaceRole> {
        self.held(member, realm).first().map(|(_, grant)| grant.role)
    }

    /// Under what a device acts best on a realm, if it has at least that role: the cap to write into a header.
    pub fn cap_for(&self, device: DeviceId, realm: RealmId, role: SpaceRole) -> Option<CommitId> {
        let member = self.devices.get(&device)?.member;
        let lost =
            |grant: &GrantState| grant.cuts.iter().any(|cut| cut.device == Some(device) && self.is_inside(cut, realm));
        let usable = |(_, grant): &(CommitId, &GrantState)| grant.role >= role && !lost(grant);
        self.held(member, realm).into_iter().find(usable).map(|(id, _)| id)
    }

    /// The devices that the ledger knows.
    pub fn devices(&self) -> impl Iterator<Item = (DeviceId, &DeviceState)> {
        self.devices.iter().map(|(device, state)| (*device, state))
    }

    /// The devices that may read a realm now: to them its key is sealed.
    pub fn readers(&self, realm: RealmId) -> BTreeSet<DeviceId> {
        let may = |device: &DeviceId| self.cap_for(*device, realm, SpaceRole::Reader).is_some();
        self.devices.keys().copied().filter(may).collect()
    }

    /// Devices whose chains are forked.
    pub fn forked(&self) -> impl Iterator<Item = DeviceId> {
        self.lines.keys().copied()
    }

    /// Realms that somebody made who was allowed to.
    pub fn realms(&self) -> impl Iterator<Item = (RealmId, &RealmFacts)> {
        self.realms.iter().filter(|(_, facts)| self.is_effective(&facts.by))
    }

    /// A realm, whoever made it; `None` for the root.
    pub fn realm(&self, realm: RealmId) -> Option<&RealmFacts> {
        self.realms.get(realm)
    }

    /// The keys of a realm, oldest first.
    pub fn epochs(&self, realm: RealmId) -> Vec<Epoch> {
        let readers = self.readers(realm);
        let keys = self.epochs.get(&realm).into_iter().flatten();
        keys.map(|(id, devices)| Epoch { id: *id, clean: devices.is_subset(&readers) }).collect()
    }

    /// The devices that can have a key that counts.
    pub fn holders(&self, realm: RealmId, epoch: EpochId) -> Option<&BTreeSet<DeviceId>> {
        let keys = self.epochs.get(&realm)?;
        keys.iter().find(|(id, _)| *id == epoch).map(|(_, devices)| devices)
    }

    /// The key to write under: the newest clean one, else the newest. One that is not clean should be replaced first.
    pub fn writers_epoch(&self, realm: RealmId) -> Option<Epoch> {
        let epochs = self.epochs(realm);
        epochs.iter().rfind(|epoch| epoch.clean).or(epochs.last()).copied()
    }

    /// The line of a forked chain that counts.
    pub(super) fn line(&self, device: DeviceId) -> Option<&[Segment]> {
        self.lines.get(&device).map(Vec::as_slice)
    }

    /// From which commit of a device on data may be worth something else than in `before`.
    pub(super) fn changed(&self, before: &Self, device: DeviceId) -> Option<u64> {
        let (old, new) = (before.marks(device, self), self.marks(device, before));
        old.symmetric_difference(&new).map(|mark| mark.0).min()
    }

    /// Everything that decides about the device's data and is known to `other` too, each with the number from which it
    /// does: under a grant that one of them does not know there is no data yet.
    fn marks(&self, device: DeviceId, other: &Self) -> BTreeSet<(u64, CommitId, CommitId, u32)> {
        let mut marks = BTreeSet::new();
        for part in self.lines.get(&device).map_or(&[][..], Vec::as_slice) {
            marks.insert((part.start, CommitId::ZERO, CommitId::ZERO, 2 * part.branch));
            marks.insert((part.until.saturating_add(1), CommitId::ZERO, CommitId::ZERO, 2 * part.branch + 1));
        }
        if !self.lines.contains_key(&device) {
            marks.insert((0, CommitId::ZERO, CommitId::ZERO, 0));
            marks.insert((u64::MAX, CommitId::ZERO, CommitId::ZERO, 1));
        }
        let owner = self.devices.get(&device).or(other.devices.get(&device)).map(|state| state.member);
        let its = |grant: &GrantState| owner.is_none_or(|owner| owner == grant.member);
        let common = self.grants.iter().filter(|(cap, grant)| its(grant) && other.grants.contains_key(cap));
        for (cap, grant) in common {
            if !grant.effective {
                marks.insert((0, *cap, CommitId::ZERO, 0));
            }
            for cut in grant.cuts.iter().filter(|cut| cut.is_about(device)) {
                marks.insert((cut.known(device), *cap, cut.by, 0));
            }
        }
        marks
    }
}
