//! What is known of one space between devices while this device runs.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use logic::ledger::sync::{shown, summary};
use logic::ledger::{CommitId, Frontier, Heads, SpaceRole};
use seal::{DeviceId, MemberId, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::access::{self, Access};
use super::queue::Queue;
use crate::spaces::{Kept, SpaceFault};

/// See the module.
pub(super) struct Room {
    pub(super) kept: Arc<Kept>,
    pub(super) own: Own,
    /// Objects that are wanted.
    pub(super) queue: Queue,
    /// Counts up with every statement that is new here.
    pub(super) stated: watch::Sender<u64>,
    /// Counts up with objects that came.
    pub(super) fetched: watch::Sender<u64>,
    /// The space is kept no more.
    pub(super) gone: CancellationToken,
    facts: Mutex<Facts>,
}

/// This device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    pub(super) device: DeviceId,
    pub(super) member: Option<MemberId>,
}

/// A space in which no role of this device's member was seen yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probation {
    /// Who told of it.
    pub(super) from: MemberId,
    /// Bytes that may still come.
    pub(super) left: usize,
    /// Since when.
    pub(super) since: Instant,
}

/// What others have told.
#[derive(Default)]
pub(super) struct Facts {
    /// `None`: a role of this device was seen.
    pub(super) probation: Option<Probation>,
    /// The newest statements of what somebody holds.
    pub(super) heads: Heads,
    /// What each peer showed last that it has, and when.
    pub(super) shown: HashMap<DeviceId, (Frontier, Timestamp)>,
    /// Peers that told of changes that are not here yet.
    pub(super) telling: BTreeSet<DeviceId>,
    /// Peers with a role of which everything that they told of is here, or known to be withheld.
    pub(super) asked: BTreeSet<DeviceId>,
    /// Peers that show less than they signed, and since when.
    pub(super) suspects: HashMap<DeviceId, Timestamp>,
    /// Devices that were noted for it.
    pub(super) noted: BTreeSet<DeviceId>,
    /// Devices without a role that were noted for it.
    pub(super) refused: BTreeSet<DeviceId>,
    /// Storage devices that are known to lack contents.
    pub(super) lacking: BTreeSet<DeviceId>,
    /// Devices to which everything is to be offered again.
    pub(super) anew: BTreeSet<DeviceId>,
    /// Why no contents are stored.
    pub(super) full: Option<String>,
    /// How much room there was when it was full: of what is allowed, and on the disk.
    pub(super) left: Option<(u64, u64)>,
    /// Storage devices that said that they are full.
    pub(super) full_there: BTreeSet<DeviceId>,
}

impl Room {
    pub(super) fn new(kept: Arc<Kept>, own: Own, probation: Option<Probation>) -> Result<Arc<Self>, SpaceFault> {
        let heads = super::heads::stored(&kept.space)?;
        let queue = Queue::open(&kept)?;
        let facts = Mutex::new(Facts { probation, heads, ..Facts::default() });
        let (gone, fetched) = (CancellationToken::new(), watch::Sender::new(0));
        Ok(Arc::new(Self { kept, own, queue, stated: watch::Sender::new(0), fetched, gone, facts }))
    }

    pub(super) fn id(&self) -> CommitId {
        self.kept.space.id()
    }

    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Objects came.
    pub(super) fn came(&self) {
        {
            let mut facts = self.facts();
            (facts.full, facts.left) = (None, None);
        }
        self.fetched.send_modify(|count| *count += 1);
        self.kept.space.nudge();
    }

    /// True until a role of this device's member was seen.
    pub(super) fn on_probation(&self) -> bool {
        self.facts().probation.is_some()
    }

    /// What a device may have.
    pub(super) fn access(&self, device: DeviceId, member: MemberId) -> Result<Access, SpaceFault> {
        self.kept.space.look(|ledger, store| Ok(access::access(ledger, store, device, member)))
    }

    /// The greatest role of this device.
    pub(super) fn own_role(&self) -> Result<Option<SpaceRole>, SpaceFault> {
        let Some(member) = self.own.member else { return Ok(None) };
        self.kept.space.look(|ledger, _| Ok(access::role(ledger, self.own.device, member)))
    }

    /// Everything that is here, whatever it counts: of each device the greatest number.
    pub(super) fn held(&self) -> Result<Frontier, SpaceFault> {
        self.kept.space.look(|ledger, _| Ok(shown(&summary(ledger))))
    }

    /// How many commits decide who may do what: when it grows, rights may have changed.
    pub(super) fn decisions(&self) -> Result<usize, SpaceFault> {
        self.kept.space.look(|ledger, _| Ok(ledger.judgement().controls().count()))
    }

    /// Enters with this device where it has a role and has not, once all that was told of is here: it may have been here
    /// before. True: it has entered now.
    pub(super) fn enter(&self, chain: crate::spaces::Chain, now: Timestamp) -> Result<bool, SpaceFault> {
        let outside = self.kept.space.look(|ledger, _| Ok(!ledger.knows(self.own.device)))?;
        if !outside || self.on_probation() || !self.facts().telling.is_empty() || self.own_role()?.is_none() {
            return Ok(false);
        }
        self.kept.space.enter(chain, now)?;
        Ok(true)
    }

    pub(super) fn has_entered(&self) -> Result<bool, SpaceFault> {
        self.kept.space.look(|ledger, _| Ok(ledger.knows(self.own.device)))
    }

    /// Who founded it, on which device.
    pub(super) fn founder(&self) -> Result<MemberId, SpaceFault> {
        self.kept.space.look(|ledger, _| Ok(ledger.judgement().founder()))
    }
}
