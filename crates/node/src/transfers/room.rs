//! Room on this device's disks: what a running transfer still has to bring counts as taken, so that of two that fit
//! each alone, but not together, one finishes and the other waits.

use super::item::Item;
use logic::transfer::TransferId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::landing::{Building, LandingError};

/// What runs have been promised, by file system.
#[derive(Default)]
pub(super) struct Room(Mutex<BTreeMap<TransferId, (u64, Arc<Item>)>>);

/// Room for one run, until it is dropped.
pub(super) struct Promise(Arc<Item>);

/// So much is missing.
pub(super) struct Short {
    pub bytes: u64,
    /// It would fit if no other transfer ran.
    pub shared: bool,
}

impl Room {
    fn promised(&self) -> MutexGuard<'_, BTreeMap<TransferId, (u64, Arc<Item>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Promise {
    /// Room for what of `item` is not in `building` yet, beside what others still bring. Blocks.
    pub fn of(item: &Arc<Item>, building: &Building) -> Result<Result<Self, Short>, LandingError> {
        let volume = building.volume()?;
        let here = if building.is_resumed() { building.used()? } else { 0 };
        let wanted = item.lock().expected().saturating_sub(here);
        let mut promised = item.deps.room.promised();
        let others = promised.values().filter(|(at, other)| *at == volume && other.id != item.id);
        let taken: u64 = others.map(|(_, other)| other.lock().to_come()).sum();
        let free = building.free_space()?;
        if wanted > 0 && wanted.saturating_add(taken) > free {
            return Ok(Err(Short { bytes: wanted.saturating_add(taken) - free, shared: wanted <= free }));
        }
        promised.insert(item.id, (volume, item.clone()));
        Ok(Ok(Self(item.clone())))
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.deps.room.promised().remove(&self.0.id);
    }
}
