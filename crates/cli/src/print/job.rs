//! Work in spaces: bars while it runs, how it ended, the list.

use api::types::{Job, JobState};
use serde::Serialize;

use super::bars::{Moving, Standing, in_the_way};
use super::{Page, Show, Table, Tone, clean, clean_text};
use crate::units::{count, rate, size, span};

/// Work that is followed.
pub(crate) struct Watched {
    pub(crate) job: Job,
    /// Bytes that were done when following began.
    pub(crate) before: u64,
    /// How long ago that was.
    pub(crate) seconds: f64,
}

/// What scripts are shown while it runs.
#[derive(Serialize)]
pub(crate) struct JobLine<'a> {
    job: &'a Job,
}

impl Watched {
    /// Bytes per second on average, once that can be told.
    fn rate(&self) -> Option<u64> {
        let done = self.job.bytes_done.saturating_sub(self.before);
        (self.seconds >= 0.5 && done > 0).then(|| (done as f64 / self.seconds) as u64)
    }

    fn problem(&self) -> Option<&str> {
        self.job.problem.as_ref().map(|problem| problem.message.as_str())
    }
}

impl Moving for Watched {
    type Line<'a> = JobLine<'a>;

    fn id(&self) -> &str {
        &self.job.id
    }

    fn name(&self) -> &str {
        &self.job.space
    }

    fn percent(&self) -> u64 {
        percent(&self.job)
    }

    fn message(&self, all: bool) -> String {
        let job = &self.job;
        let more = if job.scanned { "" } else { "+" };
        let mut amount = format!("{} of {}{more}", size(job.bytes_done), size(job.bytes_total));
        if all && (job.files_total > 1 || !job.scanned) {
            amount.push_str(&format!(", {} of {}{more} files", job.files_done, job.files_total));
        }
        match (job.state, self.rate()) {
            (JobState::Running, Some(speed)) => {
                let left = job.bytes_total.saturating_sub(job.bytes_done) / speed.max(1);
                let left = if job.scanned { format!(", {} left", span(left)) } else { String::new() };
                let phase = if all && !job.scanned { ", still looking for files" } else { "" };
                format!("{amount}, {}{left}{phase}", rate(speed))
            }
            (JobState::Running, None) => amount,
            _ => format!("{amount}, {}{}", state(job), in_the_way(self.problem())),
        }
    }

    fn standing(&self) -> Option<Standing> {
        // Work that just runs needs no line: it ends with one.
        (self.job.state == JobState::Waiting).then(|| Standing {
            headline: headline(&self.job),
            problem: self.problem().map(str::to_owned),
            moves: false,
        })
    }

    fn line(&self) -> JobLine<'_> {
        JobLine { job: &self.job }
    }
}

/// Work that runs, and what ended lately.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct JobList(pub(crate) Vec<Job>);

impl Show for JobList {
    fn human(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("Nothing is at work in spaces.");
            return;
        }
        let mut table = Table::new(page, &["ID", "WHAT", "SPACE", "STATE", ">FILES", ">SIZE", ">DONE", "BEGUN"]);
        for job in &self.0 {
            table.row([
                (None, job.id.chars().take(8).collect()),
                (None, job.kind.clone()),
                (Some(Tone::Strong), job.space.clone()),
                (Some(tone(job)), state(job).to_owned()),
                (None, job.files_total.to_string()),
                (None, size(job.bytes_total)),
                (None, format!("{}%", percent(job))),
                (None, page.relative(job.started_at)),
            ]);
        }
        table.put(page);
    }
}

impl Show for Job {
    fn human(&self, page: &mut Page) {
        page.line(job_ending(page, self));
    }
}

/// How work stands or ended, with warnings and what it made: one line or more, without a final line end.
pub(crate) fn job_ending(page: &Page, job: &Job) -> String {
    let mut text = format!("{} {}", page.paint(tone(job), mark(job)), headline(job));
    if job.state != JobState::Failed || job.files_done > 0 {
        text.push_str(&format!(", {} in {}", size(job.bytes_done), count(job.files_done, "file")));
    }
    if job.files_same > 0 {
        text.push_str(&format!(", {} the same already", job.files_same));
    }
    if let Some(problem) = &job.problem {
        text.push_str(&format!(": {}", clean_text(&problem.message)));
        if let Some(hint) = &problem.hint {
            text.push_str(&format!("\n  {} {}", page.paint(Tone::Accent, "hint:"), clean_text(hint)));
        }
    }
    for warning in &job.warnings {
        text.push_str(&format!("\n  {} {}", page.paint(Tone::Warn, "warning:"), clean(warning)));
    }
    let untold = job.files_failed.saturating_sub(job.warnings.len() as u64);
    if untold > 0 && !job.warnings.is_empty() {
        text.push_str(&format!("\n  and {untold} more"));
    }
    for path in &job.made {
        text.push_str(&format!("\n  {}", super::space::path(path)));
    }
    text
}

/// What, where and state.
fn headline(job: &Job) -> String {
    let what = match job.kind.as_str() {
        "put" => "into",
        "get" => "out of",
        other => return format!("{} in {}: {}", clean(other), clean(&job.space), state(job)),
    };
    format!("{what} {}: {}", clean(&job.space), state(job))
}

/// Percent that is done; 100 only when all is.
fn percent(job: &Job) -> u64 {
    if job.state == JobState::Done && job.files_failed == 0 {
        return 100;
    }
    let done = u128::from(job.bytes_done) * 100 / u128::from(job.bytes_total.max(1));
    u64::try_from(done).unwrap_or(99).min(99)
}

fn state(job: &Job) -> &'static str {
    match job.state {
        JobState::Running => "running",
        JobState::Waiting => "waits for a device that has the contents",
        JobState::Done if job.files_failed > 0 => "done in part",
        JobState::Done => "done",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

fn tone(job: &Job) -> Tone {
    match job.state {
        JobState::Done if job.files_failed > 0 => Tone::Warn,
        JobState::Done => Tone::Good,
        JobState::Failed | JobState::Cancelled => Tone::Bad,
        JobState::Running => Tone::Accent,
        JobState::Waiting => Tone::Warn,
    }
}

fn mark(job: &Job) -> &'static str {
    match job.state {
        JobState::Done if job.files_failed > 0 => "!",
        JobState::Done => "✓",
        JobState::Failed | JobState::Cancelled => "✗",
        _ => "…",
    }
}
