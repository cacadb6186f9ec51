//! Members and devices of spaces, by the names that this device's owner has for them.

use std::sync::Arc;

use api::types::Change;
use api::{ApiError, ApiResult, ErrorCode};
use logic::ledger::{Ledger, RealmId, SpaceRole};
use logic::roster::Standing;
use seal::{DeviceId, MemberId, Timestamp};

use crate::book::Book;
use crate::circle::{Circle, Snapshot};
use crate::naming::{Found, meant};

/// See the module.
pub(super) struct People {
    now: Arc<Snapshot>,
    book: Arc<Book>,
    /// This device.
    pub(super) device: DeviceId,
    /// Its member.
    pub(super) member: MemberId,
}

impl People {
    pub(super) fn of(circle: &Circle, book: &Arc<Book>) -> ApiResult<Self> {
        let (now, device) = (circle.now()?, circle.device());
        let member = match now.view.devices.get(&device) {
            Some(own) => own.member,
            None => circle.member()?,
        };
        Ok(Self { now, book: book.clone(), device, member })
    }

    /// What commands call a member.
    pub(super) fn name(&self, member: MemberId) -> String {
        let pet = self.book.note(member).pet_name;
        if !pet.is_empty() {
            return pet;
        }
        self.now.view.members.get(&member).map_or_else(|| member.short(), |view| view.shown.clone())
    }

    /// What commands call a device: `member/device`.
    pub(super) fn device_name(&self, device: DeviceId, member: Option<MemberId>) -> String {
        match self.now.view.devices.get(&device) {
            Some(view) => format!("{}/{}", self.name(view.member), view.name),
            None => {
                let member = member.map_or_else(|| "somebody".to_owned(), |member| self.name(member));
                format!("{member}/{}", device.short())
            }
        }
    }

    /// Who did something, and when.
    pub(super) fn change(&self, device: DeviceId, member: Option<MemberId>, at: Timestamp) -> Change {
        let by = self.now.view.devices.get(&device).map(|view| view.member).or(member);
        let by = by.map(|member| self.name(member)).unwrap_or_default();
        Change { by, device: self.device_name(device, member), at: at.0 }
    }

    fn found(&self) -> Vec<Found<'_>> {
        let devices = self.now.view.devices.values();
        let found = |device: &_| -> Option<Found<'_>> {
            let device: &'_ logic::roster::DeviceView = device;
            let member = self.now.view.members.get(&device.member)?;
            Some(Found {
                device: self.now.view.devices.get(&device.device)?,
                member,
                note: self.book.note(device.member),
            })
        };
        devices.filter_map(found).collect()
    }

    /// The member that a name means, this one included.
    pub(super) fn member_meant(&self, name: &str) -> ApiResult<MemberId> {
        let found = meant(self.found(), name)?;
        found.first().map(|found| found.member.member).ok_or_else(|| nobody(name))
    }

    /// The same, who must be in the circle.
    pub(super) fn active_meant(&self, name: &str) -> ApiResult<MemberId> {
        let member = self.member_meant(name)?;
        match self.now.view.members.get(&member) {
            Some(view) if view.standing == Standing::Removed => {
                Err(ApiError::new(ErrorCode::NotAllowed, format!("{name} is no member of the circle any more"))
                    .hint("`warren invite` makes an invitation"))
            }
            _ => Ok(member),
        }
    }

    /// The one device that a name means.
    pub(super) fn device_meant(&self, name: &str) -> ApiResult<(DeviceId, MemberId)> {
        let found = meant(self.found(), name)?;
        match found.as_slice() {
            [one] => Ok((one.device.device, one.member.member)),
            [] => Err(nobody(name)),
            several => Err(ApiError::new(ErrorCode::BadRequest, format!("{name} has several devices"))
                .hint(format!("write one of {}", several.iter().map(Found::full_name).collect::<Vec<_>>().join(", ")))),
        }
    }

    /// Devices of a member that the circle knows.
    pub(super) fn devices_of(&self, member: MemberId) -> Vec<DeviceId> {
        self.now.view.devices.values().filter(|view| view.member == member).map(|view| view.device).collect()
    }

    /// Those who own a realm, by name: they could allow what somebody may not.
    pub(super) fn owners(&self, ledger: &Ledger, realm: RealmId) -> Vec<String> {
        let mut members: Vec<_> = super::access::members(ledger).into_iter().collect();
        members.retain(|member| ledger.judgement().role_of(*member, realm) == Some(SpaceRole::Owner));
        members.into_iter().filter(|member| *member != self.member).map(|member| self.name(member)).collect()
    }

    /// Checks that this device has a role, and says who could give it.
    pub(super) fn check_role(&self, ledger: &Ledger, realm: RealmId, role: SpaceRole, what: &str) -> ApiResult<()> {
        if ledger.judgement().cap_for(self.device, realm, role).is_some() {
            return Ok(());
        }
        let has = ledger.role_of(self.device, realm).map_or("none", role_name);
        let error = ApiError::new(
            ErrorCode::NotAllowed,
            format!("{what} takes the role {}; this device has {has} there", role_name(role)),
        );
        let owners = self.owners(ledger, realm);
        Err(match owners.is_empty() {
            true => error.hint("`warren access SPACE` shows who may do what"),
            false => error.hint(format!("ask {}: an owner can do it, or give you the role", owners.join(" or "))),
        })
    }
}

fn nobody(name: &str) -> ApiError {
    crate::naming::unknown(name, [])
}

/// A role as it is written.
pub(super) fn role_name(role: SpaceRole) -> &'static str {
    match role {
        SpaceRole::Storage => "storage",
        SpaceRole::Reader => "reader",
        SpaceRole::Editor => "editor",
        SpaceRole::Owner => "owner",
    }
}

/// A role that somebody wrote.
pub(super) fn role_meant(name: &str) -> ApiResult<SpaceRole> {
    let roles = [SpaceRole::Storage, SpaceRole::Reader, SpaceRole::Editor, SpaceRole::Owner];
    roles.into_iter().find(|role| role_name(*role) == name).ok_or_else(|| {
        ApiError::new(ErrorCode::BadRequest, format!("{name} is no role"))
            .hint("the roles are owner, editor, reader and storage")
    })
}
