//! Circles that are ready to use: real keys, real certificates, any number of members and devices.

use std::time::Duration;

use logic::hello::{Context, Credentials, Dialer, PeerProven, Responder};
use logic::roster::{AddressRecord, BeaconRecord, Roster, RosterUpdate, SignedRecord};
use logic::wire::Address;
use seal::beacon::BeaconKey;
use seal::pki::{
    Certificate, Crl, CrlRequest, Issuer, MemberRequest, Reason, Role, Serial, Validity, issue_crl, issue_device,
    issue_member, issue_root,
};
use seal::{DeviceId, DeviceKey, MemberId, MemberKey, RootKey, SealIdentity, SealRecipient, Timestamp};

use crate::Dice;

/// When every test circle is founded: 2026-01-01T00:00:00Z.
pub const FOUNDED: Timestamp = Timestamp(1_767_225_600_000);
/// How long certificates of members and devices are valid.
pub const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// A member with its keys.
#[derive(Debug, Clone)]
pub struct TestMember {
    /// Its key.
    pub key: MemberKey,
    /// Its certificate.
    pub certificate: Certificate,
    /// Chain of the authorities above it: issuer first, the root left out.
    pub above: Vec<Certificate>,
    /// To whom files for it are sealed.
    pub recipient: SealRecipient,
}

impl TestMember {
    /// Who it is.
    pub fn id(&self) -> MemberId {
        self.key.id()
    }

    /// It as an authority.
    pub fn issuer(&self) -> Issuer<'_> {
        Issuer::member(&self.key, &self.certificate).expect("the key of the certificate")
    }

    /// Its chain, the root left out.
    pub fn chain(&self) -> Vec<Certificate> {
        [std::slice::from_ref(&self.certificate), &self.above].concat()
    }

    /// Its revocation list.
    pub fn crl(&self, number: u64, revoked: &[Serial], at: Timestamp) -> Crl {
        crl(&self.issuer(), number, revoked, at)
    }
}

/// A device with its key.
#[derive(Debug, Clone)]
pub struct TestDevice {
    /// Its key.
    pub key: DeviceKey,
    /// Its chain, the root left out.
    pub chain: Vec<Certificate>,
}

impl TestDevice {
    /// Who it is.
    pub fn id(&self) -> DeviceId {
        self.key.id()
    }

    /// A record of where it is.
    pub fn address(&self, counter: u64, port: u16) -> SignedRecord {
        let member = self.chain[1].member().expect("a device's issuer is a member");
        let addresses = vec![Address::Direct(([127, 0, 0, 1], port).into())];
        SignedRecord::address(&self.key, AddressRecord { member, counter, addresses })
    }

    /// A new key for announcements.
    pub fn beacon(&self, generation: u64, key: [u8; 32]) -> SignedRecord {
        SignedRecord::beacon(&self.key, BeaconRecord { generation, key: BeaconKey::from_bytes(key) })
    }
}

/// A circle under construction. Revocation lists are kept current as members are added.
#[derive(Debug)]
pub struct TestCircle {
    /// Its root key.
    pub root_key: RootKey,
    /// Its root certificate.
    pub root: Certificate,
    /// The newest revocation lists.
    pub crls: Vec<Crl>,
    dice: Dice,
}

/// The revocation list of any authority.
pub fn crl(issuer: &Issuer<'_>, number: u64, revoked: &[Serial], at: Timestamp) -> Crl {
    let entry = |serial: &Serial| seal::pki::Revoked { serial: *serial, at, reason: Reason::PrivilegeWithdrawn };
    let revoked: Vec<_> = revoked.iter().map(entry).collect();
    let request = CrlRequest { number, revoked: &revoked, validity: Validity::starting(at, LIFETIME) };
    issue_crl(issuer, &request).expect("a list of distinct serials")
}

impl TestCircle {
    /// A circle without members.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let root_key = RootKey::from_seed(&dice.bytes());
        let root = issue_root(&root_key, "Warren", Validity::starting(FOUNDED, LIFETIME * 20)).expect("a valid name");
        let crls = vec![crl(&Issuer::root(&root_key, &root).expect("its own key"), 1, &[], FOUNDED)];
        Self { root_key, root, crls, dice }
    }

    /// The root as an authority.
    pub fn root_issuer(&self) -> Issuer<'_> {
        Issuer::root(&self.root_key, &self.root).expect("its own key")
    }

    /// A member certified by the root, from [`FOUNDED`] on.
    pub fn member(&mut self, name: &str, role: Role) -> TestMember {
        self.admit(None, name, role, FOUNDED)
    }

    /// A member certified by `admin`, or by the root, at a given time.
    pub fn admit(&mut self, admin: Option<&TestMember>, name: &str, role: Role, at: Timestamp) -> TestMember {
        let key = MemberKey::from_seed(&self.dice.bytes());
        let recipient = SealIdentity::generate().recipient();
        let request = MemberRequest { member: key.id(), name, role, recipient: &recipient };
        let issuer = admin.map_or_else(|| self.root_issuer(), TestMember::issuer);
        let certificate = issue_member(&issuer, &request, Validity::starting(at, LIFETIME)).expect("a valid request");
        let member =
            TestMember { key, certificate, above: admin.map(TestMember::chain).unwrap_or_default(), recipient };
        self.crls.push(member.crl(1, &[], at));
        member
    }

    /// A device of a member, from [`FOUNDED`] on.
    pub fn device(&mut self, member: &TestMember, name: &str) -> TestDevice {
        let key = DeviceKey::from_seed(&self.dice.bytes());
        self.certify(member, key, name)
    }

    /// A certificate of a member for any device key.
    pub fn certify(&mut self, member: &TestMember, key: DeviceKey, name: &str) -> TestDevice {
        let validity = Validity::starting(FOUNDED, LIFETIME);
        let certificate = issue_device(&member.issuer(), key.id(), name, validity).expect("a valid name");
        let chain = [std::slice::from_ref(&certificate), &member.chain()].concat();
        TestDevice { key, chain }
    }

    /// Puts a newer list in place of an older one of the same issuer.
    pub fn publish(&mut self, crl: Crl) {
        self.crls.retain(|old| old.facts().issuer_key_id != crl.facts().issuer_key_id);
        self.crls.push(crl);
    }

    /// What a device shows in the hello, with all the lists of the circle.
    pub fn credentials(&self, device: &TestDevice) -> Credentials {
        let boot = *device.id().as_bytes().first_chunk().expect("an id has 32 bytes");
        Credentials { chain: device.chain.clone(), crls: self.crls.clone(), root: self.root.clone(), boot }
    }

    /// The roster of somebody who knows these devices and all the lists of the circle.
    pub fn roster(&self, devices: &[&TestDevice]) -> Roster {
        let mut roster = Roster::new(self.root.clone());
        for device in devices {
            roster.merge(&RosterUpdate::of(device.chain.iter().rev(), [], []), FOUNDED).expect("an honest chain");
        }
        let known = |crl: &&Crl| {
            let by = |certificate: &Certificate| crl.is_by(certificate);
            by(&self.root) || devices.iter().any(|device| device.chain.iter().any(by))
        };
        roster.merge(&RosterUpdate::of([], self.crls.iter().filter(known), []), FOUNDED).expect("honest lists");
        roster
    }

    /// Both ends of a link between two devices, by a real hello: what the first knows of the second, and the reverse.
    pub fn link(&mut self, dialer: &TestDevice, responder: &TestDevice) -> (PeerProven, PeerProven) {
        let exporter = self.dice.bytes();
        let (of_dialer, of_responder) = (self.credentials(dialer), self.credentials(responder));
        let here = Context { exporter, local: dialer.id(), remote: responder.id() };
        let there = Context { exporter, local: responder.id(), remote: dialer.id() };
        let (waiting, hello) = Dialer::start(&dialer.key, &of_dialer, here).expect("own credentials");
        let answered = Responder::new(there).answer(hello.body(), &responder.key, &of_responder, FOUNDED);
        let (known_dialer, reply) = answered.expect("an honest hello");
        let known_responder = waiting.finish(reply.body(), &of_dialer, FOUNDED).expect("an honest reply");
        (known_responder, known_dialer)
    }
}
