//! Who takes part: fifty devices of twenty-five members, two each.
//!
//! Certificates are random, so they are kept in a file: a seed must give the same run everywhere and always.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use seal::pki::Role;
use seal::{DeviceId, DeviceKey, MemberId};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use testkit::TestCircle;

use crate::ledger::{Commit, CommitId, Control, Entry, Header};

/// Devices that there are certificates for.
pub(super) const DEVICES: usize = 50;
/// When everything begins.
pub(super) const BEGIN: seal::Timestamp = testkit::circle::FOUNDED;

#[derive(Serialize, Deserialize)]
struct Kept {
    root: ByteBuf,
    /// Of each member.
    owners: Vec<ByteBuf>,
    /// Of each device.
    leaves: Vec<ByteBuf>,
}

/// Keys and certificates.
pub(super) struct People {
    pub(super) root: Vec<u8>,
    pub(super) keys: Vec<DeviceKey>,
    pub(super) members: Vec<MemberId>,
    chains: Vec<Vec<ByteBuf>>,
    pub(super) genesis: Commit,
}

fn device_key(number: usize) -> DeviceKey {
    DeviceKey::from_seed(&blake3::derive_key("warren simulation device", &number.to_be_bytes()))
}

pub(super) fn people() -> &'static People {
    static PEOPLE: OnceLock<People> = OnceLock::new();
    PEOPLE.get_or_init(|| {
        let kept: Kept = postcard::from_bytes(include_bytes!("people.bin")).expect("made by `makes_the_people`");
        let keys: Vec<_> = (0..DEVICES).map(device_key).collect();
        let owner = |der: &ByteBuf| seal::pki::Certificate::from_der(der.to_vec()).unwrap().member().unwrap();
        let members: Vec<_> = kept.owners.iter().map(owner).collect();
        let chain = |(number, leaf): (usize, &ByteBuf)| vec![leaf.clone(), kept.owners[number / 2].clone()];
        let chains: Vec<_> = kept.leaves.iter().enumerate().map(chain).collect();
        let entry = Entry { chain: chains[0].clone(), sealing: Vec::new() };
        let control = Control::Genesis { root: kept.root.clone(), entry };
        let genesis = Commit::make(&keys[0], Header::genesis(keys[0].id(), BEGIN), control.to_bytes()).unwrap();
        People { root: kept.root.into_vec(), keys, members, chains, genesis }
    })
}

impl People {
    /// How a device shows who it is.
    pub(super) fn entry(&self, device: usize) -> Entry {
        Entry { chain: self.chains[device].clone(), sealing: Vec::new() }
    }

    pub(super) fn id(&self, device: usize) -> DeviceId {
        self.keys[device].id()
    }

    pub(super) fn member(&self, device: usize) -> MemberId {
        self.members[device / 2]
    }

    /// The number of a device.
    pub(super) fn number(&self, device: DeviceId) -> Option<usize> {
        static NUMBERS: OnceLock<BTreeMap<DeviceId, usize>> = OnceLock::new();
        let all = || self.keys.iter().enumerate().map(|(number, key)| (key.id(), number)).collect();
        NUMBERS.get_or_init(all).get(&device).copied()
    }

    pub(super) fn ledger(&self) -> CommitId {
        self.genesis.id()
    }
}

/// Makes the file anew: `cargo test -p warren-logic makes_the_people -- --ignored`. All seeds give other runs then.
#[test]
#[ignore = "writes a file of the source tree"]
fn makes_the_people() {
    let mut circle = TestCircle::new(99);
    let members: Vec<_> = (0..DEVICES / 2).map(|n| circle.member(&format!("member {n}"), Role::Editor)).collect();
    let leaf = |number: usize| {
        let device = circle.certify(&members[number / 2], device_key(number), ["desk", "phone"][number % 2]);
        ByteBuf::from(device.chain[0].der())
    };
    let leaves = (0..DEVICES).map(leaf).collect();
    let owners = members.iter().map(|member| ByteBuf::from(member.certificate.der())).collect();
    let kept = Kept { root: ByteBuf::from(circle.root.der()), owners, leaves };
    std::fs::write("src/simulation/people.bin", postcard::to_stdvec(&kept).unwrap()).unwrap();
}
