//! A circle to attack: root, the admin Ada, the reader Rob, devices, and revocation lists.

use crate::pki::{
    Certificate, Crl, CrlRequest, Issuer, MemberRequest, Revoked, Role, Validity, issue_crl, issue_device,
    issue_member, issue_root,
};
use crate::{DeviceKey, MemberKey, RootKey, SealIdentity, SealRecipient, Timestamp};
use std::time::Duration;

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// 2026-11-21T00:00:00Z.
pub(super) const NOW: Timestamp = Timestamp(1_795_219_200_000);

pub(super) fn days(count: u32) -> Validity {
    Validity::starting(NOW, DAY * count)
}

pub(super) struct Circle {
    pub root_key: RootKey,
    pub root: Certificate,
    pub ada_key: MemberKey,
    pub ada: Certificate,
    pub rob_key: MemberKey,
    pub rob: Certificate,
    pub laptop_key: DeviceKey,
    /// Rob's.
    pub laptop: Certificate,
}

impl Circle {
    pub(super) fn new() -> Self {
        let (root_key, ada_key, rob_key, laptop_key) =
            (RootKey::generate(), MemberKey::generate(), MemberKey::generate(), DeviceKey::generate());
        let root = issue_root(&root_key, "Höhle 7", days(7300)).unwrap();
        let ada = issue_member(&Issuer::root(&root_key, &root).unwrap(), &ada_request(&ada_key), days(365)).unwrap();
        let by_ada = Issuer::member(&ada_key, &ada).unwrap();
        let rob = issue_member(&by_ada, &request(&rob_key, "Rob", Role::Reader), days(300)).unwrap();
        let by_rob = Issuer::member(&rob_key, &rob).unwrap();
        let laptop = issue_device(&by_rob, laptop_key.id(), "laptop", days(200)).unwrap();
        Self { root_key, root, ada_key, ada, rob_key, rob, laptop_key, laptop }
    }

    pub(super) fn by_root(&self) -> Issuer<'_> {
        Issuer::root(&self.root_key, &self.root).unwrap()
    }

    pub(super) fn by_ada(&self) -> Issuer<'_> {
        Issuer::member(&self.ada_key, &self.ada).unwrap()
    }

    pub(super) fn by_rob(&self) -> Issuer<'_> {
        Issuer::member(&self.rob_key, &self.rob).unwrap()
    }

    pub(super) fn chain(&self) -> Vec<Certificate> {
        vec![self.laptop.clone(), self.rob.clone(), self.ada.clone()]
    }

    /// Current, empty lists of root, Ada and Rob.
    pub(super) fn crls(&self) -> Vec<Crl> {
        [self.by_root(), self.by_ada(), self.by_rob()].map(|issuer| crl(&issuer, 1, &[])).to_vec()
    }
}

fn ada_request(key: &MemberKey) -> MemberRequest<'static> {
    request(key, "Ada", Role::Admin)
}

pub(super) fn request<'a>(key: &MemberKey, name: &'a str, role: Role) -> MemberRequest<'a> {
    MemberRequest { member: key.id(), name, role, recipient: recipient() }
}

fn recipient() -> &'static SealRecipient {
    static RECIPIENT: std::sync::LazyLock<SealRecipient> =
        std::sync::LazyLock::new(|| SealIdentity::generate().recipient());
    &RECIPIENT
}

pub(super) fn crl(issuer: &Issuer<'_>, number: u64, revoked: &[&Certificate]) -> Crl {
    crl_during(issuer, number, revoked, days(30))
}

pub(super) fn crl_during(issuer: &Issuer<'_>, number: u64, revoked: &[&Certificate], validity: Validity) -> Crl {
    let revoked: Vec<_> = revoked
        .iter()
        .map(|certificate| Revoked { serial: certificate.serial(), at: NOW, reason: crate::pki::Reason::KeyCompromise })
        .collect();
    issue_crl(issuer, &CrlRequest { number, revoked: &revoked, validity }).unwrap()
}
