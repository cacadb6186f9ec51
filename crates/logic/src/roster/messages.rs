//! What devices tell each other about the circle. Byte level: `docs/formats/roster.md`.

use std::collections::{BTreeMap, BTreeSet};

use seal::DeviceId;
use seal::pki::{Certificate, Crl};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::record::{Record, SignedRecord};
use super::state::{KeyId, Roster};
use crate::Misbehaved;
use crate::limits::{ROSTER_BATCH_BYTES, ROSTER_BATCH_ITEMS};

/// First half of a hash: enough to tell entries apart.
type Tag = [u8; 16];

/// The first half of a hash.
fn tag(hash: [u8; 32]) -> Tag {
    let mut tag = [0; 16];
    tag.copy_from_slice(&hash[..16]);
    tag
}

/// What a device knows, by hashes and numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Certificates and beacon keys.
    items: BTreeSet<Tag>,
    /// Number and hash of the newest list of each issuer.
    crls: BTreeMap<KeyId, (u64, Tag)>,
    /// Counter and hash of the newest address record of each device.
    addresses: BTreeMap<DeviceId, (u64, Tag)>,
}

/// A batch of what the other side did not know. Issuers come before what they issued.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterUpdate {
    pub(super) certificates: Vec<ByteBuf>,
    pub(super) crls: Vec<ByteBuf>,
    pub(super) records: Vec<SignedRecord>,
    /// There is more: ask again with a new summary.
    pub more: bool,
}

impl RosterUpdate {
    /// An update of certificates (issuers first), lists and records that were made here or came with a hello.
    pub fn of<'a>(
        certificates: impl IntoIterator<Item = &'a Certificate>,
        crls: impl IntoIterator<Item = &'a Crl>,
        records: impl IntoIterator<Item = SignedRecord>,
    ) -> Self {
        Self {
            certificates: certificates.into_iter().map(|certificate| ByteBuf::from(certificate.der())).collect(),
            crls: crls.into_iter().map(|crl| ByteBuf::from(crl.der())).collect(),
            records: records.into_iter().collect(),
            more: false,
        }
    }

    /// True if it says nothing.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.crls.is_empty() && self.records.is_empty()
    }

    /// Entries in it.
    pub(super) fn len(&self) -> usize {
        self.certificates.len() + self.crls.len() + self.records.len()
    }

    /// Checks that an answer to our summary `asked` holds nothing that is older than what we said we have. A peer that
    /// lags behind sends nothing; one that sends old lists tries to undo a revocation.
    ///
    /// # Errors
    /// [`Misbehaved::CrlRolledBack`] or [`Misbehaved::AddressRecordRolledBack`].
    pub fn check_answer(&self, asked: &Summary) -> Result<(), Misbehaved> {
        for der in &self.crls {
            let crl = Crl::from_der(der.to_vec()).map_err(|_| Misbehaved::CrlInvalid)?;
            if asked.crls.get(&crl.facts().issuer_key_id).is_some_and(|(number, _)| crl.facts().number < *number) {
                return Err(Misbehaved::CrlRolledBack);
            }
        }
        for signed in &self.records {
            let Record::Address(record) = signed.open()? else {
                continue;
            };
            if asked.addresses.get(&signed.by).is_some_and(|(counter, _)| record.counter < *counter) {
                return Err(Misbehaved::AddressRecordRolledBack);
            }
        }
        Ok(())
    }
}

/// Fills a batch up to its limits.
#[derive(Default)]
struct Batch {
    update: RosterUpdate,
    bytes: usize,
}

impl Batch {
    /// True if there is room for one more of `size` bytes; otherwise says that there is more.
    fn has_room(&mut self, size: usize) -> bool {
        let fits =
            self.bytes + size <= ROSTER_BATCH_BYTES && self.update.len() < ROSTER_BATCH_ITEMS && !self.update.more;
        if fits {
            self.bytes += size;
        } else {
            self.update.more = true;
        }
        fits
    }
}

impl Roster {
    /// Hash of everything that is kept: equal exactly where the contents are.
    pub fn digest(&self) -> [u8; 32] {
        let summary = postcard::to_stdvec(&self.summary()).expect("a summary has only types that postcard can write");
        *blake3::hash(&summary).as_bytes()
    }

    /// What this device knows.
    pub fn summary(&self) -> Summary {
        let certificates =
            self.members.values().chain(self.devices.values()).flatten().map(|certificate| tag(certificate.hash()));
        let beacons = self.beacons.values().flatten().map(|kept| tag(kept.signed.hash()));
        Summary {
            items: certificates.chain(beacons).collect(),
            crls: self.crls.iter().map(|(key, crl)| (*key, (crl.facts().number, tag(crl.hash())))).collect(),
            addresses: self
                .addresses
                .iter()
                .map(|(device, kept)| (*device, (kept.record.counter, tag(kept.signed.hash()))))
                .collect(),
        }
    }

    /// What a device with that summary does not know, as far as it fits one batch.
    pub fn missing(&self, theirs: &Summary) -> RosterUpdate {
        let mut batch = Batch::default();
        for certificate in self.issuers_first() {
            if !theirs.items.contains(&tag(certificate.hash())) && batch.has_room(certificate.der().len()) {
                batch.update.certificates.push(ByteBuf::from(certificate.der()));
            }
        }
        for (key, crl) in &self.crls {
            let ours = (crl.facts().number, tag(crl.hash()));
            if theirs.crls.get(key).is_none_or(|known| ours > *known) && batch.has_room(crl.der().len()) {
                batch.update.crls.push(ByteBuf::from(crl.der()));
            }
        }
        for kept in self.beacons.values().flatten() {
            if !theirs.items.contains(&tag(kept.signed.hash())) && batch.has_room(kept.signed.size()) {
                batch.update.records.push(kept.signed.clone());
            }
        }
        for (device, kept) in &self.addresses {
            let ours = (kept.record.counter, tag(kept.signed.hash()));
            if theirs.addresses.get(device).is_none_or(|known| ours > *known) && batch.has_room(kept.signed.size()) {
                batch.update.records.push(kept.signed.clone());
            }
        }
        batch.update
    }

    /// Everything, for somebody who joins.
    pub fn everything(&self) -> RosterUpdate {
        let records = self
            .beacons
            .values()
            .flatten()
            .map(|kept| &kept.signed)
            .chain(self.addresses.values().map(|kept| &kept.signed));
        RosterUpdate::of(self.issuers_first(), self.crls.values(), records.cloned())
    }

    /// All certificates; authorities with longer paths, which issue the others, first.
    fn issuers_first(&self) -> Vec<&Certificate> {
        let mut all: Vec<_> = self.members.values().chain(self.devices.values()).flatten().collect();
        all.sort_by_key(|certificate| std::cmp::Reverse(certificate.facts().path_len));
        all
    }
}
