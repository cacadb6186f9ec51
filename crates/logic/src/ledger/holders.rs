//! Who can have the key of an epoch: whoever it was sealed for, and whoever can open a key under which it lies sealed.
//!
//! All rekeys are looked at, whatever they are worth: what was sealed once can be opened, counting or not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use seal::DeviceId;

use super::control::{Control, Rekey};
use super::id::EpochId;
use super::plane::Plane;

/// The devices that can have each key.
pub(super) fn holders(plane: &Plane) -> BTreeMap<EpochId, BTreeSet<DeviceId>> {
    let mut rekeys: Vec<(EpochId, u64, &Rekey)> = Vec::new();
    for (id, ruled) in &plane.ruled {
        if let Control::Rekey(rekey) = ruled.control() {
            rekeys.push((*id, ruled.header().lamport, rekey));
        }
    }
    let wrapped = |rekey: &Rekey| rekey.wraps.iter().map(|wrap| wrap.device).collect();
    let mut holders: BTreeMap<_, BTreeSet<_>> = rekeys.iter().map(|(id, _, rekey)| (*id, wrapped(rekey))).collect();
    // Whoever has the first of a pair has the second. Mostly the older one lies under the newer one: newest first, one
    // round does nearly everything.
    rekeys.sort_by_key(|(id, lamport, _)| Reverse((*lamport, *id)));
    let leads = rekeys.iter().flat_map(|(id, _, rekey)| {
        let back = rekey.back.as_ref().map(|link| (*id, link.epoch));
        let parent = rekey.parent.as_ref().map(|link| (link.epoch, *id));
        back.into_iter().chain(parent)
    });
    let leads: Vec<_> = leads.collect();
    let mut grew = true;
    while std::mem::take(&mut grew) {
        for (from, to) in &leads {
            let (Some(more), Some(own)) = (holders.get(from).cloned(), holders.get_mut(to)) else { continue };
            let before = own.len();
            own.extend(more);
            grew |= own.len() > before;
        }
    }
    holders
}
