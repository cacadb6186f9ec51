//! One action for a lost or stolen device: revoked wherever this device may do so, the keys changed, and a list of what it
//! could read and of what people have to do themselves.

use std::sync::Arc;

use api::types::{DeviceLost, LostDevice, LostSpace};
use api::{ApiError, ApiResult, ErrorCode};
use logic::audit::{Event, Who};
use logic::ledger::{Control, Kind as CommitKind, Ledger, RealmId, RevokeReason, SpaceRole, Target};
use seal::{DeviceId, MemberId};

use super::people::{People, role_name};
use super::{Calls, info};
use crate::clock;
use crate::spaces::space::Work;
use crate::spaces::{Kept, SpaceFault};

/// A lost device.
#[derive(Clone, Copy)]
struct Lost {
    device: DeviceId,
    member: MemberId,
}

impl Calls {
    /// Answers `device_lost`.
    pub(super) fn lost(&self, request: &DeviceLost) -> ApiResult<LostDevice> {
        let people = self.people()?;
        let (device, member) = people.device_meant(&request.name)?;
        if device == people.device {
            return Err(ApiError::new(ErrorCode::BadRequest, "that is this device")
                .hint("do it on another device of yours; else ask an admin of the circle: `warren peers remove`"));
        }
        let lost = Lost { device, member };
        let name = people.device_name(device, Some(member));
        let mut reply = LostDevice {
            device: name.clone(),
            preview: request.preview,
            could_read: Vec::new(),
            done: Vec::new(),
            to_do: Vec::new(),
        };
        for (kept, space) in self.named()?.iter() {
            if let Some(told) = self.lost_in(kept, space, lost, &people, request.preview, &mut reply)? {
                reply.could_read.push(told);
            }
        }
        self.lost_in_circle(lost, &people, &name, request.preview, &mut reply)?;
        reply.to_do.extend(checklist(&name));
        if !request.preview {
            let who = Who { member: Some(people.name(member)), device: Some(device), address: None };
            let spaces = reply.could_read.iter().filter(|told| told.revoked).count() as u64;
            self.journal.note(Event::DeviceLost { who, spaces });
        }
        Ok(reply)
    }

    /// Revokes it in one space, if it has a role there.
    fn lost_in(
        &self,
        kept: &Arc<Kept>,
        space: &str,
        lost: Lost,
        people: &People,
        preview: bool,
        reply: &mut LostDevice,
    ) -> Result<Option<LostSpace>, SpaceFault> {
        let (role, owners, may) = kept.space.look(|ledger, _| {
            Ok((best(ledger, lost.device), people.owners(ledger, RealmId::ROOT), may(ledger, people, lost)))
        })?;
        let Some(role) = role else { return Ok(None) };
        let could = match role {
            SpaceRole::Storage => info::Shown::default(),
            _ => self.count(kept)?,
        };
        let mut told = LostSpace {
            space: space.to_owned(),
            role: role_name(role).into(),
            files: could.files,
            bytes: could.bytes,
            revoked: false,
            owners: owners.clone(),
        };
        let ask = if owners.is_empty() { "its owner".to_owned() } else { owners.join(" or ") };
        if preview {
            told.revoked = may;
        } else if may {
            let rekeyed = self.revoke_device(kept, people, lost)?;
            told.revoked = rekeyed.is_some();
            match rekeyed {
                Some(true) => reply.done.push(format!("revoked in {space}, and the keys of {space} changed")),
                Some(false) => {
                    reply.done.push(format!("revoked in {space}"));
                    reply.to_do.push(format!("ask {ask} to write something in {space}: that changes its keys"));
                }
                None => {}
            }
        }
        if !told.revoked {
            reply
                .to_do
                .push(format!("ask {ask} to run `warren device lost` for it: {space} is theirs to revoke it in"));
        }
        Ok(Some(told))
    }

    /// `None`: it would not have counted, and nothing was done. Else whether the keys are changed.
    fn revoke_device(&self, kept: &Kept, people: &People, lost: Lost) -> Result<Option<bool>, SpaceFault> {
        let now = clock::now();
        let done = self.change(kept, |work: &mut Work<'_, '_>, _| {
            if lost.member == people.member {
                kept.space.drop_own_device(work, lost.device, RevokeReason::Lost, now)?;
            } else {
                for realm in owned(work.ledger, people) {
                    let control = Control::Revoke { target: Target::Device(lost.device), reason: RevokeReason::Lost };
                    kept.space.rule(work, realm, CommitKind::Revoke, &control, now)?;
                }
            }
            if best(work.ledger, lost.device).is_some() {
                // Whoever gave it its role stands above this member: nothing of this would count.
                return Err(ApiError::new(ErrorCode::NotAllowed, "it stands above").into());
            }
            kept.space.rekey_due(work, now)?;
            let judgement = work.ledger.judgement();
            let clean = |realm| judgement.writers_epoch(realm).is_none_or(|epoch| epoch.clean);
            Ok(info::realms(work.ledger).into_iter().all(clean))
        });
        match done {
            Ok(rekeyed) => Ok(Some(rekeyed)),
            Err(SpaceFault::Asked(error)) if error.code == ErrorCode::NotAllowed => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Revokes its certificate, if it is one of this member's.
    fn lost_in_circle(
        &self,
        lost: Lost,
        people: &People,
        name: &str,
        preview: bool,
        reply: &mut LostDevice,
    ) -> ApiResult<()> {
        if lost.member != people.member {
            let owner = people.name(lost.member);
            reply.to_do.push(format!(
                "ask {owner} to run `warren device lost {name}` on another device: only {owner} can take it out of the \
                 circle alone; an admin can remove {owner} with all devices (`warren peers remove`)"
            ));
            return Ok(());
        }
        if preview {
            reply
                .done
                .push(format!("would be: the certificate of {name} revoked, so that no device talks to it any more"));
            return Ok(());
        }
        match self.circle.remove_own_device(lost.device) {
            Ok(_) => reply.done.push(format!("the certificate of {name} revoked: no device talks to it any more")),
            Err(crate::circle::CircleError::NothingToRevoke) => {
                reply.done.push(format!("{name} had been removed from the circle before"));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// The greatest role that a device has anywhere in a space.
fn best(ledger: &Ledger, device: DeviceId) -> Option<SpaceRole> {
    info::realms(ledger).into_iter().filter_map(|realm| ledger.role_of(device, realm)).max()
}

/// The outermost realms that this device owns.
fn owned(ledger: &Ledger, people: &People) -> Vec<RealmId> {
    let owns = |realm: RealmId| ledger.judgement().cap_for(people.device, realm, SpaceRole::Owner).is_some();
    if owns(RealmId::ROOT) {
        return vec![RealmId::ROOT];
    }
    info::realms(ledger).into_iter().filter(|realm| owns(*realm)).collect()
}

/// True if this device may revoke it there: one of the own member's, or as an owner.
fn may(ledger: &Ledger, people: &People, lost: Lost) -> bool {
    lost.member == people.member || !owned(ledger, people).is_empty()
}

/// What nobody can do for people.
fn checklist(name: &str) -> Vec<String> {
    vec![
        format!("what {name} held stays readable to whoever has it and its passphrase: change secrets that lay in these files"),
        "a device that was locked shows nothing without its passphrase: if the passphrase was weak or is used elsewhere, change it there".into(),
        "tell the circle, so that nobody accepts offers from it".into(),
        "lock its accounts and its SIM card, and report a theft".into(),
    ]
}
