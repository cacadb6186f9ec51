//! The side that makes a one-time code and sends to whoever proves it.

use std::sync::Arc;
use std::time::Duration;

use api::ApiResult;
use api::types::{CodeOffer, CodeSend};
use logic::pair::invitation::Aim;
use logic::transfer::TransferId;
use net::{GuestLink, Incoming};
use seal::DeviceKey;
use tokio::sync::mpsc;

use super::ground::Ground;
use super::taking::WayBack;
use super::{Passing, Visit};
use crate::desk::{self, VisitError};
use crate::errors::{blocking, database, internal};
use crate::lan::Voice;
use crate::transfers::{Host, SendRequest};
use crate::{clock, sending};

/// How long a one-time code stays good.
const CODE_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What the sender is told while the receiver's link is gone.
const AWAY: &str = "the receiver is away; the same command in the same folder lets it go on";

/// What the sender is told when a wrong guess has ended the code.
const BURNED: &str = "somebody tried a wrong code; the code is void, the same command makes a new one";

impl Passing {
    /// Makes a code for a transfer that waits for whoever proves it.
    pub(super) async fn code_send(&self, request: &CodeSend) -> ApiResult<CodeOffer> {
        let spool = match &request.spool {
            Some(spool) => Some((self.pocket.name(&spool.id)?, spool.name.clone().into_bytes())),
            None => None,
        };
        let paths = sending::paths(&request.paths, &request.paths_raw)?;
        let asked = SendRequest { paths, text: request.text.clone(), spool, limit: None };
        let visit = self.visit(Ground::giving(DeviceKey::generate()), WayBack::default()).await?;
        let me = visit.ground.me();
        // Nobody has proven the code yet: until then the transfer is addressed to this device itself.
        let transfers = visit.transfers.clone();
        let made = blocking(move || Ok(transfers.send(&asked, &[me])?)).await?;
        let transfer = made.into_iter().next().ok_or_else(|| internal("no transfer was made"))?;
        let id: TransferId = transfer.id.parse().map_err(internal)?;
        let addresses = visit.network.addresses();
        let shown = addresses.iter().map(ToString::to_string).collect();
        let link = desk::link(me, addresses, None);
        let fresh =
            visit.desk.make(Aim::Get { transfer: id }, clock::now().plus(CODE_LIFE), 1, link).map_err(database)?;
        let fresh = fresh.ok_or_else(|| internal("too many codes"))?;
        let voice = Voice { device: me, port: visit.network.port(), circle: None, desk: visit.desk.clone() };
        let (seen, _) = mpsc::channel(1);
        tokio::spawn(crate::lan::run(self.lan_port, voice, seen));
        Ok(CodeOffer { code: fresh.code, link: fresh.link, addresses: shown, transfer })
    }
}

impl Visit {
    pub(super) async fn receive_guests(self: Arc<Self>, mut incoming: mpsc::Receiver<Incoming>) {
        while let Some(link) = incoming.recv().await {
            if let Incoming::Guest(guest) = link {
                let visit = self.clone();
                tokio::spawn(async move {
                    if let Err(error) = visit.receive_guest(&guest).await {
                        error.conclude(&guest);
                    }
                    visit.end_if_burned();
                });
            }
        }
    }

    /// Nobody can come any more once the code is void.
    fn end_if_burned(&self) {
        for aim in self.desk.burned() {
            if let Aim::Get { transfer } = aim {
                self.transfers.void(transfer, BURNED);
            }
        }
    }

    /// A guest proves the code; then its transfer begins or goes on.
    async fn receive_guest(&self, guest: &GuestLink) -> Result<(), VisitError> {
        let mut incoming = guest.accept().await?;
        desk::expect_knock(&mut incoming).await?;
        let proven = self.desk.prove(self.network.id(), guest, &mut incoming, None).await?;
        let Some(Aim::Get { transfer }) = proven.invitation().and_then(|id| self.desk.aim(id)) else { return Ok(()) };
        incoming.send.finish().await?;
        self.transfers.readdress(transfer, guest.remote());
        let ended = self.attend(guest.clone()).await;
        self.transfers.explain_wait(AWAY);
        ended
    }
}
