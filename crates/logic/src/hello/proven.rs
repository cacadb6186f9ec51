//! The proof that a peer is a device of the circle.

use seal::pki::{Certificate, CertifiedDevice, Crl, Role};
use seal::{DeviceId, MemberId, Timestamp};

use crate::wire::Version;

/// The other end of this channel is a device of a member of this circle, certified and not revoked at the moment of the
/// hello. Only the hello makes it; every service demands one.
#[derive(Debug, Clone)]
pub struct PeerProven {
    pub(super) device: CertifiedDevice,
    pub(super) chain: Vec<Certificate>,
    pub(super) newer_crls: Vec<Crl>,
    pub(super) boot: [u8; 16],
    pub(super) version: Version,
}

impl PeerProven {
    /// The device.
    pub fn device(&self) -> DeviceId {
        self.device.device()
    }

    /// Its name.
    pub fn device_name(&self) -> &str {
        self.device.device_name()
    }

    /// The member whose device it is.
    pub fn member(&self) -> MemberId {
        self.device.member()
    }

    /// The member's name as certified (the roster may show it with a number: see [`crate::roster`]).
    pub fn member_name(&self) -> &str {
        self.device.member_name()
    }

    /// What the member may do.
    pub fn role(&self) -> Role {
        self.device.role()
    }

    /// When the first certificate of its chain ends.
    pub fn certificate_ends_at(&self) -> Timestamp {
        self.device.not_after()
    }

    /// Names the run of the device: another one after each start.
    pub fn boot(&self) -> [u8; 16] {
        self.boot
    }

    /// Protocol version of this link.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Everything that verification found out.
    pub fn certified(&self) -> &CertifiedDevice {
        &self.device
    }

    /// The chain that it showed, device first, for the roster.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// Revocation lists that it brought and that were newer than ours, for the roster.
    pub fn newer_crls(&self) -> &[Crl] {
        &self.newer_crls
    }
}
