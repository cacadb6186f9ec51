//! How a space stands between devices, for people.

use std::collections::BTreeMap;

use api::types::SpaceState;
use logic::ledger::SpaceRole;
use seal::{DeviceId, Timestamp};
use store::space::Standing as Disk;

use super::Between;
use super::allowance::Allowance;
use super::room::Room;
use crate::spaces::{Kept, SpaceFault};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// How this device stands.
    pub state: SpaceState,
    /// Objects that are wanted and not here, nearly.
    pub missing_objects: u64,
    /// Why no contents are stored, where that is so.
    pub full: Option<String>,
    /// How much of it may be kept here, where that is limited.
    pub allowance: Option<Allowance>,
    /// The devices that have entered.
    pub devices: BTreeMap<DeviceId, DeviceStanding>,
}

/// What is known of another device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DeviceStanding {
    /// It is online and shares the space.
    pub online: bool,
    /// It has every change that is here, and is not known to lack contents; `None`: it has never told.
    pub current: Option<bool>,
    /// When it last told what it has.
    pub told_at: Option<Timestamp>,
    /// It stores without reading, and said that it has no room.
    pub full: bool,
}

impl Between {
    /// How a space stands. Blocking.
    pub(crate) fn standing(&self, kept: &Kept) -> Result<Standing, SpaceFault> {
        let Some(room) = self.room(kept.space.id()) else {
            let (missing_objects, full, allowance, devices) = Default::default();
            return Ok(Standing { state: SpaceState::Alone, missing_objects, full, allowance, devices });
        };
        let sharing = self.sharing(room.id());
        let held = room.held()?;
        let known: Vec<_> =
            kept.space.look(|ledger, _| Ok(ledger.judgement().devices().map(|(device, _)| device).collect()))?;
        let facts = room.facts();
        let devices = known.into_iter().map(|device| {
            let shown = facts.shown.get(&device).map(|(frontier, at)| (frontier, *at));
            let signed = facts.heads.of(device).map(|head| (&head.held().frontier, head.held().time));
            let told: Vec<_> = shown.into_iter().chain(signed).collect();
            let current = told.iter().any(|(frontier, _)| frontier.dominates(&held));
            let lacks = facts.lacking.contains(&device) || facts.full_there.contains(&device);
            let standing = DeviceStanding {
                online: sharing.contains(&device),
                current: (!told.is_empty()).then_some(current && !lacks),
                told_at: told.iter().map(|(_, at)| *at).max(),
                full: facts.full_there.contains(&device),
            };
            (device, standing)
        });
        let devices = devices.filter(|(device, _)| *device != room.own.device).collect();
        let full = facts.full.clone();
        drop(facts);
        let (state, missing_objects) = (state(&room, !sharing.is_empty())?, room.queue.len());
        Ok(Standing { state, missing_objects, full, allowance: self.allowance(&room)?, devices })
    }
}

fn state(room: &Room, shared: bool) -> Result<SpaceState, SpaceFault> {
    let role = room.own_role()?;
    Ok(match room.kept.space.standing()? {
        _ if role.is_none() => SpaceState::Revoked,
        Disk::RolledBack { .. } | Disk::Unknown => SpaceState::Behind,
        _ if role == Some(SpaceRole::Storage) => SpaceState::Storage,
        _ if !room.facts().telling.is_empty() || (shared && room.queue.len() > 0) => SpaceState::Syncing,
        _ if !shared => SpaceState::Alone,
        _ => SpaceState::Current,
    })
}
