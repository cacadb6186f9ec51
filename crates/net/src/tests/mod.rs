//! Attacks on a device over real sockets on loopback, and the story that must survive them.

mod guests;
mod lan;
mod lanes;
mod links;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use iroh::{
    Endpoint, EndpointAddr, EndpointId, SecretKey, TransportAddr,
    endpoint::{Connection, PortmapperConfig, presets},
};
use logic::{Misbehaved, hello::Credentials, wire::Address};
use seal::{DeviceId, DeviceKey, Timestamp};
use testkit::circle::FOUNDED;
use tokio::sync::mpsc;

use crate::{Admission, ConnectError, GuestLink, Incoming, Limits, Link, NetConfig, Network, tls};

/// Long enough for a loaded machine; nothing waits for it unless it fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// An owner that writes everything down.
#[derive(Default)]
pub(super) struct Owner {
    pub(super) later: Mutex<Duration>,
    pub(super) unwelcoming: AtomicBool,
    pub(super) blocked: Mutex<Vec<DeviceId>>,
    pub(super) expected: Mutex<Vec<DeviceId>>,
    pub(super) credentials: Mutex<Option<Credentials>>,
    offences: Mutex<Vec<Misbehaved>>,
}

impl Owner {
    /// Waits until the offence is reported.
    pub(super) async fn heard(&self, offence: Misbehaved) {
        let wait = async {
            while !self.offences.lock().unwrap().contains(&offence) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("{offence:?} is not among {:?}", self.offences.lock().unwrap());
        }
    }

    pub(super) fn offences(&self) -> Vec<Misbehaved> {
        self.offences.lock().unwrap().clone()
    }
}

impl Admission for Owner {
    fn credentials(&self) -> Option<Credentials> {
        self.credentials.lock().unwrap().clone()
    }
    fn now(&self) -> Timestamp {
        FOUNDED.plus(*self.later.lock().unwrap())
    }
    fn blocked(&self, device: DeviceId) -> bool {
        self.blocked.lock().unwrap().contains(&device)
    }
    fn expected(&self, device: DeviceId) -> bool {
        self.expected.lock().unwrap().contains(&device)
    }
    fn guests_welcome(&self) -> bool {
        !self.unwelcoming.load(Ordering::Relaxed)
    }
    fn report(&self, _from: Option<DeviceId>, _addr: Option<SocketAddr>, offence: Misbehaved) {
        self.offences.lock().unwrap().push(offence);
    }
}

/// A device under test.
pub(super) struct Device {
    pub(super) key: DeviceKey,
    pub(super) owner: Arc<Owner>,
    pub(super) network: Network,
    pub(super) incoming: mpsc::Receiver<Incoming>,
}

impl Device {
    pub(super) async fn new() -> Self {
        Self::with(NetConfig::loopback()).await
    }

    pub(super) async fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        let mut config = NetConfig::loopback();
        change(&mut config.limits);
        Self::with(config).await
    }

    pub(super) async fn with(config: NetConfig) -> Self {
        Self::under(DeviceKey::generate(), config).await
    }

    pub(super) async fn under(key: DeviceKey, mut config: NetConfig) -> Self {
        // However busy the machine that tests run on, its own loopback is near.
        config.limits.lane_round_trip = Duration::from_secs(60);
        let owner = Arc::new(Owner::default());
        let (network, incoming) = Network::bind(&key, config, owner.clone()).await.unwrap();
        Self { key, owner, network, incoming }
    }

    pub(super) fn id(&self) -> DeviceId {
        self.network.id()
    }

    pub(super) fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.network.port()))
    }

    pub(super) fn addrs(&self) -> Vec<Address> {
        vec![Address::Direct(self.addr())]
    }

    pub(super) async fn knock(&self, other: &Device) -> Result<GuestLink, ConnectError> {
        self.network.connect_guest(other.id(), &other.addrs(), PATIENCE).await
    }

    pub(super) async fn call(&self, other: &Device) -> Result<Link, ConnectError> {
        self.network.connect(other.id(), &other.addrs(), PATIENCE).await
    }

    pub(super) async fn member(&mut self) -> Link {
        match self.incoming.recv().await.unwrap() {
            Incoming::Member(link) => link,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn guest(&mut self) -> GuestLink {
        match self.incoming.recv().await.unwrap() {
            Incoming::Guest(link) => link,
            other => panic!("{other:?}"),
        }
    }
}

/// A link between two strangers, proven on both sides.
pub(super) async fn strangers(a: &Device, b: &mut Device) -> (GuestLink, GuestLink) {
    let dialled = a.knock(b).await.unwrap();
    let accepted = b.guest().await;
    accepted.vouch();
    (dialled, accepted)
}

/// A connection of somebody who knows a protocol's name, and then does what it likes.
pub(super) async fn evil(victim: &Device, alpn: &[u8]) -> (Endpoint, Connection) {
    let endpoint = Endpoint::builder(presets::Empty)
        .crypto_provider(tls::provider())
        .secret_key(SecretKey::from_bytes(&DeviceKey::generate().seed()))
        .portmapper_config(PortmapperConfig::Disabled)
        .bind()
        .await
        .unwrap();
    let id = EndpointId::from_bytes(victim.id().as_bytes()).unwrap();
    let addr = EndpointAddr::from_parts(id, [TransportAddr::Ip(victim.addr())]);
    let conn = endpoint.connect(addr, alpn).await.unwrap();
    (endpoint, conn)
}
