//! What peers open: control streams with offers, and content lanes.

use super::control::{Broken, Control};
use super::item::{Command, Item};
use super::outgoing::End;
use super::ports::{Happened, Stream, What};
use super::record::{Ended, Record};
use super::{Transfers, incoming, reading};
use api::types::TransferState;
use logic::Misbehaved;
use logic::transfer::{FromReceiver, FromSender, Offer, Reason, TransferId};
use seal::DeviceId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a peer may take to send the offer after it opened a control stream.
const OFFER_DEADLINE: Duration = Duration::from_secs(10);
/// Offers of one peer that may wait for the user.
const WAITING_OFFERS: usize = 64;
/// Transfers of one peer that may be open at once, those included that a rule has accepted.
const OPEN_TRANSFERS: usize = 1000;
/// Transfers from one peer that are remembered after their end.
pub(super) const ENDED_KEPT: usize = 1000;

impl Transfers {
    /// Serves a control stream that a peer opened for transfer `id`; returns when the run is over.
    pub async fn serve_transfer(&self, peer: DeviceId, id: TransferId, stream: Stream) {
        tracing::debug!(%id, "an offer comes");
        let mut control = Control::<FromSender>::new(stream);
        let offer = match tokio::time::timeout(OFFER_DEADLINE, control.next()).await {
            Ok(Ok(FromSender::Offer(offer))) if offer.id == id => offer,
            Ok(Err(Broken::Peer(offence))) => return self.accuse(peer, id, offence),
            Ok(Ok(_)) => return self.accuse(peer, id, Misbehaved::FrameOutOfTurn),
            Ok(Err(_)) | Err(_) => return,
        };
        if let Err(offence) = offer.check() {
            return self.accuse(peer, id, offence);
        }
        let Some(item) = self.item_for(peer, &offer) else {
            control.send(&FromReceiver::Reject(Reason::Other("too many offers wait here already".into())));
            control.finish().await;
            return;
        };
        if item.peer != peer || item.outgoing {
            return self.accuse(peer, id, Misbehaved::TransferForeign);
        }
        item.tell(Command::Yield);
        let _turn = item.turn.lock().await;
        let (commands, mut orders) = mpsc::unbounded_channel();
        item.lock().begin_run(commands);
        let end = match item.record().ended {
            None => Box::pin(incoming::run(item.clone(), control, offer, &mut orders)).await,
            Some(Ended::Done) => incoming::farewell(&item, control).await,
            Some(Ended::Cancelled) => answer(control, FromReceiver::Cancel(Reason::Asked)).await,
            Some(Ended::Rejected | Ended::Failed | Ended::Void) => {
                answer(control, FromReceiver::Reject(Reason::Asked)).await
            }
        };
        self.ended(&item, end);
        if item.record().ended.is_some_and(|ended| ended != Ended::Done) {
            incoming::discard(&item);
        }
    }

    /// The transfer an offer is about: one that is known, or a new one; `None` if the peer has too many waiting.
    fn item_for(&self, peer: DeviceId, offer: &Offer) -> Option<Arc<Item>> {
        let item = {
            let mut table = self.table();
            if let Some(item) = table.items.get(&offer.id) {
                return Some(item.clone());
            }
            let theirs = table.items.values().filter(|item| item.peer == peer && !item.outgoing);
            let (mut waiting, mut open) = (0, 0);
            for state in theirs.map(|item| item.lock().live.state) {
                waiting += usize::from(state == TransferState::Offered);
                open += usize::from(!state.is_final());
            }
            if waiting >= WAITING_OFFERS || open >= OPEN_TRANSFERS {
                return None;
            }
            let item = Item::new(Record::incoming(peer, offer.clone()), self.deps.clone());
            table.items.insert(offer.id, item.clone());
            item
        };
        self.forget_old(peer);
        let names = offer.names.iter().map(|name| reading::show(name)).collect::<Vec<_>>().join(", ");
        item.happened(What::OfferReceived { names, bytes: offer.found.bytes });
        item.publish();
        Some(item)
    }

    /// Forgets the oldest ended transfers from a peer, so that nobody can fill memory and disk with offers.
    fn forget_old(&self, peer: DeviceId) {
        let theirs = |item: &&Arc<Item>| item.peer == peer && !item.outgoing;
        let items: Vec<_> = self.table().items.values().filter(theirs).cloned().collect();
        let ended = items.iter().filter_map(|item| Some((item.lock().record.ended_at?, item)));
        let mut ended: Vec<_> = ended.collect();
        ended.sort_by_key(|(at, item)| (*at, item.id));
        for (_, item) in ended.iter().rev().skip(ENDED_KEPT) {
            if let Err(error) = self.deps.shelf.remove(&item.id) {
                tracing::warn!(id = %item.id, %error, "an old transfer could not be forgotten");
            }
            self.table().items.remove(&item.id);
        }
    }

    /// Takes a content lane that a peer opened for transfer `id`.
    pub fn serve_lane(&self, peer: DeviceId, id: TransferId, stream: Stream) {
        let item = self.table().items.get(&id).filter(|item| item.peer == peer && !item.outgoing).cloned();
        match item {
            // A lane may come just after its run was cut: nobody's fault.
            Some(item) => drop(item.tell(Command::Lane(stream))),
            None => self.accuse(peer, id, Misbehaved::LaneNotGranted),
        }
    }

    fn accuse(&self, peer: DeviceId, transfer: TransferId, offence: Misbehaved) {
        let what = What::Misbehaved(offence);
        self.deps.host.happened(Happened { peer, transfer, outgoing: false, what });
    }
}

/// Sends one last message.
async fn answer(control: Control<FromSender>, message: FromReceiver) -> Result<End, Broken> {
    control.send(&message);
    control.finish().await;
    Ok(End::Over)
}
