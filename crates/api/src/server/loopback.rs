//! Loopback TCP with a bearer token, for the page in the browser. Off unless somebody asks for it.
//!
//! Any process and any web page on this machine can open a TCP connection to it, so each request must have the token;
//! `Host` must be a loopback name with this port (else a foreign name that resolves to 127.0.0.1 gets through: DNS
//! rebinding), and `Origin`, where a browser sends one, must be this very place.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::net::{TcpListener, TcpStream};

use super::accept::{Door, serve};
use super::{failure, router};
use subtle::ConstantTimeEq;

use crate::{ApiError, ErrorCode, Service};

/// Secret that a request must carry; prints as stars.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token from 32 random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(random.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The token's text, for `Authorization: Bearer TEXT`.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// True if `text` is the token; takes the same time whatever differs.
    fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// A bound loopback port.
#[derive(Debug)]
pub struct Loopback {
    listener: TcpListener,
    address: SocketAddr,
    token: Token,
}

impl Loopback {
    /// Binds `port` (0: any free one) on 127.0.0.1.
    ///
    /// # Errors
    /// Those of binding a port.
    pub async fn bind(port: u16, token: Token) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, token })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `until` completes; calls under way may then end, event streams are cut.
    pub async fn serve(self, service: Arc<dyn Service>, until: impl Future<Output = ()>) {
        let gate = Arc::new(Gate { port: self.address.port(), token: self.token.clone() });
        let guarded = router(service).layer(from_fn_with_state(gate, admit));
        serve(self, guarded, until).await;
    }
}

impl Door for Loopback {
    type Conn = TcpStream;

    async fn accept(&mut self) -> io::Result<Option<TcpStream>> {
        let (stream, from) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(from.ip().is_loopback().then_some(stream))
    }
}

/// What a request must show.
struct Gate {
    port: u16,
    token: Token,
}

/// Lets a request through that has the token and comes from the right place.
async fn admit(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    match gate.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            tracing::warn!(reason = refusal, "request to the local API refused");
            failure(&ApiError::new(ErrorCode::NotAllowed, refusal)).into_response()
        }
    }
}

impl Gate {
    /// Checks `Host`, `Origin` and the token, in this order.
    fn check(&self, headers: &HeaderMap) -> Result<(), &'static str> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if !text(header::HOST).is_some_and(|host| self.is_here(host)) {
            return Err("`Host` is not this place");
        }
        if headers.contains_key(header::ORIGIN) {
            let origin = text(header::ORIGIN).and_then(|origin| origin.strip_prefix("http://"));
            if !origin.is_some_and(|host| self.is_here(host)) {
                return Err("`Origin` is not this place");
            }
        }
        let token = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        if !token.is_some_and(|token| self.token.is(token)) {
            return Err("the bearer token is missing or wrong");
        }
        Ok(())
    }

    /// True for `NAME:PORT` of this very port under a loopback name.
    fn is_here(&self, host: &str) -> bool {
        ["127.0.0.1", "localhost"].iter().any(|name| host.eq_ignore_ascii_case(&format!("{name}:{}", self.port)))
    }
}
