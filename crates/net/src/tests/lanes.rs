//! The TCP lane: fast where it is had, refused to everybody else, and never missed.

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    sync::{Arc, mpsc},
    time::Duration,
};

use logic::{Misbehaved, wire::LinkToken};
use rustls::{
    CipherSuiteCommon, SupportedCipherSuite, Tls13CipherSuite, crypto::CryptoProvider, pki_types::ServerName,
};
use seal::DeviceKey;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use super::{Device, PATIENCE, strangers};
use crate::{
    GuestLink, Lane, NetConfig, Stream,
    lane::dial::{self, LaneError},
    tls::{LaneTls, handshake},
};

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

/// Sends `data` over all streams of a bulk and checks that the other side gets it.
async fn carry(from: &GuestLink, to: &GuestLink, lane: Lane, data: &[u8]) {
    let bulk = from.open_bulk(2).await.unwrap();
    assert_eq!(bulk.lane, lane);
    for mut stream in bulk.streams {
        let send = async {
            stream.send.write_all(data).await.unwrap();
            stream.send.finish().await.unwrap();
            stream
        };
        let receive = async {
            let mut stream = to.accept().await.unwrap();
            assert_eq!(stream.lane(), lane);
            let mut got = Vec::new();
            stream.recv.read_to_end(&mut got).await.unwrap();
            assert!(got == data);
            stream.send.write_all(b"thanks").await.unwrap();
            stream.send.finish().await.unwrap();
        };
        let (mut stream, ()) = tokio::join!(send, receive);
        let mut answer = String::new();
        stream.recv.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "thanks");
    }
}

#[tokio::test]
async fn bulk_goes_over_tcp_both_ways_and_whole() {
    let (a, mut b) = (Device::new().await, Device::new().await);
    let (ab, ba) = strangers(&a, &mut b).await;
    for len in [0, 1, 16_383, 16_384, 16_385, 1_000_003] {
        carry(&ab, &ba, Lane::Tcp, &payload(len)).await;
        carry(&ba, &ab, Lane::Tcp, &payload(len)).await;
    }
    assert_eq!((a.owner.offences(), b.owner.offences()), (vec![], vec![]));
}

#[tokio::test]
async fn whoever_cannot_be_dialled_dials_back() {
    let silent = NetConfig { tcp_lane: false, ..NetConfig::loopback() };
    // One side has no listener but may dial.
    let (mut a, mut b) = (Device::with(silent).await, Device::new().await);
    let (ab, ba) = strangers(&a, &mut b).await;
    carry(&ab, &ba, Lane::Quic, &payload(300_000)).await;
    a.network.close().await;
    a = Device::new().await;
    a.network.stop_listening();
    let (ab, ba) = strangers(&a, &mut b).await;
    carry(&ba, &ab, Lane::Tcp, &payload(300_000)).await;
    carry(&ab, &ba, Lane::Tcp, &payload(300_000)).await;
}

#[tokio::test]
async fn where_tcp_is_refused_both_ways_quic_carries() {
    let (a, mut b) = (Device::new().await, Device::new().await);
    a.network.stop_listening();
    b.network.stop_listening();
    let (ab, ba) = strangers(&a, &mut b).await;
    carry(&ab, &ba, Lane::Quic, &payload(700_000)).await;
}

#[tokio::test]
async fn a_stranger_who_has_proven_nothing_gets_no_ticket() {
    let (a, mut b) = (Device::new().await, Device::new().await);
    let (ab, _ba) = (a.knock(&b).await.unwrap(), b.guest().await);
    a.network.stop_listening();
    assert_eq!(ab.open_bulk(1).await.unwrap().lane, Lane::Quic);
}

/// What an attacker can do who has a key of its own: TLS and a token.
async fn show(key: &DeviceKey, victim: &Device, token: LinkToken) -> Result<(), LaneError> {
    let tls = LaneTls::new(&key.seed()).unwrap();
    let device = *victim.id().as_bytes();
    dial::dial(&tls, victim.addr(), device, token, PATIENCE).await.map(drop)
}

#[tokio::test]
async fn a_token_that_was_never_given_opens_nothing() {
    let b = Device::new().await;
    let shown = show(&DeviceKey::generate(), &b, LinkToken([7; 16])).await;
    assert!(matches!(shown, Err(LaneError::Refused)));
    b.owner.heard(Misbehaved::LaneTokenUnknown).await;
}

#[tokio::test]
async fn a_stolen_token_is_worthless_and_harms_nobody() {
    let (holder, b) = (DeviceKey::generate(), Device::new().await);
    let ticket = b.network.issue_ticket(holder.id());
    let shown = show(&DeviceKey::generate(), &b, ticket.token).await;
    assert!(matches!(shown, Err(LaneError::Refused)));
    b.owner.heard(Misbehaved::LaneKeyMismatch).await;
    show(&holder, &b, ticket.token).await.unwrap();
}

#[tokio::test]
async fn a_replayed_token_opens_nothing() {
    let (holder, b) = (DeviceKey::generate(), Device::new().await);
    let ticket = b.network.issue_ticket(holder.id());
    show(&holder, &b, ticket.token).await.unwrap();
    let again = show(&holder, &b, ticket.token).await;
    assert!(matches!(again, Err(LaneError::Refused)));
    b.owner.heard(Misbehaved::LaneTokenUnknown).await;
}

#[tokio::test]
async fn the_dialer_stops_before_it_shows_itself_to_a_wrong_key() {
    let (a, b) = (Device::new().await, Device::new().await);
    let tls = LaneTls::new(&a.key.seed()).unwrap();
    let expected = *DeviceKey::generate().id().as_bytes();
    let dialled = dial::dial(&tls, b.addr(), expected, LinkToken([0; 16]), PATIENCE).await;
    assert!(matches!(dialled, Err(LaneError::Handshake(_))));
}

#[tokio::test]
async fn nonsense_and_silence_on_tcp_are_noticed() {
    let b = Device::limited(|l| l.handshake = Duration::from_millis(200)).await;
    let mut nonsense = TcpStream::connect(b.addr()).await.unwrap();
    nonsense.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    b.owner.heard(Misbehaved::HandshakeInvalid).await;
    let _silent = TcpStream::connect(b.addr()).await.unwrap();
    b.owner.heard(Misbehaved::HandshakeTooSlow).await;
}

#[tokio::test]
async fn a_lane_that_is_killed_is_an_error_and_quic_goes_on() {
    let (a, mut b) = (Device::new().await, Device::new().await);
    let (ab, ba) = strangers(&a, &mut b).await;
    let mut lane = ab.open_bulk(1).await.unwrap();
    let Some(Stream { mut send, recv }) = lane.streams.pop() else { panic!("no stream") };
    send.write_all(&payload(100_000)).await.unwrap();
    send.flush().await.unwrap();
    let mut inward = ba.accept().await.unwrap();
    drop((send, recv));
    let mut got = Vec::new();
    let cut = inward.recv.read_to_end(&mut got).await;
    assert!(cut.is_err(), "a cut lane looked finished");
    let mut out = ab.open().await.unwrap();
    out.send.write_all(b"still here").await.unwrap();
    out.send.finish().await.unwrap();
    let mut inward = ba.accept().await.unwrap();
    let mut text = String::new();
    inward.recv.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "still here");
}

#[tokio::test]
async fn lanes_end_with_their_link() {
    let (a, mut b) = (Device::new().await, Device::new().await);
    let (ab, ba) = strangers(&a, &mut b).await;
    let mut lane = ab.open_bulk(1).await.unwrap();
    let mut inward = ba.accept().await.unwrap();
    ab.close(crate::Goodbye::Leaving);
    let mut buf = [0; 1];
    assert!(inward.recv.read_exact(&mut buf).await.is_err());
    assert!(lane.streams[0].recv.read_exact(&mut buf).await.is_err());
}

/// Lets bytes through both ways, but changes one that the dialer sends after `skip` bytes.
async fn meddler(to: SocketAddr, skip: usize) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(to).await.unwrap();
        let (mut near_read, mut near_write) = near.split();
        let (mut far_read, mut far_write) = far.split();
        let change = async {
            let mut seen = 0;
            let mut buf = vec![0; 65_536];
            while let Ok(n @ 1..) = near_read.read(&mut buf).await {
                if (seen..seen + n).contains(&skip) {
                    buf[skip - seen] ^= 1;
                }
                seen += n;
                if far_write.write_all(&buf[..n]).await.is_err() {
                    break;
                }
            }
        };
        tokio::join!(change, tokio::io::copy(&mut far_read, &mut near_write))
    });
    addr
}

#[tokio::test]
async fn one_changed_bit_on_the_way_is_found() {
    let (client, server) = (DeviceKey::generate(), DeviceKey::generate());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = meddler(listener.local_addr().unwrap(), 200_000).await;
    let dial = async {
        let tls = LaneTls::new(&client.seed()).unwrap();
        let config = tls.client(server.public()).unwrap();
        let socket = TcpStream::connect(addr).await.unwrap();
        let mut lane = handshake::connect(socket, config).await.unwrap();
        // The other side may hang up first.
        let _ = lane.writer.write_all(&payload(1_000_000)).await;
        let _ = lane.writer.shutdown().await;
        lane
    };
    let answer = async {
        let tls = LaneTls::new(&server.seed()).unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let mut lane = handshake::accept(socket, tls.server.clone()).await.unwrap();
        assert_eq!(lane.peer, client.public());
        let mut got = Vec::new();
        let end = lane.reader.read_to_end(&mut got).await;
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
        assert!(got.len() < 200_000 && payload(200_000).starts_with(&got));
    };
    tokio::join!(dial, answer);
}

/// Two ends of a lane without a network above them.
async fn pair(provider: &Arc<CryptoProvider>) -> (handshake::Secured, handshake::Secured) {
    let (client, server) = (DeviceKey::generate(), DeviceKey::generate());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let tls = [&client, &server].map(|key| LaneTls::with_provider(&key.seed(), provider.clone()).unwrap());
    let dial = async {
        let socket = TcpStream::connect(addr).await.unwrap();
        handshake::connect(socket, tls[0].client(server.public()).unwrap()).await.unwrap()
    };
    let answer = async {
        let (socket, _) = listener.accept().await.unwrap();
        handshake::accept(socket, tls[1].server.clone()).await.unwrap()
    };
    tokio::join!(dial, answer)
}

/// Asks for a new key after 20 records.
fn hasty() -> Arc<CryptoProvider> {
    let mut provider = CryptoProvider::clone(&crate::tls::provider());
    let SupportedCipherSuite::Tls13(suite) = provider.cipher_suites[0] else { panic!("not TLS 1.3") };
    let common = CipherSuiteCommon { confidentiality_limit: 20, ..suite.common };
    let suite = Box::leak(Box::new(Tls13CipherSuite { common, ..*suite }));
    provider.cipher_suites = vec![SupportedCipherSuite::Tls13(suite)];
    Arc::new(provider)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_are_replaced_while_four_tasks_use_the_halves() {
    // 4 MiB are 256 records: a dozen keys in each direction.
    let data = payload(4 << 20);
    let (a, b) = pair(&hasty()).await;
    let tasks = [(a.reader, a.writer), (b.reader, b.writer)].map(|(mut reader, mut writer)| {
        let (out, expected) = (data.clone(), data.clone());
        let send = tokio::spawn(async move {
            writer.write_all(&out).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        let receive = tokio::spawn(async move {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).await.unwrap();
            assert!(got == expected);
        });
        [send, receive]
    });
    for task in tasks.into_iter().flatten() {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_half_that_is_dropped_is_an_error_and_the_other_way_goes_on() {
    let (a, mut b) = pair(&crate::tls::provider()).await;
    let (mut reader, writer) = (a.reader, a.writer);
    drop(writer);
    let cut = b.reader.read_u8().await.unwrap_err();
    assert_eq!(cut.kind(), std::io::ErrorKind::UnexpectedEof);
    b.writer.write_all(b"go on").await.unwrap();
    b.writer.shutdown().await.unwrap();
    b.writer.write_all(b"after the end").await.unwrap();
    assert!(b.writer.flush().await.is_err());
    let mut text = String::new();
    reader.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "go on");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_lane_has_to_hurry_while_the_path_changes() {
    use std::time::Duration;

    use crate::lane::watch::{Lanes, SILENCE, follow};

    let (a, b) = pair(&crate::tls::provider()).await;
    let lanes = Arc::new(Lanes::default());
    lanes.add(a.reader.pulse());
    let (path, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let changes = futures_util::stream::poll_fn(move |cx| changes.poll_recv(cx));
    let bound = || a.reader.pulse().silence().unwrap();
    assert!(a.reader.pulse().bound(SILENCE));
    tokio::time::pause();
    let following = tokio::spawn({
        let lanes = lanes.clone();
        async move { follow(&lanes, changes).await }
    });
    for _ in 0..2 {
        path.send(()).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(bound() < Duration::from_secs(10), "{:?}", bound());
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(bound(), SILENCE);
    // Lanes that are gone are forgotten, and hold nothing open.
    let pulse = a.reader.pulse();
    drop((a, b));
    assert!(!pulse.beats() && !pulse.bound(SILENCE));
    path.send(()).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(lanes.is_empty());
    drop(path);
    following.await.unwrap();
}

/// A dialer that agrees on keys as it should and sends, when told, a good record and one whose tag
/// is wrong. It never reads.
async fn forger() -> (handshake::Secured, mpsc::Sender<()>, JoinHandle<()>) {
    let (client, server) = (DeviceKey::generate(), DeviceKey::generate());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let config = LaneTls::new(&client.seed()).unwrap().client(server.public()).unwrap();
    let (go, told) = mpsc::channel::<()>();
    let forger = tokio::task::spawn_blocking(move || {
        let name = ServerName::from(IpAddr::from([0, 0, 0, 0]));
        let mut tls = rustls::ClientConnection::new(config, name).unwrap();
        let mut socket = std::net::TcpStream::connect(addr).unwrap();
        while tls.is_handshaking() || tls.wants_write() {
            tls.complete_io(&mut socket).unwrap();
        }
        told.recv().unwrap();
        let mut records = Vec::new();
        for text in [b"good", b"evil"] {
            tls.writer().write_all(text).unwrap();
            tls.write_tls(&mut records).unwrap();
        }
        *records.last_mut().unwrap() ^= 1;
        socket.write_all(&records).unwrap();
        // Stays until the other side has seen enough.
        let _ = told.recv();
    });
    let (socket, _) = listener.accept().await.unwrap();
    let tls = LaneTls::new(&server.seed()).unwrap();
    let secured = handshake::accept(socket, tls.server.clone()).await.unwrap();
    (secured, go, forger)
}

#[tokio::test]
async fn an_error_does_not_swallow_what_came_before_it() {
    let (mut lane, go, forger) = forger().await;
    go.send(()).unwrap();
    let mut got = Vec::new();
    let end = lane.reader.read_to_end(&mut got).await;
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    assert_eq!(got, b"good");
    assert!(lane.reader.read_u8().await.is_err());
    drop(go);
    forger.await.unwrap();
}

#[tokio::test]
async fn a_writer_that_waits_hears_of_the_readers_error() {
    let (mut lane, go, forger) = forger().await;
    let block = payload(1 << 20);
    let full = async { while lane.writer.write_all(&block).await.is_ok() {} };
    tokio::select! {
        biased;
        () = full => panic!("the lane broke by itself"),
        () = std::future::ready(()) => {}
    }
    let mut writer = lane.writer;
    let write = tokio::spawn(async move { while writer.write_all(&block).await.is_ok() {} });
    go.send(()).unwrap();
    assert!(lane.reader.read_to_end(&mut Vec::new()).await.is_err());
    tokio::time::timeout(PATIENCE, write).await.unwrap().unwrap();
    drop(go);
    forger.await.unwrap();
}

#[tokio::test]
async fn both_lanes_agree_on_a_post_quantum_key() {
    let provider = crate::tls::provider();
    let groups: Vec<_> = provider.kx_groups.iter().map(|group| group.name()).collect();
    assert_eq!(groups, [rustls::NamedGroup::X25519MLKEM768, rustls::NamedGroup::X25519]);
    // QUIC aborts the process if its first suite has a shorter key.
    let first = provider.cipher_suites[0].suite();
    assert_eq!(first, rustls::CipherSuite::TLS13_AES_256_GCM_SHA384);
}

#[tokio::test]
async fn a_lane_over_ipv6_where_there_is_one() {
    let (a, mut b) = (Device::new().await, Device::new().await);
    let addr = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, b.network.port()));
    let direct = logic::wire::Address::Direct(addr);
    if !b.network.addresses().contains(&direct) {
        return;
    }
    let ab = a.network.connect_guest(b.id(), &[direct], PATIENCE).await;
    let (ab, ba) = (ab.unwrap(), b.guest().await);
    ba.vouch();
    carry(&ab, &ba, Lane::Tcp, &payload(100_000)).await;
}
