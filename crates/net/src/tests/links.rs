//! Members: whoever cannot prove its membership gets no link and learns nothing.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use logic::{Misbehaved, hello::Credentials, wire::Address};
use seal::pki::Role;
use testkit::circle::{LIFETIME, TestCircle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Device, PATIENCE, evil};
use crate::{ConnectError, Goodbye, Lane, Limits, Link, NetConfig, known::Party, network::ALPN_MEMBER};

/// A circle of two, and their devices.
async fn two(change: impl Fn(&mut Limits)) -> (TestCircle, Device, Device) {
    let mut circle = TestCircle::new(7);
    let a = join(&mut circle, "ada", &change).await;
    let b = join(&mut circle, "bob", &change).await;
    // Each knows the other's revocation list.
    for device in [&a, &b] {
        let mut own = device.owner.credentials.lock().unwrap();
        if let Some(own) = own.as_mut() {
            own.crls = circle.crls.clone();
        }
    }
    (circle, a, b)
}

async fn join(circle: &mut TestCircle, name: &str, change: &impl Fn(&mut Limits)) -> Device {
    let member = circle.member(name, Role::Editor);
    let device = circle.device(&member, "laptop");
    let mut config = NetConfig::loopback();
    change(&mut config.limits);
    let joined = Device::under(device.key.clone(), config).await;
    set(&joined, Some(circle.credentials(&device)));
    joined
}

fn set(device: &Device, credentials: Option<Credentials>) {
    *device.owner.credentials.lock().unwrap() = credentials;
}

async fn meet(a: &Device, b: &mut Device) -> (Link, Link) {
    let dialled = a.call(b).await.unwrap();
    (dialled, b.member().await)
}

/// One word over a new stream.
async fn word(from: &Link, to: &Link) {
    let mut out = from.open().await.unwrap();
    out.send.write_all(b"word").await.unwrap();
    out.send.finish().await.unwrap();
    let mut text = String::new();
    let mut inward = to.accept().await.unwrap();
    inward.recv.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "word");
}

#[tokio::test]
async fn members_meet_and_know_each_other() {
    let (_, a, mut b) = two(|_| {}).await;
    let (ab, ba) = meet(&a, &mut b).await;
    assert_eq!(ab.peer().member_name(), "bob");
    assert_eq!(ba.peer().member_name(), "ada");
    assert_eq!((ab.remote(), ba.remote()), (b.id(), a.id()));
    assert_eq!((ab.dialled(), ba.dialled()), (true, false));
    word(&ab, &ba).await;
    word(&ba, &ab).await;
    assert_eq!(ab.open_bulk(4).await.unwrap().lane, Lane::Tcp);
    a.network.close().await;
    assert_eq!(ba.closed().await, Goodbye::Leaving);
}

#[tokio::test]
async fn both_sides_know_why_a_link_ended() {
    let (_, a, mut b) = two(|_| {}).await;
    let (ab, ba) = meet(&a, &mut b).await;
    ab.close(Goodbye::Duplicate);
    ab.close(Goodbye::Leaving);
    assert_eq!((ab.closed().await, ba.closed().await), (Goodbye::Duplicate, Goodbye::Duplicate));
    assert_eq!((a.owner.offences(), b.owner.offences()), (vec![], vec![]));
}

#[tokio::test]
async fn a_member_of_another_circle_is_refused_and_learns_no_name() {
    let (_, _, b) = two(|_| {}).await;
    let mut other = TestCircle::new(8);
    let foreign = join(&mut other, "eve", &|_| {}).await;
    let refused = foreign.call(&b).await;
    assert!(matches!(refused, Err(ConnectError::Closed(Goodbye::Refused))), "{refused:?}");
    b.owner.heard(Misbehaved::CertificateForeign).await;
}

#[tokio::test]
async fn an_expired_member_is_refused() {
    let (_, a, b) = two(|_| {}).await;
    *b.owner.later.lock().unwrap() = LIFETIME + Duration::from_secs(86_400);
    let refused = a.call(&b).await;
    assert!(matches!(refused, Err(ConnectError::Closed(Goodbye::Refused))), "{refused:?}");
    b.owner.heard(Misbehaved::CertificateExpired).await;
}

#[tokio::test]
async fn a_blocked_member_is_refused() {
    let (_, a, b) = two(|_| {}).await;
    b.owner.blocked.lock().unwrap().push(a.id());
    let refused = a.call(&b).await;
    assert!(matches!(refused, Err(ConnectError::Closed(Goodbye::Refused))), "{refused:?}");
    b.owner.heard(Misbehaved::BlockedConnected).await;
}

#[tokio::test]
async fn somebody_elses_certificate_is_no_use() {
    let (_, a, b) = two(|_| {}).await;
    let thief = Device::new().await;
    set(&thief, a.owner.credentials.lock().unwrap().clone());
    let refused = thief.call(&b).await;
    assert!(matches!(refused, Err(ConnectError::Closed(Goodbye::Refused))), "{refused:?}");
    b.owner.heard(Misbehaved::HelloKeyMismatch).await;
}

#[tokio::test]
async fn a_locked_device_dials_nobody_and_answers_nobody() {
    let (_, a, b) = two(|_| {}).await;
    set(&b, None);
    let refused = a.call(&b).await;
    assert!(matches!(refused, Err(ConnectError::Closed(Goodbye::Refused))), "{refused:?}");
    assert!(matches!(b.call(&a).await, Err(ConnectError::NoCredentials)));
    assert_eq!(b.owner.offences(), []);
}

#[tokio::test]
async fn an_oversize_hello_is_cut_before_memory_is_taken() {
    let (_, _, b) = two(|_| {}).await;
    let (_endpoint, conn) = evil(&b, ALPN_MEMBER).await;
    let (mut send, _recv) = conn.open_bi().await.unwrap();
    send.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    b.owner.heard(Misbehaved::FrameTooLong).await;
    let end = conn.closed().await;
    assert_eq!(Goodbye::heard(&end), Goodbye::Refused, "{end:?}");
}

#[tokio::test]
async fn a_truncated_and_a_garbled_hello_are_named() {
    let (_, _, b) = two(|_| {}).await;
    let (_endpoint, conn) = evil(&b, ALPN_MEMBER).await;
    let (mut send, _recv) = conn.open_bi().await.unwrap();
    send.write_all(&[0, 0, 4, 0, 1, 2, 3]).await.unwrap();
    send.finish().unwrap();
    b.owner.heard(Misbehaved::FrameTruncated).await;
    let (_endpoint, conn) = evil(&b, ALPN_MEMBER).await;
    let (mut send, _recv) = conn.open_bi().await.unwrap();
    send.write_all(&[0, 0, 0, 2, 250, 250]).await.unwrap();
    b.owner.heard(Misbehaved::FrameGarbled).await;
}

#[tokio::test]
async fn a_slow_hello_is_cut_at_the_deadline() {
    let (_, _, b) = two(|l| l.handshake = Duration::from_millis(300)).await;
    let (_endpoint, conn) = evil(&b, ALPN_MEMBER).await;
    let (mut send, _recv) = conn.open_bi().await.unwrap();
    send.write_all(&[0, 0, 4]).await.unwrap();
    b.owner.heard(Misbehaved::HandshakeTooSlow).await;
    assert_eq!(Goodbye::heard(&conn.closed().await), Goodbye::Misbehaved);
}

#[tokio::test]
async fn a_flood_of_connects_leaves_an_honest_link_unharmed() {
    let (_, a, mut b) = two(|_| {}).await;
    let (ab, ba) = meet(&a, &mut b).await;
    let addr = b.addr();
    let flood = tokio::task::spawn_blocking(move || {
        let end = Instant::now() + Duration::from_millis(700);
        let mut held = Vec::new();
        while Instant::now() < end {
            if let Ok(socket) = std::net::TcpStream::connect(addr) {
                held.push(socket);
            }
            // Half of them stay open, to use up places.
            if held.len() > 200 {
                held.drain(..100);
            }
        }
    });
    let mut rounds = 0;
    while !flood.is_finished() {
        word(&ab, &ba).await;
        rounds += 1;
    }
    flood.await.unwrap();
    assert!(rounds > 0);
    b.owner.heard(Misbehaved::ConnectFlood).await;
    // The holder of a ticket gets through the flood's aftermath.
    let bulk = tokio::time::timeout(PATIENCE, ab.open_bulk(1)).await;
    assert_eq!(bulk.unwrap().unwrap().lane, Lane::Tcp);
    let _keep: Arc<_> = b.owner.clone();
}

#[tokio::test]
async fn a_member_is_known_where_it_proved_itself_and_where_it_is_looked_for() {
    let (_circle, a, mut b) = two(|_| {}).await;
    let _guest = (a.knock(&b).await.unwrap(), b.guest().await);
    assert!(matches!(b.network.party(a.addr()), Party::Network(_)), "a stranger who connected is no member");
    let _links = meet(&a, &mut b).await;
    for (device, other) in [(&a, &b), (&b, &a)] {
        // It may have come from any address of the machine.
        let direct = other.network.addresses().into_iter().filter_map(|address| match address {
            Address::Direct(addr) => Some(addr),
            Address::Relay(_) => None,
        });
        let is_member = |addr: &SocketAddr| matches!(device.network.party(*addr), Party::Member(..));
        let mut places: Vec<SocketAddr> = direct.chain([other.addr()]).collect();
        // The one side knows a little later than the other.
        for _ in 0..1000 {
            if places.iter().any(is_member) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        places.retain(is_member);
        let mut stranger = *places.first().unwrap();
        stranger.set_port(1);
        assert!(matches!(device.network.party(stranger), Party::Host(_)));
    }
}

/// Two devices with the same port, each on a machine of its own: the loopback address of the one leads the other to itself,
/// which answers before the peer does, and with the wrong key.
#[tokio::test]
async fn nobody_looks_for_a_peer_at_its_own_addresses() {
    let (_circle, a, b) = two(|_| {}).await;
    let found = a.network.connect(b.id(), &a.network.addresses(), PATIENCE).await;
    assert!(matches!(found, Err(ConnectError::NoAddress)), "{found:?}");
}
