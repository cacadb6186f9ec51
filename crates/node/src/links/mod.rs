//! Links to the devices of the circle: dialled, kept, watched, and given to the services that need them.
//!
//! Decisions are the presence engine's ([`logic::presence`]); this module performs them. One task ([`Links::run`]) feeds
//! the engine; each link has a task of its own ([`attend`]).

mod attend;
mod gossip;
#[cfg(test)]
mod tests;

pub(crate) use attend::path;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::EventHub;
use logic::audit::{Event, Who};
use logic::presence::{Action, CloseReason, LinkId, Presence, Up};
use logic::roster::{Change, Standing};
use logic::wire::{Address, Control};
use net::lan::Sighting;
use net::{Goodbye, Link, Network};
use seal::{DeviceId, MemberId};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::book::Book;
use crate::circle::{Circle, RENEWAL_EVERY};
use crate::clock;
use crate::connection::MemberConnection;
use crate::journal::Journal;
use crate::spaces::between::{Between, MemberPeer, Peer};
use crate::transfers::{Connection, Transfers};

/// How long a dial may take, hello included.
const PATIENCE: Duration = Duration::from_secs(8);
/// Longest sleep of the loop while nothing is due.
const IDLE: Duration = Duration::from_secs(30);
/// Addresses that are remembered from the LAN for a device.
const SIGHTED: usize = 4;
/// Devices whose addresses are remembered from the LAN: more than a circle can have.
const SIGHTED_DEVICES: usize = 4096;
/// Control messages that may wait for one link.
const OUTBOX: usize = 64;

/// A link in use, and the way to its control stream.
struct Online {
    link: Link,
    connection: Arc<dyn Connection>,
    peer: Arc<dyn Peer>,
    control: mpsc::Sender<Control>,
}

#[derive(Default)]
struct Table {
    /// Links that the presence engine knows.
    links: HashMap<LinkId, Online>,
    /// Where the LAN says that devices are.
    sighted: HashMap<DeviceId, Vec<Address>>,
    last_id: LinkId,
}

impl Table {
    /// Remembers where the LAN says that a device is; the newest address first. Whoever knows the circle's key for
    /// announcements can name any device, so there are bounds.
    fn note_sighting(&mut self, device: DeviceId, address: Address) {
        if self.sighted.len() >= SIGHTED_DEVICES && !self.sighted.contains_key(&device) {
            self.sighted.clear();
        }
        let known = self.sighted.entry(device).or_default();
        if known.first() != Some(&address) {
            known.retain(|other| *other != address);
            known.insert(0, address);
            known.truncate(SIGHTED);
        }
    }
}

/// What the links need from the rest of the device.
pub(crate) struct Parts {
    pub circle: Arc<Circle>,
    pub book: Arc<Book>,
    pub journal: Journal,
    pub hub: EventHub,
    pub network: Network,
    pub transfers: Transfers,
    pub between: Arc<Between>,
}

/// See the module.
pub(crate) struct Links {
    parts: Parts,
    presence: Mutex<Presence>,
    table: Mutex<Table>,
    wake: Notify,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Links {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let seed = u64::from_le_bytes(seal::random());
        Arc::new(Self {
            presence: Mutex::new(Presence::new(parts.circle.device(), seed)),
            parts,
            table: Mutex::default(),
            wake: Notify::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop. Ends when [`Links::stop`] is called.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut incoming: mpsc::Receiver<Link>,
        mut sightings: mpsc::Receiver<Sighting>,
    ) {
        let mut changed = self.parts.circle.watch();
        let mut renewal = tokio::time::interval(RENEWAL_EVERY);
        self.choose();
        loop {
            self.act();
            let wake = self.presence().wake_at().map_or(IDLE, |at| at.since(clock::now()).min(IDLE));
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wake) => self.presence().tick(clock::now()),
                Some(link) = incoming.recv() => self.adopt(link),
                Some(sighting) = sightings.recv() => self.sighted(sighting),
                Ok(()) = changed.changed() => { self.choose(); self.tell_all(); }
                _ = renewal.tick() => self.renew(),
            }
        }
    }

    /// Closes all links in good order and ends the loop.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        for online in self.table().links.values() {
            online.link.close(Goodbye::Leaving);
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Brings the engine's wishes in step with the circle and the book.
    pub(crate) fn choose(&self) {
        let Some(snapshot) = self.parts.circle.snapshot() else { return };
        let (own, removed) = (self.parts.circle.device(), self.parts.circle.removed());
        let wanted: HashSet<_> = snapshot
            .view
            .active_devices()
            .filter(|device| device.device != own && !removed && !self.parts.book.note(device.member).blocked)
            .map(|device| device.device)
            .collect();
        let now = clock::now();
        let mut presence = self.presence();
        for device in snapshot.view.devices.keys().filter(|device| !wanted.contains(device)) {
            presence.forget(*device);
        }
        for device in wanted {
            presence.want(device, now);
        }
        drop(presence);
        let parted = snapshot.view.devices.values().filter(|device| removed || device.standing == Standing::Removed);
        parted.for_each(|device| self.parts.transfers.part_from(device.device));
        self.wake.notify_one();
    }

    fn sighted(&self, sighting: Sighting) {
        self.table().note_sighting(sighting.device, sighting.addr);
        if self.presence().link(sighting.device).is_none() {
            self.presence().sighted(sighting.device, clock::now());
        }
    }

    /// Certificates that run out are renewed long before.
    fn renew(&self) {
        self.parts.circle.refresh();
        match self.parts.circle.renew() {
            Ok(renewed) => {
                for (kind, ends_at) in renewed.certificates {
                    self.parts.journal.note(Event::CertificateRenewed { kind: kind.into(), ends_at });
                }
                if let Some(ends_at) = renewed.ending {
                    self.parts.journal.note(Event::CertificateEnding { kind: "member".into(), ends_at });
                }
            }
            Err(error) => tracing::debug!(%error, "nothing renewed"),
        }
    }

    /// Does what the engine wants.
    fn act(self: &Arc<Self>) {
        loop {
            let Some(action) = self.presence().poll() else { return };
            match action {
                Action::Dial(device) => {
                    self.tasks.spawn(self.clone().dial(device));
                }
                Action::Ping(id) => {
                    if let Some(online) = self.table().links.get(&id) {
                        // A full outbox means that the link is stuck: silence will end it.
                        let _ = online.control.try_send(Control::Ping(id));
                    }
                }
                Action::Close(id, reason) => self.drop_link(id, reason),
                Action::Doubled(device) => self.note_doubled(device),
                Action::Online(_) | Action::Offline(_) => self.parts.hub.send(api::types::Event::Peers),
            }
        }
    }

    fn drop_link(&self, id: LinkId, reason: CloseReason) {
        let goodbye = match reason {
            CloseReason::Duplicate => Goodbye::Duplicate,
            CloseReason::Silent => Goodbye::Silent,
            CloseReason::Unwanted => Goodbye::Refused,
        };
        let online = self.table().links.remove(&id);
        if let Some(online) = online {
            self.parts.transfers.link_down(&online.connection);
            self.parts.between.link_down(&online.peer);
            online.link.close(goodbye);
        }
    }

    async fn dial(self: Arc<Self>, device: DeviceId) {
        let addresses = self.addresses(device);
        let dialled = tokio::select! {
            () = self.stop.cancelled() => return,
            dialled = self.parts.network.connect(device, &addresses, PATIENCE) => dialled,
        };
        match dialled {
            Ok(link) => self.adopt(link),
            Err(error) => {
                tracing::debug!(device = %device.short(), %error, "dial failed");
                self.learn_from_refusal(&error);
                self.presence().dial_failed(device, clock::now());
            }
        }
        self.wake.notify_one();
    }

    /// Connects to a member's device at an address that the owner named.
    pub(crate) async fn connect_at(
        self: &Arc<Self>,
        device: DeviceId,
        address: std::net::SocketAddr,
    ) -> Result<(), net::ConnectError> {
        if self.presence().link(device).is_some() {
            return Ok(());
        }
        let dialled = self.parts.network.connect(device, &[Address::Direct(address)], PATIENCE).await;
        let link = dialled.inspect_err(|error| self.learn_from_refusal(error))?;
        self.adopt(link);
        self.wake.notify_one();
        Ok(())
    }

    /// Every address that somebody has named for the device; the newest knowledge first.
    fn addresses(&self, device: DeviceId) -> Vec<Address> {
        let mut all = self.table().sighted.get(&device).cloned().unwrap_or_default();
        let trace = self.parts.book.trace(device);
        all.extend(trace.address.into_iter().chain(trace.manual).map(Address::Direct));
        if let Some(snapshot) = self.parts.circle.snapshot()
            && let Some(view) = snapshot.view.devices.get(&device)
        {
            all.extend(view.addresses.iter().cloned());
        }
        let mut seen = HashSet::new();
        all.retain(|address| seen.insert(address.clone()));
        all
    }

    /// A link has proven its peer: the engine decides whether it stays.
    fn adopt(self: &Arc<Self>, link: Link) {
        let (sender, outbox) = mpsc::channel(OUTBOX);
        let connection: Arc<dyn Connection> = Arc::new(MemberConnection(link.clone()));
        let peer: Arc<dyn Peer> = Arc::new(MemberPeer { link: link.clone(), control: sender.clone() });
        let id = {
            let mut table = self.table();
            table.last_id += 1;
            let id = table.last_id;
            let (link, connection, peer) = (link.clone(), connection.clone(), peer.clone());
            table.links.insert(id, Online { link, connection, peer, control: sender });
            id
        };
        let (device, boot, dialled) = (link.remote(), link.peer().boot(), link.dialled());
        self.learn_from_hello(&link);
        let kept = {
            let mut presence = self.presence();
            presence.up(Up { link: id, device, boot, dialled }, clock::now());
            presence.link(device) == Some(id)
        };
        if kept {
            // It may have taken the place of another link without the device having been away.
            self.parts.transfers.link_up(connection);
            self.parts.between.link_up(peer.clone());
            self.tasks.spawn(self.clone().attend(id, link, peer, outbox));
        }
        self.wake.notify_one();
    }

    fn note_doubled(&self, device: DeviceId) {
        let snapshot = self.parts.circle.snapshot();
        let member = snapshot.and_then(|now| now.view.owner(device).map(|owner| owner.shown.clone()));
        self.parts.journal.note(Event::PeerDoubled { who: Who { member, device: Some(device), address: None } });
    }

    /// The link in use to a device.
    pub(crate) fn link(&self, device: DeviceId) -> Option<Link> {
        let id = self.presence().link(device)?;
        self.table().links.get(&id).map(|online| online.link.clone())
    }

    /// Devices that are online.
    pub(crate) fn online_devices(&self) -> Vec<DeviceId> {
        self.presence().online().collect()
    }

    /// Says in the log what the circle's roster has learned.
    fn note_changes(&self, changes: &[Change]) {
        let Some(now) = self.parts.circle.snapshot() else { return };
        let named = |member: MemberId| Who {
            member: now.view.members.get(&member).map(|view| view.shown.clone()),
            device: None,
            address: None,
        };
        for change in changes {
            let event = match change {
                Change::MemberAdded(member) => {
                    let role = now.view.members.get(member).map(|view| view.role.to_string()).unwrap_or_default();
                    Event::MemberLearned { who: named(*member), role }
                }
                Change::MemberRemoved(member) => Event::MemberRemoved { who: named(*member), reason: None },
                Change::DeviceRemoved(device) => match now.view.devices.get(device) {
                    Some(view) => {
                        Event::DeviceRemoved { who: named(view.member), name: view.name.clone(), reason: None }
                    }
                    None => continue,
                },
                Change::DeviceAdded(device) => match now.view.devices.get(device) {
                    Some(view) => {
                        Event::DeviceLearned { who: named(view.member), device_id: *device, name: view.name.clone() }
                    }
                    None => continue,
                },
                Change::NameConflict { member, wanted, shown } => {
                    Event::NameConflict { who: named(*member), wanted: wanted.clone(), shown: shown.clone() }
                }
                Change::BeaconRotated => Event::BeaconRotated { generation: now.view.beacon_generation },
                Change::MemberRenewed(_) | Change::DeviceRenewed(_) => continue,
                Change::DeviceMoved(device) => {
                    self.presence().sighted(*device, clock::now());
                    continue;
                }
            };
            self.parts.journal.note(event);
        }
        if !changes.is_empty() {
            self.parts.hub.send(api::types::Event::Peers);
        }
    }
}
