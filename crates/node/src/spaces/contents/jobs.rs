//! Work that takes time: a thread each, progress as events, ended in order.
//!
//! Invariants: what a job says of itself is told at most five times a second, and always when it has ended; when the
//! registry has stopped, no thread of a job is left, so none holds a key.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use api::types::{Event, Job, JobProblem, JobState, TreePath};
use api::{ApiError, ApiResult, ErrorCode, EventHub};
use data_encoding::HEXLOWER;

use super::fault::ContentFault;
use crate::clock;
use crate::errors::internal;

/// How often a job tells how far it is, at most.
const EVERY: Duration = Duration::from_millis(200);
/// How long, and how many, ended jobs are listed.
const LISTED: (Duration, usize) = (Duration::from_secs(3600), 100);
/// Warnings and things made that are listed.
const NAMED: usize = 100;

/// See the module.
pub(crate) struct Jobs {
    hub: EventHub,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    jobs: VecDeque<Entry>,
    /// Nothing begins any more.
    closed: bool,
}

struct Entry {
    progress: Progress,
    thread: Option<JoinHandle<()>>,
}

/// What a job tells of itself. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Shared>);

struct Shared {
    hub: EventHub,
    job: Mutex<Told>,
    cancelled: AtomicBool,
}

struct Told {
    job: Job,
    at: Option<Instant>,
    ended: Option<Instant>,
}

impl Progress {
    pub(super) fn new(kind: &str, space: &str, hub: EventHub) -> Self {
        let job = Job {
            id: HEXLOWER.encode(&seal::random::<8>()),
            kind: kind.to_owned(),
            space: space.to_owned(),
            state: JobState::Running,
            files_total: 0,
            files_done: 0,
            files_same: 0,
            bytes_total: 0,
            bytes_done: 0,
            scanned: false,
            started_at: clock::now().0,
            ended_at: None,
            problem: None,
            warnings: Vec::new(),
            files_failed: 0,
            made: Vec::new(),
        };
        let told = Mutex::new(Told { job, at: None, ended: None });
        Self(Arc::new(Shared { hub, job: told, cancelled: AtomicBool::new(false) }))
    }

    /// Of work that is no job: nobody is told of it.
    pub(crate) fn silent() -> Self {
        Self::new("", "", EventHub::default())
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known now.
    pub(crate) fn job(&self) -> Job {
        self.told().job.clone()
    }

    /// Notes how far it is.
    pub(super) fn note(&self, change: impl FnOnce(&mut Job)) {
        let mut told = self.told();
        change(&mut told.job);
        if told.at.is_none_or(|at| at.elapsed() >= EVERY) {
            told.at = Some(Instant::now());
            self.0.hub.send(Event::Job(Box::new(told.job.clone())));
        }
    }

    /// A file is left out.
    pub(super) fn warn(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(|job| {
            job.files_failed += 1;
            if job.warnings.len() < NAMED {
                job.warnings.push(what);
            }
        });
    }

    /// Something at the top is made.
    pub(super) fn made(&self, path: TreePath) {
        self.note(|job| {
            if job.made.len() < NAMED && !job.made.contains(&path) {
                job.made.push(path);
            }
        });
    }

    /// Whether it goes on.
    ///
    /// # Errors
    /// [`ContentFault::Cancelled`].
    pub(crate) fn go_on(&self) -> Result<(), ContentFault> {
        if self.is_cancelled() { Err(ContentFault::Cancelled) } else { Ok(()) }
    }

    pub(super) fn bytes_done(&self) -> u64 {
        self.told().job.bytes_done
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }

    pub(crate) fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    fn end(&self, outcome: ApiResult<()>) {
        let mut told = self.told();
        told.ended = Some(Instant::now());
        told.job.ended_at = Some(clock::now().0);
        told.job.state = match &outcome {
            Ok(()) => JobState::Done,
            Err(error) if error.code == ErrorCode::Cancelled => JobState::Cancelled,
            Err(_) => JobState::Failed,
        };
        told.job.problem = outcome.err().filter(|error| error.code != ErrorCode::Cancelled).map(|error| JobProblem {
            code: error.code,
            message: error.message,
            hint: error.hint,
        });
        self.0.hub.send(Event::Job(Box::new(told.job.clone())));
    }

    fn is_over(&self) -> bool {
        self.told().ended.is_some()
    }
}

impl Jobs {
    /// None yet.
    pub(crate) fn new(hub: EventHub) -> Self {
        Self { hub, list: Mutex::default() }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts work, and answers at once.
    ///
    /// # Errors
    /// The device is being locked; there is no thread to be had.
    pub(crate) fn start(
        &self,
        kind: &str,
        space: &str,
        work: impl FnOnce(&Progress) -> Result<(), ContentFault> + Send + 'static,
    ) -> ApiResult<Job> {
        let mut list = self.list();
        if list.closed {
            return Err(ApiError::new(ErrorCode::Locked, "the device is being locked or stopped"));
        }
        list.tidy();
        let progress = Progress::new(kind, space, self.hub.clone());
        let (job, inner) = (progress.job(), progress.clone());
        let run = move || {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&inner)));
            inner.end(match done {
                Ok(done) => done.map_err(ApiError::from),
                Err(_) => Err(internal("the work ended badly")),
            });
        };
        let thread = std::thread::Builder::new().name(format!("warren-{kind}")).spawn(run).map_err(internal)?;
        list.jobs.push_back(Entry { progress, thread: Some(thread) });
        Ok(job)
    }

    /// Those that run, and what ended lately; the oldest first.
    pub(crate) fn all(&self) -> Vec<Job> {
        let mut list = self.list();
        list.tidy();
        list.jobs.iter().map(|entry| entry.progress.job()).collect()
    }

    /// Ends one, between two files; what is done stays.
    ///
    /// # Errors
    /// There is no such job.
    pub(crate) fn cancel(&self, id: &str) -> ApiResult<Job> {
        let list = self.list();
        let found = list.jobs.iter().find(|entry| entry.progress.told().job.id == id);
        let entry = found.ok_or_else(|| {
            ApiError::new(ErrorCode::NotFound, format!("there is no work with the id {id}"))
                .hint("`warren jobs` lists what runs and what ended lately")
        })?;
        entry.progress.cancel();
        Ok(entry.progress.job())
    }

    /// Ends all and waits for their threads. Blocking. Nothing begins after that.
    pub(crate) fn stop(&self) {
        let threads: Vec<_> = {
            let mut list = self.list();
            list.closed = true;
            list.jobs
                .iter_mut()
                .filter_map(|entry| {
                    entry.progress.cancel();
                    entry.thread.take()
                })
                .collect()
        };
        for thread in threads {
            // What it panicked with was caught inside.
            let _ = thread.join();
        }
    }

    #[cfg(test)]
    pub(super) fn wait(&self, id: &str) -> Job {
        loop {
            let found = self.all().into_iter().find(|job| job.id == id).expect("the job is listed");
            if found.ended_at.is_some() {
                return found;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl List {
    /// Forgets what ended long ago, and more than are listed.
    fn tidy(&mut self) {
        self.jobs.retain(|entry| entry.progress.told().ended.is_none_or(|ended| ended.elapsed() < LISTED.0));
        let mut ended = self.jobs.iter().filter(|entry| entry.progress.is_over()).count();
        while ended > LISTED.1 {
            if let Some(at) = self.jobs.iter().position(|entry| entry.progress.is_over()) {
                self.jobs.remove(at);
            }
            ended -= 1;
        }
    }
}
