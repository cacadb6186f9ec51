//! The device on the network: one QUIC endpoint and one TCP listener under one key.
//!
//! [`Network::bind`] opens the sockets and starts answering; what comes out is links to proven
//! members and links to strangers. Nobody is contacted who was not named: no relays, lookups or
//! port mapping unless configured.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use iroh::{
    Endpoint, EndpointAddr, EndpointId, RelayUrl, TransportAddr,
    endpoint::{ConnectError as DialError, Connection, ConnectionError, TransportErrorCode},
};
use logic::{Misbehaved, wire::Address};
use seal::pki::Crl;
use seal::{DeviceId, DeviceKey};
use thiserror::Error;
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    accept, address,
    admission::Admission,
    bind,
    close::Goodbye,
    config::NetConfig,
    guest::GuestLink,
    known::{Known, Party},
    lane::{dial, tickets::Tickets},
    link::Link,
    tls::LaneTls,
};

/// The protocol between members, in ALPN (RFC 7301).
pub(crate) const ALPN_MEMBER: &[u8] = b"warren/1";
/// The protocol with strangers.
pub(crate) const ALPN_GUEST: &[u8] = b"warren-guest/1";
/// Links that came in and were not taken yet.
const INCOMING: usize = 32;
/// TLS alert "unknown CA": what a key other than the dialled one ends in.
const ALERT_UNKNOWN_CA: u8 = 48;
/// How long closing may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// A link that somebody else dialled.
#[derive(Debug)]
pub enum Incoming {
    /// From a proven member.
    Member(Link),
    /// From a stranger.
    Guest(GuestLink),
}

/// Why the network could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// The port is taken and no other is wanted.
    #[error("port {0} is in use")]
    PortTaken(u16),
    /// A socket could not be opened.
    #[error("cannot open a socket")]
    Socket(#[source] io::Error),
    /// The URL of a relay cannot be read.
    #[error("not the URL of a relay: {0}")]
    Relay(String),
    /// TLS or QUIC could not be set up.
    #[error("cannot set up the secure channel: {0}")]
    Setup(String),
}

/// Why a device could not be reached.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// This is the device itself.
    #[error("this is the device itself")]
    OneSelf,
    /// No address to try.
    #[error("no address is known")]
    NoAddress,
    /// Nobody answered in time.
    #[error("nobody answered in time")]
    TimedOut,
    /// Somebody else answers at that address.
    #[error("another device answers at that address")]
    WrongDevice,
    /// The other side closed the connection and said why.
    #[error("the other side closed the connection: {0}")]
    Closed(Goodbye),
    /// The other side has shown that this device was removed from the circle: the list belongs into the roster.
    #[error("this device has been removed from the circle")]
    Removed(Box<Crl>),
    /// The other side broke a rule.
    #[error(transparent)]
    Misbehaved(#[from] Misbehaved),
    /// This device has nothing to prove its membership with.
    #[error("this device is in no circle, or locked")]
    NoCredentials,
    /// The network has been closed, or the connection failed.
    #[error("the connection failed: {0}")]
    Failed(String),
}

/// State that all links share.
pub(crate) struct Shared {
    pub(crate) id: DeviceId,
    pub(crate) key: DeviceKey,
    pub(crate) config: NetConfig,
    pub(crate) endpoint: Endpoint,
    pub(crate) tls: LaneTls,
    pub(crate) tcp_port: Option<u16>,
    pub(crate) tickets: Tickets,
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) incoming: mpsc::Sender<Incoming>,
    pub(crate) guests: Arc<Semaphore>,
    /// Handshakes of strangers, and of all who have not proven their address.
    pub(crate) handshakes: Arc<Semaphore>,
    /// Handshakes of those who come from where a member is known to be.
    pub(crate) reserved: Arc<Semaphore>,
    known: Mutex<Known>,
    #[cfg(test)]
    pub(crate) deaf: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Shared {
    /// Members are, or may be, at these addresses.
    pub(crate) fn acquaint(&self, addrs: impl IntoIterator<Item = SocketAddr>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        addrs.into_iter().for_each(|addr| known.note(addr, Instant::now()));
    }

    /// What whoever calls from `addr` is counted under.
    pub(crate) fn party(&self, addr: SocketAddr) -> Party {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).party(addr)
    }

    /// Runs `task` until it ends or the network is closed.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }
}

/// This device on the network. Close it with [`Network::close`].
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
}

impl Network {
    /// Opens the sockets and starts answering.
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn bind(
        key: &DeviceKey,
        config: NetConfig,
        admission: Arc<dyn Admission>,
    ) -> Result<(Self, mpsc::Receiver<Incoming>), BindError> {
        let tls = LaneTls::new(&key.seed()).map_err(|e| BindError::Setup(e.to_string()))?;
        let bound = bind::bind(key, &config).await?;
        let (sender, incoming) = mpsc::channel(INCOMING);
        let limits = &config.limits;
        let shared = Arc::new(Shared {
            id: key.id(),
            key: DeviceKey::from_seed(&key.seed()),
            tls,
            tcp_port: bound.tcp_port(),
            tickets: Tickets::default(),
            admission,
            incoming: sender,
            guests: Arc::new(Semaphore::new(limits.guests)),
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
            reserved: Arc::new(Semaphore::new(limits.handshakes)),
            known: Mutex::default(),
            #[cfg(test)]
            deaf: CancellationToken::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            endpoint: bound.endpoint,
            config,
        });
        accept::start(&shared, bound.listeners);
        Ok((Self { shared }, incoming))
    }

    /// This device.
    pub fn id(&self) -> DeviceId {
        self.shared.id
    }

    /// The UDP port in use; TCP has the same one.
    pub fn port(&self) -> u16 {
        bind::port(&self.shared.endpoint)
    }

    /// Where others can try to reach this device.
    pub fn addresses(&self) -> Vec<Address> {
        address::addresses(&self.shared.endpoint, self.shared.config.loopback)
    }

    /// Connects to a member's device and has both sides prove their membership.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(&self, device: DeviceId, addrs: &[Address], patience: Duration) -> Result<Link, ConnectError> {
        let own = self.shared.admission.credentials();
        let own = own.ok_or(ConnectError::NoCredentials)?;
        self.shared.acquaint(addrs.iter().filter_map(|addr| match addr {
            Address::Direct(addr) => Some(*addr),
            Address::Relay(_) => None,
        }));
        let meet = async {
            let conn = self.dial(device, addrs, ALPN_MEMBER).await?;
            let hello = Link::dial(self.shared.clone(), conn.clone(), &own);
            let met = timeout(self.shared.config.limits.handshake, hello).await;
            let met = met.unwrap_or(Err(ConnectError::TimedOut));
            if let Err(error) = &met {
                self.refuse(&conn, device, error);
            }
            met
        };
        timeout(patience, meet).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    /// Ends a connection that did not become a link; what the other side did is reported.
    fn refuse(&self, conn: &Connection, device: DeviceId, error: &ConnectError) {
        let ConnectError::Misbehaved(offence) = error else {
            return Goodbye::Refused.say(conn);
        };
        let admission = &self.shared.admission;
        admission.report(Some(device), None, *offence);
        Goodbye::Misbehaved.say(conn);
    }

    /// Connects to a device whose key is known from a code or link.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect_guest(
        &self,
        device: DeviceId,
        addrs: &[Address],
        patience: Duration,
    ) -> Result<GuestLink, ConnectError> {
        let knock = async {
            let conn = self.dial(device, addrs, ALPN_GUEST).await?;
            GuestLink::dial(self.shared.clone(), conn.clone()).await.map_err(|error| why(&conn, &error))
        };
        timeout(patience, knock).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    /// Learns which device answers at `addr`, without telling who asks.
    ///
    /// # Errors
    /// Nothing there speaks this protocol, or nobody answers within the time for handshakes.
    pub async fn identify(&self, addr: SocketAddr) -> Result<DeviceId, ConnectError> {
        let asked = dial::identify(&self.shared.tls, addr);
        match timeout(self.shared.config.limits.handshake, asked).await {
            Ok(Ok(key)) => Ok(DeviceId::from_bytes(key)),
            Ok(Err(error)) => Err(ConnectError::Failed(error.to_string())),
            Err(_) => Err(ConnectError::TimedOut),
        }
    }

    /// Closes every link and every socket, and waits until that is done.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        // Those who are connected are told at once; what is being dialled may never answer.
        let _ = timeout(GOODBYE, self.shared.endpoint.close()).await;
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// The machine's firewall starts to refuse TCP: calls are dropped, and others are told a port
    /// where nobody listens.
    #[cfg(test)]
    pub(crate) fn stop_listening(&self) {
        self.shared.deaf.cancel();
    }

    #[cfg(test)]
    pub(crate) fn party(&self, addr: SocketAddr) -> Party {
        self.shared.party(addr)
    }

    #[cfg(test)]
    pub(crate) fn issue_ticket(&self, device: DeviceId) -> crate::lane::tickets::Ticket {
        self.shared.tickets.issue(*device.as_bytes(), None)
    }

    async fn dial(&self, device: DeviceId, addrs: &[Address], alpn: &[u8]) -> Result<Connection, ConnectError> {
        if device == self.shared.id {
            return Err(ConnectError::OneSelf);
        }
        let id =
            EndpointId::from_bytes(device.as_bytes()).map_err(|_| ConnectError::Failed("not a device id".into()))?;
        // Whoever has the same port as the peer would find itself at the peer's loopback, and faster than the peer.
        let own = address::addresses(&self.shared.endpoint, true);
        let addrs: Vec<_> = addrs.iter().filter(|addr| !own.contains(addr)).filter_map(transport_addr).collect();
        if addrs.is_empty() {
            return Err(ConnectError::NoAddress);
        }
        let addr = EndpointAddr::from_parts(id, addrs);
        self.shared.endpoint.connect(addr, alpn).await.map_err(|error| dial_error(&error))
    }
}

/// Why a connection that was opened did not become a link.
pub(crate) fn why(conn: &Connection, error: &io::Error) -> ConnectError {
    match conn.close_reason() {
        Some(reason) => connection_error(&reason),
        None => ConnectError::Failed(error.to_string()),
    }
}

fn transport_addr(addr: &Address) -> Option<TransportAddr> {
    match addr {
        Address::Direct(addr) => address::usable(addr.ip()).then_some(TransportAddr::Ip(*addr)),
        Address::Relay(url) => url.parse::<RelayUrl>().ok().map(TransportAddr::Relay),
    }
}

fn dial_error(error: &DialError) -> ConnectError {
    use iroh::endpoint::ConnectingError;
    match error {
        DialError::Connection { source, .. }
        | DialError::Connecting { source: ConnectingError::ConnectionError { source, .. }, .. } => {
            connection_error(source)
        }
        other => ConnectError::Failed(other.to_string()),
    }
}

fn connection_error(error: &ConnectionError) -> ConnectError {
    match error {
        ConnectionError::ApplicationClosed(_) => ConnectError::Closed(Goodbye::heard(error)),
        ConnectionError::TimedOut => ConnectError::TimedOut,
        ConnectionError::TransportError(e) if e.code == TransportErrorCode::crypto(ALERT_UNKNOWN_CA) => {
            ConnectError::WrongDevice
        }
        other => ConnectError::Failed(other.to_string()),
    }
}
