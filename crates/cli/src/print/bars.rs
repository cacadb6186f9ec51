//! Progress while transfers and other work run: a bar for each for people, JSON lines for scripts, a line per change of
//! state where standard error is a file.

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{Tone, clean};
use crate::context::Context;

/// Something that goes on, and is shown while it does.
pub(crate) trait Moving {
    /// What scripts are shown.
    type Line<'a>: Serialize
    where
        Self: 'a;

    /// Tells it from the others.
    fn id(&self) -> &str;
    /// What people know it by; not cleaned.
    fn name(&self) -> &str;
    /// Percent that is done; 100 only when all is.
    fn percent(&self) -> u64;
    /// Amount, rate and time left, or what is in the way; with `all`, files and phase, too.
    fn message(&self, all: bool) -> String;
    /// How it stands, and what is in the way; `None` if that is told elsewhere.
    fn standing(&self) -> Option<Standing>;
    /// For scripts.
    fn line(&self) -> Self::Line<'_>;
}

/// How something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Who, what and state.
    pub(crate) headline: String,
    /// What is in the way; not cleaned.
    pub(crate) problem: Option<String>,
    /// It moves just now.
    pub(crate) moves: bool,
}

/// Where progress goes.
pub(crate) enum Progress {
    /// Nowhere.
    Silent,
    /// A JSON line for each change.
    Json,
    /// A line for each change of state, or of what is in the way.
    Plain(BTreeMap<String, Standing>),
    /// A bar for each.
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
struct Line<T: Serialize> {
    kind: &'static str,
    #[serde(flatten)]
    what: T,
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

    /// Shows how something stands now.
    pub(crate) fn update<M: Moving>(&mut self, cx: &mut Context, moving: &M) {
        match self {
            Self::Silent => {}
            Self::Json => cx.json_line(&Line { kind: "progress", what: moving.line() }),
            Self::Plain(known) => {
                let Some(now) = moving.standing() else { return };
                let before = known.insert(moving.id().to_owned(), now.clone());
                // Attempts at what is in the way are not told one by one.
                let same_problem =
                    before.as_ref().is_some_and(|before| before.problem.is_some() && before.problem == now.problem);
                let told = before
                    .as_ref()
                    .is_some_and(|before| (&before.headline, &before.problem) == (&now.headline, &now.problem));
                if !told && (now.moves || !same_problem) {
                    cx.write_err(&format!("{}{}\n", now.headline, in_the_way(now.problem.as_deref())));
                }
            }
            Self::Bars(bars) => bars.update(moving),
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
    fn update<M: Moving>(&mut self, moving: &M) {
        let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_col);
        let columns = if columns == 0 { self.columns } else { columns };
        let line = fitted(moving, columns.saturating_sub(1).into(), self.color);
        match self.bars.get(moving.id()) {
            Some(bar) if bar.message() == line => {}
            Some(bar) => bar.set_message(line),
            None => {
                let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
                let bar = self.all.add(ProgressBar::new(1).with_style(style).with_message(line));
                bar.tick();
                self.bars.insert(moving.id().to_owned(), bar);
            }
        }
    }
}

/// The fullest line that fits: the name gives way first, then the bar, then what can be missed.
fn fitted<M: Moving>(moving: &M, columns: usize, color: bool) -> String {
    let shapes =
        [(24, 24, true), (12, 24, true), (12, 12, true), (8, 8, true), (8, 12, false), (8, 8, false), (8, 0, false)];
    let mut shortest = String::new();
    for (name, bar, all) in shapes {
        let line = |color| {
            let name = shortened(&clean(moving.name()), name);
            format!("{name} {}{:>3}%  {}", drawn(moving.percent(), bar, color), moving.percent(), moving.message(all))
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
fn drawn(percent: u64, width: usize, color: bool) -> String {
    if width == 0 {
        return String::new();
    }
    let done = usize::try_from(percent).unwrap_or(0) * width / 100;
    let (done, left) = ("━".repeat(done), "─".repeat(width - done));
    format!("{}{} ", Tone::Accent.paint(color, &done), Tone::Dim.paint(color, &left))
}

/// What is in the way, to be added to a line.
pub(super) fn in_the_way(problem: Option<&str>) -> String {
    problem.map(|problem| format!(": {}", clean(problem))).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use api::types::{Transfer, TransferState};

    use super::*;

    pub(in crate::print) fn transfer(peer: &str, done: u64, total: u64) -> Transfer {
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
            flow_ms: None,
            flow_bytes: 0,
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
