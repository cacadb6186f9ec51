//! Finding each other on the local network without telling strangers anything.
//!
//! Members announce themselves with 256 bytes that only the circle can read ([`beacon`]), by IPv4
//! broadcast on every interface and IPv6 link-local multicast. All devices of a machine share the
//! port, and the loopback network has a broadcast address too, so they find each other as well.
//! Somebody who was told a code asks for its nameplate word and gets an answer from whoever has
//! that invitation open ([`nameplate`]); the answer is a hint, the code's secret is the proof.
//!
//! A sighting says where to dial, nothing more: whoever answers there still has to prove itself.
//!
//! Byte level: `docs/formats/lan.md`.

mod beacon;
mod nameplate;
mod shares;
mod socket;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use logic::wire::Address;
use seal::{DeviceId, Timestamp, beacon::BeaconKey};
use tokio::{
    sync::mpsc,
    time::{Instant as Moment, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    beacon::{Content, Newest},
    nameplate::{Answer, Question},
    shares::{Rates, Shares},
    socket::{Buffer, DATAGRAM, Sockets},
};
use crate::address::usable;

/// The default port of announcements.
pub const DEFAULT_PORT: u16 = 9090;
/// Announcements come this often at first, then every [`CALM`].
const EAGER: Duration = Duration::from_secs(3);
const EAGER_COUNT: u32 = 5;
const CALM: Duration = Duration::from_secs(5);
/// A newcomer is answered by an announcement of our own within this time.
const WELCOME: Duration = Duration::from_millis(300);
/// Datagrams per second that are looked at. All devices of a machine send from one socket address.
const DATAGRAMS: Rates = Rates { socket: 200, address: 400, all: 4000 };
/// Answers to questions per second. Each is as long as its question, so nothing is amplified.
const ANSWERS: Rates = Rates { socket: 4, address: 16, all: 64 };
/// Sightings that may wait to be taken.
const SIGHTINGS: usize = 64;
/// Questions are repeated this often while somebody asks.
const ASK_AGAIN: Duration = Duration::from_millis(400);
/// Devices whose answers are collected for one question, and addresses of each.
const MAX_HINTS: usize = 16;
const MAX_ADDRS: usize = 8;

/// What the announcements need to know of this device. Must answer without waiting.
pub trait LanOwner: Send + Sync + 'static {
    /// What to announce; `None`: be silent.
    fn announcement(&self) -> Option<Announcement>;

    /// The circle's keys for announcements; the first seals, all open.
    fn beacon_keys(&self) -> Vec<BeaconKey>;

    /// The nameplates that are open on this device right now, and the device and port behind them
    /// (a device in no circle can have one too).
    fn nameplates(&self) -> Vec<Nameplate>;

    /// The time.
    fn now(&self) -> Timestamp;
}

/// What a device says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// The device.
    pub device: DeviceId,
    /// Its port (UDP and TCP).
    pub port: u16,
    /// Names this run of the device.
    pub boot: [u8; 16],
}

/// A nameplate that is open here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nameplate {
    /// The public part of a code.
    pub number: u16,
    /// The device to dial.
    pub device: DeviceId,
    /// Its port.
    pub port: u16,
}

/// A member's device was heard on the LAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The device, by its own account.
    pub device: DeviceId,
    /// Names the run of the device.
    pub boot: [u8; 16],
    /// Where to dial it.
    pub addr: Address,
    /// When, by its clock.
    pub at: Timestamp,
}

/// Somebody says that a nameplate is open there. Nothing is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The device to dial.
    pub device: DeviceId,
    /// Where.
    pub addrs: Vec<Address>,
}

/// Announces this device and listens for others until it is dropped.
#[derive(Debug)]
pub struct Lan {
    stop: CancellationToken,
}

impl Lan {
    /// Starts on `port`.
    ///
    /// # Errors
    /// The port is taken by a program that does not share it, or there is no IPv4.
    pub fn start(port: u16, owner: Arc<dyn LanOwner>) -> io::Result<(Self, mpsc::Receiver<Sighting>)> {
        let sockets = Sockets::shared(port)?;
        let (sightings, receiver) = mpsc::channel(SIGHTINGS);
        let stop = CancellationToken::new();
        let station = Station {
            sockets,
            owner,
            sightings,
            newest: Newest::default(),
            datagrams: Shares::new(DATAGRAMS),
            answers: Shares::new(ANSWERS),
            sent: 0,
            next: Moment::now(),
            last: None,
        };
        let ended = stop.clone();
        tokio::spawn(async move { ended.run_until_cancelled(station.run()).await });
        Ok((Self { stop }, receiver))
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Asks the local network who has `nameplate` open; needs no running device.
///
/// # Errors
/// No socket could be opened.
pub async fn ask(port: u16, nameplate: u16, patience: Duration) -> io::Result<Vec<Hint>> {
    let mut sockets = Sockets::own(port)?;
    let question = Question::new(nameplate, crate::random());
    let mut hints: Vec<Hint> = Vec::new();
    let end = Moment::now() + patience;
    while Moment::now() < end && hints.len() < MAX_HINTS {
        sockets.shout(&question.encode()).await;
        let again = end.min(Moment::now() + ASK_AGAIN);
        // The gap between two questions is spent listening.
        let _ = timeout(again - Moment::now(), async {
            let mut buf: Buffer = [0; DATAGRAM + 1];
            while hints.len() < MAX_HINTS {
                let (len, from) = sockets.recv(&mut buf).await;
                if let Some(answer) = Answer::decode(&buf[..len], &question) {
                    note(&mut hints, answer, from);
                }
            }
        })
        .await;
        if !hints.is_empty() {
            break;
        }
    }
    Ok(hints)
}

fn note(hints: &mut Vec<Hint>, answer: Answer, from: SocketAddr) {
    if !usable(from.ip()) {
        return;
    }
    let addr = Address::Direct(at_port(from, answer.port));
    match hints.iter_mut().find(|hint| hint.device == answer.device) {
        Some(hint) if hint.addrs.len() < MAX_ADDRS && !hint.addrs.contains(&addr) => hint.addrs.push(addr),
        Some(_) => {}
        None => hints.push(Hint { device: answer.device, addrs: vec![addr] }),
    }
}

fn at_port(mut addr: SocketAddr, port: u16) -> SocketAddr {
    addr.set_port(port);
    addr
}

/// The running announcer.
struct Station {
    sockets: Sockets,
    owner: Arc<dyn LanOwner>,
    sightings: mpsc::Sender<Sighting>,
    newest: Newest,
    datagrams: Shares,
    answers: Shares,
    sent: u32,
    next: Moment,
    last: Option<Moment>,
}

impl Station {
    async fn run(mut self) {
        let mut buf: Buffer = [0; DATAGRAM + 1];
        loop {
            tokio::select! {
                () = sleep_until(self.next) => self.announce().await,
                (len, from) = self.sockets.recv(&mut buf) => {
                    self.heard(&buf[..len], from).await;
                }
            }
        }
    }

    async fn announce(&mut self) {
        let pause = if self.sent < EAGER_COUNT { EAGER } else { CALM };
        self.sent = self.sent.saturating_add(1);
        self.next = Moment::now() + jittered(pause);
        self.last = Some(Moment::now());
        let (Some(about), Some(key)) = (self.owner.announcement(), self.owner.beacon_keys().into_iter().next()) else {
            return;
        };
        let content = Content::new(about, self.owner.now());
        if let Some(datagram) = content.seal(&key) {
            self.sockets.shout(&datagram).await;
        }
    }

    async fn heard(&mut self, datagram: &[u8], from: SocketAddr) {
        let now = Instant::now();
        if !self.datagrams.take(from, now) {
            return;
        }
        match Question::decode(datagram) {
            Some(question) => self.answer(question, from, now).await,
            None => self.sight(datagram, from),
        }
    }

    async fn answer(&mut self, question: Question, from: SocketAddr, now: Instant) {
        let open = self.owner.nameplates();
        let open = open.iter().find(|open| open.number == question.nameplate);
        let Some(open) = open.filter(|_| socket::is_near(from.ip())) else {
            return;
        };
        if self.answers.take(from, now) {
            let answer = Answer { device: open.device, port: open.port };
            self.sockets.send(&answer.encode(&question), from).await;
        }
    }

    fn sight(&mut self, datagram: &[u8], from: SocketAddr) {
        // The same announcement comes by every address family; only the first copy counts, so it must be of use.
        if !usable(from.ip()) {
            return;
        }
        let keys = self.owner.beacon_keys();
        let Some(content) = keys.iter().find_map(|key| Content::open(key, datagram)) else {
            return;
        };
        let ourselves = self.owner.announcement().map(|about| about.device);
        if Some(content.device) == ourselves || !self.newest.is_news(&content, self.owner.now()) {
            return;
        }
        if self.newest.note(&content) {
            self.welcome();
        }
        // A full queue loses sightings; the next announcement comes in seconds.
        let _ = self.sightings.try_send(Sighting {
            device: content.device,
            boot: content.boot,
            addr: Address::Direct(at_port(from, content.port)),
            at: content.at,
        });
    }

    /// A newcomer has not heard us yet: announce soon, but never in a storm.
    fn welcome(&mut self) {
        let delay = Duration::from_millis(u64::from(crate::random::<1>()[0])) * 300 / 255;
        let soon = Moment::now() + delay.min(WELCOME);
        let earliest = self.last.map_or(soon, |last| last + Duration::from_secs(1));
        self.next = self.next.min(soon.max(earliest));
    }
}

/// `pause` give or take a fifth, so that devices do not fall into step and times tell less.
fn jittered(pause: Duration) -> Duration {
    let roll = u32::from(crate::random::<1>()[0]);
    pause * (800 + roll * 400 / 255) / 1000
}
