//! One run of an outgoing transfer: control messages, and the threads and lanes behind them.

use super::control::{Broken, Control};
use super::item::{Command, Item, in_words};
use super::lanes::{Failing, Moved, Pace, write_lane};
use super::pool::{Parcel, Pool};
use super::ports::{Connection, Stream, What};
use super::reading::{Outgo, Skip};
use super::record::Ended;
use super::total::Seat;
use api::types::TransferState;
use logic::Misbehaved;
use logic::transfer::{FromReceiver, FromSender, Reason, Sender, SenderAction, Token};
use serde_bytes::ByteBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinSet, spawn_blocking};

/// Parcels in memory, about 1 MiB each.
const BUFFERS: usize = 10;
/// Threads that read and hash.
const READERS: usize = 2;
/// Streams where one does not fill the path.
const LANES: usize = 8;
/// A scan that ends within this time makes the offer complete; a longer one does not hold it up.
const SCAN_HEADSTART: Duration = Duration::from_millis(20);

/// How a run ended that nobody broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The transfer is over; everything is noted.
    Over,
    /// Another run takes over.
    Yielded,
    /// The peer, or this side, cannot go on now.
    Stuck(Reason, String),
}

/// Ends the threads of a run however it ends.
struct Threads(Arc<Outgo>);

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.engine().stop();
        self.0.pool.close();
        self.0.tell();
    }
}

/// The state of a run.
struct Run {
    item: Arc<Item>,
    outgo: Arc<Outgo>,
    connection: Arc<dyn Connection>,
    control: Control<FromReceiver>,
    lanes: JoinSet<Result<(), Broken>>,
    failing: Failing,
    /// Parcels that travel on the control stream.
    inline: Option<mpsc::UnboundedReceiver<Parcel>>,
    moved: Arc<Moved>,
    end: Option<End>,
}

/// Runs a transfer until it is over or the link is cut.
pub(super) async fn run(
    item: Arc<Item>,
    connection: Arc<dyn Connection>,
    mut commands: mpsc::UnboundedReceiver<Command>,
) -> Result<End, Broken> {
    let record = item.record();
    let (asked, shelf) = (record.asked.unwrap_or_default(), item.deps.shelf.clone());
    let source = match spawn_blocking(move || asked.source(&*shelf)).await {
        Ok(Ok(source)) => source,
        Ok(Err(problem)) => {
            fail(&item, problem.to_string());
            give_up(&item, &*connection).await?;
            return Ok(End::Over);
        }
        Err(_) => return Ok(End::Stuck(Reason::Asked, "the scan could not begin".into())),
    };
    // Everything is looked at again.
    item.lock().record.failed = 0;
    let mut engine = Sender::new(record.offer, *item.deps.host.me().as_bytes());
    engine.limit(record.limit);
    let outgo = Arc::new(Outgo::new(engine, source, Pool::new(BUFFERS)));
    let threads = Threads(outgo.clone());
    let scanner = outgo.clone();
    spawn_blocking(move || scanner.scan());
    let control = Control::new(connection.open(item.id).await?);
    let _ = tokio::time::timeout(SCAN_HEADSTART, outgo.scanned.notified()).await;
    outgo.engine().make_offer();
    item.asking();
    let moved = item.lock().moved.clone();
    let run = Run {
        item,
        outgo,
        connection,
        control,
        lanes: JoinSet::new(),
        failing: Failing::default(),
        inline: None,
        moved,
        end: None,
    };
    let end = run.drive(&mut commands).await;
    drop(threads);
    end
}

fn fail(item: &Arc<Item>, problem: String) {
    item.happened(What::Failed { reason: problem.clone() });
    item.lock().record.untold = true;
    item.end(Ended::Failed, Some(problem));
    item.persist_soon();
}

/// Tells the receiver that a transfer that ended here will not go on.
pub(super) async fn give_up(item: &Arc<Item>, connection: &dyn Connection) -> Result<(), Broken> {
    let control = Control::<FromReceiver>::new(connection.open(item.id).await?);
    control.send(&FromSender::Offer(item.record().offer));
    control.send(&FromSender::Cancel(Reason::Asked));
    if control.finish().await {
        item.lock().record.untold = false;
        item.persist_soon();
    }
    Ok(())
}

impl Run {
    async fn drive(mut self, commands: &mut mpsc::UnboundedReceiver<Command>) -> Result<End, Broken> {
        let outgo = self.outgo.clone();
        loop {
            self.act().await?;
            if let Some(end) = self.end.take() {
                // A run that only gives way has said nothing about an end that was decided meanwhile.
                if self.control.finish().await && matches!(end, End::Over) {
                    self.item.lock().record.untold = false;
                    self.item.persist_soon();
                }
                return Ok(end);
            }
            tokio::select! {
                message = self.control.next() => {
                    let message = message.map_err(|broken| self.failing.or(broken))?;
                    self.hear(message)?;
                }
                command = commands.recv() => self.obey(command.unwrap_or(Command::Yield)),
                () = outgo.wake.notified() => {}
                Some(parcel) = next_inline(&mut self.inline) => {
                    let content = self.moved.begin(parcel.bytes());
                    self.moved.sent(content, content);
                    self.control.send(&FromSender::Parcel(ByteBuf::from(parcel.bytes())));
                }
                Some(lane) = self.lanes.join_next() => self.failing.lane(lane),
                broken = self.failing.wait() => return Err(broken),
            }
        }
    }

    fn hear(&mut self, message: FromReceiver) -> Result<(), Broken> {
        if let FromReceiver::Receipt(receipt) = &message
            && !receipt.is_from(&self.item.peer)
        {
            return Err(Misbehaved::BadReceipt.into());
        }
        let confirmed = {
            let mut engine = self.outgo.engine();
            engine.handle(message)?;
            engine.first_unconfirmed()
        };
        self.outgo.tell();
        self.outgo.forget_below(confirmed);
        Ok(())
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Pause(paused) => {
                self.outgo.engine().pause(paused);
                self.item.happened(if paused { What::Paused } else { What::Resumed });
                self.item.show_pause(|_| {});
            }
            Command::Limit(limit) => self.outgo.engine().limit(limit),
            Command::Cancel => {
                self.outgo.engine().cancel(Reason::Asked);
                self.end = Some(End::Over);
            }
            Command::Yield => self.end = Some(End::Yielded),
            Command::Decided | Command::Lane(_) => {}
        }
        self.outgo.tell();
    }

    /// Does what the engine wants.
    async fn act(&mut self) -> Result<(), Broken> {
        for Skip { path, reason, failed } in self.outgo.take_skipped() {
            if failed {
                self.item.failed(&path, &reason);
            } else {
                self.item.left_out(&path, &reason);
            }
        }
        // Before the actions: the one that ends the transfer adds this run's bytes to its record.
        let (wire, kept) = (self.moved.wire.load(Ordering::Relaxed), self.moved.kept.load(Ordering::Relaxed));
        self.item.live(|live| (live.wire, live.kept) = (wire, kept));
        loop {
            let at = self.item.deps.clock();
            let Some(action) = self.outgo.engine().poll(at) else { break };
            self.perform(action)?;
        }
        // What was listed by now may be read.
        self.outgo.tell();
        let (found, scanned, done) = {
            let engine = self.outgo.engine();
            (engine.found().0, engine.found().1, engine.done())
        };
        self.item.live(|live| {
            (live.found, live.scanned) = (found, scanned);
            if done.bytes > 0 || done.files > 0 {
                live.done = done;
            }
        });
        Ok(())
    }

    fn perform(&mut self, action: SenderAction) -> Result<(), Broken> {
        match action {
            SenderAction::Send(message) => self.control.send(&message),
            SenderAction::Pending => {
                self.item.lock().record.agreed = false;
                self.item.asking();
            }
            SenderAction::Accepted { token, resume } => self.accepted(token, resume),
            SenderAction::Warn { entry, reason } => self.item.failed(&self.outgo.describe(entry), &in_words(&reason)),
            SenderAction::Changed { entry } => self.item.changed(&self.outgo.describe(entry)),
            SenderAction::Landing => self.item.state(TransferState::Finishing),
            SenderAction::Paused(paused) => {
                self.item.happened(if paused { What::Paused } else { What::Resumed });
                self.item.show_pause(|live| live.paused_there = paused);
            }
            SenderAction::Stuck(reason) => {
                let words = in_words(&reason);
                self.end = Some(End::Stuck(reason, words));
            }
            SenderAction::Outgrown { entry } => {
                self.item.changed(&self.outgo.describe(entry));
                let words = "a small file grew while it was being sent".to_owned();
                self.end = Some(End::Stuck(Reason::Other(words.clone()), words));
            }
            SenderAction::Rejected(reason) => {
                self.item.happened(What::Rejected { reason: in_words(&reason) });
                self.item.end(Ended::Rejected, Some(in_words(&reason)));
                self.item.persist_soon();
                self.end = Some(End::Over);
            }
            SenderAction::Cancelled(_) => {
                self.item.happened(What::Cancelled { here: false });
                self.item.end(Ended::Cancelled, Some("the other side cancelled it".into()));
                self.item.persist_soon();
                self.end = Some(End::Over);
            }
            SenderAction::Done(receipt) => {
                let done = receipt.receipt.done;
                let took = self.item.lock().live.started.map_or(Duration::ZERO, |started| started.elapsed());
                {
                    let mut inner = self.item.lock();
                    inner.record.receipt = Some(*receipt);
                    // Everything came in a run whose process did not live to count it.
                    if inner.live.started.is_none() && inner.record.wire == 0 {
                        inner.live.kept = done.bytes;
                    }
                }
                self.item.live(|live| live.done = done);
                self.item.end(Ended::Done, None);
                self.item.persist_soon();
                let (files, bytes, took_ms) = (done.files, done.bytes, took.as_millis() as u64);
                self.item.happened(What::Done { files, bytes, took_ms });
                self.end = Some(End::Over);
            }
        }
        Ok(())
    }

    fn accepted(&mut self, token: Token, resume: bool) {
        let first = !std::mem::replace(&mut self.item.lock().record.agreed, true);
        self.item.happened(if first { What::Accepted { by: "peer" } } else { What::Resumed });
        if first {
            self.item.persist_soon();
        }
        self.item.live(|live| {
            live.state = TransferState::Running;
            live.resumed = resume;
            live.started = Some(Instant::now());
        });
        let (parcels, queue) = mpsc::unbounded_channel();
        let inline = self.outgo.engine().is_inline();
        for _ in 0..if inline { 1 } else { READERS } {
            let (outgo, parcels, runtime) = (self.outgo.clone(), parcels.clone(), Handle::current());
            spawn_blocking(move || outgo.read(&parcels, &runtime));
        }
        if inline {
            self.inline = Some(queue);
            return;
        }
        let (connection, item, moved) = (self.connection.clone(), self.item.clone(), self.moved.clone());
        let queue = Arc::new(Mutex::new(queue));
        let seat = Seat::at(item.deps.total.clone());
        let pace = Arc::new(Pace { outgo: self.outgo.clone(), deps: item.deps.clone(), seat });
        self.lanes.spawn(async move {
            let lanes = connection.open_lanes(item.id, LANES).await?;
            item.live(|live| live.lane = Some(lanes.kind.to_owned()));
            let mut writers = JoinSet::new();
            for stream in lanes.streams {
                let (queue, pace, moved) = (queue.clone(), pace.clone(), moved.clone());
                writers.spawn(async move {
                    // The other direction is not used, but dropping it would look like giving the lane up.
                    let Stream { send, recv } = stream;
                    let written = write_lane(send, token, queue, pace, moved).await;
                    drop(recv);
                    written
                });
            }
            while let Some(writer) = writers.join_next().await {
                writer.unwrap_or_else(|error| Err(Broken::Cut(std::io::Error::other(error))))?;
            }
            Ok(())
        });
    }
}

/// The next parcel for the control stream; never, if content travels on lanes.
async fn next_inline(inline: &mut Option<mpsc::UnboundedReceiver<Parcel>>) -> Option<Parcel> {
    match inline {
        Some(queue) => queue.recv().await,
        None => std::future::pending().await,
    }
}
