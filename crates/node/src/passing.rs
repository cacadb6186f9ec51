//! A passing device: no home, no circle, gone with its process. Serves one-time codes, and files under a passphrase.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::types::{CodeOffer, CodeReceive, CodeSend, Nothing, Transfer};
use api::{ApiError, ApiResult, ErrorCode, EventHub, EventStream, Reply, Request, Service};
use async_trait::async_trait;
use logic::Misbehaved;
use logic::code::Purpose;
use logic::hello::Credentials;
use logic::limits::HEADER_FRAME;
use logic::pair::invitation::{Aim, Ticket};
use logic::transfer::{Offer, TransferId};
use logic::wire::GuestHeader;
use net::frame::expect_frame;
use net::{Admission, GuestLink, Incoming, NetConfig, Network};
use seal::{DeviceId, DeviceKey, Signature, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::connection::{GuestConnection, stream};
use crate::desk::{self, Desk, VisitError};
use crate::errors::{blocking, database, internal, io_error};
use crate::lan::Voice;
use crate::transfers::{Decision, Happened, Host, NoShelf, SendRequest, Transfers};
use crate::{clock, files, joining, sending};

/// How long a one-time code stays good.
const CODE_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How long a sender may take to read the receipt and hang up.
const GOODBYE: Duration = Duration::from_secs(5);

/// Lets strangers in while this device has a code open.
struct Door {
    desk: Arc<Desk>,
}

impl Admission for Door {
    fn credentials(&self) -> Option<Credentials> {
        None
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn blocked(&self, _: DeviceId) -> bool {
        false
    }

    fn guests_welcome(&self) -> bool {
        self.desk.is_open()
    }

    fn report(&self, from: Option<DeviceId>, address: Option<SocketAddr>, offence: Misbehaved) {
        tracing::warn!(from = from.map(|device| device.short()), ?address, %offence, "somebody misbehaved");
    }
}

/// A network under `key` that lets nobody in.
pub(crate) async fn open_network(key: &DeviceKey) -> ApiResult<Network> {
    Ok(bind(key, Arc::new(Desk::passing())).await?.0)
}

async fn bind(key: &DeviceKey, desk: Arc<Desk>) -> ApiResult<(Network, mpsc::Receiver<Incoming>)> {
    let config = NetConfig { loopback: true, ..NetConfig::default() };
    Network::bind(key, config, Arc::new(Door { desk }))
        .await
        .map_err(|e| ApiError::new(ErrorCode::Io, format!("the network cannot be opened: {e}")))
}

/// What the transfers stand on here.
struct Ground {
    key: DeviceKey,
    /// Where things land, and whether that was agreed to beforehand.
    wish: Mutex<(PathBuf, bool)>,
}

impl Host for Ground {
    fn me(&self) -> DeviceId {
        self.key.id()
    }

    fn peer_name(&self, _: &DeviceId) -> String {
        "guest".into()
    }

    fn decide(&self, _: &DeviceId, offer: &Offer) -> Decision {
        let (to, yes) = self.wish.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (yes, offer.complete) {
            (true, _) => Decision::Accept { to: Some(to), ceiling: Some(u64::MAX) },
            (false, true) => Decision::Ask,
            (false, false) => Decision::Wait,
        }
    }

    fn received_dir(&self) -> PathBuf {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn sign(&self, receipt: &[u8]) -> Signature {
        self.key.sign(seal::Purpose::TransferReceipt, receipt)
    }

    fn happened(&self, event: Happened) {
        tracing::info!(transfer = %event.transfer, what = ?event.what, "transfer");
    }
}

/// See the module.
pub(crate) struct Passing {
    hub: EventHub,
    network: Network,
    desk: Arc<Desk>,
    ground: Arc<Ground>,
    transfers: Transfers,
    lan_port: u16,
    /// Runs while something is received, until the sender hung up.
    receiving: Mutex<Option<JoinHandle<()>>>,
}

impl Passing {
    /// Opens the network and waits for calls.
    pub(crate) async fn start(lan_port: u16) -> ApiResult<Arc<Self>> {
        let key = DeviceKey::generate();
        let desk = Arc::new(Desk::passing());
        let (network, incoming) = bind(&key, desk.clone()).await?;
        let ground = Arc::new(Ground { key, wish: Mutex::new((PathBuf::from("."), false)) });
        let transfers =
            Transfers::new(ground.clone(), Arc::new(NoShelf)).map_err(|e| io_error("prepare transfers", &e))?;
        let passing = Arc::new(Self {
            hub: EventHub::default(),
            network,
            desk,
            ground,
            transfers,
            lan_port,
            receiving: Mutex::new(None),
        });
        tokio::spawn(sending::forward(passing.transfers.clone(), passing.hub.clone()));
        tokio::spawn(passing.clone().receive_guests(incoming));
        Ok(passing)
    }

    async fn receive_guests(self: Arc<Self>, mut incoming: mpsc::Receiver<Incoming>) {
        while let Some(link) = incoming.recv().await {
            if let Incoming::Guest(guest) = link {
                let passing = self.clone();
                tokio::spawn(async move {
                    if let Err(error) = passing.receive_guest(guest).await {
                        tracing::info!(%error, "a guest's visit ended early");
                    }
                });
            }
        }
    }

    /// A guest proves the code; then its transfer begins or goes on.
    async fn receive_guest(&self, guest: GuestLink) -> Result<(), VisitError> {
        let mut incoming = guest.accept().await?;
        desk::expect_knock(&mut incoming).await?;
        let proven = self.desk.prove(self.network.id(), &guest, &mut incoming, None).await?;
        let Some(Aim::Get { transfer }) = proven.invitation().and_then(|id| self.desk.aim(id)) else { return Ok(()) };
        incoming.send.finish().await?;
        self.transfers.readdress(transfer, guest.remote());
        self.attend(guest).await
    }

    /// Transfers over a link to a guest, until it ends.
    async fn attend(&self, guest: GuestLink) -> Result<(), VisitError> {
        let connection: Arc<dyn crate::transfers::Connection> = Arc::new(GuestConnection(guest.clone()));
        self.transfers.link_up(connection.clone());
        let ended = loop {
            let mut incoming = match guest.accept().await {
                Ok(incoming) => incoming,
                Err(error) => break error,
            };
            let (transfers, peer) = (self.transfers.clone(), guest.remote());
            tokio::spawn(async move {
                match expect_frame(&mut incoming.recv, HEADER_FRAME).await {
                    Ok(GuestHeader::Transfer { id }) => transfers.serve_transfer(peer, id, stream(incoming)).await,
                    Ok(GuestHeader::Lane { id, .. }) => transfers.serve_lane(peer, id, stream(incoming)),
                    Ok(GuestHeader::Knock) | Err(_) => {}
                }
            });
        };
        self.transfers.link_down(&connection);
        Err(ended.into())
    }

    /// Makes a code for a transfer that waits for whoever proves it.
    async fn code_send(&self, request: &CodeSend) -> ApiResult<CodeOffer> {
        let asked = SendRequest {
            paths: sending::paths(&request.paths, &request.paths_raw)?,
            text: request.text.clone(),
            rename: request.rename.clone().map(String::into_bytes),
            ..SendRequest::default()
        };
        let me = self.ground.me();
        // Nobody has proven the code yet: until then the transfer is addressed to this device itself.
        let transfers = self.transfers.clone();
        let made = blocking(move || Ok(transfers.send(&asked, &[me])?)).await?;
        let transfer = made.into_iter().next().ok_or_else(|| internal("no transfer was made"))?;
        let id: TransferId = transfer.id.parse().map_err(internal)?;
        let addresses = self.network.addresses();
        let shown = addresses.iter().map(ToString::to_string).collect();
        let link = desk::link(me, addresses, None);
        let fresh =
            self.desk.make(Aim::Get { transfer: id }, clock::now().plus(CODE_LIFE), 1, link).map_err(database)?;
        let fresh = fresh.ok_or_else(|| internal("too many codes"))?;
        let voice = Voice { device: me, port: self.network.port(), circle: None, desk: self.desk.clone() };
        let (seen, _) = mpsc::channel(1);
        tokio::spawn(crate::lan::run(self.lan_port, voice, seen));
        Ok(CodeOffer { code: fresh.code, link: fresh.link, addresses: shown, transfer })
    }

    /// Proves a code to whoever made it, and receives what it is for. Comes back by itself after a cut.
    async fn code_receive(self: &Arc<Self>, request: CodeReceive) -> ApiResult<Transfer> {
        let ticket = joining::ticket(&request.code)?;
        if let Ticket::Link(link) = &ticket
            && link.circle.is_some()
        {
            return Err(ApiError::new(
                ErrorCode::BadInvitation,
                "this link is an invitation to a circle, not for receiving files",
            )
            .hint("use it with `warren join`"));
        }
        *self.ground.wish.lock().unwrap_or_else(PoisonError::into_inner) =
            (Path::new(&request.to).to_owned(), request.yes);
        let mut snapshots = self.transfers.subscribe();
        let guest = self.knock(&ticket, &request.at).await?;
        let receiving = tokio::spawn(self.clone().keep_receiving(guest, ticket, request.at));
        *self.receiving.lock().unwrap_or_else(PoisonError::into_inner) = Some(receiving);
        let offer = async {
            loop {
                match snapshots.recv().await {
                    Ok(transfer) if transfer.direction == "in" => return Ok(transfer),
                    Ok(_) => {}
                    Err(error) => return Err(internal(error)),
                }
            }
        };
        let patience = tokio::time::timeout(Duration::from_secs(30), offer).await;
        patience
            .map_err(|_| ApiError::new(ErrorCode::Unreachable, "the sender accepted the code but offers nothing"))?
    }

    async fn knock(&self, ticket: &Ticket, at: &[String]) -> ApiResult<GuestLink> {
        let guest = joining::reach(&self.network, ticket, at, self.lan_port).await?;
        let mut desk = guest.open().await.map_err(|e| io_error("talk to the sender", &e))?;
        desk::knock(&mut desk).await.map_err(|e| io_error("talk to the sender", &e))?;
        joining::prove(self.network.id(), &guest, &mut desk, ticket, Purpose::Get).await?;
        Ok(guest)
    }

    /// Serves the link; knocks again whenever it is cut, until the transfer is over.
    async fn keep_receiving(self: Arc<Self>, mut guest: GuestLink, ticket: Ticket, at: Vec<String>) {
        loop {
            if let Err(error) = self.attend(guest).await {
                tracing::debug!(%error, "the link to the sender ended");
            }
            guest = loop {
                if self.transfers.list().iter().all(|transfer| transfer.state.is_final()) {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                match self.knock(&ticket, &at).await {
                    Ok(guest) => break guest,
                    Err(error) => tracing::debug!(%error, "the sender is not back yet"),
                }
            };
        }
    }
}

/// A passing device as a service.
pub(crate) struct Handle(pub(crate) Arc<Passing>);

#[async_trait]
impl Service for Handle {
    async fn call(&self, request: Request) -> ApiResult<Reply> {
        let this = &self.0;
        Ok(match request {
            Request::CodeSend(request) => Reply::CodeSend(this.code_send(&request).await?),
            Request::CodeReceive(request) => Reply::CodeReceive(this.code_receive(request).await?),
            Request::Transfers(query) => Reply::Transfers(sending::list(&this.transfers, &query)?),
            Request::AcceptOffer(request) => {
                Reply::AcceptOffer(this.transfers.accept(&request.id, request.to.as_deref().map(Path::new))?)
            }
            Request::RejectOffer(request) => Reply::RejectOffer(this.transfers.reject(&request.id)?),
            Request::LimitTransfer(request) => {
                this.transfers.limit(request.id.as_deref(), request.rate_limit)?;
                Reply::LimitTransfer(Nothing {})
            }
            Request::CancelTransfer(request) => Reply::CancelTransfer(this.transfers.cancel(&request.id)?),
            Request::Encrypt(request) => {
                let Some(passphrase) = &request.passphrase else {
                    return Err(ApiError::new(ErrorCode::NotRunning, "no device is running, so members are not known")
                        .hint("`warren up`, or seal under a passphrase: --passphrase"));
                };
                let readers = files::Readers::Passphrase(seal::Passphrase::new(passphrase.0.clone()));
                Reply::Encrypt(blocking(move || files::seal_file(&request, readers)).await?)
            }
            Request::Decrypt(request) => Reply::Decrypt(blocking(move || files::open_file(&request, None)).await?),
            Request::Shutdown(_) => {
                // The sender hangs up once it has the receipt; without it, it would wait for ever.
                let receiving = this.receiving.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(receiving) = receiving {
                    let _ = tokio::time::timeout(GOODBYE, receiving).await;
                }
                this.network.close().await;
                Reply::Shutdown(Nothing {})
            }
            _ => {
                return Err(ApiError::new(ErrorCode::NotRunning, "this needs a running device")
                    .hint("start it with `warren up`"));
            }
        })
    }

    async fn events(&self) -> ApiResult<EventStream> {
        Ok(self.0.hub.subscribe())
    }
}
