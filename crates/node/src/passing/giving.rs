//! The side that makes a one-time code and sends to whoever proves it.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use api::ApiResult;
use api::types::{CodeOffer, CodeSend};
use logic::pair::invitation::{Aim, State};
use logic::transfer::TransferId;
use net::{Goodbye, GuestLink, Incoming};
use seal::{DeviceKey, Timestamp};
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

/// How often it is looked whether a code has expired: sleeping machines wake up late.
const LOOK: Duration = Duration::from_secs(60);

/// What the sender is told when a wrong guess has ended the code.
const BURNED: &str = "somebody tried a wrong code; the code is void, the same command makes a new one";

/// What the sender is told when the code is too old.
const EXPIRED: &str = "nobody used the code within 24 hours; the same command makes a new one";

impl Passing {
    /// Makes a code for a transfer that waits for whoever proves it.
    pub(super) async fn code_send(&self, request: &CodeSend) -> ApiResult<CodeOffer> {
        self.code_for(request, CODE_LIFE).await
    }

    async fn code_for(&self, request: &CodeSend, life: Duration) -> ApiResult<CodeOffer> {
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
        let fresh = visit.desk.make(Aim::Get { transfer: id }, clock::now().plus(life), 1, link).map_err(database)?;
        let fresh = fresh.ok_or_else(|| internal("too many codes"))?;
        let voice = Voice { device: me, port: visit.network.port(), circle: None, desk: visit.desk.clone() };
        tokio::spawn(visit.clone().expire(fresh.expires_at));
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
                    visit.end_if_void();
                });
            }
        }
    }

    /// Sees what has become of the code when it expires.
    async fn expire(self: Arc<Self>, expires_at: Timestamp) {
        while clock::now() < expires_at {
            tokio::time::sleep(expires_at.since(clock::now()).min(LOOK)).await;
        }
        self.end_if_void();
    }

    /// Nobody can come any more once the code is void.
    fn end_if_void(&self) {
        for (state, aim) in self.desk.states() {
            match (state, aim) {
                (State::Burned, Aim::Get { transfer }) => self.transfers.void(transfer, BURNED),
                (State::Expired, Aim::Get { transfer }) => self.transfers.void(transfer, EXPIRED),
                _ => {}
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
        // Whoever comes back has lost its older link, even if this side has not noticed.
        let older = self.guest().replace(guest.clone());
        if let Some(older) = older {
            older.close(Goodbye::Duplicate);
        }
        let ended = self.attend(guest.clone()).await;
        let mut current = self.guest();
        if current.as_ref().is_some_and(|current| current.exporter() == guest.exporter()) {
            *current = None;
            self.transfers.explain_wait(AWAY);
        }
        ended
    }

    fn guest(&self) -> MutexGuard<'_, Option<GuestLink>> {
        self.guest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use api::ErrorCode;
    use api::types::{Event, TransferState};
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_code_that_nobody_uses_ends_its_transfer() {
        let passing = Passing::new(0);
        let mut events = passing.hub.subscribe();
        let request = CodeSend { text: Some("for you".into()), ..CodeSend::default() };
        let offer = passing.code_for(&request, Duration::from_millis(50)).await.unwrap();
        let ended = async {
            loop {
                if let Some(Event::Transfer(view)) = events.next().await
                    && view.state.is_final()
                {
                    return view;
                }
            }
        };
        let view = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it waits on");
        assert_eq!((&view.id, view.state), (&offer.transfer.id, TransferState::Failed));
        assert_eq!((view.problem.as_deref(), view.problem_code), (Some(EXPIRED), Some(ErrorCode::BadInvitation)));
        passing.visit.get().unwrap().leave().await;
    }
}
