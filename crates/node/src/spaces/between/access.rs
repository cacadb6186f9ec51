//! What a device may have of a space, by the judgement of this device.

use logic::ledger::{CommitId, Control, Frontier, Ledger, RealmId, Seen, Shelf, SpaceRole, Target, Verdict};
use seal::{DeviceId, MemberId};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everything; the greatest role that it has anywhere.
    Full(SpaceRole),
    /// It had a role and was revoked: what its revocations rest on, them included, so that it learns of them; nothing later.
    Farewell(Vec<Seen>),
    /// Nothing. It may have been granted something that is not known here, so it may tell what it knows.
    Nothing,
}

impl Access {
    /// True for [`Self::Full`].
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }
}

/// Every realm that counts.
fn realms(ledger: &Ledger) -> impl Iterator<Item = RealmId> {
    std::iter::once(RealmId::ROOT).chain(ledger.judgement().realms().map(|(realm, _)| realm))
}

/// The greatest role that a device has anywhere. One that has not entered has those of its member.
pub(crate) fn role(ledger: &Ledger, device: DeviceId, member: MemberId) -> Option<SpaceRole> {
    let entered = ledger.judgement().devices().find(|(known, _)| *known == device);
    match entered {
        // Who it speaks for is what it has shown there.
        Some(_) => realms(ledger).filter_map(|realm| ledger.role_of(device, realm)).max(),
        None => realms(ledger).filter_map(|realm| ledger.judgement().role_of(member, realm)).max(),
    }
}

/// What a device may have.
pub(crate) fn access(ledger: &Ledger, shelf: &dyn Shelf, device: DeviceId, member: MemberId) -> Access {
    match role(ledger, device, member) {
        Some(role) => Access::Full(role),
        None => match farewell(ledger, shelf, device, member) {
            tips if tips.is_empty() => Access::Nothing,
            tips => Access::Farewell(tips),
        },
    }
}

/// The tips of what the revocations of a device or its member rest on.
fn farewell(ledger: &Ledger, shelf: &dyn Shelf, device: DeviceId, member: MemberId) -> Vec<Seen> {
    let mut all = Frontier::default();
    for id in revocations(ledger, device, member) {
        // Beside every control commit it is stored what it had seen, itself included.
        let Some(past) = shelf.after(&id) else { continue };
        for seen in past.frontier().entries().filter(|seen| !all.covers(seen.device, seen.seq)).collect::<Vec<_>>() {
            all.set(seen.device, seen.seq, seen.id);
        }
    }
    all.entries().collect()
}

fn revocations(ledger: &Ledger, device: DeviceId, member: MemberId) -> Vec<CommitId> {
    let counts = ledger.judgement().controls().filter(|(_, verdict)| *verdict == Verdict::Effective);
    let about = |id: &CommitId| match ledger.control(id).and_then(|commit| commit.control()) {
        Some(Control::Revoke { target: Target::Member(revoked), .. }) => *revoked == member,
        Some(Control::Revoke { target: Target::Device(revoked) | Target::OwnDevice(revoked), .. }) => {
            *revoked == device
        }
        _ => false,
    };
    counts.map(|(id, _)| id).filter(about).collect()
}
