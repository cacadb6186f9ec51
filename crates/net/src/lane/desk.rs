//! The desk: the first QUIC stream of a link, where tickets for TCP lanes are asked for.
//!
//! Both sides run [`serve`]; questions carry a number that the answer repeats. A peer can have at
//! most `Limits::lane_tickets` tickets out; above it the answer is no.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use logic::{Misbehaved, limits::FrameLimit, wire::LinkToken};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore, oneshot},
    time::{Instant, timeout},
};

use super::{Halves, dial, tickets::Ticket};
use crate::{
    core::{Core, PathInfo},
    frame::{FrameError, read_frame, write_frame},
    stream::{RecvHalf, SendHalf},
};

/// Desk frames are tiny.
const DESK_FRAME: FrameLimit = FrameLimit::new(64);
/// How long a question may stay unanswered, on top of what dialling may take.
const ANSWER: Duration = Duration::from_secs(3);

/// One message on the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Message {
    /// "I would dial you by TCP: have you a ticket for me?"
    Ask { id: u32 },
    /// The answer: dial this port of mine and show the token.
    Ticket { id: u32, token: LinkToken, port: u16 },
    /// "Please dial me at this port of mine, with this token."
    DialMe { id: u32, token: LinkToken, port: u16 },
    /// The answer to either question: it is not possible.
    No { id: u32 },
}

/// What comes back for a question: a token and the port to show it at, or no.
type Answer = Option<(LinkToken, u16)>;
/// Questions that are not answered yet.
type Asked = HashMap<u32, oneshot::Sender<Answer>>;

/// One link's desk.
pub(crate) struct Desk {
    send: AsyncMutex<SendHalf>,
    asked: Mutex<Asked>,
    next: AtomicU32,
    tickets: Arc<Semaphore>,
    pause: Mutex<Option<Instant>>,
}

impl Desk {
    pub(crate) fn new(send: SendHalf, tickets: usize) -> Self {
        Self {
            send: AsyncMutex::new(send),
            asked: Mutex::default(),
            next: AtomicU32::new(0),
            tickets: Arc::new(Semaphore::new(tickets)),
            pause: Mutex::new(None),
        }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn say(&self, message: Message) -> Result<(), FrameError> {
        write_frame(&mut *self.send.lock().await, &message, DESK_FRAME).await
    }

    fn number(&self) -> (u32, oneshot::Receiver<Answer>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.asked().insert(id, answer);
        (id, answered)
    }

    fn answered(&self, id: u32, answer: Answer) -> Result<(), Misbehaved> {
        let waiting = self.asked().remove(&id);
        if waiting.is_none() && id >= self.next.load(Ordering::Relaxed) {
            return Err(Misbehaved::FrameOutOfTurn);
        }
        if let Some(waiting) = waiting {
            // Whoever asked may have given up.
            let _ = waiting.send(answer);
        }
        Ok(())
    }

    /// False while TCP is left alone after a failure.
    fn worth_trying(&self) -> bool {
        let pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        pause.is_none_or(|until| Instant::now() >= until)
    }

    fn rest(&self, pause: Duration) {
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + pause);
    }
}

/// A lane for `core`, if TCP gets through one way or the other.
pub(crate) async fn open(core: &Core) -> Option<Halves> {
    let shared = &core.shared;
    let addr = near(&core.paths(), shared.config.limits.lane_round_trip)?;
    if !shared.config.tcp_lane || !core.desk.worth_trying() {
        return None;
    }
    let lane = match by_dialling(core, addr).await {
        Some(lane) => Some(lane),
        None => by_being_dialled(core, addr).await,
    };
    if lane.is_none() {
        core.desk.rest(shared.config.limits.lane_pause);
    }
    lane
}

/// The peer's address, if packets go there straight and within this round trip.
fn near(path: &PathInfo, most: Duration) -> Option<SocketAddr> {
    path.direct.filter(|_| path.rtt.is_none_or(|rtt| rtt <= most))
}

async fn by_dialling(core: &Core, addr: SocketAddr) -> Option<Halves> {
    let limits = &core.shared.config.limits;
    let (id, answered) = core.desk.number();
    // A peer that does not read its desk must not hold the transfer up, so asking counts as well.
    let asked = async {
        core.desk.say(Message::Ask { id }).await.ok()?;
        answered.await.ok()?
    };
    let answer = timeout(ANSWER, asked).await;
    core.desk.asked().remove(&id);
    let (token, port) = answer.ok()??;
    let addr = SocketAddr::new(addr.ip(), port);
    dial::dial(&core.shared.tls, addr, *core.remote.as_bytes(), token, limits.lane_dial)
        .await
        .inspect_err(|error| tracing::debug!(%addr, %error, "no TCP lane"))
        .ok()
}

async fn by_being_dialled(core: &Core, addr: SocketAddr) -> Option<Halves> {
    let shared = &core.shared;
    let port = shared.tcp_port?;
    let ticket = issue(core, addr);
    let (id, answered) = core.desk.number();
    let token = ticket.token;
    let called = async {
        core.desk.say(Message::DialMe { id, token, port }).await.ok()?;
        tokio::select! {
            lane = ticket.arrived() => lane,
            _ = answered => None,
        }
    };
    let lane = timeout(ANSWER + shared.config.limits.lane_dial, called).await;
    core.desk.asked().remove(&id);
    lane.ok().flatten()
}

fn issue(core: &Core, addr: SocketAddr) -> Ticket {
    core.shared.tickets.issue(*core.remote.as_bytes(), Some(addr.ip().to_canonical()))
}

/// Answers the peer until the link ends. Holds the link weakly: it must not keep itself alive.
pub(crate) async fn serve(core: Weak<Core>, mut recv: RecvHalf) -> Result<(), FrameError> {
    while let Some(message) = read_frame(&mut recv, DESK_FRAME).await? {
        let Some(core) = core.upgrade() else {
            return Ok(());
        };
        match message {
            Message::Ask { id } | Message::DialMe { id, .. } if !core.trusted() => {
                core.desk.say(Message::No { id }).await?;
            }
            Message::Ask { id } => give_ticket(&core, id).await?,
            Message::Ticket { id, token, port } => core.desk.answered(id, Some((token, port)))?,
            Message::DialMe { id, token, port } => dial_back(&core, id, token, port).await?,
            Message::No { id } => core.desk.answered(id, None)?,
        }
    }
    Ok(())
}

async fn give_ticket(core: &Arc<Core>, id: u32) -> Result<(), FrameError> {
    let permit = core.desk.tickets.clone().try_acquire_owned();
    let (Some(port), Some(addr), Ok(permit)) = (core.shared.tcp_port, core.direct_addr(), permit) else {
        return core.desk.say(Message::No { id }).await;
    };
    let ticket = issue(core, addr);
    let token = ticket.token;
    let patience = ANSWER + core.shared.config.limits.lane_dial;
    let weak = Arc::downgrade(core);
    core.spawn(async move {
        let lane = timeout(patience, ticket.arrived()).await;
        drop(permit);
        deliver(&weak, lane.ok().flatten()).await;
    });
    core.desk.say(Message::Ticket { id, token, port }).await
}

async fn dial_back(core: &Arc<Core>, id: u32, token: LinkToken, port: u16) -> Result<(), FrameError> {
    let permit = core.desk.tickets.clone().try_acquire_owned();
    let (true, Some(addr), Ok(permit)) = (core.shared.config.tcp_lane, core.direct_addr(), permit) else {
        return core.desk.say(Message::No { id }).await;
    };
    let (tls, device) = (core.shared.tls.clone(), *core.remote.as_bytes());
    let patience = core.shared.config.limits.lane_dial;
    let weak = Arc::downgrade(core);
    core.spawn(async move {
        let addr = SocketAddr::new(addr.ip(), port);
        let lane = dial::dial(&tls, addr, device, token, patience).await.ok();
        drop(permit);
        if lane.is_none()
            && let Some(core) = weak.upgrade()
        {
            // If this fails the link is gone, and with it the question.
            let _ = core.desk.say(Message::No { id }).await;
        }
        deliver(&weak, lane).await;
    });
    Ok(())
}

/// Hands a lane that the peer opened to whoever accepts streams of the link.
async fn deliver(core: &Weak<Core>, lane: Option<Halves>) {
    if let (Some(core), Some(halves)) = (core.upgrade(), lane) {
        // A full or closed inbox: nobody accepts; dropping the stream tells the peer.
        let _ = core.arrivals.try_send(core.lane_stream(halves));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;

    /// Where a lane would lead on a path with this round trip.
    fn lane_at(rtt: Option<Duration>, relay: bool) -> Option<SocketAddr> {
        let addr = SocketAddr::from(([192, 0, 2, 1], 4000));
        let relay_url = relay.then(|| "https://relay.example".into());
        let path = PathInfo { direct: (!relay).then_some(addr), relay: relay_url, rtt };
        near(&path, Limits::default().lane_round_trip)
    }

    #[test]
    fn a_lane_is_wanted_up_to_25_ms_and_never_over_a_relay() {
        let at = |micros| Some(Duration::from_micros(micros));
        for near in [at(0), at(100), at(24_999), at(25_000)] {
            assert!(lane_at(near, false).is_some(), "{near:?}");
        }
        for far in [at(25_001), at(26_000), at(200_000)] {
            assert!(lane_at(far, false).is_none(), "{far:?}");
        }
        assert!(lane_at(None, false).is_some(), "what was not measured yet may be near");
        assert!(lane_at(at(100), true).is_none(), "TCP does not go over relays");
    }
}
