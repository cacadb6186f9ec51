//! The loopback port: only with the token, only as this very place.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use warren_api::server::{Loopback, Token};

use crate::fake::Fake;

/// Status line of the answer to a request with these headers; `PORT` stands for the port.
async fn status(headers: &str) -> String {
    let door = Loopback::bind(0, Token::new([7; 32])).await.unwrap();
    let address = door.address();
    let serving = tokio::spawn(door.serve(Arc::new(Fake::default()), std::future::pending()));
    let headers = headers.replace("PORT", &address.port().to_string());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("POST /v1/settings HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serving.abort();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn only_the_token_from_this_very_place_gets_in() {
    let token = Token::new([7; 32]).text().to_owned();
    let bearer = format!("authorization: Bearer {token}\r\n");
    let good = [
        format!("host: 127.0.0.1:PORT\r\n{bearer}"),
        format!("host: localhost:PORT\r\norigin: http://localhost:PORT\r\n{bearer}"),
    ];
    for headers in good {
        assert_eq!(status(&headers).await, "HTTP/1.1 200 OK", "{headers}");
    }
    let refused = [
        "host: 127.0.0.1:PORT\r\n".to_owned(),
        "host: 127.0.0.1:PORT\r\nauthorization: Bearer \r\n".to_owned(),
        format!("host: 127.0.0.1:PORT\r\nauthorization: Bearer {}\r\n", &token[1..]),
        format!("host: 127.0.0.1:PORT\r\nauthorization: Bearer {token}0\r\n"),
        format!("host: 127.0.0.1:PORT\r\nauthorization: Basic {token}\r\n"),
        format!("host: evil.example:PORT\r\n{bearer}"),
        format!("host: 127.0.0.1\r\n{bearer}"),
        format!("host: 127.0.0.1.evil.example:PORT\r\n{bearer}"),
        format!("host: 127.0.0.1:PORT\r\norigin: http://evil.example\r\n{bearer}"),
        format!("host: 127.0.0.1:PORT\r\norigin: https://127.0.0.1:PORT\r\n{bearer}"),
        format!("host: 127.0.0.1:PORT\r\norigin: null\r\n{bearer}"),
        bearer.clone(),
    ];
    for headers in refused {
        assert_eq!(status(&headers).await, "HTTP/1.1 403 Forbidden", "{headers}");
    }
}

#[test]
fn token_does_not_print() {
    assert_eq!(format!("{:?}", Token::new([1; 32])), "Token(***)");
}
