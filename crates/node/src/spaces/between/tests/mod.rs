//! Devices that share spaces over links made of pipes, each with a home of its own; and others that do not keep the rules.

#![allow(clippy::unwrap_used)]

mod doubt;
mod evil;
mod objects;
mod real;
mod rebuilt;
mod story;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use api::EventHub;
use async_trait::async_trait;
use logic::Misbehaved;
use logic::ledger::{CommitId, RealmId, SpaceRole};
use logic::roster::{Roster, RosterUpdate};
use logic::space::manifest::{Manifest, Part};
use logic::space::{Change, Content, Kind, NodeId, NodeKind, Written};
use logic::wire::StreamHeader;
use seal::chunk::ChunkKey;
use seal::pki::{DEVICE_LIFETIME, Issuer, Role, Validity, issue_device};
use seal::{DeviceId, Keyring, MemberId, ObjectId, RootKey};
use serde_bytes::ByteBuf;
use store::database::Database;
use store::objects::ObjectError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Between, Parts, Peer};
use crate::circle::Circle;
use crate::clock;
use crate::journal::Journal;
use crate::spaces::{Kept, SpaceFault, Spaces};
use crate::transfers::Stream;

/// Long enough for a loaded machine; nothing waits for it unless it fails.
const PATIENCE: Duration = Duration::from_secs(150);

/// A device with a home.
struct Dev {
    keys: Arc<Keyring>,
    member: MemberId,
    spaces: Arc<Spaces>,
    between: Arc<Between>,
    journal: Journal,
    dir: tempfile::TempDir,
}

/// What a device begins with, before everybody knows everybody.
struct Person {
    keys: Arc<Keyring>,
    dir: tempfile::TempDir,
    database: Database,
    circle: Circle,
}

fn person(keys: Keyring) -> Person {
    let dir = tempfile::tempdir().unwrap();
    let keys = Arc::new(keys);
    let database = Database::create(&dir.path().join("database"), keys.records.clone()).unwrap();
    let circle = Circle::open(&database, keys.clone()).unwrap();
    Person { keys, dir, database, circle }
}

/// Devices of one circle, each of another member.
fn devices<const N: usize>() -> [Dev; N] {
    let founder = person(Keyring { root: Some(RootKey::generate()), ..Keyring::generate() });
    founder.circle.found("home", "m0", "desk").unwrap();
    let others: Vec<_> = (1..N).map(|number| admitted(&founder.circle, number)).collect();
    let roster: Roster = founder.circle.read(Clone::clone).unwrap();
    others.iter().for_each(|other| other.circle.adopt(roster.clone()).unwrap());
    let all: Vec<_> = std::iter::once(founder).chain(others).map(start).collect();
    all.try_into().unwrap_or_else(|_| panic!("so many were made"))
}

fn admitted(circle: &Circle, number: usize) -> Person {
    let other = person(Keyring::generate());
    admit(circle, &other.keys, &format!("m{number}"));
    other
}

/// Takes a member with one device into a circle.
fn admit(circle: &Circle, keys: &Keyring, name: &str) {
    let (key, now) = (keys.member.as_ref().unwrap(), clock::now());
    let certificate = circle.admit(key.id(), name, Role::Editor, &keys.seal.recipient()).unwrap();
    let issuer = Issuer::member(key, &certificate).unwrap();
    let validity = Validity::starting(now, DEVICE_LIFETIME);
    let device = issue_device(&issuer, keys.device.id(), "desk", validity).unwrap();
    let crl = circle.read(|roster| roster.next_crl(&issuer, &[], now)).unwrap().unwrap();
    circle.merge(&RosterUpdate::of([&device], [&crl], [])).unwrap();
}

fn start(person: Person) -> Dev {
    let Person { keys, dir, database, circle } = person;
    let circle = Arc::new(circle);
    let (home, objects) = (dir.path().join("spaces"), dir.path().join("objects"));
    std::fs::create_dir_all(&home).unwrap();
    let spaces = Arc::new(Spaces::open(&home, &objects, &database, keys.clone(), circle.clone()).unwrap());
    let hub = EventHub::default();
    let journal = Journal::open(&database, hub.clone(), 10_000).unwrap();
    let member = keys.member.as_ref().unwrap().id();
    let parts = Parts { spaces: spaces.clone(), circle, journal: journal.clone(), hub };
    let between = Between::new(parts);
    tokio::spawn(between.clone().run());
    Dev { keys, member, spaces, between, journal, dir }
}

/// The device ends, something happens to its home, and it begins again.
async fn again(dev: Dev, meanwhile: impl FnOnce(&std::path::Path)) -> Dev {
    dev.between.stop().await;
    let Dev { keys, spaces, between, journal, dir, .. } = dev;
    drop((spaces, between, journal));
    meanwhile(dir.path());
    let database = Database::open(&dir.path().join("database"), keys.records.clone()).unwrap();
    let circle = Circle::open(&database, keys.clone()).unwrap();
    start(Person { keys, dir, database, circle })
}

impl Dev {
    fn id(&self) -> DeviceId {
        self.keys.device.id()
    }

    fn found(&self) -> Arc<Kept> {
        self.spaces.found("shared").unwrap()
    }

    fn kept(&self, ledger: CommitId) -> Arc<Kept> {
        self.spaces.get(ledger).unwrap()
    }

    fn grant(&self, ledger: CommitId, to: &Dev, role: SpaceRole) {
        self.kept(ledger).space.grant(RealmId::ROOT, to.member, role, clock::now()).unwrap();
    }

    fn write(&self, ledger: CommitId, name: &str, objects: &[Vec<u8>]) -> Result<Vec<ObjectId>, SpaceFault> {
        write(&self.spaces, ledger, name, objects)
    }

    fn names(&self, ledger: CommitId) -> Vec<String> {
        names(&self.spaces, ledger)
    }

    fn has(&self, id: &ObjectId) -> bool {
        self.spaces.objects.has(id).unwrap()
    }

    /// Names of the events in the log.
    fn log(&self) -> Vec<String> {
        let query = api::types::LogQuery { after: None, limit: None, event: None };
        self.journal.entries(&query).unwrap().into_iter().map(|entry| entry.event).collect()
    }

    fn role(&self, ledger: CommitId) -> Option<SpaceRole> {
        let kept = self.spaces.get(ledger)?;
        kept.space.look(|ledger, _| Ok(ledger.role_of(self.id(), RealmId::ROOT))).unwrap()
    }

    /// Can write, so it has entered and has the key.
    fn can_write(&self, ledger: CommitId) -> bool {
        self.role(ledger).is_some_and(|role| role >= SpaceRole::Editor)
            && self.kept(ledger).space.write(RealmId::ROOT, clock::now(), |_, _, _| Ok((Vec::new(), ()))).is_ok()
    }
}

/// Writes a file of some objects.
fn write(spaces: &Spaces, ledger: CommitId, name: &str, objects: &[Vec<u8>]) -> Result<Vec<ObjectId>, SpaceFault> {
    let kept = spaces.get(ledger).unwrap();
    let ids: Vec<_> = objects.iter().map(|bytes| ObjectId::of(bytes)).collect();
    let whole: Vec<_> = objects.iter().cloned().map(seal::Object::of).collect();
    spaces.objects.put_many(&kept.namespace(), &whole, clock::now()).unwrap();
    let part = |(id, bytes): (&ObjectId, &Vec<u8>)| {
        let (key, len) = (ChunkKey::from_bytes([7; 32]), bytes.len() as u32);
        Part::Data(logic::space::manifest::Chunk { id: *id, key, len })
    };
    let manifest = Manifest::Parts(ids.iter().zip(objects).map(part).collect()).to_bytes().unwrap();
    let size = objects.iter().map(|bytes| bytes.len() as u64).sum();
    let name = ByteBuf::from(name.as_bytes());
    kept.space.write(RealmId::ROOT, clock::now(), |_, device, seq| {
        let node = NodeId::of(&device, seq, 0, NodeKind::File);
        let content = Content::File { size, hash: [0; 32], manifest };
        let written = Written { content, ..Written::default() };
        let make = Change::Make { node, kind: Kind::File, parent: NodeId::ROOT, name };
        Ok((vec![make, Change::Put { node, bases: Vec::new(), written }], ()))
    })?;
    Ok(ids)
}

/// Names in the root of a space.
fn names(spaces: &Spaces, ledger: CommitId) -> Vec<String> {
    let Some(kept) = spaces.get(ledger) else { return Vec::new() };
    let listed = kept.space.tree(|tree| {
        Ok(tree.list(logic::space::Node::ROOT)?.into_iter().map(|entry| entry.name.to_vec()).collect::<Vec<_>>())
    });
    listed.unwrap().into_iter().map(|name| String::from_utf8(name).unwrap()).collect()
}

/// Waits until something is so.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The other end of a link.
enum Far {
    /// A device that keeps the rules.
    Honest(Weak<Between>),
    /// A test, which gets the streams that the device opens, and what it tells.
    Script(mpsc::UnboundedSender<(StreamHeader, Stream)>, mpsc::UnboundedSender<Vec<CommitId>>),
}

/// One end of a link, as the device at this end sees it.
struct Pipe {
    device: DeviceId,
    member: MemberId,
    far: Far,
    /// How the other end sees this one.
    mirror: Mutex<Option<Weak<Pipe>>>,
    offences: Mutex<Vec<Misbehaved>>,
    cut: CancellationToken,
    /// Streams for objects that were opened.
    opened: Mutex<HashMap<&'static str, usize>>,
}

impl Pipe {
    fn new(to: &Dev, far: Far, cut: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            device: to.id(),
            member: to.member,
            far,
            mirror: Mutex::default(),
            offences: Mutex::default(),
            cut,
            opened: Mutex::default(),
        })
    }

    fn seen_from_there(&self) -> Option<Arc<dyn Peer>> {
        let mirror = self.mirror.lock().unwrap().as_ref()?.upgrade()?;
        Some(mirror)
    }

    fn offences(&self) -> Vec<Misbehaved> {
        self.offences.lock().unwrap().clone()
    }
}

/// Two ends of a stream, which both end with the link.
fn streams(cut: &CancellationToken) -> (Stream, Stream) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let (mid_a, mid_b) = tokio::io::duplex(1 << 20);
    let cut = cut.clone();
    tokio::spawn(async move {
        let (mut far, mut mid) = (far, mid_a);
        tokio::select! {
            () = cut.cancelled() => {}
            _ = tokio::io::copy_bidirectional(&mut far, &mut mid) => {}
        }
    });
    (stream(near), stream(mid_b))
}

fn stream(end: tokio::io::DuplexStream) -> Stream {
    let (recv, send) = tokio::io::split(end);
    Stream { send: Box::new(send), recv: Box::new(recv) }
}

#[async_trait]
impl Peer for Pipe {
    fn device(&self) -> DeviceId {
        self.device
    }

    fn member(&self) -> MemberId {
        self.member
    }

    fn knows_spaces(&self) -> bool {
        true
    }

    fn tell(&self, ledgers: Vec<CommitId>) -> bool {
        match &self.far {
            Far::Script(_, told) => drop(told.send(ledgers)),
            Far::Honest(far) => {
                let (Some(far), Some(peer)) = (far.upgrade(), self.seen_from_there()) else { return false };
                let cut = self.cut.clone();
                // Nobody reads before the link is up at that end.
                tokio::spawn(cut.run_until_cancelled_owned(async move {
                    while far.same(&mut far.peers(), &peer).is_none() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    if let Err(offence) = far.told(&peer, ledgers) {
                        peer.offended(offence);
                    }
                }));
            }
        }
        true
    }

    async fn open(&self, header: StreamHeader, _bulk: bool) -> io::Result<Stream> {
        if self.cut.is_cancelled() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let kind = if matches!(header, StreamHeader::Objects { .. }) { "objects" } else { "space" };
        *self.opened.lock().unwrap().entry(kind).or_default() += 1;
        let (near, there) = streams(&self.cut);
        match &self.far {
            Far::Script(streams, _) => drop(streams.send((header, there))),
            Far::Honest(far) => {
                let (Some(far), Some(peer)) = (far.upgrade(), self.seen_from_there()) else {
                    return Err(io::ErrorKind::NotConnected.into());
                };
                tokio::spawn(async move { far.serve(&peer, header, there).await });
            }
        }
        Ok(near)
    }

    fn offended(&self, offence: Misbehaved) {
        self.offences.lock().unwrap().push(offence);
        self.cut.cancel();
    }
}

/// A link between two devices.
struct Link {
    ends: [Arc<dyn Peer>; 2],
    pipes: [Arc<Pipe>; 2],
    betweens: [Arc<Between>; 2],
    cut: CancellationToken,
}

impl Link {
    /// It breaks: both sides notice.
    fn cut(&self) {
        self.cut.cancel();
        self.ends.iter().zip(&self.betweens).for_each(|(end, between)| between.link_down(end));
    }

    fn offences(&self) -> Vec<Misbehaved> {
        self.pipes.iter().flat_map(|pipe| pipe.offences()).collect()
    }
}

fn link(one: &Dev, other: &Dev) -> Link {
    let cut = CancellationToken::new();
    let far = |dev: &Dev| Far::Honest(Arc::downgrade(&dev.between));
    let pipes = [Pipe::new(other, far(other), cut.clone()), Pipe::new(one, far(one), cut.clone())];
    for (pipe, mirror) in pipes.iter().zip(pipes.iter().rev()) {
        *pipe.mirror.lock().unwrap() = Some(Arc::downgrade(mirror));
    }
    let betweens = [one.between.clone(), other.between.clone()];
    let ends = pipes.clone().map(|pipe| pipe as Arc<dyn Peer>);
    ends.iter().zip(&betweens).for_each(|(end, between)| between.link_up(end.clone()));
    Link { ends, pipes, betweens, cut }
}

impl Between {
    /// Fetches as a reader would who waits for a few seconds.
    async fn fetch_soon(&self, ledger: CommitId, ids: &[ObjectId]) -> Result<(), ()> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(3);
        self.hurry(ledger, ids, deadline).await.unwrap().then_some(()).ok_or(())
    }

    fn allowance_of(&self, ledger: CommitId) -> Option<super::allowance::Allowance> {
        self.allowance(&self.room(ledger).unwrap()).unwrap()
    }

    fn room_of(&self, ledger: CommitId) -> Arc<super::room::Room> {
        self.room(ledger).unwrap()
    }

    /// Reads an object for somebody; true if it cannot be read.
    fn read_damaged(&self, room: &super::room::Room, id: ObjectId) -> bool {
        self.read_here(room, id).is_none()
    }
}

/// Two devices that share a space, both of them able to write.
async fn shared(one: &Dev, other: &Dev) -> (CommitId, Link) {
    let ledger = one.found().space.id();
    one.grant(ledger, other, SpaceRole::Editor);
    let link = link(one, other);
    until("both write", || other.can_write(ledger)).await;
    (ledger, link)
}

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| seed ^ (at as u8).wrapping_mul(31) ^ (at >> 8) as u8).collect()
}

fn is_missing(error: &ObjectError) -> bool {
    matches!(error, ObjectError::Missing(_))
}
