//! Content on its way in and out: whole, refused, broken off.

use std::io;

use futures_util::{StreamExt, stream};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use warren_api::types::TreeRead;
use warren_api::{Bytes, ContentStream, ErrorCode, Service};

use crate::fake::Running;

fn content(chunks: impl Iterator<Item = io::Result<Bytes>> + Send + 'static) -> ContentStream {
    Box::pin(stream::iter(chunks))
}

#[tokio::test]
async fn content_arrives_whole_whatever_its_length() {
    let running = Running::start();
    for chunks in [0, 1, 100] {
        let chunk = |n: u8| Ok(Bytes::from(vec![n; 300_000]));
        let spooled = running.client.spool(content((0..chunks).map(chunk))).await.unwrap();
        assert_eq!(spooled.bytes, u64::from(chunks) * 300_000);
        let (all, complete) = running.fake.spooled.lock().unwrap().pop().unwrap();
        assert!(complete && all.chunks(300_000).zip(0..).all(|(chunk, n)| chunk.iter().all(|byte| *byte == n)));
    }
    running.stop().await;
}

/// The caller would go on for ever; it gets the whole answer every time.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_in_the_middle_is_heard() {
    let running = Running::start();
    for _ in 0..50 {
        let endless = std::iter::repeat_with(|| Ok(Bytes::from_static(&[b'x'; 70_000])));
        let full = std::iter::once(Ok(Bytes::from_static(b"full"))).chain(endless);
        let error = running.client.spool(content(full)).await.unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::DiskFull, "the disk is full"));
        assert_eq!(error.hint.as_deref(), Some("a hint"));
    }
    // One that has nothing to send at the moment hears it as well.
    let waiting = content(std::iter::once(Ok(Bytes::from_static(b"full")))).chain(stream::pending());
    assert_eq!(running.client.spool(Box::pin(waiting)).await.unwrap_err().code, ErrorCode::DiskFull);
    running.stop().await;
}

#[tokio::test]
async fn content_that_breaks_off_is_not_taken_for_complete() {
    let running = Running::start();
    let broken = [Ok(Bytes::from_static(b"some")), Err(io::Error::other("the tape tore"))];
    let error = running.client.spool(content(broken.into_iter())).await.unwrap_err();
    assert!(error.code == ErrorCode::Io && error.message.contains("the tape tore"), "{error:?}");
    for length in ["content-length: 100", "transfer-encoding: chunked"] {
        let mut stream = UnixStream::connect(&running.socket).await.unwrap();
        let head = format!("POST /v1/spool HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n4\r\nsome\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
    }
    // The first one may have been cut off before the device heard of it.
    while running.fake.spooled.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(running.fake.spooled.lock().unwrap().iter().all(|(_, complete)| !complete));
    running.stop().await;
}

#[tokio::test]
async fn what_is_read_comes_whole_or_says_that_it_is_not() {
    let running = Running::start();
    let ask = |path: &str| TreeRead { space: "s".into(), path: path.into(), ..TreeRead::default() };
    let whole: Vec<_> = running.client.read(ask("whole")).await.unwrap().collect().await;
    let whole: Vec<u8> = whole.into_iter().flat_map(|piece| piece.unwrap().to_vec()).collect();
    assert_eq!(whole, b"aaabbbccc");
    let broken: Vec<_> = running.client.read(ask("broken")).await.unwrap().collect().await;
    assert!(broken.last().unwrap().is_err() && broken.iter().filter(|piece| piece.is_err()).count() == 1);
    let Err(error) = running.client.read(ask("none")).await else { panic!("there is no such file") };
    assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::NotFound, Some("a hint")));
    running.stop().await;
}
