//! Follows transfers until each one ends, or nothing can be expected of it for now.
//!
//! Events drive it; because an event may be lost (slow reader, a device that restarts), the list is asked for as well
//! whenever nothing was heard for a while.
//!
//! Patience counts for what a person must mend: a peer that is away (never one that is connected), or the same problem
//! over and over (its disk is full) without anything new getting through; and, where it was asked for, a peer that does
//! not answer an offer.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use api::types::{Event, PeerQuery, Transfer, TransferQuery, TransferState};
use api::{ApiResult, ErrorCode, EventStream, Service};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::print::bars::Progress;

/// After so much silence the list is asked for.
const ASK_AFTER: Duration = Duration::from_secs(2);

/// How long both sides of a one-time code wait for somebody to mend what is in the way, unless the user says otherwise.
/// Time enough to find out what can be deleted.
pub(crate) const MEND: Duration = Duration::from_secs(600);

/// Why following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All transfers have ended.
    Final,
    /// Those that have not ended wait for somebody who is away, or for a problem to be mended.
    Away,
    /// Ctrl-C.
    Interrupted,
}

/// How long to wait for what only somebody else can bring; `None`: for ever.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Patience {
    /// For peers that are away.
    pub(crate) away: Option<Duration>,
    /// For one problem that somebody must mend, such as a full disk.
    pub(crate) stuck: Option<Duration>,
    /// For peers that have an offer and do not answer.
    pub(crate) answer: Option<Duration>,
}

/// Follows `transfers`; gives them as they stood last, in the same order.
pub(crate) async fn follow(
    cx: &mut Context,
    service: &Arc<dyn Service>,
    mut events: EventStream,
    transfers: Vec<Transfer>,
    patience: Patience,
) -> ApiResult<(Vec<Transfer>, End)> {
    let mut watch = Watch::new(transfers, patience);
    let mut progress = Progress::new(cx);
    for transfer in watch.transfers.clone() {
        progress.update(cx, &transfer);
    }
    let mut interrupted = pin!(cx.terminal.interrupted());
    let end = loop {
        if watch.end(Instant::now()) == Some(End::Away) {
            watch.look_who_is_there(service).await;
        }
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
    end.map(|end| (watch.ended(), end))
}

/// A problem that comes again and again.
struct Trouble {
    since: Instant,
    words: Option<String>,
    code: ErrorCode,
    /// Bytes that had arrived at most: more of them are progress.
    reached: u64,
}

/// Transfers that are followed.
struct Watch {
    transfers: Vec<Transfer>,
    away_since: BTreeMap<String, Instant>,
    asked_since: BTreeMap<String, Instant>,
    troubles: BTreeMap<String, Trouble>,
    patience: Patience,
}

impl Watch {
    fn new(transfers: Vec<Transfer>, patience: Patience) -> Self {
        let (away_since, asked_since, troubles) = Default::default();
        let mut watch = Self { transfers, away_since, asked_since, troubles, patience };
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
        if self.patience.away.is_some() && self.transfers.iter().any(|transfer| is_away(transfer.state)) {
            self.look_who_is_there(service).await;
        }
        let query = TransferQuery { id: None, ended: true };
        let mut changed = Vec::new();
        for transfer in service.transfers(query).await? {
            changed.extend(self.update(transfer)?);
        }
        Ok(changed)
    }

    /// Remembers since when each transfer waits for a peer that is away, or has the same problem.
    fn note_absences(&mut self) {
        let now = Instant::now();
        for transfer in &self.transfers {
            if is_away(transfer.state) {
                self.away_since.entry(transfer.id.clone()).or_insert(now);
            } else {
                self.away_since.remove(&transfer.id);
            }
            if transfer.state == TransferState::Offered {
                self.asked_since.entry(transfer.id.clone()).or_insert(now);
            } else if !is_away(transfer.state) {
                self.asked_since.remove(&transfer.id);
            }
            self.troubles.retain(|id, trouble| *id != transfer.id || transfer.bytes_done <= trouble.reached);
            let Some(code) = transfer.problem_code.filter(|code| *code != ErrorCode::Unreachable) else { continue };
            let known = self.troubles.get(&transfer.id).filter(|trouble| trouble.code == code);
            let since = known.map_or(now, |trouble| trouble.since);
            let reached = transfer.bytes_done.max(known.map_or(0, |trouble| trouble.reached));
            let trouble = Trouble { since, words: transfer.problem.clone(), code, reached };
            self.troubles.insert(transfer.id.clone(), trouble);
        }
    }

    /// Whoever is connected is not waited for: its time begins anew.
    async fn look_who_is_there(&mut self, service: &Arc<dyn Service>) {
        // A passing device knows no peers; it says by itself who is away.
        let Ok(peers) = service.peers(PeerQuery::default()).await else { return };
        let online = |transfer: &Transfer| {
            peers.iter().any(|peer| peer.device_id == transfer.device_id && peer.state == "online")
        };
        for transfer in self.transfers.iter().filter(|transfer| is_away(transfer.state)) {
            if online(transfer) {
                self.away_since.remove(&transfer.id);
            } else {
                self.away_since.entry(transfer.id.clone()).or_insert_with(Instant::now);
            }
        }
    }

    /// The transfers as they stood last, with the problem in which they are stuck, also between two attempts.
    fn ended(mut self) -> Vec<Transfer> {
        for transfer in &mut self.transfers {
            let trouble = self.troubles.remove(&transfer.id).filter(|_| !transfer.state.is_final());
            // Whoever gave up because of it is away.
            let unsaid = matches!(transfer.problem_code, None | Some(ErrorCode::Unreachable));
            if let Some(trouble) = trouble.filter(|_| unsaid) {
                (transfer.problem, transfer.problem_code) = (trouble.words, Some(trouble.code));
            }
        }
        self.transfers
    }

    /// Whether there is nothing more to wait for.
    fn end(&self, now: Instant) -> Option<End> {
        let mut open = self.transfers.iter().filter(|transfer| !transfer.state.is_final()).peekable();
        if open.peek().is_none() {
            return Some(End::Final);
        }
        let over = |most: Option<Duration>, since: Instant| most.is_some_and(|most| now.duration_since(since) >= most);
        let hopeless = open.all(|transfer| {
            self.away_since.get(&transfer.id).is_some_and(|since| over(self.patience.away, *since))
                || self.asked_since.get(&transfer.id).is_some_and(|since| over(self.patience.answer, *since))
                || !matches!(transfer.state, TransferState::Running | TransferState::Finishing)
                    && self.troubles.get(&transfer.id).is_some_and(|trouble| over(self.patience.stuck, trouble.since))
        });
        hopeless.then_some(End::Away)
    }
}

/// How a transfer stands once what was asked of it shows: `before` says that it does not yet. After [`ASK_AFTER`] it is
/// given as it is.
pub(crate) async fn settled(
    service: &Arc<dyn Service>,
    mut transfer: Transfer,
    before: impl Fn(TransferState) -> bool,
) -> ApiResult<Transfer> {
    let deadline = Instant::now() + ASK_AFTER;
    while before(transfer.state) && Instant::now() < deadline {
        sleep(ASK_AFTER / 20).await;
        let query = TransferQuery { id: Some(transfer.id.clone()), ended: true };
        let Some(now) = service.transfers(query).await?.into_iter().next() else { break };
        transfer = now;
    }
    Ok(transfer)
}

/// True while the other side is not there.
pub(crate) fn is_away(state: TransferState) -> bool {
    matches!(state, TransferState::Queued | TransferState::Waiting)
}
