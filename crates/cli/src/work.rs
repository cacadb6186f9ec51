//! Follows work of the device in a space until it ends. Ctrl-C ends the work itself: what is done stays.
//!
//! Events drive it, as in [`crate::watch`]; because an event may be lost, the list is asked for whenever nothing was heard
//! for a while.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use api::types::{ById, Event, Job, JobState, Nothing};
use api::{ApiError, ApiResult, ErrorCode, EventStream, Service};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::exit::{Failure, INTERRUPTED, Outcome, exit_code};
use crate::print::bars::Progress;
use crate::print::{Watched, job_ending};

/// After so much silence the list is asked for.
const ASK_AFTER: Duration = Duration::from_secs(2);

/// How long contents that are on no device that is online are waited for, unless the user says otherwise.
pub(crate) const AWAY: Duration = Duration::from_secs(30);

/// How long work may take to end once it was told to.
const ENDING: Duration = Duration::from_secs(10);

/// Why following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The work has ended.
    Final,
    /// Nobody who has the contents came in time.
    Away,
    /// Ctrl-C.
    Interrupted,
}

/// The last line of the JSON stream.
#[derive(Serialize)]
struct Summary<'a> {
    kind: &'static str,
    job: &'a Job,
}

/// Follows `job` to its end and says how it ended.
pub(crate) async fn follow(
    cx: &mut Context,
    service: &Arc<dyn Service>,
    events: EventStream,
    job: Job,
    patience: Duration,
) -> Outcome {
    let mut progress = Progress::new(cx);
    let followed = watch(cx, service, events, job, patience, &mut progress).await;
    progress.clear();
    let (mut job, end) = followed?;
    if end != End::Final {
        job = stop(service, job).await?;
    }
    if cx.json {
        cx.json_line(&Summary { kind: "result", job: &job });
    } else if !cx.quiet || code_of(&job, end) != 0 {
        let text = job_ending(&cx.page(), &job);
        cx.say(&text);
    }
    if end == End::Away {
        cx.note("Nobody who has the rest came online in time; what is done stays. `--patience 1h` waits longer.");
    } else if end == End::Interrupted && job.state == JobState::Cancelled {
        cx.note("Ended by you. What is done stays; the same command does the rest.");
    }
    match code_of(&job, end) {
        0 => Ok(()),
        code => Err(Failure::Said(code)),
    }
}

/// Follows it until it ends, or nothing can be expected of it.
async fn watch(
    cx: &mut Context,
    service: &Arc<dyn Service>,
    mut events: EventStream,
    job: Job,
    patience: Duration,
    progress: &mut Progress,
) -> ApiResult<(Job, End)> {
    let (id, begun) = (job.id.clone(), Instant::now());
    let mut watched = Watched { before: job.bytes_done, seconds: 0.0, job };
    let mut waits_since = None;
    let mut interrupted = pin!(cx.terminal.interrupted());
    loop {
        progress.update(cx, &watched);
        if is_final(watched.job.state) {
            return Ok((watched.job, End::Final));
        }
        waits_since = (watched.job.state == JobState::Waiting).then(|| waits_since.unwrap_or_else(Instant::now));
        if waits_since.is_some_and(|since| since.elapsed() >= patience) {
            return Ok((watched.job, End::Away));
        }
        let left = waits_since.map_or(ASK_AFTER, |since| patience.saturating_sub(since.elapsed()));
        let news = tokio::select! {
            event = events.next() => event,
            () = sleep(left.min(ASK_AFTER)) => Some(Event::Lost { count: 0 }),
            () = &mut interrupted => return Ok((watched.job, End::Interrupted)),
        };
        watched.job = match news {
            Some(Event::Job(news)) if news.id == id => *news,
            Some(Event::Lost { .. }) => stands(service, &id).await?,
            Some(_) => continue,
            None => {
                // A device that stops closes the stream; asking again says so.
                sleep(ASK_AFTER / 10).await;
                events = service.events().await?;
                stands(service, &id).await?
            }
        };
        watched.seconds = begun.elapsed().as_secs_f64();
    }
}

/// How the work stands now.
async fn stands(service: &Arc<dyn Service>, id: &str) -> ApiResult<Job> {
    let known = service.jobs(Nothing {}).await?.into_iter().find(|job| job.id == *id);
    known.ok_or_else(|| {
        ApiError::new(ErrorCode::Cancelled, "the device was stopped meanwhile, and the work with it")
            .hint("what is done stays; the same command does the rest")
    })
}

/// Ends the work and waits until it has.
async fn stop(service: &Arc<dyn Service>, job: Job) -> ApiResult<Job> {
    let deadline = Instant::now() + ENDING;
    let mut job = service.cancel_job(ById { id: job.id }).await?;
    while !is_final(job.state) && Instant::now() < deadline {
        sleep(ASK_AFTER / 20).await;
        job = stands(service, &job.id).await?;
    }
    Ok(job)
}

/// True when nothing more will happen.
fn is_final(state: JobState) -> bool {
    matches!(state, JobState::Done | JobState::Failed | JobState::Cancelled)
}

/// Exit code.
fn code_of(job: &Job, end: End) -> u8 {
    match (job.state, end) {
        (JobState::Done, _) if job.files_failed > 0 => exit_code(ErrorCode::Io),
        (JobState::Done, _) => 0,
        (JobState::Failed, _) => exit_code(job.problem.as_ref().map_or(ErrorCode::Internal, |problem| problem.code)),
        (_, End::Away) => exit_code(ErrorCode::Unreachable),
        (_, _) => INTERRUPTED,
    }
}
