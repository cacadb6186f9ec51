//! One conversation with one device about one space: messages in, messages and consequences out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use logic::Misbehaved;
use logic::ledger::session::Session;
use logic::ledger::sync::Message;
use logic::ledger::{CommitId, Seen};
use logic::limits::LEDGER_FRAME;
use net::frame::{FrameError, read_body};
use seal::DeviceId;
use serde_bytes::ByteBuf;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout};

use super::Between;
use super::access::Access;
use super::errors::{Ended, blocking};
use super::ports::Peer;
use super::room::Room;
use crate::clock;
use crate::spaces::{Heard, SpaceFault};
use crate::transfers::Stream;

/// How long an answer may be waited for.
const ANSWER: Duration = Duration::from_secs(120);
/// How long a message may take to be written, however slowly it is read.
const WRITE: Duration = Duration::from_secs(120);
/// Answers that wait to be written.
const ANSWERS: usize = 4;
/// Bytes that are taken over one session from a device that has no role here.
const UNPROVEN: usize = 16 << 20;

/// See the module.
pub(super) struct Talk {
    pub(super) between: Arc<Between>,
    pub(super) room: Arc<Room>,
    pub(super) peer: Arc<dyn Peer>,
    state: Mutex<State>,
    /// The peer has shown for the first time what it has.
    met: Notify,
}

struct State {
    session: Session,
    /// Statements that the peer knows, by device: their counters.
    heads: HashMap<DeviceId, u64>,
    /// It has shown that it keeps the ledger. One that is only learning of it takes no statements.
    keeps: bool,
    /// The last that it may be told.
    farewell: Option<Vec<Seen>>,
    /// Bytes that may still come while it has no role.
    unproven: usize,
}

impl Talk {
    pub(super) fn new(between: Arc<Between>, room: Arc<Room>, peer: Arc<dyn Peer>, session: Session) -> Arc<Self> {
        let (heads, farewell) = Default::default();
        let state = State { session, heads, keeps: false, farewell, unproven: UNPROVEN };
        Arc::new(Self { between, room, peer, state: Mutex::new(state), met: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the peer may have now.
    pub(super) fn access(&self) -> Result<Access, SpaceFault> {
        self.room.access(self.peer.device(), self.peer.member())
    }

    /// Goes on until the stream, the link or the patience ends.
    pub(super) async fn run(self: Arc<Self>, stream: Stream) -> Result<(), Ended> {
        let talk = self.clone();
        let first = blocking(move || talk.greet()).await?;
        let (out, answers) = mpsc::channel(ANSWERS);
        let Stream { send, recv } = stream;
        let asked = first.iter().any(|message| matches!(message, Message::Want(_)));
        tokio::try_join!(self.say(send, first, answers), self.listen(recv, asked, out)).map(drop)
    }

    /// What there is to ask for at once: of a space that was learned of in this session the peer has told already. Blocking.
    fn greet(&self) -> Result<Vec<Message>, Ended> {
        let heard = self.room.kept.space.greet(&mut self.state().session)?;
        self.consider(heard)
    }

    /// Writes news and answers.
    async fn say(
        self: &Arc<Self>,
        mut send: impl AsyncWrite + Unpin,
        first: Vec<Message>,
        mut answers: mpsc::Receiver<Message>,
    ) -> Result<(), Ended> {
        let (mut changed, mut stated) = (self.room.kept.space.watch(), self.room.stated.subscribe());
        changed.mark_changed();
        let mut messages = first;
        loop {
            for message in messages.drain(..) {
                write(&mut send, &message).await?;
            }
            tokio::select! {
                biased;
                answer = answers.recv() => match answer {
                    Some(answer) => messages.push(answer),
                    None => return Ok(send.shutdown().await.map_err(FrameError::Io)?),
                },
                _ = changed.changed() => messages = self.fresh().await?,
                _ = stated.changed() => messages = self.fresh().await?,
                () = self.met.notified() => messages = self.fresh().await?,
            }
        }
    }

    async fn fresh(self: &Arc<Self>) -> Result<Vec<Message>, Ended> {
        let talk = self.clone();
        blocking(move || talk.news()).await
    }

    /// What the peer is to be told now. Blocking.
    fn news(&self) -> Result<Vec<Message>, SpaceFault> {
        if self.room.on_probation() {
            return Ok(Vec::new());
        }
        match self.access()? {
            Access::Full(_) => {
                self.room.facts().refused.remove(&self.peer.device());
                let mut state = self.state();
                state.farewell = None;
                let have = self.room.kept.space.news(&mut state.session)?;
                let heads = self.heads(&mut state);
                Ok(have.into_iter().chain(heads).collect())
            }
            Access::Farewell(tips) => {
                self.between.note_refused(self.peer.device(), &self.room);
                let mut state = self.state();
                if state.farewell.as_ref() == Some(&tips) {
                    return Ok(Vec::new());
                }
                state.farewell = Some(tips.clone());
                Ok(vec![Message::Have(tips)])
            }
            Access::Nothing => Ok(Vec::new()),
        }
    }

    /// Statements that the peer does not know yet, once it keeps the ledger.
    fn heads(&self, state: &mut State) -> Vec<Message> {
        if !state.keeps {
            return Vec::new();
        }
        let mut news = Vec::new();
        for statement in self.room.statements() {
            let held = statement.held();
            let known = state.heads.insert(held.device, held.counter);
            // Its own as well: it may have forgotten it.
            if known.is_none_or(|counter| counter < held.counter) {
                news.push(Message::Head(ByteBuf::from(statement.as_bytes())));
            }
        }
        news
    }

    /// Reads and answers.
    async fn listen(
        self: &Arc<Self>,
        mut recv: impl AsyncRead + Unpin,
        mut asked: bool,
        out: mpsc::Sender<Message>,
    ) -> Result<(), Ended> {
        let mut deadline = Instant::now() + ANSWER;
        loop {
            let read = read_body(&mut recv, LEDGER_FRAME);
            let body = match asked {
                true => tokio::time::timeout_at(deadline, read).await.map_err(|_| Ended::Silent)?,
                false => read.await,
            };
            let Some(body) = body? else { return Ok(()) };
            let message = Message::read(&body)?;
            asked &= !matches!(message, Message::Commits { .. });
            let (talk, size) = (self.clone(), body.len());
            let answers = blocking(move || talk.hear(message, size)).await?;
            for answer in answers {
                if matches!(answer, Message::Want(_)) {
                    (asked, deadline) = (true, Instant::now() + ANSWER);
                }
                out.send(answer).await.map_err(|_| Ended::Silent)?;
            }
        }
    }

    /// Takes one message. Blocking.
    fn hear(&self, message: Message, size: usize) -> Result<Vec<Message>, Ended> {
        let access = self.access()?;
        self.pay(&message, size, &access)?;
        self.check_room(&message, size)?;
        let message = match (message, &access) {
            (Message::Want(mut wants), Access::Farewell(tips)) => {
                wants.retain(|want| tips.iter().any(|tip| tip.id == want.goal.id));
                Message::Want(wants)
            }
            (Message::Want(_), Access::Nothing) => {
                self.between.note_refused(self.peer.device(), &self.room);
                return Ok(vec![Message::Commits { commits: Vec::new(), more: false }]);
            }
            (message, _) => message,
        };
        let (peer, now) = (self.peer.device(), clock::now());
        let heard = {
            let mut state = self.state();
            self.room.kept.space.hear(&mut state.session, peer, message, now)?
        };
        self.consider(heard)
    }

    /// What comes from somebody without a role, or for a space in which nobody gave this device one, is little.
    fn pay(&self, message: &Message, size: usize, access: &Access) -> Result<(), Ended> {
        let commits = matches!(message, Message::Commits { .. });
        if let Some(probation) = self.room.facts().probation.as_mut().filter(|_| commits) {
            probation.left = probation.left.checked_sub(size).ok_or(Ended::Unwanted("too much before any role"))?;
        }
        if commits && !access.is_full() {
            let mut state = self.state();
            state.unproven = state.unproven.checked_sub(size).ok_or(Misbehaved::SpaceDenied)?;
        }
        Ok(())
    }

    /// A device that stores without reading takes no more changes than it may keep.
    fn check_room(&self, message: &Message, size: usize) -> Result<(), Ended> {
        if !matches!(message, Message::Commits { .. }) || self.room.on_probation() {
            return Ok(());
        }
        match self.between.allowance(&self.room)? {
            Some(allowance) if allowance.changes_left() < size as u64 => {
                self.between.note_full(&self.room, &allowance.reason());
                Err(Ended::NoRoom)
            }
            _ => Ok(()),
        }
    }

    /// Draws the consequences.
    fn consider(&self, heard: Heard) -> Result<Vec<Message>, Ended> {
        let (room, between, peer, now) = (&self.room, &self.between, self.peer.device(), clock::now());
        between.consider(room, &heard.outcome);
        if let Some(head) = heard.head {
            let (device, counter) = (head.held().device, head.held().counter);
            self.state().heads.insert(device, counter);
            if device == room.own.device {
                if room.hear_own(*head)? {
                    between.note_older(room.id());
                }
            } else if room.hear_head(*head, now)? {
                between.note_rollback(device, room.id());
            }
        }
        if heard.shown.is_some() && !std::mem::replace(&mut self.state().keeps, true) {
            self.met.notify_one();
        }
        if let Some(shown) = heard.shown
            && room.hear_shown(peer, shown, now)?
        {
            between.note_withheld(peer, room.id());
        }
        let waits = heard.answers.iter().any(|answer| matches!(answer, Message::Want(_)));
        if waits {
            room.facts().telling.insert(peer);
        }
        if heard.own_came {
            between.note_older(room.id());
        }
        let over = heard.settled || !heard.withheld.is_empty();
        if over && self.access()?.is_full() {
            room.facts().asked.insert(peer);
        }
        if over && room.facts().telling.remove(&peer) {
            // What waited until all was here.
            room.stated.send_modify(|count| *count += 1);
        }
        if !heard.withheld.is_empty() {
            tracing::debug!(peer = %peer.short(), commits = heard.withheld.len(), "told of and not given");
        }
        if room.on_probation() {
            self.judge(over)?;
        }
        Ok(heard.answers)
    }

    /// Is there a role here for this device? Asked until one was seen, or all is here.
    fn judge(&self, over: bool) -> Result<(), Ended> {
        match self.room.own_role()? {
            Some(role) => {
                self.between.welcome(&self.room, self.peer.device(), role);
                Ok(())
            }
            None if over => Err(Ended::Unwanted("no role in it")),
            None => Ok(()),
        }
    }
}

async fn write(send: &mut (impl AsyncWrite + Unpin), message: &Message) -> Result<(), Ended> {
    let frame = message.frame().map_err(FrameError::TooBig)?;
    let written = async {
        send.write_all(frame.as_bytes()).await?;
        send.flush().await
    };
    timeout(WRITE, written).await.map_err(|_| Ended::Silent)?.map_err(FrameError::Io)?;
    Ok(())
}

/// The name of a space in the log.
pub(super) fn name(ledger: CommitId) -> String {
    ledger.to_string()
}
