//! How much a device that stores a space without reading it keeps of it.
//!
//! The space's owners say what they ask of it (a commit of the ledger), the device's own owner what it gives: to this
//! space, and to all that it cannot read together. The smallest holds, for contents and for changes. Contents stop a
//! sixteenth before the limit, so that changes go on, and with them what takes a right away.

use std::collections::{BTreeMap, BTreeSet};

use logic::ledger::{Control, Ledger, RealmId, SpaceRole, Verdict};
use seal::MemberId;

use super::Between;
use super::room::Room;
use crate::spaces::SpaceFault;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Bytes of contents and of the file of the space.
    pub used: u64,
    /// The most that there may be.
    pub limit: u64,
    /// Whose limit it is, for people.
    pub whose: &'static str,
}

impl Allowance {
    /// Bytes of contents that there is room for.
    pub fn contents_left(&self) -> u64 {
        (self.limit - self.limit / 16).saturating_sub(self.used)
    }

    /// Bytes of changes that there is room for.
    pub fn changes_left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// Why no more is taken, for people.
    pub fn reason(&self) -> String {
        format!("{} is {} bytes, and {} are taken", self.whose, self.limit, self.used)
    }
}

/// What the owners of a space ask of each device of a member that stores it: of the space, or of the parts that its roles
/// are on together. `None`: no limit.
pub(crate) fn asked(ledger: &Ledger, member: MemberId) -> Option<u64> {
    let judgement = ledger.judgement();
    let mut newest: BTreeMap<RealmId, (u64, _, Option<u64>)> = BTreeMap::new();
    for (id, _) in judgement.controls().filter(|(_, verdict)| *verdict == Verdict::Effective) {
        let Some(commit) = ledger.control(&id) else { continue };
        match commit.control() {
            Some(Control::Limit { member: about, bytes }) if *about == member => {
                let (realm, said) = (commit.header().realm, (commit.header().lamport, id, *bytes));
                let known = newest.entry(realm).or_insert(said);
                *known = (*known).max(said);
            }
            _ => {}
        }
    }
    let own = judgement.grants().filter(|(_, grant)| grant.member == member && grant.effective);
    let realms: BTreeSet<_> =
        own.map(|(_, grant)| grant.realm).filter(|realm| judgement.role_of(member, *realm).is_some()).collect();
    let of = |realm: &RealmId| newest.get(realm).and_then(|(_, _, bytes)| *bytes);
    match realms.contains(&RealmId::ROOT) {
        true => of(&RealmId::ROOT),
        false => realms.iter().map(of).try_fold(0_u64, |sum, bytes| Some(sum.saturating_add(bytes?))),
    }
}

impl Between {
    /// What this device may keep of a space; `None`: as much as it likes. Blocking.
    pub(super) fn allowance(&self, room: &Room) -> Result<Option<Allowance>, SpaceFault> {
        if !stores_only(room)? {
            return Ok(None);
        }
        let spaces = &self.parts.spaces;
        let used = spaces.taken(&room.kept)?;
        let asked = match room.own.member {
            Some(member) => room.kept.space.look(|ledger, _| Ok(asked(ledger, member)))?,
            None => None,
        };
        let mut limits = vec![
            (asked, "what its owners ask of this device"),
            (room.kept.wish().quota, "the limit that this device has for the space"),
        ];
        if let Some(all) = spaces.storage_limit() {
            let mut others = 0_u64;
            let rooms: Vec<_> = self.rooms().values().filter(|other| other.id() != room.id()).cloned().collect();
            for other in rooms {
                if stores_only(&other)? {
                    others = others.saturating_add(spaces.taken(&other.kept)?);
                }
            }
            limits.push((Some(all.saturating_sub(others)), "what other spaces leave of `storage_limit`"));
        }
        let limits = limits.into_iter().filter_map(|(limit, whose)| Some((limit?, whose)));
        Ok(limits.min().map(|(limit, whose)| Allowance { used, limit, whose }))
    }
}

fn stores_only(room: &Room) -> Result<bool, SpaceFault> {
    Ok(room.own_role()? == Some(SpaceRole::Storage))
}
