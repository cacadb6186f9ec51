//! What verification yields. These values cannot be made elsewhere, so who holds one need not ask again whether the chain
//! held, only whether it still does.

use super::{Role, Serial};
use crate::{CircleId, DeviceId, MemberId, SealRecipient, Timestamp};

/// A device whose whole chain held at the moment of verification. Only [`verify_device`](super::verify_device) makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifiedDevice {
    pub(super) device: DeviceId,
    pub(super) device_name: String,
    pub(super) owner: CertifiedMember,
    pub(super) not_after: Timestamp,
    pub(super) serials: Vec<Serial>,
}

impl CertifiedDevice {
    /// The device's key: must be the key at the other end of the channel.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The device's name.
    #[must_use]
    pub fn device_name(&self) -> &str {
        &self.device_name
    }

    /// Whose device it is.
    #[must_use]
    pub fn owner(&self) -> &CertifiedMember {
        &self.owner
    }

    /// The member whose device it is.
    #[must_use]
    pub fn member(&self) -> MemberId {
        self.owner.member
    }

    /// The member's name.
    #[must_use]
    pub fn member_name(&self) -> &str {
        &self.owner.member_name
    }

    /// The member's role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.owner.role
    }

    /// To whom files for the member are sealed.
    #[must_use]
    pub fn recipient(&self) -> &SealRecipient {
        &self.owner.recipient
    }

    /// The circle.
    #[must_use]
    pub fn circle(&self) -> CircleId {
        self.owner.circle
    }

    /// The circle's name.
    #[must_use]
    pub fn circle_name(&self) -> &str {
        &self.owner.circle_name
    }

    /// When the first certificate of the chain ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The serials of the chain, the device's first.
    #[must_use]
    pub fn serials(&self) -> &[Serial] {
        &self.serials
    }
}

/// A member whose whole chain held at the moment of verification. Only verification makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifiedMember {
    pub(super) member: MemberId,
    pub(super) member_name: String,
    pub(super) role: Role,
    pub(super) recipient: SealRecipient,
    pub(super) circle: CircleId,
    pub(super) circle_name: String,
    pub(super) not_after: Timestamp,
    pub(super) serials: Vec<Serial>,
}

impl CertifiedMember {
    /// The member's key.
    #[must_use]
    pub fn member(&self) -> MemberId {
        self.member
    }

    /// The member's name.
    #[must_use]
    pub fn member_name(&self) -> &str {
        &self.member_name
    }

    /// The member's role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// To whom files for the member are sealed.
    #[must_use]
    pub fn recipient(&self) -> &SealRecipient {
        &self.recipient
    }

    /// The circle.
    #[must_use]
    pub fn circle(&self) -> CircleId {
        self.circle
    }

    /// The circle's name.
    #[must_use]
    pub fn circle_name(&self) -> &str {
        &self.circle_name
    }

    /// When the first certificate of the chain ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The serials of the chain, the member's first.
    #[must_use]
    pub fn serials(&self) -> &[Serial] {
        &self.serials
    }
}
