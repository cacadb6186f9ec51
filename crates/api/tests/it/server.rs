//! What the server does with good, bad and hostile callers.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use warren_api::server::{MAX_BODY, Socket};
use warren_api::types::*;
use warren_api::{EventHub, Service};

use crate::fake::{Fake, Running, post, raw};

#[tokio::test]
async fn garbage_gets_a_json_error_in_a_fitting_status() {
    let running = Running::start();
    let cases: [(Vec<u8>, &str, &str); 8] = [
        (post("/v1/set_setting", "{"), "400", "bad_request"),
        (post("/v1/set_setting", "{}"), "400", "missing field"),
        (post("/v1/set_setting", "[1]"), "400", "bad_request"),
        (post("/v1/set_setting", "\u{0}"), "400", "bad_request"),
        (post("/v1/fly", "{}"), "404", "there is no call `fly`"),
        (post("/", ""), "404", "no such path"),
        (post("/v1/peers", ""), "404", "\"hint\":\"a hint\""),
        (b"GET /v1/peers HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec(), "405", "wrong method"),
    ];
    for (request, status, part) in cases {
        let shown = String::from_utf8_lossy(&request).into_owned();
        let answer = raw(&running.socket, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{shown}\n{answer}");
        assert!(answer.contains("application/json") && answer.contains(part), "{shown}\n{answer}");
    }
    running.stop().await;
}

#[tokio::test]
async fn body_beyond_the_limit_is_refused_before_it_is_read() {
    let running = Running::start();
    let head = format!(
        "POST /v1/set_setting HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        MAX_BODY + 1
    );
    let answer = raw(&running.socket, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("larger than"), "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn what_is_not_http_gets_no_further() {
    let running = Running::start();
    let answer = raw(&running.socket, b"\x16\x03\x01\x02\x00\x01\x00garbage\r\n\r\n").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    let reply = (&running.client as &dyn Service).settings(Nothing {}).await;
    assert!(reply.is_ok());
    running.stop().await;
}

#[tokio::test]
async fn call_of_a_caller_who_hung_up_is_carried_out() {
    let running = Running::start();
    let mut stream = UnixStream::connect(&running.socket).await.unwrap();
    stream.write_all(&post("/v1/lock", "")).await.unwrap();
    running.fake.begun.notified().await;
    drop(stream);
    running.fake.go.notify_one();
    while running.fake.locked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    running.stop().await;
}

#[tokio::test]
async fn call_that_panics_is_an_internal_error_and_the_server_goes_on() {
    let running = Running::start();
    let client = &running.client as &dyn Service;
    let error = client.shutdown(Nothing {}).await.unwrap_err();
    assert_eq!(error.code, warren_api::ErrorCode::Internal);
    assert!(client.settings(Nothing {}).await.is_ok());
    running.stop().await;
}

#[tokio::test]
async fn slow_reader_is_told_how_many_events_it_lost_and_delays_nobody() {
    const SENT: u64 = 5_000;
    let running = Running::with(Fake { hub: EventHub::new(16), ..Fake::default() });
    let mut events = running.client.events().await.unwrap();
    for seq in 1..=SENT {
        running.fake.hub.send(Event::Log(entry(seq)));
        // Lets the server fill the socket, so that some events do go out.
        tokio::task::yield_now().await;
    }
    let (mut read, mut lost, mut last) = (0, 0, 0);
    while last != SENT {
        match events.next().await.unwrap() {
            Event::Log(entry) => {
                assert!(entry.seq > last, "order");
                last = entry.seq;
                read += 1;
            }
            Event::Lost { count } => lost += count,
            other => panic!("never sent: {other:?}"),
        }
    }
    assert!(lost > 0);
    assert_eq!(read + lost, SENT);
    running.stop().await;
}

fn entry(seq: u64) -> LogEntry {
    LogEntry {
        seq,
        time: 0,
        event: "test.sent".into(),
        outcome: "ok".into(),
        peer: Some("x".repeat(8_000)),
        details: Default::default(),
    }
}

#[tokio::test]
async fn closing_ends_event_streams() {
    let running = Running::start();
    let mut events = running.client.events().await.unwrap();
    running.stop().await;
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn socket_is_for_its_owner_only() {
    let running = Running::start();
    let metadata = fs::metadata(&running.socket).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let dir = fs::metadata(running.socket.parent().unwrap()).unwrap();
    assert_eq!(dir.permissions().mode() & 0o777, 0o700);
    running.stop().await;
}

#[tokio::test]
async fn stale_socket_is_replaced_and_a_live_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind as by kill -9");
    let live = Socket::bind(&path).unwrap();
    let second = Socket::bind(&path).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse);
    drop(live);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    fs::write(&path, "precious").unwrap();
    let error = Socket::bind(&path).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn socket_that_was_taken_over_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let first = Socket::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let second = Socket::bind(&path).unwrap();
    drop(first);
    assert!(path.exists());
    drop(second);
    assert!(!path.exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn home_may_lie_as_deep_as_it_likes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/".repeat(60)).join("run/api.sock");
    drop_a_stale_socket_beside(&path);
    let door = Socket::bind(&path).unwrap();
    let fake = std::sync::Arc::new(Fake::default());
    let serving = tokio::spawn(door.serve(fake, std::future::pending()));
    let client = warren_api::Client::new(&path);
    assert!((&client as &dyn Service).settings(Nothing {}).await.is_ok());
    assert_eq!(Socket::bind(&path).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    serving.abort();
}

/// The folder exists already and something lies in it.
fn drop_a_stale_socket_beside(path: &std::path::Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path.with_extension("other"), "").unwrap();
}

#[test]
fn every_call_is_documented() {
    let docs = include_str!("../../../../docs/api.md");
    for name in warren_api::CALLS {
        assert!(docs.contains(&format!("\n| `{name}` |")), "{name} is missing in docs/api.md");
    }
}
