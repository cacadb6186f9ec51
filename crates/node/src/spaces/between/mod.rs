//! What devices tell each other about shared spaces.
//!
//! | part | what it does |
//! |---|---|
//! | `telling` | who is told of which spaces; which sessions there should be |
//! | `learning` | a space that is not known yet |
//! | `session` | a conversation about one space; `access`: what the other may have of it |
//! | `heads`, `evidence` | statements of what devices hold, and what proves that somebody cheats |
//! | `queue`, `fetching` | objects that are wanted, from whoever has them |
//! | `serving` | objects for others, and from others for a device that stores without reading |
//! | `handing` | objects handed to such devices; `allowance`: how much they take |
//! | `room` | what is known of one space while this device runs; `keeping`: its own work |
//! | `standing` | how all that stands, for people |
//!
//! Invariants: nothing of a space leaves this device but to a device whose member has a role in it, by this device's
//! judgement, except what its own revocation rests on; nothing that a peer names is kept before a role of this device's
//! member was seen in it; objects are checked by their names before they are stored. What blocks runs on threads that may.

mod access;
pub(crate) mod allowance;
mod doubt;
mod errors;
pub(crate) mod evidence;
mod fetching;
mod handing;
mod heads;
mod intake;

mod keeping;
mod learning;
mod notes;
mod ports;
mod queue;
mod room;
mod serving;
mod session;
mod standing;
mod telling;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::EventHub;
use logic::ledger::CommitId;
use seal::DeviceId;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::circle::Circle;
use crate::journal::Journal;
use crate::spaces::Spaces;

pub(crate) use ports::{MemberPeer, Peer};
pub(crate) use standing::Standing;

use room::Room;

/// What the spaces need from the rest of the device.
pub(crate) struct Parts {
    pub spaces: Arc<Spaces>,
    pub circle: Arc<Circle>,
    pub journal: Journal,
    pub hub: EventHub,
}

/// See the module.
pub(crate) struct Between {
    parts: Parts,
    peers: Mutex<HashMap<DeviceId, Online>>,
    rooms: Mutex<BTreeMap<CommitId, Arc<Room>>>,
    /// Held from the look at which spaces there are until they have rooms: a space that is being taken in is on probation.
    furnishing: Mutex<()>,
    /// Held while it is looked whether there is room, and until what came is stored.
    storing: Mutex<()>,
    /// The next claim's number.
    claims: Mutex<u64>,
    /// Somebody has to be told something, or a session is to be opened.
    wake: Notify,
    /// For those who wait on threads.
    runtime: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A device that is there.
struct Online {
    peer: Arc<dyn Peer>,
    /// The link is over.
    gone: CancellationToken,
    /// What it told that this device may have.
    theirs: BTreeSet<CommitId>,
    /// What it was told.
    ours: Option<Vec<CommitId>>,
    sessions: HashMap<CommitId, Open>,
    /// Sessions that failed are not opened again before.
    later: HashMap<CommitId, (Instant, u32)>,
    /// Spaces that it told of in which this device turned out to have no role.
    fruitless: BTreeSet<CommitId>,
    /// It sent wrong bytes: it is not asked for objects any more.
    distrusted: bool,
    /// Streams for objects that it may have open.
    desks: Arc<Semaphore>,
}

/// A session in use.
struct Open {
    number: u64,
    by_us: bool,
    end: CancellationToken,
}

/// Streams for objects that one peer may have open.
const DESKS: usize = 8;

impl Between {
    /// To be called where the device's tasks run.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let between = Arc::new(Self {
            parts,
            peers: Mutex::default(),
            rooms: Mutex::default(),
            furnishing: Mutex::default(),
            storing: Mutex::default(),
            claims: Mutex::default(),
            wake: Notify::new(),
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        between.parts.spaces.meet(Arc::downgrade(&between));
        between
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<DeviceId, Online>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rooms(&self) -> MutexGuard<'_, BTreeMap<CommitId, Arc<Room>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The room of a space that is kept here.
    fn room(&self, ledger: CommitId) -> Option<Arc<Room>> {
        self.rooms().get(&ledger).cloned()
    }

    /// A link came up; it takes the place of an older one to the same device.
    pub(crate) fn link_up(&self, peer: Arc<dyn Peer>) {
        if !peer.knows_spaces() || self.stop.is_cancelled() {
            return;
        }
        let online = Online {
            gone: self.stop.child_token(),
            theirs: BTreeSet::new(),
            ours: None,
            sessions: HashMap::new(),
            later: HashMap::new(),
            fruitless: BTreeSet::new(),
            distrusted: false,
            desks: Arc::new(Semaphore::new(DESKS)),
            peer: peer.clone(),
        };
        if let Some(old) = self.peers().insert(peer.device(), online) {
            old.gone.cancel();
        }
        self.wake.notify_one();
    }

    /// A link ended.
    pub(crate) fn link_down(&self, peer: &Arc<dyn Peer>) {
        let mut peers = self.peers();
        if peers.get(&peer.device()).is_some_and(|online| Arc::ptr_eq(&online.peer, peer))
            && let Some(online) = peers.remove(&peer.device())
        {
            online.gone.cancel();
        }
        drop(peers);
        for room in self.rooms().values() {
            room.facts().telling.remove(&peer.device());
        }
    }

    /// Ends everything.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.peers().clear();
        self.rooms().clear();
    }

    /// Devices that are there.
    fn online(&self) -> Vec<Arc<dyn Peer>> {
        self.peers().values().map(|online| online.peer.clone()).collect()
    }
}
