//! Progress while transfers run: a bar per transfer for people, JSON lines for scripts, a line per change of state where
//! standard error is a file.

use std::collections::BTreeMap;

use api::types::{Transfer, TransferState};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::transfer::{percent, state};
use super::{Tone, clean, headline};
use crate::context::Context;
use crate::units::{rate, size, span};

/// Where progress goes.
pub(crate) enum Progress {
    /// Nowhere.
    Silent,
    /// A JSON line for each change.
    Json,
    /// A line for each change of state, or of what is in the way.
    Plain(BTreeMap<String, (String, Option<String>)>),
    /// A bar for each transfer.
    Bars(Bars),
}

/// Bars on the terminal.
pub(crate) struct Bars {
    all: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
    color: bool,
    /// Where the terminal does not tell its width.
    columns: u16,
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
                color: cx.terminal.color,
                columns: cx.terminal.columns,
            }),
        }
    }

    /// Shows how a transfer stands now.
    pub(crate) fn update(&mut self, cx: &mut Context, transfer: &Transfer) {
        match self {
            Self::Silent => {}
            Self::Json => cx.json_line(&Line { kind: "progress", transfer }),
            Self::Plain(known) => {
                let now = (state(transfer), transfer.problem.clone());
                let before = known.insert(transfer.id.clone(), now.clone());
                // Attempts at what is in the way are not told one by one.
                let same_problem = before.as_ref().is_some_and(|(_, problem)| problem.is_some() && *problem == now.1)
                    && !matches!(transfer.state, TransferState::Running | TransferState::Finishing);
                if before != Some(now) && !same_problem && !transfer.state.is_final() {
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
    /// One draw for each change: the line is made first, then handed over whole.
    fn update(&mut self, transfer: &Transfer) {
        let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_col);
        let columns = if columns == 0 { self.columns } else { columns };
        let line = fitted(transfer, columns.saturating_sub(1).into(), self.color);
        match self.bars.get(&transfer.id) {
            Some(bar) if bar.message() == line => {}
            Some(bar) => bar.set_message(line),
            None => {
                let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
                let bar = self.all.add(ProgressBar::new(1).with_style(style).with_message(line));
                bar.tick();
                self.bars.insert(transfer.id.clone(), bar);
            }
        }
    }
}

/// The fullest line that fits: the name gives way first, then the bar, then what can be missed.
fn fitted(transfer: &Transfer, columns: usize, color: bool) -> String {
    let shapes =
        [(24, 24, true), (12, 24, true), (12, 12, true), (8, 8, true), (8, 12, false), (8, 8, false), (8, 0, false)];
    let mut shortest = String::new();
    for (name, bar, all) in shapes {
        let line = |color| {
            let name = shortened(&clean(&transfer.peer), name);
            format!("{name} {}{:>3}%  {}", drawn(transfer, bar, color), percent(transfer), message(transfer, all))
        };
        if line(false).chars().count() <= columns {
            return line(color);
        }
        shortest = line(false);
    }
    shortened(&shortest, columns)
}

/// A text in at most so many characters.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// The bar itself, with a blank after it.
fn drawn(transfer: &Transfer, width: usize, color: bool) -> String {
    if width == 0 {
        return String::new();
    }
    let done = usize::try_from(percent(transfer)).unwrap_or(0) * width / 100;
    let (done, left) = ("━".repeat(done), "─".repeat(width - done));
    format!("{}{} ", Tone::Accent.paint(color, &done), Tone::Dim.paint(color, &left))
}

/// Amount, rate and time left, or what is in the way; with `all`, files and phase, too.
fn message(transfer: &Transfer, all: bool) -> String {
    let more = if transfer.scanned { "" } else { "+" };
    let mut amount = format!("{} of {}{more}", size(transfer.bytes_done), size(transfer.bytes_total));
    if all && (transfer.files_total > 1 || !transfer.scanned) {
        amount.push_str(&format!(", {} of {}{more} files", transfer.files_done, transfer.files_total));
    }
    match transfer.state {
        TransferState::Running => {
            let eta = transfer.eta_s.map(|seconds| format!(", {} left", span(seconds))).unwrap_or_default();
            let phase = if all && !transfer.scanned { ", still looking for files" } else { "" };
            format!("{amount}, {}{eta}{phase}", rate(transfer.rate))
        }
        TransferState::Offered => format!("{amount}, waits for their yes"),
        _ => format!("{amount}, {}{}", state(transfer), problem(transfer)),
    }
}

/// What is in the way, to be added to a line.
fn problem(transfer: &Transfer) -> String {
    transfer.problem.as_ref().map(|problem| format!(": {}", clean(problem))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(peer: &str, done: u64, total: u64) -> Transfer {
        Transfer {
            id: "aaaa".into(),
            direction: "out".into(),
            peer: peer.into(),
            device_id: "bbbb".into(),
            state: TransferState::Running,
            paused_by: None,
            names: vec!["Photos".into()],
            text: None,
            files_total: 40_000,
            files_done: 12_345,
            files_failed: 0,
            bytes_total: total,
            bytes_done: done,
            bytes_wire: done,
            scanned: true,
            rate: 112 << 20,
            eta_s: Some(3_900),
            rate_limit: None,
            lane: None,
            created_at: 0,
            ended_at: None,
            problem: None,
            problem_code: None,
            warnings: Vec::new(),
            landed: Vec::new(),
            receipt: None,
        }
    }

    #[test]
    fn a_line_fits_and_gives_up_the_least_first() {
        let long = transfer("maximiliane/workstation-upstairs", 123 << 30, 512 << 30);
        let shown: Vec<String> = [140, 100, 79, 50, 30].map(|columns| fitted(&long, columns, false)).into();
        assert_eq!(
            shown,
            [
                "maximiliane/workstation… ━━━━━───────────────────  24%  123 GiB of 512 GiB, 12345 of 40000 files, 112 MiB/s, 1h 05m left",
                "maximiliane… ━━──────────  24%  123 GiB of 512 GiB, 12345 of 40000 files, 112 MiB/s, 1h 05m left",
                "maximil… ━━──────────  24%  123 GiB of 512 GiB, 112 MiB/s, 1h 05m left",
                "maximil…  24%  123 GiB of 512 GiB, 112 MiB/s, 1h …",
                "maximil…  24%  123 GiB of 512…",
            ]
        );
    }

    #[test]
    fn nothing_is_done_at_the_beginning_and_not_all_before_the_end() {
        let mut fresh = transfer("bo", 0, 0);
        (fresh.files_total, fresh.files_done, fresh.rate, fresh.eta_s) = (1, 0, 0, None);
        assert_eq!(fitted(&fresh, 79, false), "bo ────────────────────────   0%  0 B of 0 B, 0 B/s");
        assert!(fitted(&transfer("bo", 10, 10), 79, false).contains(" 99%"));
    }
}
