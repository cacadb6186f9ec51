//! What the client makes of answers, good and bad.

use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use warren_api::types::*;
use warren_api::{Client, ErrorCode, Request, Service};

use crate::fake::Running;

#[tokio::test]
async fn values_arrive_as_they_were_sent() {
    let running = Running::start();
    let client = &running.client as &dyn Service;
    let setting = SetSetting { key: "naïve\n\"key\"".into(), value: "\u{0}\u{7f}\u{1f980}".repeat(10_000) };
    let settings = client.set_setting(setting.clone()).await.unwrap();
    assert_eq!(settings.entries[0].key, setting.key);
    assert_eq!(settings.entries[0].value, setting.value);
    running.stop().await;
}

#[tokio::test]
async fn errors_keep_code_and_hint() {
    let running = Running::start();
    let client = &running.client as &dyn Service;
    let error = client.peers(PeerQuery::default()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.message, "no peers");
    assert_eq!(error.hint.as_deref(), Some("a hint"));
    running.stop().await;
}

#[tokio::test]
async fn events_arrive_in_order() {
    let running = Running::start();
    let mut events = running.client.events().await.unwrap();
    let sent = [Event::Peers, Event::Lock { locked: true }, Event::Lost { count: 7 }, Event::Peers];
    for event in &sent {
        running.fake.hub.send(event.clone());
    }
    for event in sent {
        assert_eq!(events.next().await, Some(event));
    }
    running.stop().await;
}

#[tokio::test]
async fn no_device_is_said_with_the_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("api.sock");
    for stale in [false, true] {
        if stale {
            drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        }
        let client = Client::new(&socket);
        assert_eq!(client.check().await.unwrap_err().code, ErrorCode::NotRunning);
        let error = (&client as &dyn Service).status(Nothing {}).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::NotRunning);
        assert!(error.hint.unwrap().contains("warren up"));
    }
}

/// Serves one connection with fixed bytes, whatever is asked.
async fn answering(answer: &'static [u8]) -> (tempfile::TempDir, Client) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("api.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 1024];
        let _ = stream.read(&mut asked).await;
        let _ = stream.write_all(answer).await;
    });
    (dir, Client::new(socket))
}

#[tokio::test]
async fn nonsense_from_the_other_end_is_an_error() {
    let cases: [(&[u8], ErrorCode); 6] = [
        (b"", ErrorCode::NotRunning),
        (b"SSH-2.0-OpenSSH\r\n", ErrorCode::NotRunning),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"half\":", ErrorCode::NotRunning),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{\"a\":", ErrorCode::Internal),
        (b"HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops", ErrorCode::Internal),
        (
            b"HTTP/1.1 403 No\r\nconnection: close\r\n\r\n{\"code\":\"not_allowed\",\"message\":\"never\"}",
            ErrorCode::NotAllowed,
        ),
    ];
    for (answer, code) in cases {
        let (_dir, client) = answering(answer).await;
        let shown = String::from_utf8_lossy(answer);
        let error = client.call(Request::Settings(Nothing {})).await.unwrap_err();
        assert_eq!(error.code, code, "{shown}: {error}");
    }
}

#[tokio::test]
async fn unknown_events_are_passed_over_and_a_cut_stream_ends() {
    let (_dir, client) = answering(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
          data: {\"kind\":\"from_the_future\"}\n\ndata: nonsense\n\ndata: {\"kind\":\"peers\"}\n\ndata: {\"kind\":\"pee",
    )
    .await;
    let events: Vec<Event> = client.events().await.unwrap().collect().await;
    assert_eq!(events, [Event::Peers]);
}
