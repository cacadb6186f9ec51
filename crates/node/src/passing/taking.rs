//! The side that was told a one-time code and receives.
//!
//! The sender serves the code to the one device that proved it first. So that a process that was killed can be followed
//! by another one, the device key of this side is kept in the landing folder until the transfer is over, beside what
//! has arrived so far ([`ReturnKey`]), with where the sender was met and what it sends. A sender that is gone takes its
//! code with it: what came from one that was not met for a week is removed by the next who receives into the folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use api::types::{CodeReceive, Transfer, TransferState};
use api::{ApiError, ApiResult, ErrorCode};
use logic::code::Purpose;
use logic::pair::invitation::{Reference, Ticket};
use logic::transfer::TransferId;
use logic::wire::Address;
use net::GuestLink;
use seal::{DeviceId, DeviceKey};
use store::landing::{Landing, LandingError, ReturnKey};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::ground::Ground;
use super::{Passing, Visit};
use crate::errors::{blocking, internal, io_error};
use crate::{desk, joining, sending};

/// How long the sender may take to offer something once it has accepted the code.
const OFFER: Duration = Duration::from_secs(30);

/// How long the sender may take to answer where it was last; after that it is looked for.
const KNOWN: Duration = Duration::from_secs(3);

/// How long after a cut the sender is looked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// For how long what has arrived is kept without a sign of its sender.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What this side has in its landing folder beside what it receives.
pub(super) struct Foothold {
    to: PathBuf,
    /// True if the folder was made for this.
    made: bool,
    key: ReturnKey,
}

/// The key of this side, and whether somebody counts on it.
#[derive(Default)]
pub(super) struct WayBack {
    foothold: Mutex<Option<Foothold>>,
    /// The sender may have bound its code to the key.
    bound: AtomicBool,
}

impl Foothold {
    /// The key that an earlier process has left in `to` for this code, or a fresh one.
    fn take(to: PathBuf, ticket: &Ticket) -> ApiResult<Self> {
        let made = !to.exists();
        let key = Landing::open(&to)
            .and_then(|landing| landing.return_key(&public_name(ticket), &DeviceKey::generate().seed()))
            .map_err(|error| sending::unusable(&to, error))?;
        if let Err(error) = tidy(&to) {
            tracing::warn!(%error, "what was left of earlier codes could not be removed");
        }
        Ok(Self { to, made, key })
    }

    /// Removes the key and what was made for it alone.
    fn give_up(self) {
        if let Err(error) = self.key.forget() {
            tracing::warn!(%error, "the key of a one-time code could not be removed");
        }
        if self.made {
            // Does nothing unless it is empty.
            let _ = std::fs::remove_dir(&self.to);
        }
    }
}

impl WayBack {
    pub(super) fn with(foothold: Foothold) -> Self {
        let bound = AtomicBool::new(foothold.key.was_kept());
        Self { foothold: Mutex::new(Some(foothold)), bound }
    }

    fn foothold(&self) -> MutexGuard<'_, Option<Foothold>> {
        self.foothold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the sender was when it was met last, in this process or an earlier one.
    fn whereabouts(&self) -> Option<(DeviceId, SocketAddr)> {
        let foothold = self.foothold();
        let note = noted(&foothold.as_ref()?.key);
        Some((note.first()?.parse().ok()?, note.get(1)?.parse().ok()?))
    }

    /// Notes where the sender is, for the next time.
    fn met(&self, guest: &GuestLink) {
        if let Some(address) = guest.paths().direct {
            self.note(|note| {
                let transfer = note.into_iter().nth(2);
                [guest.remote().to_string(), address.to_string()].into_iter().chain(transfer).collect()
            });
        }
    }

    /// Notes what the sender sends, for whoever removes what is left of it.
    fn receives(&self, transfer: &str) {
        self.note(|note| note.into_iter().take(2).chain([transfer.to_owned()]).collect());
    }

    fn note(&self, change: impl FnOnce(Vec<String>) -> Vec<String>) {
        let Some(foothold) = &*self.foothold() else { return };
        let note = change(noted(&foothold.key)).join(" ");
        if let Err(error) = foothold.key.set_note(note.as_bytes()) {
            tracing::warn!(%error, "where the sender is could not be noted");
        }
    }

    /// Removes the key.
    async fn forget(&self) {
        let foothold = self.foothold().take();
        if let Some(foothold) = foothold {
            let _ = tokio::task::spawn_blocking(|| foothold.give_up()).await;
        }
    }
}

/// What was noted beside a key: the sender's device, its address, the transfer.
fn noted(key: &ReturnKey) -> Vec<String> {
    let note = key.note().unwrap_or_default();
    String::from_utf8_lossy(&note).split_whitespace().map(str::to_owned).collect()
}

/// Removes what came from senders that were not met for long, with the keys to go on.
fn tidy(to: &Path) -> Result<(), LandingError> {
    let before = SystemTime::now().checked_sub(KEPT).unwrap_or(SystemTime::UNIX_EPOCH);
    for key in Landing::open(to)?.unused_keys(before)? {
        let transfer = noted(&key).get(2).and_then(|id| id.parse::<TransferId>().ok());
        if let Some(id) = transfer {
            Landing::discard(to, &id.0)?;
            key.forget()?;
        }
    }
    Ok(())
}

/// What everybody may know about a code: its first word, or the invitation's id.
fn public_name(ticket: &Ticket) -> String {
    match (ticket, ticket.reference()) {
        (_, Reference::Link(id)) => id.to_string(),
        (Ticket::Code(code), _) => code.to_string().split('-').next().unwrap_or_default().to_owned(),
        (Ticket::Link(_), Reference::Nameplate(number)) => number.to_string(),
    }
}

impl Passing {
    /// Proves a code to whoever made it, and receives what it is for. Comes back by itself after a cut.
    pub(super) async fn code_receive(&self, request: CodeReceive) -> ApiResult<Transfer> {
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
        let to = PathBuf::from(&request.to);
        let foothold = {
            let (to, ticket) = (to.clone(), ticket.clone());
            blocking(move || Foothold::take(to, &ticket)).await?
        };
        let ground = Ground::taking(DeviceKey::from_seed(foothold.key.seed()), to, request.yes);
        let visit = self.visit(ground, WayBack::with(foothold)).await?;
        let snapshots = visit.transfers.subscribe();
        let guest = match visit.knock(&ticket, &request.at).await {
            Ok(guest) => guest,
            Err(error) => {
                visit.tidy().await;
                return Err(error);
            }
        };
        let receiving = tokio::spawn(visit.clone().keep_receiving(guest, ticket, request.at));
        *visit.receiving.lock().unwrap_or_else(PoisonError::into_inner) = Some(receiving);
        tokio::time::timeout(OFFER, visit.offer(snapshots))
            .await
            .map_err(|_| ApiError::new(ErrorCode::Unreachable, "the sender accepted the code but offers nothing"))?
    }
}

impl Visit {
    /// Finds the sender and proves the code to it.
    async fn knock(&self, ticket: &Ticket, at: &[String]) -> ApiResult<GuestLink> {
        let guest = match self.return_to(ticket, at).await {
            Some(guest) => guest,
            None => joining::reach(&self.network, ticket, at, self.lan_port).await?,
        };
        let mut desk = guest.open().await.map_err(|e| io_error("talk to the sender", &e))?;
        desk::knock(&mut desk).await.map_err(|e| io_error("talk to the sender", &e))?;
        let before = self.way_back.bound.swap(true, Ordering::Relaxed);
        match joining::prove(self.network.id(), &guest, &mut desk, ticket, Purpose::Get).await {
            Ok(_) => {
                self.way_back.met(&guest);
                Ok(guest)
            }
            Err(error) if error.code == ErrorCode::BadInvitation => {
                self.way_back.bound.store(before, Ordering::Relaxed);
                let hint = "ask for a new code; if something was received with this one already, go on in the same \
                            folder and with the same code or link";
                Err(error.hint(hint))
            }
            // Whether the proof arrived is not known.
            Err(error) => Err(error),
        }
    }

    /// Whoever comes back with the words of a code goes where the sender was last: nobody on the network need be asked,
    /// nor can anybody else use up the answers. A link and named addresses say by themselves where to go.
    async fn return_to(&self, ticket: &Ticket, at: &[String]) -> Option<GuestLink> {
        let (device, address) = self.way_back.whereabouts()?;
        if !at.is_empty() || matches!(ticket, Ticket::Link(_)) {
            return None;
        }
        self.network.connect_guest(device, &[Address::Direct(address)], KNOWN).await.ok()
    }

    /// The offer, when it is known whether somebody is to be asked.
    async fn offer(&self, mut snapshots: broadcast::Receiver<Transfer>) -> ApiResult<Transfer> {
        loop {
            let transfer = match snapshots.recv().await {
                Ok(transfer) if transfer.direction == "in" => transfer,
                Ok(_) | Err(RecvError::Lagged(_)) => continue,
                Err(error) => return Err(internal(error)),
            };
            let id = transfer.id.parse().map_err(internal)?;
            self.way_back.receives(&transfer.id);
            if transfer.state != TransferState::Offered || !self.ground.accepts(id) {
                return Ok(transfer);
            }
        }
    }

    /// Serves the link; knocks again whenever it is cut, until the transfer is over.
    async fn keep_receiving(self: Arc<Self>, mut guest: GuestLink, ticket: Ticket, at: Vec<String>) {
        loop {
            if let Err(error) = self.attend(guest).await {
                tracing::debug!(%error, "the link to the sender ended");
            }
            guest = loop {
                if self.is_over() {
                    return self.tidy().await;
                }
                tokio::time::sleep(AGAIN).await;
                match self.knock(&ticket, &at).await {
                    Ok(guest) => break guest,
                    Err(error) if error.code == ErrorCode::Unreachable => {
                        self.transfers.explain_wait("the sender is away; trying to reach it again");
                    }
                    Err(error) => {
                        self.transfers.explain_wait(&format!("the sender says no: {error}; trying again"));
                    }
                }
            };
        }
    }

    /// Removes the key, unless somebody may come back with it.
    pub(super) async fn tidy(&self) {
        let began = !self.transfers.list().is_empty();
        let needed = if began { !self.is_over() } else { self.way_back.bound.load(Ordering::Relaxed) };
        if !needed {
            self.way_back.forget().await;
        }
    }
}
