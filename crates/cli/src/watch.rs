//! Follows transfers until each one ends, or nothing can be expected of it for now.
//!
//! Events drive it; because an event may be lost (slow reader, a device that restarts), the list is asked for as well
//! whenever nothing was heard for a while.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use api::types::{Event, Transfer, TransferQuery, TransferState};
use api::{ApiResult, EventStream, Service};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::print::bars::Progress;

/// After so much silence the list is asked for.
const ASK_AFTER: Duration = Duration::from_secs(2);

/// Why following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All transfers have ended.
    Final,
    /// Those that have not ended wait for somebody who is away.
    Away,
    /// Ctrl-C.
    Interrupted,
}

/// Follows `transfers`; gives them as they stood last, in the same order. `patience`: how long to wait for peers that
/// are away (`None`: for ever).
pub(crate) async fn follow(
    cx: &mut Context,
    service: &Arc<dyn Service>,
    mut events: EventStream,
    transfers: Vec<Transfer>,
    patience: Option<Duration>,
) -> ApiResult<(Vec<Transfer>, End)> {
    let mut watch = Watch::new(transfers, patience);
    let mut progress = Progress::new(cx);
    for transfer in watch.transfers.clone() {
        progress.update(cx, &transfer);
    }
    let mut interrupted = pin!(cx.terminal.interrupted());
    let end = loop {
        if let Some(end) = watch.end(Instant::now()) {
            break Ok(end);
        }
        let news = tokio::select! {
            event = events.next() => event,
            () = sleep(ASK_AFTER) => Some(Event::Lost { count: 0 }),
            () = &mut interrupted => break Ok(End::Interrupted),
        };
        let changed = match news {
            Some(Event::Transfer(transfer)) => watch.update(*transfer),
            Some(Event::Lost { .. }) => watch.ask(service).await,
            Some(_) => Ok(Vec::new()),
            None => {
                // A device that stops closes the stream; asking again says so.
                sleep(ASK_AFTER / 10).await;
                match service.events().await {
                    Ok(again) => events = again,
                    Err(error) => break Err(error),
                }
                watch.ask(service).await
            }
        };
        match changed {
            Ok(changed) => {
                for transfer in &changed {
                    progress.update(cx, transfer);
                }
            }
            Err(error) => break Err(error),
        }
    };
    progress.clear();
    end.map(|end| (watch.transfers, end))
}

/// Transfers that are followed.
struct Watch {
    transfers: Vec<Transfer>,
    away_since: BTreeMap<String, Instant>,
    patience: Option<Duration>,
}

impl Watch {
    fn new(transfers: Vec<Transfer>, patience: Option<Duration>) -> Self {
        let mut watch = Self { transfers, away_since: BTreeMap::new(), patience };
        watch.note_absences();
        watch
    }

    /// Takes in how a transfer stands; gives it back if it is one of ours and changed.
    fn update(&mut self, news: Transfer) -> ApiResult<Vec<Transfer>> {
        let Some(known) = self.transfers.iter_mut().find(|known| known.id == news.id) else {
            return Ok(Vec::new());
        };
        if *known == news {
            return Ok(Vec::new());
        }
        *known = news.clone();
        self.note_absences();
        Ok(vec![news])
    }

    /// Asks how all of them stand.
    async fn ask(&mut self, service: &Arc<dyn Service>) -> ApiResult<Vec<Transfer>> {
        let query = TransferQuery { id: None, ended: true };
        let mut changed = Vec::new();
        for transfer in service.transfers(query).await? {
            changed.extend(self.update(transfer)?);
        }
        Ok(changed)
    }

    /// Remembers since when each transfer waits for a peer that is away.
    fn note_absences(&mut self) {
        for transfer in &self.transfers {
            if is_away(transfer.state) {
                self.away_since.entry(transfer.id.clone()).or_insert_with(Instant::now);
            } else {
                self.away_since.remove(&transfer.id);
            }
        }
    }

    /// Whether there is nothing more to wait for.
    fn end(&self, now: Instant) -> Option<End> {
        let mut open = self.transfers.iter().filter(|transfer| !transfer.state.is_final()).peekable();
        if open.peek().is_none() {
            return Some(End::Final);
        }
        let patience = self.patience?;
        let all_away = open.all(|transfer| {
            self.away_since.get(&transfer.id).is_some_and(|since| now.duration_since(*since) >= patience)
        });
        all_away.then_some(End::Away)
    }
}

/// True while the other side is not there.
pub(crate) fn is_away(state: TransferState) -> bool {
    matches!(state, TransferState::Queued | TransferState::Waiting)
}
