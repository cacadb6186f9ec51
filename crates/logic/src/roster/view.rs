//! Who is a member now: chains verified at a given time, names made unique, and what changed between two views.

use std::collections::{BTreeMap, BTreeSet};

use seal::beacon::BeaconKey;
use seal::pki::{Certificate, Crl, Kind, PkiFault, Role, look_alike, name_key, verify_device, verify_member};
use seal::{DeviceId, MemberId, SealRecipient, Timestamp};

use super::state::{KeyId, Roster};
use crate::limits::{BEACON_KEYS, CHAIN_CERTIFICATES};
use crate::wire::Address;

/// Where a member or device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Certified now.
    Active,
    /// Not certified now, but not removed either: its certificate or a revocation list above it ran out or is missing.
    Lapsed,
    /// Revoked, itself or an issuer above it.
    Removed,
}

impl From<PkiFault> for Standing {
    fn from(fault: PkiFault) -> Self {
        if fault == PkiFault::Revoked { Self::Removed } else { Self::Lapsed }
    }
}

/// A member as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Who.
    pub member: MemberId,
    /// Name in its certificate.
    pub name: String,
    /// Name to show and to type: unique in the circle.
    pub shown: String,
    /// What it may do.
    pub role: Role,
    /// To whom files for it are sealed.
    pub recipient: Option<SealRecipient>,
    /// Where it stands.
    pub standing: Standing,
    /// When the first certificate of its chain ends.
    pub ends_at: Timestamp,
    /// Its chain: own certificate first, the root left out.
    pub chain: Vec<Certificate>,
}

/// A device as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceView {
    /// Which.
    pub device: DeviceId,
    /// Its name.
    pub name: String,
    /// Whose.
    pub member: MemberId,
    /// Where it stands.
    pub standing: Standing,
    /// When the first certificate of its chain ends.
    pub ends_at: Timestamp,
    /// Where it says it can be reached.
    pub addresses: Vec<Address>,
    /// Counter of that record; 0 where there is none.
    pub address_counter: u64,
    /// Its chain: own certificate first, the root left out.
    pub chain: Vec<Certificate>,
}

/// The circle at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Members, removed ones included.
    pub members: BTreeMap<MemberId, MemberView>,
    /// Devices, removed ones included.
    pub devices: BTreeMap<DeviceId, DeviceView>,
    /// Keys for announcements, the one to use first.
    pub beacon_keys: Vec<BeaconKey>,
    /// Generation of the first of them; 0: there is none.
    pub beacon_generation: u64,
}

impl View {
    /// Looks at a roster at `now`.
    pub fn new(roster: &Roster, now: Timestamp) -> Self {
        let crls = roster.crls();
        let mut view = Self::default();
        let members: BTreeSet<_> = roster.members.keys().map(|(member, _)| *member).collect();
        for member in members {
            view.members.extend(member_view(roster, member, &crls, now).map(|seen| (member, seen)));
        }
        view.name_apart(roster);
        for certificate in roster.devices.values().flatten() {
            view.consider(roster, certificate, &crls, now);
        }
        view.collect_beacons(roster);
        view
    }

    /// The active member that is shown under that name, in any case.
    pub fn member_named(&self, name: &str) -> Option<&MemberView> {
        let wanted = name_key(name);
        self.members.values().find(|member| member.standing != Standing::Removed && name_key(&member.shown) == wanted)
    }

    /// True if somebody else than `member` has that name or one that looks like it, or had it and may come back; or if
    /// it is the beginning of a device's id, so that what is sent to the id would go to the name.
    pub fn name_taken(&self, name: &str, member: MemberId) -> bool {
        let taken = |other: &MemberView| other.standing != Standing::Removed && look_alike(&other.name, name);
        self.members.values().any(|other| other.member != member && taken(other)) || self.begins_id(name)
    }

    /// True if `name` can be read as the beginning of the id of a device, removed ones included.
    pub fn begins_id(&self, name: &str) -> bool {
        let key = name_key(name);
        key.len() >= ID_PREFIX && self.devices.keys().any(|device| device.to_string().starts_with(&key))
    }

    /// Active devices.
    pub fn active_devices(&self) -> impl Iterator<Item = &DeviceView> {
        self.devices.values().filter(|device| device.standing == Standing::Active)
    }

    /// The device's member.
    pub fn owner(&self, device: DeviceId) -> Option<&MemberView> {
        self.members.get(&self.devices.get(&device)?.member)
    }

    /// Where two have one name, whoever was certified first keeps it; the others get a number. At the same second the hash
    /// of the key decides. Certificates are compared as they were first seen, so that a renewal moves nothing.
    fn name_apart(&mut self, roster: &Roster) {
        let mut by_name: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for member in self.members.values().filter(|member| member.standing != Standing::Removed) {
            let first =
                roster.certificates_of_member(member.member).map(|certificate| certificate.facts().not_before).min();
            let rank = (first, *blake3::hash(member.member.as_bytes()).as_bytes(), member.member);
            by_name.entry(name_key(&member.name)).or_default().push(rank);
        }
        for mut ranks in by_name.into_values() {
            ranks.sort_unstable();
            for (number, (_, _, member)) in (1..).zip(ranks).skip(1) {
                if let Some(member) = self.members.get_mut(&member) {
                    member.shown = format!("{}~{number}", member.name);
                }
            }
        }
    }

    /// Looks at one certificate of a device; the best one of a device is shown.
    fn consider(&mut self, roster: &Roster, certificate: &Certificate, crls: &[Crl], now: Timestamp) {
        let Some(device) = certificate.device() else {
            return;
        };
        let record = roster.addresses.get(&device).map(|kept| &kept.record);
        let Some((standing, ends_at, chain)) = best_chain(roster, certificate, crls, now) else {
            return;
        };
        let Some(member) = chain.get(1).and_then(Certificate::member) else {
            return;
        };
        let claimed = |owner: MemberId| record.is_some_and(|record| record.member == owner);
        // Best: the owner that the device itself names, then standing, then the later end.
        let rank = |seen: &DeviceView| {
            (claimed(seen.member), std::cmp::Reverse(seen.standing), seen.ends_at, seen.chain[0].hash())
        };
        let seen = DeviceView {
            device,
            name: certificate.facts().name.clone(),
            member,
            standing,
            ends_at,
            addresses: record.map(|record| record.addresses.clone()).unwrap_or_default(),
            address_counter: record.map_or(0, |record| record.counter),
            chain,
        };
        if self.devices.get(&device).is_none_or(|best| rank(best) < rank(&seen)) {
            self.devices.insert(device, seen);
        }
    }

    /// The newest keys of admins that are not removed.
    fn collect_beacons(&mut self, roster: &Roster) {
        let trusted = |device: DeviceId| {
            let seen = self.devices.get(&device).filter(|seen| seen.standing != Standing::Removed);
            let owner = seen.and_then(|seen| self.members.get(&seen.member));
            owner.is_some_and(|owner| owner.role == Role::Admin && owner.standing != Standing::Removed)
        };
        let kept = roster.beacons.values().flatten().filter(|kept| trusted(kept.signed.by));
        let mut keys: Vec<_> =
            kept.map(|kept| (kept.record.generation, kept.signed.hash(), &kept.record.key)).collect();
        keys.sort_by_key(|(generation, hash, _)| std::cmp::Reverse((*generation, *hash)));
        self.beacon_generation = keys.first().map_or(0, |(generation, _, _)| *generation);
        self.beacon_keys = keys.into_iter().take(BEACON_KEYS).map(|(_, _, key)| key.clone()).collect();
    }
}

/// A member by its best certificate: standing first, then the newest.
fn member_view(roster: &Roster, member: MemberId, crls: &[Crl], now: Timestamp) -> Option<MemberView> {
    let looked =
        roster.certificates_of_member(member).filter_map(|certificate| best_chain(roster, certificate, crls, now));
    let newest = |chain: &[Certificate]| (chain[0].facts().not_before, chain[0].hash());
    let (standing, ends_at, chain) =
        looked.min_by_key(|(standing, _, chain)| (*standing, std::cmp::Reverse(newest(chain))))?;
    let facts = chain[0].facts();
    let Kind::Member(role) = facts.kind else {
        return None;
    };
    Some(MemberView {
        member,
        name: facts.name.clone(),
        shown: facts.name.clone(),
        role,
        recipient: facts.recipient.clone(),
        standing,
        ends_at,
        chain,
    })
}

/// How a chain stands, when its first certificate ends, and the chain.
type Looked = (Standing, Timestamp, Vec<Certificate>);

/// The chain of a certificate that stands best, and how; `None`: none leads to the root.
fn best_chain(roster: &Roster, certificate: &Certificate, crls: &[Crl], now: Timestamp) -> Option<Looked> {
    let looked = chains(roster, certificate).into_iter().map(|chain| {
        let verdict = match certificate.facts().kind {
            Kind::Device => verify_device(&roster.root, &chain, crls, now).map(|device| device.not_after()),
            _ => verify_member(&roster.root, &chain, crls, now).map(|member| member.not_after()),
        };
        let ends = chain.iter().map(|certificate| certificate.facts().not_after).min();
        (verdict.map_or_else(Standing::from, |_| Standing::Active), ends.unwrap_or(now), chain)
    });
    let hashes = |chain: &[Certificate]| chain.iter().map(Certificate::hash).collect::<Vec<_>>();
    looked.min_by_key(|(standing, ends, chain)| (*standing, std::cmp::Reverse((*ends, hashes(chain)))))
}

/// All chains from a certificate up to the root, by key identifiers.
fn chains(roster: &Roster, certificate: &Certificate) -> Vec<Vec<Certificate>> {
    let (mut done, mut open) = (Vec::new(), vec![vec![certificate.clone()]]);
    while let Some(chain) = open.pop() {
        let Some(issuer_key) = chain.last().and_then(|last| last.facts().issuer_key_id) else {
            continue;
        };
        for issuer in roster.authorities(issuer_key) {
            if *issuer == roster.root {
                done.push(chain.clone());
            } else if chain.len() < CHAIN_CERTIFICATES && !chain.contains(issuer) {
                open.push([chain.as_slice(), std::slice::from_ref(issuer)].concat());
            }
        }
        if done.len() + open.len() > MAX_CHAINS {
            break;
        }
    }
    done
}

/// Chains that are looked at for one certificate: admins may certify each other, and every way up is tried.
const MAX_CHAINS: usize = 64;

impl Roster {
    /// What [`View::devices`] has about one device's chain: device first, the root left out.
    pub fn chain_of(&self, device: DeviceId, now: Timestamp) -> Option<Vec<Certificate>> {
        let crls = self.crls();
        let looked =
            self.certificates_of_device(device).filter_map(|certificate| best_chain(self, certificate, &crls, now));
        looked
            .filter(|(standing, _, _)| *standing == Standing::Active)
            .max_by_key(|(_, ends, _)| *ends)
            .map(|(_, _, chain)| chain)
    }

    /// Revocation lists of the issuers of a chain, the root's included.
    pub fn crls_for(&self, chain: &[Certificate]) -> Vec<Crl> {
        let issuers: BTreeSet<KeyId> =
            chain.iter().filter_map(|certificate| certificate.facts().issuer_key_id).collect();
        issuers.iter().filter_map(|key| self.crls.get(key)).cloned().collect()
    }

    /// True if an issuer's newest revocation list names the certificate. Those above it are not looked at.
    pub fn is_revoked(&self, certificate: &Certificate) -> bool {
        let list = certificate.facts().issuer_key_id.and_then(|key| self.crls.get(&key));
        list.is_some_and(|crl| crl.facts().revokes(certificate.serial()))
    }
}

/// So many characters of a device id at least stand for the device where a name is expected.
pub const ID_PREFIX: usize = 6;

/// What an update brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A member is new, or back.
    MemberAdded(MemberId),
    /// A member was removed.
    MemberRemoved(MemberId),
    /// A member's certificate was renewed or its role changed.
    MemberRenewed(MemberId),
    /// A member is shown under another name than before, or than its own from the beginning: somebody else has it.
    NameConflict {
        /// Who.
        member: MemberId,
        /// The name in its certificate.
        wanted: String,
        /// The name that is shown.
        shown: String,
    },
    /// A device is new, or back.
    DeviceAdded(DeviceId),
    /// A device was removed.
    DeviceRemoved(DeviceId),
    /// A device's certificate was renewed.
    DeviceRenewed(DeviceId),
    /// A device can be reached elsewhere.
    DeviceMoved(DeviceId),
    /// The key for announcements changed.
    BeaconRotated,
}

impl Change {
    /// What is different in `after`, in a fixed order.
    pub fn between(before: &View, after: &View) -> Vec<Self> {
        let mut changes = Vec::new();
        for (id, new) in &after.members {
            let old = before.members.get(id);
            let was = old.map(|old| old.standing);
            changes.extend(standing_change(was, new.standing, Self::MemberAdded(*id), Self::MemberRemoved(*id)));
            if old.is_some_and(|old| old.chain != new.chain && old.standing == new.standing) {
                changes.push(Self::MemberRenewed(*id));
            }
            let shown_before = old.map_or(&new.name, |old| &old.shown);
            if *shown_before != new.shown {
                changes.push(Self::NameConflict { member: *id, wanted: new.name.clone(), shown: new.shown.clone() });
            }
        }
        for (id, new) in &after.devices {
            let old = before.devices.get(id);
            let was = old.map(|old| old.standing);
            changes.extend(standing_change(was, new.standing, Self::DeviceAdded(*id), Self::DeviceRemoved(*id)));
            if old.is_some_and(|old| old.chain[0] != new.chain[0] && old.standing == new.standing) {
                changes.push(Self::DeviceRenewed(*id));
            }
            if old.map_or(&Vec::new(), |old| &old.addresses) != &new.addresses {
                changes.push(Self::DeviceMoved(*id));
            }
        }
        if before.beacon_keys.first() != after.beacon_keys.first() {
            changes.push(Self::BeaconRotated);
        }
        changes
    }
}

/// Added or removed, if either.
fn standing_change(was: Option<Standing>, is: Standing, added: Change, removed: Change) -> Option<Change> {
    match (was, is) {
        (Some(was), is) if was == is => None,
        (None | Some(Standing::Removed), Standing::Active | Standing::Lapsed)
        | (Some(Standing::Lapsed), Standing::Active) => Some(added),
        (None | Some(Standing::Active | Standing::Lapsed), Standing::Removed) => Some(removed),
        _ => None,
    }
}
