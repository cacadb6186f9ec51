//! What is kept, and how much of it.

use std::collections::BTreeMap;

use seal::pki::{Certificate, Crl, Kind, Role};
use seal::{CircleId, DeviceId, MemberId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::record::{AddressRecord, BeaconRecord, SignedRecord};
use crate::limits::{BEACON_KEYS, DEVICE_CERTIFICATES, MEMBER_CERTIFICATES};

/// Version of a stored roster.
const VERSION: u8 = 1;

/// Subject key identifier of an authority: root or member.
pub(super) type KeyId = [u8; 20];

/// A record whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept<R> {
    pub(super) record: R,
    pub(super) signed: SignedRecord,
}

/// Everything known of a circle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    pub(super) root: Certificate,
    /// Of each member by each issuer the newest, newest first.
    pub(super) members: BTreeMap<(MemberId, KeyId), Vec<Certificate>>,
    /// Of the devices of each member (by key id) the newest, newest first.
    pub(super) devices: BTreeMap<KeyId, Vec<Certificate>>,
    /// Of each issuer the one with the highest number.
    pub(super) crls: BTreeMap<KeyId, Crl>,
    /// Of each device that signed some the newest, newest first.
    pub(super) beacons: BTreeMap<DeviceId, Vec<Kept<BeaconRecord>>>,
    /// Of each device the one with the highest counter.
    pub(super) addresses: BTreeMap<DeviceId, Kept<AddressRecord>>,
}

/// Stored bytes that are no roster of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadRoster {
    /// Written by a newer version of the program.
    #[error("the roster was written by a newer version (format {0})")]
    TooNew(u8),
    /// Not a roster.
    #[error("the stored roster is damaged")]
    Damaged,
}

impl Roster {
    /// What is known of a circle to begin with: its root. Whether it is the right one, the caller must know.
    pub fn new(root: Certificate) -> Self {
        let (members, devices, crls, beacons, addresses) = Default::default();
        Self { root, members, devices, crls, beacons, addresses }
    }

    /// The bytes to store (sealed).
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION]).expect("a roster has only types that postcard can write")
    }

    /// Reads what [`Self::to_bytes`] wrote. Signatures are not checked again: the store seals what it holds.
    ///
    /// # Errors
    /// [`BadRoster`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadRoster> {
        match bytes {
            [VERSION, body @ ..] => postcard::from_bytes(body).map_err(|_| BadRoster::Damaged),
            [version, ..] if *version > VERSION => Err(BadRoster::TooNew(*version)),
            _ => Err(BadRoster::Damaged),
        }
    }

    /// The anchor.
    pub fn root(&self) -> &Certificate {
        &self.root
    }

    /// The circle.
    pub fn circle(&self) -> CircleId {
        CircleId::of_root_key(&self.root.facts().public_key)
    }

    /// Name of the circle.
    pub fn circle_name(&self) -> &str {
        &self.root.facts().circle
    }

    /// The newest revocation list of every issuer.
    pub fn crls(&self) -> Vec<Crl> {
        self.crls.values().cloned().collect()
    }

    /// All certificates of a member, of all issuers.
    pub fn certificates_of_member(&self, member: MemberId) -> impl Iterator<Item = &Certificate> {
        let range = (member, [0; 20])..=(member, [0xff; 20]);
        self.members.range(range).flat_map(|(_, certificates)| certificates)
    }

    /// All certificates of a device, of all members that certified its key.
    pub fn certificates_of_device(&self, device: DeviceId) -> impl Iterator<Item = &Certificate> {
        self.devices.values().flatten().filter(move |certificate| certificate.device() == Some(device))
    }

    /// Certificates of the authorities with that key: of the root or of a member.
    pub(super) fn authorities(&self, key: KeyId) -> impl Iterator<Item = &Certificate> {
        let root = (self.root.facts().key_id == key).then_some(&self.root);
        root.into_iter()
            .chain(self.members.values().flatten().filter(move |certificate| certificate.facts().key_id == key))
    }

    /// Keeps a certificate that leads to the root. True: it is new and stays.
    pub(super) fn keep_certificate(&mut self, certificate: &Certificate) -> bool {
        let facts = certificate.facts();
        let Some(issuer) = facts.issuer_key_id else {
            return false;
        };
        let (list, limit) = match (facts.kind, certificate.member()) {
            (Kind::Member(_), Some(member)) => (self.members.entry((member, issuer)).or_default(), MEMBER_CERTIFICATES),
            (Kind::Device, _) => (self.devices.entry(issuer).or_default(), DEVICE_CERTIFICATES),
            _ => return false,
        };
        keep_newest(list, certificate.clone(), limit, |kept| (kept.facts().not_before, kept.hash()))
    }

    /// Keeps a list that its issuer signed, if it is the newest.
    pub(super) fn keep_crl(&mut self, crl: &Crl) -> bool {
        let rank = |crl: &Crl| (crl.facts().number, crl.hash());
        let key = crl.facts().issuer_key_id;
        if self.crls.get(&key).is_some_and(|kept| rank(kept) >= rank(crl)) {
            return false;
        }
        self.crls.insert(key, crl.clone());
        true
    }

    /// Keeps an address record that its device signed, if it is the newest.
    pub(super) fn keep_address(&mut self, new: Kept<AddressRecord>) -> bool {
        let rank = |kept: &Kept<AddressRecord>| (kept.record.counter, kept.signed.hash());
        let device = new.signed.by;
        if self.addresses.get(&device).is_some_and(|kept| rank(kept) >= rank(&new)) {
            return false;
        }
        self.addresses.insert(device, new);
        true
    }

    /// Keeps a beacon key that a device of an admin signed, if it is among the newest.
    pub(super) fn keep_beacon(&mut self, new: Kept<BeaconRecord>) -> bool {
        let list = self.beacons.entry(new.signed.by).or_default();
        keep_newest(list, new, BEACON_KEYS, |kept| (kept.record.generation, kept.signed.hash()))
    }

    /// True if an admin certified the device as its own, at any time.
    pub(super) fn is_admins(&self, device: DeviceId) -> bool {
        let issuers = self.certificates_of_device(device).filter_map(|certificate| certificate.facts().issuer_key_id);
        issuers.flat_map(|key| self.authorities(key)).any(|owner| owner.facts().kind == Kind::Member(Role::Admin))
    }
}

/// Inserts into a list that is sorted by falling rank and has a limit. True: it is new and stays.
fn keep_newest<T: PartialEq, R: Ord>(list: &mut Vec<T>, new: T, limit: usize, rank: impl Fn(&T) -> R) -> bool {
    if list.contains(&new) {
        return false;
    }
    let place = list.partition_point(|kept| rank(kept) > rank(&new));
    list.insert(place, new);
    list.truncate(limit);
    place < limit
}
