//! The table of wanted devices and their links.

use std::collections::{BTreeMap, VecDeque};

use seal::{DeviceId, Timestamp};

use super::backoff::Jitter;
use super::{DEAD_AFTER, DOUBLED_FOR, LASTING, PING_EVERY, YIELD};

/// Names a link on this device; the caller gives every link another number.
pub type LinkId = u64;

/// A link that has just proven its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Up {
    /// The link.
    pub link: LinkId,
    /// The proven peer.
    pub device: DeviceId,
    /// Names the run of the peer ([`crate::hello::PeerProven::boot`]).
    pub boot: [u8; 16],
    /// True: this side dialled.
    pub dialled: bool,
}

/// Why a link is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Another link to the same device is kept.
    Duplicate,
    /// Nothing was heard for [`DEAD_AFTER`].
    Silent,
    /// The device is not wanted any more.
    Unwanted,
}

/// What the caller has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Dial; then report [`Presence::up`] or [`Presence::dial_failed`].
    Dial(DeviceId),
    /// Send a ping over the link; whatever comes back is reported by [`Presence::heard`].
    Ping(LinkId),
    /// Close the link. It has left the table already.
    Close(LinkId, CloseReason),
    /// The device is online now.
    Online(DeviceId),
    /// The device is not online any more.
    Offline(DeviceId),
    /// Two copies of the device are at work.
    Doubled(DeviceId),
}

/// A link in use.
#[derive(Debug)]
struct Live {
    up: Up,
    since: Timestamp,
    heard: Timestamp,
    pinged: Timestamp,
}

impl Live {
    fn next_ping(&self) -> Timestamp {
        self.heard.max(self.pinged).plus(PING_EVERY)
    }

    fn dead_at(&self) -> Timestamp {
        self.heard.plus(DEAD_AFTER)
    }
}

/// What is known of one device.
#[derive(Debug)]
struct Entry {
    wanted: bool,
    live: Option<Live>,
    dialling: bool,
    failures: u32,
    next_dial: Timestamp,
    /// The run that was there last, and the one before it.
    runs: [Option<[u8; 16]>; 2],
    /// When two copies were last seen, and last told of.
    doubled: Option<Timestamp>,
    told: Option<Timestamp>,
}

impl Entry {
    /// Notes which run of the device is there; true if it had been replaced by another one before.
    fn came_back(&mut self, boot: [u8; 16]) -> bool {
        let [last, before] = self.runs;
        if last == Some(boot) {
            return false;
        }
        self.runs = [Some(boot), last];
        before == Some(boot)
    }

    /// True if another run than the one in use is a copy, not a restart.
    fn is_doubled(&self, now: Timestamp) -> bool {
        self.doubled.is_some_and(|at| now.since(at) < DOUBLED_FOR)
    }
}

/// The table. See the module for its rules.
#[derive(Debug)]
pub struct Presence {
    local: DeviceId,
    entries: BTreeMap<DeviceId, Entry>,
    actions: VecDeque<Action>,
    jitter: Jitter,
}

impl Presence {
    /// An empty table of the device `local`; `seed` spreads the pauses and need not be secret.
    pub fn new(local: DeviceId, seed: u64) -> Self {
        Self { local, entries: BTreeMap::new(), actions: VecDeque::new(), jitter: Jitter::new(seed) }
    }

    /// From now on there should be a link to `device`.
    pub fn want(&mut self, device: DeviceId, now: Timestamp) {
        if device == self.local {
            return;
        }
        let next_dial = if self.local < device { now } else { now.plus(YIELD) };
        let entry = self.entries.entry(device).or_insert(Entry {
            wanted: false,
            live: None,
            dialling: false,
            failures: 0,
            next_dial,
            runs: [None; 2],
            doubled: None,
            told: None,
        });
        entry.wanted = true;
    }

    /// There should be no link to `device` any more (removed or blocked).
    pub fn forget(&mut self, device: DeviceId) {
        let Some(entry) = self.entries.remove(&device) else {
            return;
        };
        if let Some(live) = entry.live {
            self.actions.push_back(Action::Close(live.up.link, CloseReason::Unwanted));
            self.actions.push_back(Action::Offline(device));
        }
    }

    /// `device` was seen on the LAN or has a new address: the pause before the next dial ends.
    pub fn sighted(&mut self, device: DeviceId, now: Timestamp) {
        let yielding = if self.local < device { now } else { now.plus(YIELD) };
        if let Some(entry) = self.entries.get_mut(&device) {
            entry.failures = 0;
            entry.next_dial = entry.next_dial.min(yielding);
        }
    }

    /// The network of this machine changed: all pauses end.
    pub fn network_changed(&mut self, now: Timestamp) {
        for entry in self.entries.values_mut() {
            entry.failures = 0;
            entry.next_dial = entry.next_dial.min(now);
        }
    }

    /// A dial that [`Action::Dial`] asked for did not bring a link.
    pub fn dial_failed(&mut self, device: DeviceId, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(&device) else {
            return;
        };
        entry.dialling = false;
        entry.failures = entry.failures.saturating_add(1);
        entry.next_dial = now.plus(self.jitter.pause(entry.failures));
    }

    /// A link proved its peer. Decides at once whether it stays.
    pub fn up(&mut self, up: Up, now: Timestamp) {
        let local = self.local;
        let Some(entry) = self.entries.get_mut(&up.device) else {
            self.actions.push_back(Action::Close(up.link, CloseReason::Unwanted));
            return;
        };
        if up.dialled {
            entry.dialling = false;
        }
        let other_run = entry.live.as_ref().is_some_and(|old| old.up.boot != up.boot);
        let copy = other_run && entry.is_doubled(now);
        if entry.came_back(up.boot) || copy {
            entry.doubled = Some(now);
            if entry.told.is_none_or(|at| now.since(at) >= DOUBLED_FOR) {
                entry.told = Some(now);
                self.actions.push_back(Action::Doubled(up.device));
            }
        }
        match &entry.live {
            Some(_) if other_run && entry.is_doubled(now) => {
                self.actions.push_back(Action::Close(up.link, CloseReason::Duplicate));
                return;
            }
            Some(old) if !replaces(local, &up, &old.up) => {
                self.actions.push_back(Action::Close(up.link, CloseReason::Duplicate));
                return;
            }
            Some(old) => self.actions.push_back(Action::Close(old.up.link, CloseReason::Duplicate)),
            None => self.actions.push_back(Action::Online(up.device)),
        }
        entry.live = Some(Live { up, since: now, heard: now, pinged: now });
    }

    /// Something came over the link.
    pub fn heard(&mut self, link: LinkId, now: Timestamp) {
        if let Some(live) =
            self.entries.values_mut().filter_map(|entry| entry.live.as_mut()).find(|live| live.up.link == link)
        {
            live.heard = live.heard.max(now);
        }
    }

    /// The link ended by itself or by the other side. Dialled again soon, unless another link has taken its place.
    pub fn down(&mut self, link: LinkId, now: Timestamp) {
        let Some((device, entry)) =
            self.entries.iter_mut().find(|(_, entry)| entry.live.as_ref().is_some_and(|live| live.up.link == link))
        else {
            return;
        };
        let lasted = entry.live.take().is_some_and(|live| now.since(live.since) >= LASTING);
        entry.failures = if lasted { 0 } else { entry.failures.saturating_add(1) };
        entry.next_dial = match (lasted, self.local < *device) {
            (false, _) => now.plus(self.jitter.pause(entry.failures)),
            (true, true) => now,
            (true, false) => now.plus(YIELD),
        };
        self.actions.push_back(Action::Offline(*device));
    }

    /// The link in use to `device`.
    pub fn link(&self, device: DeviceId) -> Option<LinkId> {
        self.entries.get(&device)?.live.as_ref().map(|live| live.up.link)
    }

    /// Devices that are online, in order.
    pub fn online(&self) -> impl Iterator<Item = DeviceId> {
        self.entries.iter().filter(|(_, entry)| entry.live.is_some()).map(|(device, _)| *device)
    }

    /// Lets time pass: dials, pings and gives up what is due.
    pub fn tick(&mut self, now: Timestamp) {
        for (device, entry) in &mut self.entries {
            if let Some(live) = entry.live.take_if(|live| live.dead_at() <= now) {
                self.actions.push_back(Action::Close(live.up.link, CloseReason::Silent));
                self.actions.push_back(Action::Offline(*device));
                (entry.failures, entry.next_dial) = (0, now);
            }
            match &mut entry.live {
                Some(live) if live.next_ping() <= now => {
                    live.pinged = now;
                    self.actions.push_back(Action::Ping(live.up.link));
                }
                None if entry.wanted && !entry.dialling && entry.next_dial <= now => {
                    entry.dialling = true;
                    self.actions.push_back(Action::Dial(*device));
                }
                _ => {}
            }
        }
    }

    /// When [`Self::tick`] should be called next; `None`: nothing is planned.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let due = |entry: &Entry| match &entry.live {
            Some(live) => Some(live.next_ping().min(live.dead_at())),
            None => (entry.wanted && !entry.dialling).then_some(entry.next_dial),
        };
        self.entries.values().filter_map(due).min()
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
}

/// True if `new` takes the place of `old`; both sides come to the same answer.
fn replaces(local: DeviceId, new: &Up, old: &Up) -> bool {
    let same_run_from_both_sides = new.boot == old.boot && new.dialled != old.dialled;
    let by_smaller = new.dialled == (local < new.device);
    !same_run_from_both_sides || by_smaller
}
