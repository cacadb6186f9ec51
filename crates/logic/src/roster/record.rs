//! Records that devices sign: where they are, and the circle's beacon keys.

use seal::beacon::BeaconKey;
use seal::{DeviceId, DeviceKey, MemberId, Purpose, Signature};
use serde::{Deserialize, Serialize};

use crate::Misbehaved;
use crate::limits::ADDRESSES_PER_DEVICE;
use crate::wire::{self, Address};

/// Where a device can be reached, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRecord {
    /// Whose device it is: settles who a device belongs to where two members certified one key.
    pub member: MemberId,
    /// Counts up with every record of the device.
    pub counter: u64,
    /// Where it can be reached.
    pub addresses: Vec<Address>,
}

/// A key for announcements on the LAN, made by an admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeaconRecord {
    /// Counts up with every new key of the circle.
    pub generation: u64,
    /// The key.
    pub key: BeaconKey,
}

/// What a record may be. New kinds and versions go to the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Record {
    Address(AddressRecord),
    Beacon(BeaconRecord),
}

/// A record as its maker encoded it, with the maker's signature ([`Purpose::RosterEntry`]).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRecord {
    pub(super) by: DeviceId,
    #[serde(with = "serde_bytes")]
    body: Vec<u8>,
    signature: Signature,
}

impl std::fmt::Debug for SignedRecord {
    /// Leaves the body out: it may hold a beacon key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignedRecord(by {:?}, {} bytes)", self.by, self.body.len())
    }
}

impl SignedRecord {
    /// Who says that it made the record.
    pub fn by(&self) -> DeviceId {
        self.by
    }

    /// Signs an address record.
    pub fn address(key: &DeviceKey, record: AddressRecord) -> Self {
        Self::sign(key, &Record::Address(record))
    }

    /// Signs a beacon record.
    pub fn beacon(key: &DeviceKey, record: BeaconRecord) -> Self {
        Self::sign(key, &Record::Beacon(record))
    }

    fn sign(key: &DeviceKey, record: &Record) -> Self {
        let body = postcard::to_stdvec(record).expect("records have only types that postcard can write");
        let signature = key.sign(Purpose::RosterEntry, &body);
        Self { by: key.id(), body, signature }
    }

    /// The record, once its signature holds.
    pub(super) fn open(&self) -> Result<Record, Misbehaved> {
        self.by
            .verify(Purpose::RosterEntry, &self.body, &self.signature)
            .map_err(|_| Misbehaved::RecordSignatureInvalid)?;
        let record: Record = wire::decode(&self.body)?;
        match &record {
            Record::Address(address) if address.addresses.len() > ADDRESSES_PER_DEVICE => {
                Err(Misbehaved::AddressRecordTooLong)
            }
            _ => Ok(record),
        }
    }

    /// Names the record by its contents.
    pub(super) fn hash(&self) -> [u8; 32] {
        *blake3::hash(&[self.by.as_bytes(), self.body.as_slice(), self.signature.as_bytes()].concat()).as_bytes()
    }

    /// Bytes that it takes in a batch.
    pub(super) fn size(&self) -> usize {
        self.body.len() + 100
    }
}
