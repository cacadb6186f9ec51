//! One circle: Ada (admin, desk), Bea (editor, lap; certified by Ada), Cy (a member to be). Keys come from fixed seeds;
//! certificates and a sealed file were made once by `examples/world.rs` and lie in `world/`.

use std::sync::LazyLock;
use std::time::Duration;

use logic::hello::{Context, Credentials};
use logic::roster::{AddressRecord, BeaconRecord, Roster, RosterUpdate, SignedRecord};
use logic::wire::Address;
use seal::beacon::BeaconKey;
use seal::pki::{Bundle, Certificate, Crl, Kind};
use seal::{DeviceKey, MemberKey, RootKey, SealIdentity, Timestamp};

/// When everything was certified: 2026-01-01T00:00:00Z.
pub const FOUNDED: Timestamp = Timestamp(1_767_225_600_000);
/// How long.
pub const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// A moment within.
pub const NOW: Timestamp = Timestamp(1_767_225_600_000 + 86_400_000);
/// What the sealed file holds.
pub const PLAIN: &[u8] = b"the quick brown fox jumps over the lazy dog, and over the next one, too\n";
/// [`PLAIN`] sealed to [`World::identity`].
pub const SEALED: &[u8] = include_bytes!("../world/plain.age");
/// The same in armour.
pub const ARMOURED: &[u8] = include_bytes!("../world/plain.age.txt");
/// Certificates and lists.
pub const PEM: &str = include_str!("../world/circle.pem");
/// The circle's TLS exporter in every exchange.
pub const EXPORTER: [u8; 32] = [6; 32];

/// The key of the root.
pub fn root_key() -> RootKey {
    RootKey::from_seed(&[1; 32])
}

/// The key of a member: 0 Ada, 1 Bea, 2 Cy.
pub fn member_key(who: u8) -> MemberKey {
    MemberKey::from_seed(&[10 + who; 32])
}

/// The key of a member's device.
pub fn device_key(who: u8) -> DeviceKey {
    DeviceKey::from_seed(&[20 + who; 32])
}

/// Whom the sealed file is for: Cy.
pub fn identity() -> SealIdentity {
    include_str!("../world/identity.txt").trim().parse().expect("an identity")
}

/// The circle.
pub struct World {
    /// Its anchor.
    pub root: Certificate,
    /// Ada, Bea.
    pub members: [Certificate; 2],
    /// Their devices.
    pub devices: [Certificate; 2],
    /// Lists of root, Ada, Bea.
    pub crls: Vec<Crl>,
}

/// The circle, read once.
pub static WORLD: LazyLock<World> = LazyLock::new(|| {
    let bundle = Bundle::from_pem(PEM).expect("a bundle");
    let find = |key: &[u8; 32], what: fn(&Kind) -> bool| {
        let mut all = bundle.certificates.iter();
        all.find(|c| c.facts().public_key == *key && what(&c.facts().kind)).expect("in the bundle").clone()
    };
    let root = bundle.certificates.iter().find(|c| c.facts().kind == Kind::Root).expect("a root").clone();
    let member = |who| find(member_key(who).id().as_bytes(), |kind| matches!(kind, Kind::Member(_)));
    let device = |who| find(device_key(who).id().as_bytes(), |kind| *kind == Kind::Device);
    World { root, members: [member(0), member(1)], devices: [device(0), device(1)], crls: bundle.crls.clone() }
});

/// Merged once: verifying takes its time.
static ROSTER: LazyLock<Roster> = LazyLock::new(|| {
    let mut roster = Roster::new(WORLD.root.clone());
    roster.merge(&WORLD.update(), NOW).expect("an honest update");
    roster
});

impl World {
    /// A device's chain, device first.
    pub fn chain(&self, who: usize) -> Vec<Certificate> {
        let mut chain = vec![self.devices[who].clone(), self.members[who].clone()];
        if who == 1 {
            chain.push(self.members[0].clone());
        }
        chain
    }

    /// What a device shows.
    pub fn credentials(&self, who: usize) -> Credentials {
        Credentials { chain: self.chain(who), crls: self.crls.clone(), root: self.root.clone(), boot: [who as u8; 16] }
    }

    /// The channel as `who` sees it.
    pub fn context(&self, who: u8) -> Context {
        Context { exporter: EXPORTER, local: device_key(who).id(), remote: device_key(1 - who).id() }
    }

    /// Everything but the root, issuers first.
    pub fn update(&self) -> RosterUpdate {
        let certificates = self.members.iter().chain(&self.devices);
        let records = [self.address(0, 1), self.address(1, 1), beacon(1)];
        RosterUpdate::of(certificates, &self.crls, records)
    }

    /// An address record of a device.
    pub fn address(&self, who: u8, counter: u64) -> SignedRecord {
        let addresses = vec![Address::Direct(([192, 0, 2, who + 1], 4000).into())];
        let member = member_key(who).id();
        SignedRecord::address(&device_key(who), AddressRecord { member, counter, addresses })
    }

    /// What both know.
    pub fn roster(&self) -> Roster {
        ROSTER.clone()
    }

    /// An authority's seed by its key id: who could sign in its name.
    pub fn seed_of(&self, key_id: Option<[u8; 20]>) -> [u8; 32] {
        match key_id {
            Some(id) if id == self.members[0].facts().key_id => *member_key(0).seed(),
            Some(id) if id == self.members[1].facts().key_id => *member_key(1).seed(),
            _ => *root_key().seed(),
        }
    }
}

/// A beacon key of Ada's.
pub fn beacon(generation: u64) -> SignedRecord {
    SignedRecord::beacon(&device_key(0), BeaconRecord { generation, key: BeaconKey::from_bytes([9; 32]) })
}

/// Signs changed DER (certificate or list) anew, as an issuer without scruples would. Only where the outer structure is
/// still whole: a SEQUENCE of the signed part, the algorithm (7 bytes) and an Ed25519 signature (67 bytes) at the end.
pub fn sign_anew(der: &mut [u8], seed: &[u8; 32]) {
    use ed25519_dalek::Signer;
    const TAIL: usize = 7 + 67;
    let signed = match der {
        [0x30, 0x81, _, ..] => 3,
        [0x30, 0x82, _, _, ..] => 4,
        [0x30, ..] => 2,
        _ => return,
    };
    let Some(end) = der.len().checked_sub(TAIL).filter(|end| *end > signed) else { return };
    let signature = ed25519_dalek::SigningKey::from_bytes(seed).sign(&der[signed..end]).to_bytes();
    let from = der.len() - signature.len();
    der[from..].copy_from_slice(&signature);
}
