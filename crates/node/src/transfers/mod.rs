//! Sending and receiving files: the tasks around the engines of `logic::transfer`.
//!
//! ```text
//! sender:    scan -> engine -> read + hash (threads) -> lanes          control task
//! receiver:  lanes -> verify + write (threads) -> engine -> landing    control task
//! ```
//!
//! A transfer is an [`item::Item`] here; while there is a link, one run of it drives the engine. Runs come and go with
//! links; what was asked for and what was accepted is on the [`Shelf`]. Stages are bounded by pools of buffers, so
//! memory does not depend on what is sent. The same code serves one-time codes, over a shelf that forgets.
//!
//! Invariant: a transfer that was asked for or accepted ends only by success, by a decision of one of the two users, or
//! because its sources are gone; everything else is a pause until the next link.

mod control;
mod deciding;
mod incoming;
mod item;
mod lanes;
mod late;
mod leftovers;
mod listing;
mod outgoing;
mod pool;
mod ports;
mod reading;
mod record;
mod room;
mod runs;
mod serving;
#[cfg(test)]
mod tests;
mod total;
mod writing;

pub use ports::{Connection, Decision, Happened, Host, Lanes, Remembered, Shelf, Stream, What};
pub use record::NoSource;

use api::types::{Transfer, TransferState};
use item::{Command, Item};
use logic::transfer::limits::{OFFER_NAMES, TEXT_MAX, VERSION};
use logic::transfer::{Offer, Reason, Totals, TransferId};
use record::{Asked, Ended, Record};
use room::Room;
use seal::DeviceId;
use serde_bytes::ByteBuf;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use store::RelPath;
use store::landing::{Landing, LandingError};
use store::spool::SpoolId;
use tokio::sync::broadcast;
use total::Total;

/// Snapshots that a slow subscriber may lag behind.
const SNAPSHOTS: usize = 1024;

/// So many characters of an id must be given.
pub(crate) const ID_MIN: usize = 4;

/// What to send.
#[derive(Debug, Clone, Default)]
pub struct SendRequest {
    /// Absolute paths.
    pub paths: Vec<PathBuf>,
    /// A text that goes with them, or alone.
    pub text: Option<String>,
    /// Content that was handed over before, instead of paths, and the name under which it arrives.
    pub spool: Option<(SpoolId, Vec<u8>)>,
    /// Bytes per second, for each receiver.
    pub limit: Option<u64>,
}

/// Why a request about transfers failed.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// There is no such transfer.
    #[error("there is no transfer {0}")]
    Unknown(String),
    /// The beginning of an id that several transfers have.
    #[error("several transfers begin with {0}; give more of the id")]
    Ambiguous(String),
    /// So few letters are no id: they might mean another one tomorrow.
    #[error("`{0}` is too short for an id: give at least {ID_MIN} characters of it")]
    TooShort(String),
    /// The landing folder cannot be used.
    #[error("cannot receive into {}: {source}", to.display())]
    Landing {
        /// The folder.
        to: PathBuf,
        /// Why.
        source: LandingError,
    },
    /// Nothing to send, or the text is too long.
    #[error("{0}")]
    NothingToSend(String),
    /// What is to be sent is not there or cannot be read.
    #[error(transparent)]
    NoSource(#[from] NoSource),
    /// The transfer is over.
    #[error("transfer {0} is over")]
    Over(String),
    /// Only an offer that waits can be accepted or rejected.
    #[error("transfer {0} does not wait for a decision")]
    NoOffer(String),
    /// The database failed.
    #[error("cannot store the transfer: {0}")]
    Storage(#[from] io::Error),
}

/// What everything here shares.
struct Deps {
    host: Arc<dyn Host>,
    shelf: Arc<dyn Shelf>,
    snapshots: broadcast::Sender<Transfer>,
    total: Arc<Total>,
    room: Room,
    began: Instant,
}

impl Deps {
    /// The engines' clock.
    fn clock(&self) -> Duration {
        self.began.elapsed()
    }

    fn publish(&self, view: Transfer) {
        // An error means that nobody listens.
        let _ = self.snapshots.send(view);
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[derive(Default)]
struct Table {
    items: BTreeMap<TransferId, Arc<Item>>,
    links: HashMap<DeviceId, Arc<dyn Connection>>,
    /// Records that the shelf has and nobody can read.
    unreadable: Vec<String>,
}

/// All transfers of a device. Cheap to clone; all methods must be called inside a tokio runtime.
#[derive(Clone)]
pub struct Transfers {
    deps: Arc<Deps>,
    table: Arc<Mutex<Table>>,
}

impl Transfers {
    /// Loads what the shelf remembers. Transfers go on when their peers' links come up. Records that cannot be read are
    /// left where they are ([`Transfers::unreadable`]).
    ///
    /// # Errors
    /// The shelf cannot be read.
    pub fn new(host: Arc<dyn Host>, shelf: Arc<dyn Shelf>) -> io::Result<Self> {
        let (snapshots, _) = broadcast::channel(SNAPSHOTS);
        let (total, room, began) = (Arc::new(Total::new()), Room::default(), Instant::now());
        let deps = Arc::new(Deps { host, shelf, snapshots, total, room, began });
        let Remembered { records, damaged } = deps.shelf.all()?;
        let mut table = Table { unreadable: damaged, ..Table::default() };
        let mut over = Vec::new();
        for (id, bytes) in records {
            match Record::from_bytes(&bytes) {
                Some(record) => {
                    over.extend(record.left_over());
                    table.items.insert(id, Item::new(record, deps.clone()));
                }
                None => table.unreadable.push(id.to_string()),
            }
        }
        // What a crash has left of transfers that are over. Others may receive into the same folder.
        incoming::remove_all(over);
        Ok(Self { deps, table: Arc::new(Mutex::new(table)) })
    }

    /// Records of transfers that are damaged, or of a later version: their places on the shelf, or their ids.
    pub fn unreadable(&self) -> Vec<String> {
        self.table().unreadable.clone()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Snapshots of transfers as they change: at once when the state changes, else at most five times per second each.
    pub fn subscribe(&self) -> broadcast::Receiver<Transfer> {
        self.deps.snapshots.subscribe()
    }

    /// Sends to each receiver; one transfer each, in this order. Blocks for a durable write per receiver.
    ///
    /// # Errors
    /// Nothing to send, a path that does not exist, or the shelf failed.
    pub fn send(&self, request: &SendRequest, receivers: &[DeviceId]) -> Result<Vec<Transfer>, TransferError> {
        let asked = asked(request);
        let names = self.check_request(request, &asked)?;
        let mut views = Vec::new();
        for peer in receivers {
            let offer = Offer {
                version: VERSION,
                id: TransferId(seal::random()),
                names: names.iter().take(OFFER_NAMES).cloned().map(ByteBuf::from).collect(),
                items: names.len() as u64,
                text: request.text.clone(),
                found: Totals::default(),
                complete: false,
                created_at: now_ms(),
            };
            let item = Item::new(Record::outgoing(*peer, offer, asked.clone(), request.limit), self.deps.clone());
            item.store(|_| {})?;
            let shown = names.iter().map(|name| reading::show(name)).collect::<Vec<_>>().join(", ");
            item.happened(What::Offered { names: shown });
            let link = {
                let mut table = self.table();
                table.items.insert(item.id, item.clone());
                table.links.get(peer).cloned()
            };
            if link.is_some() {
                item.state(TransferState::Offered);
            }
            views.push(item.view());
            item.publish();
            if let Some(link) = link {
                self.start(item, link);
            }
        }
        Ok(views)
    }

    /// All transfers, oldest first.
    pub fn list(&self) -> Vec<Transfer> {
        let items: Vec<_> = self.table().items.values().cloned().collect();
        let mut views: Vec<_> = items.iter().map(|item| item.view()).collect();
        views.sort_by_key(|view| view.created_at);
        views
    }

    /// One transfer, by its id or an unambiguous beginning of it.
    ///
    /// # Errors
    /// No such transfer, or several.
    pub fn get(&self, id: &str) -> Result<Transfer, TransferError> {
        Ok(self.find(id)?.view())
    }

    fn find(&self, id: &str) -> Result<Arc<Item>, TransferError> {
        if id.len() < ID_MIN {
            return Err(TransferError::TooShort(id.to_owned()));
        }
        let wanted = id.to_ascii_lowercase();
        let table = self.table();
        let mut matching = table.items.values().filter(|item| item.id.to_string().starts_with(&wanted));
        match (matching.next(), matching.next()) {
            (Some(item), None) => Ok(item.clone()),
            (Some(_), Some(_)) => Err(TransferError::Ambiguous(id.to_owned())),
            _ => Err(TransferError::Unknown(id.to_owned())),
        }
    }

    fn find_open(&self, id: &str) -> Result<Arc<Item>, TransferError> {
        let item = self.find(id)?;
        if item.view().state.is_final() { Err(TransferError::Over(id.to_owned())) } else { Ok(item) }
    }

    /// Pauses a transfer, also over restarts, until [`Transfers::resume`].
    ///
    /// # Errors
    /// No such transfer, or it is over.
    pub fn pause(&self, id: &str) -> Result<Transfer, TransferError> {
        let item = self.find_open(id)?;
        item.store(|record| record.paused = true)?;
        if !item.tell(Command::Pause(true)) {
            item.state(TransferState::Paused);
        }
        Ok(item.view())
    }

    /// Lets a paused transfer go on, or tries one at once that waits after a failure.
    ///
    /// # Errors
    /// No such transfer, or it is over.
    pub fn resume(&self, id: &str) -> Result<Transfer, TransferError> {
        let item = self.find_open(id)?;
        item.store(|record| {
            record.paused = false;
            record.problem = None;
        })?;
        if !item.tell(Command::Pause(false)) {
            let link = self.table().links.get(&item.peer).cloned().filter(|_| item.outgoing);
            match link {
                Some(link) => {
                    item.asking();
                    self.start(item.clone(), link);
                }
                None => item.state(if item.outgoing { TransferState::Queued } else { TransferState::Waiting }),
            }
        }
        Ok(item.view())
    }

    /// Ends a transfer; what has not landed is removed.
    ///
    /// # Errors
    /// No such transfer, or it is over.
    pub fn cancel(&self, id: &str) -> Result<Transfer, TransferError> {
        let item = self.find_open(id)?;
        item.end(Ended::Cancelled, None);
        item.store(|record| record.untold = item.outgoing)?;
        item.happened(What::Cancelled { here: true });
        if !item.tell(Command::Cancel) {
            incoming::discard(&item);
            self.tell_end(&item);
        }
        self.settle_input(&item);
        Ok(item.view())
    }

    /// Ends everything open with a peer that will not come back: it was removed from the circle.
    pub fn part_from(&self, peer: DeviceId) {
        let items: Vec<_> = self.table().items.values().filter(|item| item.peer == peer).cloned().collect();
        for item in items.into_iter().filter(|item| !item.view().state.is_final()) {
            let why = "the other side was removed from the circle".to_owned();
            item.happened(What::Failed { reason: why.clone() });
            item.end(Ended::Failed, Some(why));
            item.persist_soon();
            if !item.tell(Command::Cancel) {
                incoming::discard(&item);
            }
            self.settle_input(&item);
        }
    }

    /// Ends an outgoing transfer because the code under which it waited is void.
    pub fn void(&self, id: TransferId, why: &str) {
        let item = self.table().items.get(&id).filter(|item| !item.view().state.is_final()).cloned();
        if let Some(item) = item {
            item.happened(What::Failed { reason: why.to_owned() });
            item.end(Ended::Void, Some(why.to_owned()));
            item.persist_soon();
            self.settle_input(&item);
        }
    }

    /// Limits one transfer to so many bytes per second.
    ///
    /// # Errors
    /// No such transfer, or it is over.
    pub fn limit(&self, id: &str, limit: Option<u64>) -> Result<(), TransferError> {
        let item = self.find_open(id)?;
        item.store(|record| record.limit = limit)?;
        item.tell(Command::Limit(limit));
        item.publish();
        Ok(())
    }

    /// Limits all sending together to so many bytes per second, beside the limits of the single transfers.
    pub fn limit_all(&self, limit: Option<u64>) {
        self.deps.total.set(limit);
    }

    /// Accepts an offer; `to`: landing folder, if not the usual one. A transfer that was accepted and is stuck can be
    /// accepted once more, into another folder. Blocks.
    ///
    /// # Errors
    /// No such transfer, or it does not wait for a decision, or the folder cannot be used: then the offer stays.
    pub fn accept(&self, id: &str, to: Option<&Path>) -> Result<Transfer, TransferError> {
        let item = self.find_acceptable(id)?;
        let to = to.map_or_else(|| self.deps.host.received_dir(), Path::to_owned);
        Landing::probe(&to).map_err(|source| TransferError::Landing { to: to.clone(), source })?;
        if item.decided().is_some() {
            return self.accept_elsewhere(&item, &to);
        }
        // Something of it may have come by a rule.
        if item.record().accepted.is_some_and(|rule| rule.folder() != to) {
            incoming::discard(&item);
        }
        item.agree(&to, None);
        item.store(|_| {})?;
        item.happened(What::Accepted { by: "person" });
        if !item.tell(Command::Decided) {
            item.state(TransferState::Waiting);
        }
        Ok(item.view())
    }

    /// Moves a stuck transfer to another folder; what has arrived in the old one is given up.
    fn accept_elsewhere(&self, item: &Arc<Item>, to: &Path) -> Result<Transfer, TransferError> {
        item.tell(Command::Yield);
        let _turn = item.turn.blocking_lock();
        let old = item.record().accepted;
        if old.as_ref().is_some_and(|old| old.folder() != to) {
            incoming::discard(item);
            item.agree(to, old.and_then(|old| old.ceiling));
        }
        item.store(|record| (record.problem, record.trouble) = (None, None))?;
        item.happened(What::Accepted { by: "person" });
        item.publish();
        Ok(item.view())
    }

    /// Rejects an offer.
    ///
    /// # Errors
    /// No such transfer, or it does not wait for a decision.
    pub fn reject(&self, id: &str) -> Result<Transfer, TransferError> {
        let item = self.find_offer(id)?;
        item.end(Ended::Rejected, Some(item::in_words(&Reason::Asked)));
        item.store(|_| {})?;
        item.happened(What::Rejected { reason: item::in_words(&Reason::Asked) });
        // Where nobody listens, the sender hears it at its next offer.
        item.tell(Command::Decided);
        Ok(item.view())
    }

    /// An offer, or a transfer that was accepted and cannot go on here.
    fn find_acceptable(&self, id: &str) -> Result<Arc<Item>, TransferError> {
        let item = self.find_open(id)?;
        let stuck = {
            let inner = item.lock();
            let decided = inner.record.accepted.is_some() && !inner.live.over;
            decided && inner.record.problem.is_some() && inner.live.state == TransferState::Waiting
        };
        if stuck && !item.outgoing { Ok(item) } else { self.find_offer(id) }
    }

    fn find_offer(&self, id: &str) -> Result<Arc<Item>, TransferError> {
        let item = self.find_open(id)?;
        let decided = item.outgoing || item.decided().is_some();
        if decided { Err(TransferError::NoOffer(id.to_owned())) } else { Ok(item) }
    }

    /// Addresses an outgoing transfer to another device than before: the one that proved its code.
    pub fn readdress(&self, id: TransferId, peer: DeviceId) {
        let mut table = self.table();
        if let Some(item) = table.items.get(&id).filter(|item| item.peer != peer) {
            let record = Record { peer, ..item.record() };
            let item = Item::new(record, self.deps.clone());
            item.publish();
            table.items.insert(id, item);
        }
    }

    /// Content that was handed over and is still needed.
    pub fn needed_inputs(&self) -> HashSet<SpoolId> {
        let items: Vec<_> = self.table().items.values().cloned().collect();
        let open = items.iter().map(|item| item.record()).filter(|record| record.ended.is_none());
        open.filter_map(|record| record.asked?.spool).collect()
    }

    /// Removes content that was handed over and that no transfer needs any more.
    fn settle_input(&self, item: &Item) {
        let spool = item.record().asked.and_then(|asked| asked.spool);
        if let Some(id) = spool.filter(|id| !self.needed_inputs().contains(id)) {
            self.deps.shelf.remove_input(&id);
        }
    }

    /// Sees that there is something to send, and gives the names under which the items will travel.
    fn check_request(&self, request: &SendRequest, asked: &Asked) -> Result<Vec<Vec<u8>>, TransferError> {
        let nothing = |text: String| Err(TransferError::NothingToSend(text));
        if request.text.as_ref().is_some_and(|text| text.len() > TEXT_MAX) {
            return nothing(format!("the text is longer than {TEXT_MAX} bytes; send it as a file"));
        }
        if request.text.as_ref().is_some_and(String::is_empty) {
            return nothing("the text is empty".into());
        }
        if let Some((_, name)) = &request.spool {
            if !request.paths.is_empty() {
                return nothing("standard input is sent alone".into());
            }
            if RelPath::new([OsStr::from_bytes(name)]).is_err() {
                return nothing(format!("{:?} cannot be the name of a file", reading::show(name)));
            }
        }
        match asked.source(&*self.deps.shelf)? {
            Some(source) => {
                source.check_readable().map_err(NoSource::from)?;
                Ok(source.names().map(|name| name.as_bytes().to_vec()).collect())
            }
            None if request.text.is_some() => Ok(Vec::new()),
            None => nothing("nothing to send was named".into()),
        }
    }
}

/// What a request asks for, as it is remembered.
fn asked(request: &SendRequest) -> Asked {
    let paths = request.paths.iter().map(|path| ByteBuf::from(path.as_os_str().as_bytes())).collect();
    let (spool, name) = request.spool.clone().unzip();
    Asked { paths, name: name.map(ByteBuf::from), spool }
}
