//! A passing device: no home, no circle, gone with its process. Serves one-time codes, and files under a passphrase.
//!
//! It opens the network only for a code, and serves one code in its life: it either gives ([`giving`]) or takes
//! ([`taking`]).

mod giving;
mod ground;
mod pocket;
mod taking;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use api::types::{Nothing, Spooled, TreeRead};
use api::{ApiError, ApiResult, ContentStream, ErrorCode, EventHub, EventStream, Reply, Request, Service};
use async_trait::async_trait;
use logic::Misbehaved;
use logic::hello::Credentials;
use logic::limits::HEADER_FRAME;
use logic::wire::GuestHeader;
use net::frame::{FrameError, expect_frame};
use net::{Admission, GuestLink, Incoming, NetConfig, Network};
use seal::{DeviceId, DeviceKey, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::connection::{GuestConnection, stream};
use crate::desk::{Desk, VisitError};
use crate::errors::{blocking, io_error};
use crate::transfers::{TransferError, Transfers};
use crate::{clock, files, sending};
use ground::Ground;
use pocket::Pocket;
use taking::WayBack;

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

    fn expected(&self, device: DeviceId) -> bool {
        self.desk.is_bound_to(device)
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

/// See the module.
pub(crate) struct Passing {
    hub: EventHub,
    lan_port: u16,
    pocket: Arc<Pocket>,
    visit: OnceLock<Arc<Visit>>,
}

/// What runs for the sake of a code.
struct Visit {
    network: Network,
    desk: Arc<Desk>,
    ground: Arc<Ground>,
    transfers: Transfers,
    lan_port: u16,
    /// Runs while something is received, until the sender hung up.
    receiving: Mutex<Option<JoinHandle<()>>>,
    /// The way back for the next process, on the side that receives.
    way_back: WayBack,
    /// The link to the guest who proved the code, on the side that sends.
    guest: Mutex<Option<GuestLink>>,
}

impl Passing {
    /// Opens nothing yet.
    pub(crate) fn new(lan_port: u16) -> Self {
        Self { hub: EventHub::default(), lan_port, pocket: Arc::default(), visit: OnceLock::new() }
    }

    /// Opens the network and waits for calls.
    async fn visit(&self, ground: Ground, way_back: WayBack) -> ApiResult<Arc<Visit>> {
        let (ground, desk) = (Arc::new(ground), Arc::new(Desk::passing()));
        let (network, incoming) = bind(ground.key(), desk.clone()).await?;
        let transfers =
            Transfers::new(ground.clone(), self.pocket.clone()).map_err(|e| io_error("prepare transfers", &e))?;
        let visit = Arc::new(Visit {
            network,
            desk,
            ground,
            transfers,
            lan_port: self.lan_port,
            receiving: Mutex::new(None),
            way_back,
            guest: Mutex::new(None),
        });
        if self.visit.set(visit.clone()).is_err() {
            return Err(ApiError::new(ErrorCode::BadRequest, "this device serves a code already"));
        }
        tokio::spawn(sending::forward(visit.transfers.clone(), self.hub.clone()));
        tokio::spawn(visit.clone().receive_guests(incoming));
        Ok(visit)
    }

    /// The transfers, if there can be any.
    fn transfers(&self) -> Option<&Transfers> {
        self.visit.get().map(|visit| &visit.transfers)
    }

    /// The transfers, for a call about the one called `id`.
    fn transfers_with(&self, id: &str) -> ApiResult<&Transfers> {
        Ok(self.transfers().ok_or_else(|| TransferError::Unknown(id.to_owned()))?)
    }
}

impl Visit {
    /// Transfers over a link to a guest, until it ends.
    async fn attend(&self, guest: GuestLink) -> Result<(), VisitError> {
        let connection: Arc<dyn crate::transfers::Connection> = Arc::new(GuestConnection(guest.clone()));
        self.transfers.link_up(connection.clone());
        let ended = loop {
            let mut incoming = match guest.accept().await {
                Ok(incoming) => incoming,
                Err(error) => break error,
            };
            let (transfers, guest) = (self.transfers.clone(), guest.clone());
            tokio::spawn(async move {
                let peer = guest.remote();
                match expect_frame(&mut incoming.recv, HEADER_FRAME).await {
                    Ok(GuestHeader::Transfer { id }) => transfers.serve_transfer(peer, id, stream(incoming)).await,
                    Ok(GuestHeader::Lane { id, .. }) => transfers.serve_lane(peer, id, stream(incoming)),
                    Ok(GuestHeader::Knock) => guest.offended(Misbehaved::FrameOutOfTurn),
                    Err(FrameError::Misbehaved(offence)) => guest.offended(offence),
                    // The link ended, or the stream was given up.
                    Err(_) => {}
                }
            });
        };
        self.transfers.link_down(&connection);
        Err(ended.into())
    }

    /// True once there was something to transfer and nothing of it is left to do.
    fn is_over(&self) -> bool {
        let all = self.transfers.list();
        !all.is_empty() && all.iter().all(|transfer| transfer.state.is_final())
    }

    /// Hangs up.
    async fn leave(&self) {
        let receiving = self.receiving.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(receiving) = receiving.filter(|_| self.is_over()) {
            // The sender hangs up once it has the receipt; without it, it would wait for ever.
            let _ = tokio::time::timeout(GOODBYE, receiving).await;
        }
        self.tidy().await;
        self.network.close().await;
    }
}

/// A passing device as a service.
pub(crate) struct Handle(pub(crate) Passing);

#[async_trait]
impl Service for Handle {
    async fn call(&self, request: Request) -> ApiResult<Reply> {
        let this = &self.0;
        Ok(match request {
            Request::CodeSend(request) => Reply::CodeSend(this.code_send(&request).await?),
            Request::CodeReceive(request) => Reply::CodeReceive(this.code_receive(request).await?),
            Request::Transfers(query) => match (this.visit.get(), &query.id) {
                (Some(visit), _) => Reply::Transfers(sending::list(&visit.transfers, &query)?),
                (None, Some(id)) => return Err(TransferError::Unknown(id.clone()).into()),
                (None, None) => Reply::Transfers(Vec::new()),
            },
            Request::AcceptOffer(request) => {
                let transfers = this.transfers_with(&request.id)?.clone();
                let accept = move || Ok(transfers.accept(&request.id, request.to.as_deref().map(Path::new))?);
                Reply::AcceptOffer(blocking(accept).await?)
            }
            Request::RejectOffer(request) => Reply::RejectOffer(this.transfers_with(&request.id)?.reject(&request.id)?),
            Request::LimitTransfer(request) => {
                if let Some(transfers) = this.transfers() {
                    sending::limit(transfers, &request)?;
                }
                Reply::LimitTransfer(Nothing {})
            }
            Request::CancelTransfer(request) => {
                Reply::CancelTransfer(this.transfers_with(&request.id)?.cancel(&request.id)?)
            }
            Request::Encrypt(request) => {
                let Some(passphrase) = &request.passphrase else {
                    return Err(ApiError::new(ErrorCode::NotRunning, "no device is running, so members are not known")
                        .hint("`warren up`, or leave --to away to seal under a passphrase"));
                };
                let readers = files::Readers::Passphrase(seal::Passphrase::new(passphrase.0.clone()));
                Reply::Encrypt(blocking(move || files::seal_file(&request, readers)).await?)
            }
            Request::Decrypt(request) => {
                Reply::Decrypt(blocking(move || files::open_file(&request, Err(files::no_device()))).await?)
            }
            Request::Shutdown(_) => {
                if let Some(visit) = this.visit.get() {
                    visit.leave().await;
                }
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

    async fn spool(&self, content: ContentStream) -> ApiResult<Spooled> {
        self.0.pocket.take(content).await
    }

    async fn read(&self, _: TreeRead) -> ApiResult<ContentStream> {
        Err(ApiError::new(ErrorCode::NotRunning, "this needs a running device").hint("start it with `warren up`"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use api::types::{Decrypt, Encrypt, Passphrase};

    #[tokio::test]
    async fn files_under_a_passphrase_need_no_network() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("plain"), "plain").unwrap();
        let handle = Handle(Passing::new(0));
        let passphrase = Some(Passphrase("four good random words".into()));
        let (input, output) = (path("plain"), path("sealed"));
        let seal = Encrypt { input, output, to: Vec::new(), passphrase: passphrase.clone(), armor: false };
        handle.call(Request::Encrypt(seal)).await.unwrap();
        let open = Decrypt { input: path("sealed"), output: path("opened"), passphrase };
        handle.call(Request::Decrypt(open)).await.unwrap();
        handle.call(Request::Shutdown(Nothing {})).await.unwrap();
        assert_eq!(std::fs::read(path("opened")).unwrap(), b"plain");
        assert!(handle.0.visit.get().is_none(), "the network was opened");
    }
}
