//! Members and strangers who open the streams of a link in an unusual order, or say what does not belong there.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use api::EventStream;
use futures_util::StreamExt;
use logic::Misbehaved;
use logic::hello::Credentials;
use logic::limits::{CONTROL_FRAME, FrameLimit, HEADER_FRAME};
use logic::pair::invitation::Aim;
use logic::transfer::limits::VERSION;
use logic::transfer::message::encode;
use logic::transfer::{FromSender, Offer, Totals, TransferId};
use logic::wire::{GuestHeader, StreamHeader};
use net::frame::{read_frame, write_frame};
use net::{Admission, GuestLink, Incoming, NetConfig, Stream};
use seal::pki::{DEVICE_LIFETIME, Issuer, Role, Validity, issue_device};
use seal::{DeviceKey, Keyring, RootKey, Timestamp};
use serde_bytes::ByteBuf;
use store::database::Database;
use store::home::Home;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::{
    Address, Arc, Circle, Control, DeviceId, Duration, Event, EventHub, Goodbye, Link, Network, SIGHTED,
    SIGHTED_DEVICES, Table, clock, mpsc,
};
use crate::running::Running;

/// Long enough for a loaded machine; nothing waits for it unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);
const ID: TransferId = TransferId([9; 16]);

/// The device under test, and what its log says.
struct Victim {
    running: Arc<Running>,
    log: EventStream,
    /// What a second member of its circle shows.
    bob: (DeviceKey, Credentials),
    _home: tempfile::TempDir,
}

/// Somebody else on the network.
struct Other {
    network: Network,
    _incoming: mpsc::Receiver<Incoming>,
    credentials: Option<Credentials>,
}

/// Shows its credentials, and keeps what it thinks of others to itself.
struct Shown(Option<Credentials>);

impl Admission for Shown {
    fn credentials(&self) -> Option<Credentials> {
        self.0.clone()
    }
    fn now(&self) -> Timestamp {
        clock::now()
    }
    fn blocked(&self, _: DeviceId) -> bool {
        false
    }
    fn guests_welcome(&self) -> bool {
        false
    }
    fn report(&self, _: Option<DeviceId>, _: Option<SocketAddr>, _: Misbehaved) {}
}

impl Other {
    async fn new(key: &DeviceKey, credentials: Option<Credentials>) -> Self {
        let shown = Arc::new(Shown(credentials.clone()));
        let (network, incoming) = Network::bind(key, NetConfig::loopback(), shown).await.unwrap();
        Self { network, _incoming: incoming, credentials }
    }

    async fn stranger() -> Self {
        Self::new(&DeviceKey::generate(), None).await
    }
}

impl Victim {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(&dir.path().join("home")).unwrap();
        std::fs::write(home.settings(), "lan = false\nbind = \"127.0.0.1\"").unwrap();
        let keyring = Keyring { root: Some(RootKey::generate()), ..Keyring::generate() };
        let bob = {
            let database = Database::create(&home.database(), keyring.records.clone()).unwrap();
            let own = Keyring::from_bytes(&keyring.to_bytes()).unwrap().into_keyring();
            let circle = Circle::open(&database, Arc::new(own)).unwrap();
            circle.found("home", "ada", "laptop").unwrap();
            second_member(&circle)
        };
        let hub = EventHub::default();
        let log = hub.subscribe();
        let running = Running::start(Arc::new(home), keyring, hub, None).await.unwrap();
        Self { running, log, bob, _home: dir }
    }

    fn id(&self) -> DeviceId {
        self.running.network.id()
    }

    fn addresses(&self) -> Vec<Address> {
        self.running.network.addresses()
    }

    /// A link that the second member has dialled, as its end of it.
    async fn link_from_bob(&self) -> (Other, Link) {
        let bob = Other::new(&self.bob.0, Some(self.bob.1.clone())).await;
        let link = bob.network.connect(self.id(), &self.addresses(), PATIENCE).await.unwrap();
        (bob, link)
    }

    /// The next offence in the log.
    async fn offence(&mut self) -> String {
        let next = async {
            loop {
                if let Some(api::types::Event::Log(entry)) = self.log.next().await
                    && entry.event == "peer.misbehaved"
                {
                    return entry.details["offence"].clone();
                }
            }
        };
        timeout(PATIENCE, next).await.expect("no offence in the log")
    }

    /// Stops it; nothing further may be in the log.
    async fn ends_without_another_offence(mut self) {
        self.running.stop(Event::DeviceLocked {}).await;
        let rest = async {
            loop {
                if let Some(api::types::Event::Log(entry)) = self.log.next().await {
                    assert_ne!(entry.event, "peer.misbehaved", "{entry:?}");
                    if entry.event == "device.locked" {
                        return;
                    }
                }
            }
        };
        timeout(PATIENCE, rest).await.expect("the log has no end");
    }
}

/// Admits bob, with one device, to a circle.
fn second_member(circle: &Circle) -> (DeviceKey, Credentials) {
    let (keys, now) = (Keyring::generate(), clock::now());
    let key = keys.member.as_ref().unwrap();
    let certificate = circle.admit(key.id(), "bob", Role::Editor, &keys.seal.recipient()).unwrap();
    let issuer = Issuer::member(key, &certificate).unwrap();
    let device = issue_device(&issuer, keys.device.id(), "desk", Validity::starting(now, DEVICE_LIFETIME)).unwrap();
    let crl = circle.read(|roster| roster.next_crl(&issuer, &[], now)).unwrap().unwrap();
    circle.merge(&logic::roster::RosterUpdate::of([&device], [&crl], [])).unwrap();
    let shown = circle.read(|roster| Credentials {
        chain: roster.chain_of(keys.device.id(), now).unwrap(),
        crls: roster.crls(),
        root: roster.root().clone(),
        boot: [7; 16],
    });
    (keys.device.clone(), shown.unwrap())
}

async fn begin(link: &Link, header: &StreamHeader) -> Stream {
    let mut stream = link.open().await.unwrap();
    write_frame(&mut stream.send, header, HEADER_FRAME).await.unwrap();
    stream
}

/// The control stream answers.
async fn converses(control: &mut Stream) {
    write_frame(&mut control.send, &Control::Ping(77), CONTROL_FRAME).await.unwrap();
    let pong = async {
        while let Some(message) = read_frame::<Control, _>(&mut control.recv, FrameLimit::new(1 << 20)).await.unwrap() {
            if message == Control::Pong(77) {
                return;
            }
        }
        panic!("the control stream ended");
    };
    timeout(PATIENCE, pong).await.expect("no answer");
}

fn offer() -> Offer {
    Offer {
        version: VERSION,
        id: ID,
        names: vec![ByteBuf::from(b"early".to_vec())],
        items: 1,
        text: None,
        found: Totals::default(),
        complete: false,
        created_at: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_may_overtake_the_control_stream() {
    let mut victim = Victim::new().await;
    let (_bob, link) = victim.link_from_bob().await;
    let mut transfer = begin(&link, &StreamHeader::Transfer { id: ID }).await;
    let body = encode(&FromSender::Offer(offer()));
    let frame = [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat();
    transfer.send.write_all(&frame).await.unwrap();
    let offered = async {
        loop {
            if let Some(api::types::Event::Transfer(view)) = victim.log.next().await {
                return view;
            }
        }
    };
    let view = timeout(PATIENCE, offered).await.expect("the offer waits for the control stream");
    assert_eq!(view.id, ID.to_string());
    let _lane = begin(&link, &StreamHeader::Lane { id: TransferId([1; 16]), number: 0, token: None }).await;
    assert_eq!(victim.offence().await, "LaneNotGranted");
    // The link is unharmed, and now comes what it waits for.
    let mut control = begin(&link, &StreamHeader::Control).await;
    converses(&mut control).await;
    victim.ends_without_another_offence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_control_stream_is_an_offence() {
    let mut victim = Victim::new().await;
    let (_bob, link) = victim.link_from_bob().await;
    let mut first = begin(&link, &StreamHeader::Control).await;
    converses(&mut first).await;
    let _second = begin(&link, &StreamHeader::Control).await;
    assert_eq!(victim.offence().await, "FrameOutOfTurn");
    assert_eq!(timeout(PATIENCE, link.closed()).await, Ok(Goodbye::Misbehaved));
    victim.ends_without_another_offence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_begins_with_no_header_is_an_offence_before_the_control_stream_and_after() {
    for control_first in [false, true] {
        for (bytes, offence) in [
            (&b""[..], "FrameTruncated"),
            (&[0, 0, 0, 1][..], "FrameTruncated"),
            (&[0, 0, 0, 1, 99][..], "FrameGarbled"),
            (&[0, 0, 0, 2, 0, 0][..], "FrameTrailingBytes"),
            (&[0xff, 0, 0, 0][..], "FrameTooLong"),
        ] {
            let mut victim = Victim::new().await;
            let (_bob, link) = victim.link_from_bob().await;
            let mut control = None;
            if control_first {
                converses(control.insert(begin(&link, &StreamHeader::Control).await)).await;
            }
            let mut stream = link.open().await.unwrap();
            stream.send.write_all(bytes).await.unwrap();
            stream.send.finish().await.unwrap();
            assert_eq!(victim.offence().await, offence, "{bytes:?}");
            assert_eq!(timeout(PATIENCE, link.closed()).await, Ok(Goodbye::Misbehaved));
            victim.ends_without_another_offence().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_where_none_is_expected_is_in_the_log() {
    let mut victim = Victim::new().await;
    let stranger = Other::stranger().await;
    let refused = stranger.network.connect_guest(victim.id(), &victim.addresses(), PATIENCE).await;
    assert!(matches!(refused, Err(net::ConnectError::Closed(Goodbye::Refused))), "{refused:?}");
    assert_eq!(victim.offence().await, "GuestUnexpected");
    assert!(stranger.credentials.is_none());
    victim.ends_without_another_offence().await;
}

async fn knock(stranger: &Other, victim: &Victim) -> GuestLink {
    stranger.network.connect_guest(victim.id(), &victim.addresses(), PATIENCE).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_stranger_says_instead_of_its_code_is_in_the_log_once() {
    let header = |header: &GuestHeader| {
        let body = postcard::to_stdvec(header).unwrap();
        [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
    };
    let knocked = header(&GuestHeader::Knock);
    let lane = header(&GuestHeader::Lane { id: ID, number: 0, token: None });
    for (bytes, offence) in [
        (header(&GuestHeader::Transfer { id: ID }), "ConfirmationSkipped"),
        (lane, "ConfirmationSkipped"),
        (vec![0, 0, 0, 1, 99], "FrameGarbled"),
        (knocked[..knocked.len() - 1].to_vec(), "FrameTruncated"),
        (knocked.clone(), "FrameTruncated"),
        ([&knocked[..], &[0xff; 4]].concat(), "FrameTooLong"),
        ([&knocked[..], &[0, 0, 0, 1, 99]].concat(), "FrameGarbled"),
    ] {
        let mut victim = Victim::new().await;
        let open = desk_opens(&victim.running);
        let stranger = Other::stranger().await;
        let link = knock(&stranger, &victim).await;
        let mut stream = link.open().await.unwrap();
        stream.send.write_all(&bytes).await.unwrap();
        stream.send.finish().await.unwrap();
        assert_eq!(victim.offence().await, offence, "{bytes:?}");
        timeout(PATIENCE, link.closed()).await.expect("the stranger may stay");
        assert!(victim.running.desk.nameplates().len() == open, "nonsense is no guess");
        victim.ends_without_another_offence().await;
    }
}

/// Makes an invitation; gives how many codes are open.
fn desk_opens(running: &Running) -> usize {
    let life = clock::now().plus(PATIENCE * 10);
    let link = crate::desk::link(running.network.id(), Vec::new(), None);
    running.desk.make(Aim::Join { role: Role::Reader }, life, 1, link).unwrap().unwrap();
    running.desk.nameplates().len()
}

#[test]
fn made_up_sightings_take_a_bounded_place() {
    let mut table = Table::default();
    for i in 0..3 * SIGHTED_DEVICES as u32 {
        let device = DeviceId::from_bytes([i.to_be_bytes(); 8].concat().try_into().unwrap());
        for port in 1..3 * SIGHTED as u16 {
            table.note_sighting(device, Address::Direct(([192, 0, 2, 1], port).into()));
        }
        assert!(table.sighted.len() <= SIGHTED_DEVICES);
        assert_eq!(table.sighted[&device].len(), SIGHTED);
        assert_eq!(table.sighted[&device][0], Address::Direct(([192, 0, 2, 1], 3 * SIGHTED as u16 - 1).into()));
    }
}
