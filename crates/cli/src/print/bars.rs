//! Progress while transfers run: a bar per transfer for people, JSON lines for scripts, a line per change of state where
//! standard error is a file.

use std::collections::BTreeMap;

use api::types::{Transfer, TransferState};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::transfer::state;
use super::{clean, headline};
use crate::context::Context;
use crate::units::{rate, size, span};

/// Where progress goes.
pub(crate) enum Progress {
    /// Nowhere.
    Silent,
    /// A JSON line for each change.
    Json,
    /// A line for each change of state, or of what is in the way.
    Plain(BTreeMap<String, (TransferState, Option<String>)>),
    /// A bar for each transfer.
    Bars(Bars),
}

/// Bars on the terminal.
pub(crate) struct Bars {
    all: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
}

/// One line of the progress stream.
#[derive(Serialize)]
struct Line<'a> {
    kind: &'static str,
    transfer: &'a Transfer,
}

impl Progress {
    /// What fits the terminal and the options.
    pub(crate) fn new(cx: &Context) -> Self {
        match (cx.quiet, cx.json, cx.terminal.err_is_terminal) {
            (true, _, _) => Self::Silent,
            (_, true, _) => Self::Json,
            (_, _, false) => Self::Plain(BTreeMap::new()),
            (_, _, true) => Self::Bars(Bars {
                all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)),
                bars: BTreeMap::new(),
            }),
        }
    }

    /// Shows how a transfer stands now.
    pub(crate) fn update(&mut self, cx: &mut Context, transfer: &Transfer) {
        match self {
            Self::Silent => {}
            Self::Json => cx.json_line(&Line { kind: "progress", transfer }),
            Self::Plain(known) => {
                let now = (transfer.state, transfer.problem.clone());
                let before = known.insert(transfer.id.clone(), now.clone());
                if before != Some(now) && !transfer.state.is_final() {
                    cx.write_err(&format!("{}{}\n", headline(transfer), problem(transfer)));
                }
            }
            Self::Bars(bars) => bars.update(transfer),
        }
    }

    /// Takes the bars away, so that the summary stands alone.
    pub(crate) fn clear(&mut self) {
        if let Self::Bars(bars) = self {
            for bar in bars.bars.values() {
                bar.finish_and_clear();
            }
            let _ = bars.all.clear();
            bars.bars.clear();
        }
    }
}

impl Bars {
    fn update(&mut self, transfer: &Transfer) {
        let bar = self.bars.entry(transfer.id.clone()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(transfer.bytes_total));
            bar.set_style(style());
            bar.set_prefix(clean(&transfer.peer).into_owned());
            bar
        });
        bar.set_length(transfer.bytes_total.max(1));
        bar.set_position(transfer.bytes_done);
        bar.set_message(message(transfer));
        bar.tick();
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:>12} {bar:24.cyan/dim} {percent:>3}%  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

/// Amount, rate, time left, files and phase.
fn message(transfer: &Transfer) -> String {
    let more = if transfer.scanned { "" } else { "+" };
    let amount = format!(
        "{} of {}{more}, {} of {}{more} files",
        size(transfer.bytes_done),
        size(transfer.bytes_total),
        transfer.files_done,
        transfer.files_total
    );
    match transfer.state {
        TransferState::Running => {
            let eta = transfer.eta_s.map(|seconds| format!(", {} left", span(seconds))).unwrap_or_default();
            let phase = if transfer.scanned { "" } else { ", still looking for files" };
            format!("{amount}, {}{eta}{phase}", rate(transfer.rate))
        }
        TransferState::Offered => format!("{amount}, waits for their yes"),
        other => format!("{amount}, {}{}", state(other), problem(transfer)),
    }
}

/// What is in the way, to be added to a line.
fn problem(transfer: &Transfer) -> String {
    transfer.problem.as_ref().map(|problem| format!(": {}", clean(problem))).unwrap_or_default()
}
