//! One transfer as the rest of the device sees it: its record, where it stands now, and the way to its run.

use super::lanes::Moved;
use super::ports::{Happened, What};
use super::reading::show;
use super::record::{Ended, Record};
use super::{Deps, now_ms};
use api::ErrorCode;
use api::types::{PausedBy, Transfer, TransferState};
use logic::transfer::rate::Speed;
use logic::transfer::{Reason, Totals, TransferId};
use seal::DeviceId;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// Snapshots of a running transfer are published this often at most.
const PUBLISH_EVERY: Duration = Duration::from_millis(200);
/// Warnings that are kept.
const WARNINGS: usize = 100;

/// What a user or the device tells a run.
pub(super) enum Command {
    Pause(bool),
    Cancel,
    Limit(Option<u64>),
    /// The user has accepted or rejected; the record says which.
    Decided,
    /// A content lane came in.
    Lane(super::ports::Stream),
    /// Another run takes over.
    Yield,
}

/// Where a transfer stands now.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub state: TransferState,
    pub found: Totals,
    pub scanned: bool,
    pub done: Totals,
    pub lane: Option<String>,
    /// When content began to flow in this run.
    pub started: Option<Instant>,
    /// Bytes of content over the wire in this run.
    pub wire: u64,
    /// Bytes of content that this run found to have come before.
    pub kept: u64,
    /// The other side wants a pause.
    pub paused_there: bool,
    /// True if this run goes on where another ended: what was there already is no speed.
    pub resumed: bool,
    /// Why there is no link, where whoever brings links up knows.
    pub absence: Option<String>,
    /// It turned out to be more than a rule accepts: a person decides, and no rule does.
    pub over: bool,
}

impl Live {
    /// True while it waits for a link.
    fn is_cut(&self) -> bool {
        matches!(self.state, TransferState::Queued | TransferState::Waiting)
    }
}

/// For how long content has flowed in this process, and how much in the runs that have ended.
#[derive(Debug, Clone, Copy, Default)]
struct Flow {
    before: Duration,
    since: Option<Instant>,
    bytes: u64,
}

impl Flow {
    /// It flows from now on, or does not.
    fn set(&mut self, flows: bool) {
        match self.since {
            None if flows => self.since = Some(Instant::now()),
            Some(since) if !flows => {
                self.before += since.elapsed();
                self.since = None;
            }
            _ => {}
        }
    }

    fn total(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

pub(super) struct Inner {
    pub record: Record,
    pub live: Live,
    speed: Speed,
    /// `None` where it ended in another process.
    flow: Option<Flow>,
    /// What the lanes of the run move.
    pub moved: Arc<Moved>,
    published: Option<Instant>,
    /// Most bytes that were found in any run, until all have been.
    most: u64,
    /// The way to the run, while there is one.
    pub run: Option<mpsc::UnboundedSender<Command>>,
    /// Runs that failed one after the other.
    pub failures: u32,
}

impl Inner {
    /// Takes the way to a run that begins.
    pub fn begin_run(&mut self, commands: mpsc::UnboundedSender<Command>) {
        self.run = Some(commands);
        (self.speed, self.moved) = (Speed::default(), Arc::default());
        (self.live.absence, self.live.paused_there, self.live.started) = (None, false, None);
    }

    /// Adds what this run has moved to the record. What came before has come over the wire as well, even if the process
    /// that counted it was killed.
    pub fn settle_wire(&mut self) {
        let (wire, kept) = (std::mem::take(&mut self.live.wire), std::mem::take(&mut self.live.kept));
        self.record.wire = self.record.wire.max(kept) + wire;
        if let Some(flow) = &mut self.flow {
            flow.bytes += wire;
        }
    }

    /// Bytes that it will take, as far as that is known.
    pub fn expected(&self) -> u64 {
        if self.live.scanned { self.live.found.bytes } else { self.most.max(self.live.found.bytes) }
    }

    /// Bytes that this run still brings.
    pub fn to_come(&self) -> u64 {
        self.expected().saturating_sub(self.live.done.bytes)
    }

    /// The state while content may not flow yet.
    fn asking(&self) -> TransferState {
        if self.record.agreed { TransferState::Waiting } else { TransferState::Offered }
    }

    /// Takes the measure of the run's speed.
    fn measure(&mut self, now: Duration) {
        let wire = self.moved.wire.load(Ordering::Relaxed);
        let total = if self.live.resumed { wire } else { self.live.done.bytes.max(wire) };
        self.speed.note(total, now);
    }
}

/// One transfer.
pub(super) struct Item {
    pub id: TransferId,
    pub peer: DeviceId,
    pub outgoing: bool,
    pub deps: Arc<Deps>,
    inner: Mutex<Inner>,
    /// Orders the writes of the record.
    shelf: Mutex<()>,
    /// Held by the run; a second one waits here for the first to end.
    pub turn: tokio::sync::Mutex<()>,
}

impl Item {
    pub fn new(record: Record, deps: Arc<Deps>) -> Arc<Self> {
        let state = match record.ended {
            Some(ended) => final_state(ended),
            None if record.paused => TransferState::Paused,
            None if record.asked.is_some() => TransferState::Queued,
            None if record.accepted.is_some() => TransferState::Waiting,
            None => TransferState::Offered,
        };
        let (found, scanned) = (record.offer.found, record.offer.complete);
        let live = Live {
            state,
            found,
            scanned,
            done: record.done,
            lane: None,
            started: None,
            wire: 0,
            kept: 0,
            paused_there: false,
            resumed: false,
            absence: None,
            over: false,
        };
        let (id, peer, outgoing) = (record.id(), record.peer, record.asked.is_some());
        let flow = record.ended.is_none().then(Flow::default);
        let inner = Inner {
            record,
            live,
            speed: Speed::default(),
            flow,
            moved: Arc::default(),
            published: None,
            most: 0,
            run: None,
            failures: 0,
        };
        Arc::new(Self {
            id,
            peer,
            outgoing,
            deps,
            inner: Mutex::new(inner),
            shelf: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of the record.
    pub fn record(&self) -> Record {
        self.lock().record.clone()
    }

    /// Changes the record and stores it before returning. Blocks for the time of a durable write.
    pub fn store(&self, change: impl FnOnce(&mut Record)) -> io::Result<()> {
        // Held over the write, so that an older record never overwrites a newer one.
        let _order = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = {
            let mut inner = self.lock();
            change(&mut inner.record);
            inner.record.to_bytes()
        };
        self.deps.shelf.put(&self.id, &bytes)
    }

    /// Stores the record as it is, from a task.
    pub async fn persist(self: &Arc<Self>) -> io::Result<()> {
        let item = self.clone();
        spawn_blocking(move || item.store(|_| {})).await.map_err(io::Error::other)?
    }

    /// Stores the record soon; for what the next run would find out anyway.
    pub fn persist_soon(self: &Arc<Self>) {
        let item = self.clone();
        spawn_blocking(move || {
            if let Err(error) = item.store(|_| {}) {
                tracing::warn!(id = %item.id, %error, "a transfer could not be stored");
            }
        });
    }

    /// Changes where it stands; the change is published now if the state changed, else a few times per second.
    pub fn live(&self, change: impl FnOnce(&mut Live)) {
        let mut inner = self.lock();
        let before = inner.live.state;
        change(&mut inner.live);
        // A run that has not heard of the end yet does not undo it.
        if let Some(ended) = inner.record.ended {
            inner.live.state = final_state(ended);
        }
        inner.most = inner.most.max(inner.live.found.bytes);
        inner.measure(self.deps.clock());
        let flows = inner.live.state == TransferState::Running;
        if let Some(flow) = &mut inner.flow {
            flow.set(flows);
        }
        let due = inner.published.is_none_or(|then| then.elapsed() >= PUBLISH_EVERY);
        if due || before != inner.live.state {
            inner.published = Some(Instant::now());
            let view = self.view_of(&inner);
            drop(inner);
            self.deps.publish(view);
        }
    }

    /// Publishes a snapshot now.
    pub fn publish(&self) {
        let view = self.view();
        self.deps.publish(view);
    }

    pub fn state(&self, state: TransferState) {
        self.live(|live| live.state = state);
    }

    /// The other side is asked; it does not have to think about what it has accepted before.
    pub fn asking(&self) {
        let state = self.lock().asking();
        self.state(state);
    }

    /// Shows that one of the sides has paused, or that the transfer goes on.
    pub fn show_pause(&self, change: impl FnOnce(&mut Live)) {
        let (here, asking) = {
            let inner = self.lock();
            (inner.record.paused, inner.asking())
        };
        self.live(|live| {
            change(live);
            live.state = match () {
                () if here || live.paused_there => TransferState::Paused,
                () if live.started.is_some() => TransferState::Running,
                () => asking,
            };
        });
    }

    /// Says why there is no link.
    pub fn absent(&self, why: &str) {
        let mut inner = self.lock();
        if inner.record.ended.is_some() || inner.live.absence.as_deref() == Some(why) {
            return;
        }
        inner.live.absence = Some(why.to_owned());
        drop(inner);
        self.publish();
    }

    /// Tells the run something; false if there is none.
    pub fn tell(&self, command: Command) -> bool {
        match &self.lock().run {
            Some(run) => run.send(command).is_ok(),
            None => false,
        }
    }

    /// Notes a file that will be missing.
    pub fn failed(&self, path: &str, reason: &str) {
        self.lock().record.failed += 1;
        self.left_out(path, reason);
    }

    /// Notes something that cannot be sent at all: a pipe, for example.
    pub fn left_out(&self, path: &str, reason: &str) {
        self.warn(path, reason);
        self.happened(What::FileFailed { path: path.to_owned(), reason: reason.to_owned() });
    }

    /// Notes a file that is sent again because it changed.
    pub fn changed(&self, path: &str) {
        self.warn(path, "changed while it was being sent; sent again");
        self.happened(What::FileChanged { path: path.to_owned() });
    }

    /// Adds a line for the user.
    fn warn(&self, path: &str, reason: &str) {
        let mut inner = self.lock();
        let line = format!("{path}: {reason}");
        if inner.record.warnings.len() < WARNINGS && !inner.record.warnings.contains(&line) {
            inner.record.warnings.push(line);
        }
    }

    pub fn happened(&self, what: What) {
        let event = Happened { peer: self.peer, transfer: self.id, outgoing: self.outgoing, what };
        self.deps.host.happened(event);
    }

    /// Ends the transfer for good; the caller stores it.
    pub fn end(&self, how: Ended, problem: Option<String>) {
        let mut inner = self.lock();
        inner.settle_wire();
        let Inner { record, live, .. } = &mut *inner;
        record.ended = Some(how);
        record.ended_at = Some(now_ms());
        record.problem = problem;
        record.done = live.done;
        (record.offer.found, record.offer.complete) = (live.found, live.scanned);
        drop(inner);
        self.state(final_state(how));
    }

    /// What the local API shows.
    pub fn view(&self) -> Transfer {
        let mut inner = self.lock();
        // Where nothing moves, nobody else takes the measure.
        inner.measure(self.deps.clock());
        self.view_of(&inner)
    }

    fn view_of(&self, inner: &Inner) -> Transfer {
        let Inner { record, live, .. } = inner;
        let running = matches!(live.state, TransferState::Running);
        let rate = if running { inner.speed.rate() } else { 0 };
        let left = live.found.bytes.saturating_sub(live.done.bytes);
        let ended = record.ended.is_some();
        let paused_by = (live.state == TransferState::Paused).then_some(match (record.paused, live.paused_there) {
            (true, true) => PausedBy::Both,
            (false, true) => PausedBy::Other,
            _ => PausedBy::This,
        });
        let absence = live.absence.as_ref().filter(|_| live.is_cut());
        // What stopped the last run is no problem while the next one gets on.
        let moving = matches!(live.state, TransferState::Running | TransferState::Finishing);
        let problem = absence.or(record.problem.as_ref().filter(|_| !moving));
        let problem_code = match absence {
            Some(_) => Some(ErrorCode::Unreachable),
            None => problem.map(|_| problem_code(record)),
        };
        Transfer {
            id: self.id.to_string(),
            direction: if self.outgoing { "out" } else { "in" }.to_owned(),
            peer: self.deps.host.peer_name(&self.peer),
            device_id: self.peer.to_string(),
            state: live.state,
            paused_by,
            names: record.offer.names.iter().map(|name| show(name)).collect(),
            text: record.offer.text.clone(),
            files_total: live.found.files,
            files_done: live.done.files,
            files_failed: record.failed,
            bytes_total: live.found.bytes,
            bytes_done: live.done.bytes,
            // The end has counted this run; whoever still runs may have shown its count once more.
            bytes_wire: if ended { record.wire } else { record.wire.max(live.kept) + live.wire },
            scanned: live.scanned,
            flow_ms: inner.flow.and_then(|flow| u64::try_from(flow.total().as_millis()).ok()),
            flow_bytes: inner.flow.map_or(0, |flow| flow.bytes + if ended { 0 } else { live.wire }),
            rate,
            eta_s: (live.scanned && rate > 0).then(|| left / rate),
            rate_limit: record.limit,
            lane: live.lane.clone(),
            created_at: record.offer.created_at,
            ended_at: record.ended_at,
            problem: problem.cloned(),
            problem_code,
            warnings: record.warnings.clone(),
            landed: record.landed.clone(),
            receipt: record.receipt.as_ref().map(|signed| data_encoding::HEXLOWER.encode(&signed.receipt.root)),
        }
    }
}

/// Kind of the problem, for scripts.
fn problem_code(record: &Record) -> ErrorCode {
    match (record.ended, &record.trouble) {
        (Some(Ended::Rejected), _) => ErrorCode::Refused,
        (Some(Ended::Cancelled), _) => ErrorCode::Cancelled,
        (Some(Ended::Void), _) => ErrorCode::BadInvitation,
        (_, Some(Reason::DiskFull(_))) => ErrorCode::DiskFull,
        _ => ErrorCode::Io,
    }
}

fn final_state(ended: Ended) -> TransferState {
    match ended {
        Ended::Done => TransferState::Done,
        Ended::Rejected => TransferState::Rejected,
        Ended::Cancelled => TransferState::Cancelled,
        Ended::Failed | Ended::Void => TransferState::Failed,
    }
}

/// A reason in words.
pub(super) fn in_words(reason: &Reason) -> String {
    match reason {
        Reason::Asked => "a person decided so".into(),
        Reason::DiskFull(0) => "the receiver's disk is full".into(),
        Reason::DiskFull(missing) => {
            format!("the receiver's disk is full: {} MiB more are needed", missing.div_ceil(1 << 20))
        }
        Reason::Denied => "the receiver may not write to its landing folder".into(),
        Reason::Other(text) => text.chars().filter(|c| !c.is_control()).take(200).collect(),
    }
}
