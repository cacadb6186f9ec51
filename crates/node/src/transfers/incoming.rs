//! One run of an incoming transfer: decision, control messages, the threads behind them, and the landing.

use super::control::{Broken, Control};
use super::deciding::{cancelled, decide, over};
use super::item::{Command, Item, in_words};
use super::lanes::{Failing, read_lane, read_token};
use super::leftovers::Leftovers;
use super::now_ms;
use super::outgoing::End;
use super::pool::{Parcel, Pool};
use super::ports::{Stream, What};
use super::record::{Accepted, Ended};
use super::room::Promise;
use super::writing::{Chore, Intake};
use api::types::TransferState;
use logic::Misbehaved;
use logic::transfer::path::Naming;
use logic::transfer::receipt::SignedReceipt;
use logic::transfer::{FromReceiver, FromSender, Offer, Reason, Receiver, ReceiverAction, Token, TransferId};
use serde_bytes::ByteBuf;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use store::landing::{Building, Landing, LandingError};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant as Moment, timeout_at};

/// Parcels in memory, about 1 MiB each.
const BUFFERS: usize = 12;
/// Threads that verify and write.
const WRITERS: usize = 2;
/// Most lanes of a run.
const LANES: usize = 64;
/// How long a parcel on the control stream may wait for the disk, and for what it belongs to.
const PLACING: Duration = Duration::from_secs(5);
/// How long the sender may take to read the receipt and close.
const GOODBYE: Duration = Duration::from_secs(5);

/// Runs a transfer whose offer came over `control`, until it is over or the link is cut.
pub(super) async fn run(
    item: Arc<Item>,
    mut control: Control<FromSender>,
    offer: Offer,
    commands: &mut mpsc::UnboundedReceiver<Command>,
) -> Result<End, Broken> {
    let mut engine = Receiver::new(&offer, Naming::HERE)?;
    item.live(|live| (live.found, live.scanned) = (offer.found, offer.complete));
    let accepted = match decide(&item, &mut engine, offer, &mut control, commands).await? {
        Ok(accepted) => accepted,
        Err(end) => {
            control.finish().await;
            return Ok(end);
        }
    };
    let building = match begin(&item, &accepted).await {
        Ok(building) => building,
        Err(broken) => return stuck(&item, control, broken).await,
    };
    if building.is_complete() && accepted.landing.is_some() {
        return match land(&item, building).await {
            Ok(()) => farewell(&item, control).await,
            Err(broken) => stuck(&item, control, broken).await,
        };
    }
    // Held to the end of the run.
    let (building, _promise) = match room(&item, building).await {
        Ok(begun) => begun,
        Err(broken) => return stuck(&item, control, broken).await,
    };
    let resume = building.is_resumed();
    let token = token();
    item.lock().record.failed = 0;
    engine.accept(resume, token, accepted.ceiling);
    item.live(|live| {
        live.state = TransferState::Running;
        live.resumed = resume;
        live.started = Some(Instant::now());
    });
    let run = Run::begin(item, engine, building, control, token);
    run.drive(commands, resume).await
}

fn token() -> Token {
    seal::random()
}

/// Tells the sender why this run cannot go on, if that is not its own fault. The sender may be here only to say that
/// the transfer is cancelled, so what it still says is heard.
async fn stuck(item: &Arc<Item>, mut control: Control<FromSender>, broken: Broken) -> Result<End, Broken> {
    match broken {
        Broken::Stuck(reason, problem) => {
            control.send(&FromReceiver::Stuck(reason.clone()));
            let hear_cancel = async {
                while let Ok(message) = control.next().await {
                    if let FromSender::Cancel(_) = message {
                        return true;
                    }
                }
                false
            };
            let cancel = tokio::time::timeout(GOODBYE, hear_cancel).await.unwrap_or(false);
            control.finish().await;
            if cancel {
                return cancelled(item);
            }
            Ok(End::Stuck(reason, problem))
        }
        broken => Err(broken),
    }
}

fn unwritable(error: LandingError) -> Broken {
    let reason = match error {
        LandingError::DiskFull { .. } => Reason::DiskFull(0),
        LandingError::Denied { .. } => Reason::Denied,
        _ => Reason::Other("cannot write".into()),
    };
    Broken::Stuck(reason, error.to_string())
}

/// Opens the landing folder and the tree under construction.
async fn begin(item: &Item, accepted: &Accepted) -> Result<Building, Broken> {
    let (to, id) = (accepted.folder(), item.id.0);
    blocking(move || Landing::open(&to)?.begin(&id)).await
}

/// Sees that there is room, and has it promised.
async fn room(item: &Arc<Item>, building: Building) -> Result<(Building, Promise), Broken> {
    let item = item.clone();
    let found = blocking(move || {
        Ok(match Promise::of(&item, &building)? {
            Ok(promise) => Ok((building, promise)),
            Err(short) => {
                if !building.is_resumed() {
                    let _ = building.abandon();
                }
                Err(short)
            }
        })
    });
    found.await?.map_err(|short| {
        let needed = format!("{} MiB more are needed", short.bytes.div_ceil(1 << 20));
        let problem = match short.shared {
            true => format!("there is no room beside other transfers that are under way: {needed}"),
            false => format!("the disk is full: {needed}"),
        };
        Broken::Stuck(Reason::DiskFull(short.bytes), problem)
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LandingError> + Send + 'static,
) -> Result<T, Broken> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(unwritable),
        Err(error) => Err(Broken::Stuck(Reason::Other("failed".into()), error.to_string())),
    }
}

/// Makes everything durable and puts it in its place; the transfer is then done for this side.
async fn land(item: &Arc<Item>, building: Building) -> Result<(), Broken> {
    let landed = blocking(move || building.finish()).await?;
    let receipt = item.record().accepted.and_then(|accepted| accepted.landing);
    let Some(receipt) = receipt else {
        return Err(Broken::Stuck(Reason::Other("failed".into()), "the landing was not noted".into()));
    };
    let signature = item.deps.host.sign(&receipt.to_bytes());
    {
        let mut inner = item.lock();
        inner.record.landed = landed.paths().iter().map(|path| path.display().to_string()).collect();
        inner.record.receipt = Some(SignedReceipt { receipt, signature });
        inner.live.done = receipt.done;
    }
    let took = item.lock().live.started.map_or(Duration::ZERO, |started| started.elapsed());
    item.end(Ended::Done, None);
    // Stored before it is acknowledged.
    item.persist().await?;
    let (files, bytes, took_ms) = (receipt.done.files, receipt.done.bytes, took.as_millis() as u64);
    item.happened(What::Done { files, bytes, took_ms });
    blocking(move || landed.settle()).await?;
    Ok(())
}

/// Sends the receipt and waits until the sender has closed.
pub(super) async fn farewell(item: &Item, mut control: Control<FromSender>) -> Result<End, Broken> {
    if let Some(receipt) = item.record().receipt {
        control.send(&FromReceiver::Receipt(receipt));
    }
    let _ = tokio::time::timeout(GOODBYE, async { while control.next().await.is_ok() {} }).await;
    control.finish().await;
    Ok(End::Over)
}

/// The state of a run after the acceptance.
struct Run {
    item: Arc<Item>,
    intake: Arc<Intake>,
    control: Control<FromSender>,
    token: Token,
    lanes: JoinSet<Result<(), Broken>>,
    failing: Failing,
    lanes_seen: usize,
    /// A parcel from the control stream that waits for a buffer, and until when. Nothing more is read before it.
    inline: Option<(ByteBuf, Moment)>,
    parcels: mpsc::UnboundedSender<Parcel>,
    chores: std::sync::mpsc::Sender<Chore>,
    /// In a resumed run: what earlier runs left and is not listed any more.
    leftovers: Option<Leftovers>,
    threads: Vec<JoinHandle<()>>,
    guard: Threads,
    land: bool,
    end: Option<End>,
}

/// Why a run stops listening.
enum Exit {
    /// Everything arrived.
    Land,
    /// It is over, or cannot go on.
    End(End),
}

/// Ends the threads of a run however it ends.
struct Threads(Arc<Intake>);

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Run {
    fn begin(
        item: Arc<Item>,
        engine: Receiver,
        building: Building,
        control: Control<FromSender>,
        token: Token,
    ) -> Self {
        let leftovers = building.is_resumed().then(Leftovers::default);
        let intake = Arc::new(Intake::new(engine, building, Pool::new(BUFFERS)));
        let (parcels, from_lanes) = mpsc::unbounded_channel();
        let from_lanes = Arc::new(Mutex::new(from_lanes));
        let (chores, to_do) = std::sync::mpsc::channel();
        let worker = intake.clone();
        let mut threads = vec![spawn_blocking(move || worker.work(&to_do))];
        for _ in 0..WRITERS {
            let (writer, queue) = (intake.clone(), from_lanes.clone());
            threads.push(spawn_blocking(move || writer.write(&queue)));
        }
        let (lanes, guard) = (JoinSet::new(), Threads(intake.clone()));
        Self {
            item,
            intake,
            control,
            token,
            lanes,
            failing: Failing::default(),
            lanes_seen: 0,
            inline: None,
            parcels,
            chores,
            leftovers,
            threads,
            guard,
            land: false,
            end: None,
        }
    }

    /// Runs to the end; whatever it is, lanes and threads are gone before this returns, and the tree is free for the
    /// next run.
    async fn drive(mut self, commands: &mut mpsc::UnboundedReceiver<Command>, resume: bool) -> Result<End, Broken> {
        if resume {
            self.item.happened(What::Resumed);
        }
        match self.attend(commands).await {
            Ok(Exit::Land) => self.finish().await,
            Ok(Exit::End(end)) => {
                let (_, _, control) = self.wind_up().await;
                control.finish().await;
                Ok(end)
            }
            Err(broken) => {
                let (item, intake, control) = self.wind_up().await;
                // Both sides show the same share while it waits.
                if let (Broken::Stuck(..), Some(intake)) = (&broken, intake) {
                    let mut engine = intake.engine();
                    engine.last_report().iter().for_each(|report| control.send(report));
                    let done = engine.done();
                    item.live(|live| live.done = done);
                }
                stuck(&item, control, broken).await
            }
        }
    }

    async fn attend(&mut self, commands: &mut mpsc::UnboundedReceiver<Command>) -> Result<Exit, Broken> {
        let record = self.item.record();
        if record.paused {
            self.obey(Command::Pause(true))?;
        }
        if record.limit.is_some() {
            self.obey(Command::Limit(record.limit))?;
        }
        let intake = self.intake.clone();
        loop {
            let wake_at = self.act()?;
            // What comes after the end of a run fails.
            if let Some(end) = self.end.take() {
                return Ok(Exit::End(end));
            }
            if let Some(broken) = intake.failure() {
                return Err(broken);
            }
            if self.land {
                return Ok(Exit::Land);
            }
            let pause = wake_at.map(|at| at.saturating_sub(self.item.deps.clock()));
            tokio::select! {
                message = self.control.next(), if self.inline.is_none() => {
                    let message = message.map_err(|broken| self.failing.or(broken))?;
                    self.hear(message)?;
                }
                command = commands.recv() => self.obey(command.unwrap_or(Command::Yield))?,
                buffer = buffer_for(&self.inline, &intake.pool) => self.place(buffer?),
                () = intake.wake.notified() => {}
                () = sleep(pause) => {}
                Some(lane) = self.lanes.join_next() => self.failing.lane(lane),
                broken = self.failing.wait() => return Err(broken),
            }
        }
    }

    fn hear(&mut self, message: FromSender) -> Result<(), Broken> {
        if let FromSender::Parcel(bytes) = message {
            if !self.intake.engine().is_running() {
                return Err(Misbehaved::LaneNotGranted.into());
            }
            self.inline = Some((bytes, Moment::now() + PLACING));
            return Ok(());
        }
        let leftovers = self.leftovers.as_mut().map(|leftovers| leftovers.note(&message)).unwrap_or_default();
        self.intake.engine().handle(message)?;
        self.intake.tell();
        for chore in leftovers {
            let _ = self.chores.send(chore);
        }
        Ok(())
    }

    /// Hands a parcel from the control stream to the writers.
    fn place(&mut self, buffer: Option<Parcel>) {
        if let (Some((bytes, _)), Some(mut parcel)) = (self.inline.take(), buffer) {
            parcel.push(&bytes);
            let _ = self.parcels.send(parcel);
        }
    }

    fn obey(&mut self, command: Command) -> Result<(), Broken> {
        match command {
            Command::Pause(paused) => {
                self.control.send(&if paused { FromReceiver::Pause } else { FromReceiver::Resume });
                self.item.happened(if paused { What::Paused } else { What::Resumed });
                self.item.show_pause(|_| {});
            }
            Command::Limit(limit) => self.control.send(&FromReceiver::Limit(limit)),
            Command::Cancel => {
                self.control.send(&FromReceiver::Cancel(Reason::Asked));
                self.end = Some(End::Over);
            }
            Command::Yield => self.end = Some(End::Yielded),
            Command::Lane(stream) => self.lane(stream)?,
            Command::Decided => {}
        }
        Ok(())
    }

    fn lane(&mut self, stream: Stream) -> Result<(), Broken> {
        self.lanes_seen += 1;
        if self.lanes_seen > LANES {
            return Err(Misbehaved::LaneNotGranted.into());
        }
        let (token, pool, parcels) = (self.token, self.intake.pool.clone(), self.parcels.clone());
        let moved = self.item.lock().moved.clone();
        self.lanes.spawn(async move {
            let Stream { send, mut recv } = stream;
            if read_token(&mut recv).await? != token {
                return Err(Misbehaved::LaneNotGranted.into());
            }
            let read = read_lane(recv, pool, parcels, moved).await;
            drop(send);
            read
        });
        Ok(())
    }

    /// Does what the engine wants; gives the time at which it wants to be asked again.
    fn act(&mut self) -> Result<Option<Duration>, Broken> {
        loop {
            let action = self.intake.engine().poll(self.item.deps.clock());
            match action {
                None => break,
                Some(ReceiverAction::Send(message)) => self.control.send(&message),
                Some(ReceiverAction::Do(effect)) => {
                    let _ = self.chores.send(Chore::Effect(effect));
                }
                Some(ReceiverAction::Warn { path, reason }) => self.item.failed(&path.to_string(), &in_words(&reason)),
                Some(ReceiverAction::Land) => self.land = true,
                Some(ReceiverAction::Paused(paused)) => {
                    self.item.happened(if paused { What::Paused } else { What::Resumed });
                    self.item.show_pause(|live| live.paused_there = paused);
                }
                Some(ReceiverAction::Over) => self.end = Some(over(&self.item, &self.control)),
                Some(ReceiverAction::Cancelled(_)) => self.end = Some(cancelled(&self.item)?),
            }
        }
        let engine = self.intake.engine();
        let ((found, scanned), done, wake_at) = (engine.announced(), engine.done(), engine.wake_at());
        let (wire, kept) = (engine.wire(), engine.kept());
        drop(engine);
        self.item.live(|live| {
            (live.found, live.scanned, live.done) = (found, scanned, done);
            (live.wire, live.kept) = (wire, kept);
        });
        Ok(wake_at)
    }

    /// Ends lanes and threads and waits for them. Gives what is left of the run.
    async fn wind_up(self) -> (Arc<Item>, Option<Intake>, Control<FromSender>) {
        let Self { item, intake, control, mut lanes, parcels, chores, threads, guard, .. } = self;
        drop(guard);
        lanes.shutdown().await;
        drop((parcels, chores));
        for thread in threads {
            let _ = thread.await;
        }
        (item, Arc::into_inner(intake), control)
    }

    /// Everything arrived.
    async fn finish(self) -> Result<End, Broken> {
        self.item.state(TransferState::Finishing);
        let me_sender = *self.item.peer.as_bytes();
        let receipt = self.intake.engine().landed(me_sender, now_ms());
        let (item, intake, control) = self.wind_up().await;
        let Some(intake) = intake else {
            return Err(Broken::Stuck(Reason::Other("failed".into()), "a writer is still at work".into()));
        };
        if let Some(accepted) = &mut item.lock().record.accepted {
            accepted.landing = Some(receipt);
        }
        item.persist().await?;
        let landed = async {
            let (building, problems) = blocking(move || intake.into_building()).await?;
            for problem in problems {
                item.left_out("a link or a folder's time", &problem);
            }
            land(&item, building).await
        };
        match landed.await {
            Ok(()) => farewell(&item, control).await,
            Err(broken) => stuck(&item, control, broken).await,
        }
    }
}

/// A buffer for what waits, as soon as there is one; never, if nothing waits.
async fn buffer_for(waiting: &Option<(ByteBuf, Moment)>, pool: &Pool) -> Result<Option<Parcel>, Broken> {
    match waiting {
        Some((_, until)) => timeout_at(*until, pool.take())
            .await
            .map_err(|_| Broken::Cut(io::Error::new(io::ErrorKind::TimedOut, "content could not be placed"))),
        None => std::future::pending().await,
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// Removes what an accepted transfer left under construction, in the background.
pub(super) fn discard(item: &Item) {
    let accepted = item.record().accepted;
    remove_all(accepted.map(|accepted| (accepted.folder(), item.id)).into_iter().collect());
}

/// The same for several.
pub(super) fn remove_all(left: Vec<(PathBuf, TransferId)>) {
    if left.is_empty() {
        return;
    }
    spawn_blocking(move || {
        for (to, id) in left {
            if let Err(error) = Landing::discard(&to, &id.0) {
                tracing::warn!(%error, "what was left of a transfer could not be removed");
            }
        }
    });
}
