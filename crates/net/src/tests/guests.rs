//! Strangers: few, short, small, and only when expected.

use std::{sync::atomic::Ordering, time::Duration};

use logic::Misbehaved;
use seal::DeviceKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Device, PATIENCE, evil, strangers};
use crate::{ConnectError, Goodbye, KeyAgreement, Lane, NetConfig, network::ALPN_GUEST};

#[tokio::test]
async fn two_strangers_talk_and_see_each_others_end() {
    let (a, mut b) = (Device::new().await, Device::new().await);
    let (ab, ba) = strangers(&a, &mut b).await;
    assert_eq!((ab.remote(), ba.remote()), (b.id(), a.id()));
    assert_eq!((ab.dialled(), ba.dialled()), (true, false));
    assert_eq!(ab.exporter(), ba.exporter());
    assert_eq!(ab.key_agreement(), Some(KeyAgreement::X25519MlKem768));
    assert_eq!(ab.paths().direct.map(|a| a.port()), Some(b.network.port()));

    let mut out = ab.open().await.unwrap();
    out.send.write_all(b"hello").await.unwrap();
    out.send.finish().await.unwrap();
    let mut inward = ba.accept().await.unwrap();
    let mut text = String::new();
    inward.recv.read_to_string(&mut text).await.unwrap();
    assert_eq!((text.as_str(), inward.lane()), ("hello", Lane::Quic));

    ab.close(Goodbye::Duplicate);
    assert_eq!(ba.closed().await, Goodbye::Duplicate);
    assert!(ba.open().await.is_err());
    a.network.close().await;
    b.network.close().await;
    assert_eq!(b.owner.offences(), []);
}

#[tokio::test]
async fn a_dropped_half_is_an_error_and_never_an_end() {
    let (a, mut b) = (Device::new().await, Device::new().await);
    let (ab, ba) = strangers(&a, &mut b).await;
    let mut out = ab.open().await.unwrap();
    out.send.write_all(b"half a mess").await.unwrap();
    let mut inward = ba.accept().await.unwrap();
    drop(out);
    let mut text = Vec::new();
    assert!(inward.recv.read_to_end(&mut text).await.is_err());
}

#[tokio::test]
async fn the_wrong_key_at_the_right_address_is_recognised() {
    let (a, b) = (Device::new().await, Device::new().await);
    let impostor = DeviceKey::generate().id();
    let addrs = b.addrs();
    let dialled = a.network.connect_guest(impostor, &addrs, PATIENCE).await;
    assert!(matches!(dialled, Err(ConnectError::WrongDevice)), "{dialled:?}");
    assert_eq!(a.network.identify(b.addr()).await.unwrap(), b.id());
    let own = a.network.connect_guest(a.id(), &a.addrs(), PATIENCE).await;
    assert!(matches!(own, Err(ConnectError::OneSelf)));
    let nowhere = a.network.connect_guest(b.id(), &[], PATIENCE).await;
    assert!(matches!(nowhere, Err(ConnectError::NoAddress)));
}

#[tokio::test]
async fn strangers_are_refused_when_unexpected_or_blocked() {
    let (a, b) = (Device::new().await, Device::new().await);
    b.owner.unwelcoming.store(true, Ordering::Relaxed);
    let refused = a.knock(&b).await;
    assert!(matches!(refused, Err(ConnectError::Closed(Goodbye::Refused))), "{refused:?}");
    b.owner.heard(Misbehaved::GuestUnexpected).await;
    b.owner.unwelcoming.store(false, Ordering::Relaxed);
    b.owner.blocked.lock().unwrap().push(a.id());
    let refused = a.knock(&b).await;
    assert!(matches!(refused, Err(ConnectError::Closed(Goodbye::Refused))), "{refused:?}");
    b.owner.heard(Misbehaved::BlockedConnected).await;
}

#[tokio::test]
async fn a_stranger_that_begins_with_another_version_is_named() {
    let b = Device::new().await;
    let (_endpoint, conn) = evil(&b, ALPN_GUEST).await;
    let (mut send, _recv) = conn.open_bi().await.unwrap();
    send.write_all(&[77]).await.unwrap();
    b.owner.heard(Misbehaved::HandshakeInvalid).await;
    assert_eq!(Goodbye::heard(&conn.closed().await), Goodbye::Misbehaved);
}

#[tokio::test]
async fn only_so_many_strangers_at_once_until_one_is_vouched_for() {
    let mut b = Device::limited(|l| l.guests = 1).await;
    let (a, c) = (Device::new().await, Device::new().await);
    let _first = a.knock(&b).await.unwrap();
    let inside = b.guest().await;
    let busy = c.knock(&b).await;
    assert!(matches!(busy, Err(ConnectError::Closed(Goodbye::Busy))), "{busy:?}");
    // Whoever proved a code before has a place of its own.
    let returning = Device::new().await;
    b.owner.expected.lock().unwrap().push(returning.id());
    returning.knock(&b).await.unwrap();
    assert_eq!(b.guest().await.remote(), returning.id());
    inside.vouch();
    let wait = async {
        while c.knock(&b).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

#[tokio::test]
async fn a_stranger_who_proves_nothing_is_shown_out() {
    let b = Device::limited(|l| l.guest_life = Duration::from_millis(50)).await;
    let a = Device::new().await;
    let link = a.knock(&b).await.unwrap();
    assert_eq!(link.closed().await, Goodbye::Misbehaved);
    b.owner.heard(Misbehaved::GuestIdle).await;
}

#[tokio::test]
async fn a_stranger_has_one_stream_and_a_small_window_until_vouched_for() {
    let (a, mut b) = (Device::new().await, Device::new().await);
    let link = a.knock(&b).await.unwrap();
    let inside = b.guest().await;
    let mut only = link.open().await.unwrap();
    let flood = vec![0; 4 << 20];
    let mut sent = 0;
    let pour = async {
        while sent < flood.len() {
            sent += only.send.write(&flood[sent..]).await.unwrap();
        }
    };
    let stuck = tokio::time::timeout(Duration::from_millis(300), pour).await;
    assert!(stuck.is_err(), "4 MiB were taken from a stranger");
    let second = tokio::time::timeout(Duration::from_millis(100), link.open()).await;
    assert!(second.is_err(), "a second stream was given");
    inside.vouch();
    let second = tokio::time::timeout(PATIENCE, link.open()).await;
    assert!(second.is_ok());
}

#[tokio::test]
async fn a_vanished_peer_is_noticed() {
    let quick = |l: &mut crate::Limits| l.silence = Duration::from_millis(600);
    let (where_is, found) = tokio::sync::oneshot::channel();
    let (thaw, frozen) = std::sync::mpsc::channel::<()>();
    // A runtime that is not driven any more: the sockets are open, and nothing is sent or closed.
    let peer = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _held = runtime.block_on(async {
            let mut b = Device::limited(quick).await;
            where_is.send((b.id(), b.addrs())).unwrap();
            let link = b.guest().await;
            link.vouch();
            (b, link)
        });
        // The other end of the channel is dropped at the end of the test.
        let _ = frozen.recv();
        runtime.shutdown_background();
    });
    let (id, addrs) = found.await.unwrap();
    let a = Device::limited(quick).await;
    let link = a.network.connect_guest(id, &addrs, PATIENCE).await.unwrap();
    let end = tokio::time::timeout(PATIENCE, link.closed()).await;
    assert_eq!(end.unwrap(), Goodbye::Silent);
    drop(thaw);
    peer.join().unwrap();
}

#[tokio::test]
async fn a_taken_port_is_an_error_or_gives_another() {
    let a = Device::new().await;
    let port = a.network.port();
    let taken = NetConfig { port, any_port_if_taken: false, ..NetConfig::loopback() };
    let owner = std::sync::Arc::new(super::Owner::default());
    let bound = crate::Network::bind(&DeviceKey::generate(), taken.clone(), owner).await;
    assert!(matches!(bound, Err(crate::BindError::PortTaken(p)) if p == port));
    let other = NetConfig { any_port_if_taken: true, ..taken };
    let b = Device::with(other).await;
    assert_ne!(b.network.port(), port);
    a.network.close().await;
    b.network.close().await;
}
