//! One folder that is kept in step: a thread that wakes when either side changes.

mod rounds;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use logic::space::Node;
use logic::transfer::path::RelPath;
use store::folder::{Dirty, Folder, Rules, Watch};
use tokio::sync::watch;

use super::base::FolderId;
use super::{FolderFault, Hands};
use crate::clock;
use crate::spaces::Kept;
use crate::spaces::space::Listener;

/// A program that writes several files is waited for so long, from its last change on.
const QUIET: Duration = Duration::from_millis(150);
/// But no longer than this.
const RESTLESS: Duration = Duration::from_secs(2);
/// After this time everything is looked at, for what the system did not tell of.
const EVERYTHING: Duration = Duration::from_secs(3600);
/// The same where the system cannot watch.
const UNWATCHED: Duration = Duration::from_secs(60);
/// After this time the system watches a directory that is new.
const WATCHED: Duration = Duration::from_secs(1);
/// When something failed or contents are still to come, it is tried again after this time, and then after twice as much.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Rounds that follow each other because something changed meanwhile.
const ROUNDS: usize = 8;

/// How a folder stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    pub(super) working: bool,
    /// Contents that are on other devices.
    pub(super) waiting: u64,
    pub(super) in_step_at: Option<i64>,
    pub(super) problem: Option<String>,
    pub(super) warnings: Vec<String>,
    pub(super) done: u64,
}

/// What wakes it.
#[derive(Default)]
struct Signals {
    stop: bool,
    woken: bool,
    /// Rounds that were asked for.
    asked: u64,
}

/// See the module.
pub(super) struct Keeper {
    pub(super) id: FolderId,
    pub(super) path: PathBuf,
    pub(super) kept: Arc<Kept>,
    pub(super) top: Node,
    /// It wakes by itself, not only when asked.
    pub(super) watch: bool,
    pub(super) hands: Hands,
    signals: Mutex<Signals>,
    signal: Condvar,
    standing: Mutex<Standing>,
    /// Rounds that were asked for and are done.
    answered: watch::Sender<u64>,
}

/// What is held while the folder is open.
pub(super) struct Open {
    folder: Folder,
    watch: Option<Watch>,
    pub(super) listener: Arc<Listener>,
    rules: Rules,
    /// What is wrong with them.
    bad_rules: Vec<String>,
    /// What could not be looked at in the end, as somebody writes there without a pause.
    left: Dirty,
    /// Directories that are new, to be looked at once more.
    fresh: BTreeSet<Option<RelPath>>,
}

impl Keeper {
    pub(super) fn new(id: FolderId, path: PathBuf, kept: Arc<Kept>, top: Node, watch: bool, hands: Hands) -> Arc<Self> {
        let (signals, signal, standing) = Default::default();
        let answered = watch::Sender::new(0);
        Arc::new(Self { id, path, kept, top, watch, hands, signals, signal, standing, answered })
    }

    fn signals(&self) -> MutexGuard<'_, Signals> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn standing_mut(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing_mut().clone()
    }

    /// Ends the thread, which stops between files.
    pub(super) fn stop(&self) {
        self.signals().stop = true;
        self.hands.progress.cancel();
        self.signal.notify_all();
        // Whoever waits for an answer gets none.
        self.answered.send_replace(u64::MAX);
    }

    pub(super) fn stopped(&self) -> bool {
        self.signals().stop
    }

    fn wake(&self) {
        self.signals().woken = true;
        self.signal.notify_all();
    }

    /// Asks for a round; the number to wait for.
    pub(super) fn ask(&self) -> (u64, watch::Receiver<u64>) {
        let mut signals = self.signals();
        signals.asked += 1;
        self.signal.notify_all();
        (signals.asked, self.answered.subscribe())
    }

    /// The thread.
    pub(super) fn run(self: &Arc<Self>) {
        let mut pause = AGAIN.0;
        while !self.stopped() {
            let begun = Instant::now();
            let kept = self.keep();
            let asked = self.signals().asked;
            match kept {
                Ok(()) | Err(FolderFault::Stopped) => {}
                Err(fault) => {
                    tracing::debug!(folder = %self.path.display(), error = %fault, "a folder is not in step");
                    let mut standing = self.standing_mut();
                    (standing.working, standing.problem) = (false, Some(api::ApiError::from(fault).to_string()));
                }
            }
            self.answer(asked);
            if begun.elapsed() > AGAIN.1 {
                pause = AGAIN.0;
            }
            self.sleep(pause);
            pause = (pause * 2).min(AGAIN.1);
        }
    }

    fn answer(&self, asked: u64) {
        self.answered.send_modify(|answered| *answered = asked.max(*answered));
    }

    fn sleep(&self, time: Duration) {
        let (signals, done) = (self.signals(), *self.answered.borrow());
        drop(self.signal.wait_timeout_while(signals, time, |signals| !signals.stop && signals.asked <= done));
    }

    /// Keeps the folder in step until something fails or it is stopped.
    fn keep(self: &Arc<Self>) -> Result<(), FolderFault> {
        let mut open = self.open()?;
        let (mut dirty, mut touched) = (Dirty { all: true, ..Dirty::default() }, None);
        let (mut pause, mut looked) = (AGAIN.0, Instant::now());
        loop {
            let asked = self.signals().asked;
            if asked > *self.answered.borrow() {
                dirty.all = true;
                touched = None;
            }
            self.standing_mut().working = true;
            let (waiting, later) = self.rounds(&mut open, dirty, touched)?;
            self.settle(waiting);
            self.answer(asked);
            pause = if waiting > 0 { (pause * 2).min(AGAIN.1) } else { AGAIN.0 };
            let everything = if open.watch.is_some() { EVERYTHING } else { UNWATCHED };
            let idle = if waiting > 0 { pause } else { everything };
            let idle = if open.fresh.is_empty() { idle } else { idle.min(WATCHED) };
            let woken = self.wait(if self.watch { idle } else { Duration::MAX });
            if self.stopped() {
                return Ok(());
            }
            dirty = open.watch.as_ref().map(Watch::take).unwrap_or_default();
            dirty.merge(std::mem::take(&mut open.left));
            let mut heard = open.listener.take().dirs;
            heard.extend(later);
            touched = Some(heard);
            let fresh = if woken { BTreeSet::new() } else { std::mem::take(&mut open.fresh) };
            let settled = !woken && waiting == 0 && fresh.is_empty();
            dirty.dirs.extend(fresh);
            if settled || looked.elapsed() >= everything {
                (dirty.all, touched, looked) = (true, None, Instant::now());
            }
        }
    }

    fn settle(&self, waiting: u64) {
        let mut standing = self.standing_mut();
        (standing.working, standing.waiting, standing.problem) = (false, waiting, None);
        if waiting == 0 {
            standing.in_step_at = Some(clock::now().0);
        }
    }

    pub(super) fn open(self: &Arc<Self>) -> Result<Open, FolderFault> {
        let folder = Folder::open(&self.path)?;
        let weak = Arc::downgrade(self);
        let wake = move || {
            if let Some(keeper) = weak.upgrade() {
                keeper.wake();
            }
        };
        let listener = self.kept.space.listen(wake.clone());
        let watch = match self.watch.then(|| Watch::new(&self.path, wake)) {
            Some(Err(error)) => {
                tracing::info!(folder = %self.path.display(), %error, "a folder cannot be watched");
                None
            }
            watch => watch.and_then(Result::ok),
        };
        let (rules, bad_rules) = folder.rules()?;
        Ok(Open { folder, watch, listener, rules, bad_rules, left: Dirty::default(), fresh: BTreeSet::new() })
    }

    /// Waits until something happens, and then until it is quiet. False: nothing happened in that time.
    fn wait(&self, idle: Duration) -> bool {
        let done = *self.answered.borrow();
        let calm = |signals: &mut Signals| !signals.stop && !signals.woken && signals.asked <= done;
        let signals = self.signals();
        let (mut signals, idled) = match idle {
            Duration::MAX => {
                // Only when asked.
                let calm = |signals: &mut Signals| !signals.stop && signals.asked <= done;
                (self.signal.wait_while(signals, calm).unwrap_or_else(PoisonError::into_inner), false)
            }
            idle => {
                let (signals, outcome) =
                    self.signal.wait_timeout_while(signals, idle, calm).unwrap_or_else(PoisonError::into_inner);
                (signals, outcome.timed_out())
            }
        };
        let until = Instant::now() + RESTLESS;
        while signals.woken && !signals.stop && signals.asked <= done && Instant::now() < until {
            signals.woken = false;
            let waited = self.signal.wait_timeout_while(signals, QUIET, calm).unwrap_or_else(PoisonError::into_inner);
            signals = waited.0;
        }
        signals.woken = false;
        !idled
    }
}
