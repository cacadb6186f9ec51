//! How things look: pages for people, JSON for scripts. Everything that comes from outside (names, texts, paths, reasons)
//! passes [`clean`] before a person's terminal sees it.

pub(crate) mod bars;
mod cert;
mod circle;
mod clean;
mod conflict;
mod device;
mod job;
pub(crate) mod json;
mod log;
mod plan;
pub(crate) mod qr;
mod space;
mod store;
mod sync;
mod table;
mod transfer;
mod tree;

use std::fmt::Write as _;

use api::ApiError;
use owo_colors::{OwoColorize, Style};

use crate::exit::{Failure, USAGE, exit_code};
use crate::terminal::Terminal;

pub(crate) use clean::{brief, clean, clean_bytes, clean_text};
pub(crate) use conflict::ConflictList;
pub(crate) use job::{JobList, Watched, job_ending};
pub(crate) use log::{LogList, log_line};
pub(crate) use space::{Accesses, Exported};
pub(crate) use table::Table;
pub(crate) use transfer::{TransferList, ending, names};
pub(crate) use tree::{History, Look};

/// Something a person can look at.
pub(crate) trait Show {
    /// Writes it on a page.
    fn human(&self, page: &mut Page);
}

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Warn,
    Dim,
    Strong,
    Accent,
}

impl Tone {
    /// The text in this tone.
    pub(crate) fn paint(self, color: bool, text: &str) -> String {
        if !color {
            return text.to_owned();
        }
        let style = match self {
            Self::Good => Style::new().green(),
            Self::Bad => Style::new().red().bold(),
            Self::Warn => Style::new().yellow(),
            Self::Dim => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
            Self::Accent => Style::new().cyan().bold(),
        };
        text.style(style).to_string()
    }
}

/// A page of text under way.
pub(crate) struct Page {
    text: String,
    pub(crate) color: bool,
    /// Columns to keep to; absent where no person looks.
    pub(crate) columns: Option<u16>,
    pub(crate) now: i64,
    zone: jiff::tz::TimeZone,
}

impl Page {
    pub(crate) fn new(terminal: &Terminal) -> Self {
        Self {
            text: String::new(),
            color: terminal.color,
            columns: terminal.out_is_terminal.then_some(terminal.columns),
            now: (terminal.clock)(),
            zone: terminal.zone.clone(),
        }
    }

    /// One line.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(text.as_ref());
        self.text.push('\n');
    }

    /// A name and its value, aligned with the other fields.
    pub(crate) fn field(&mut self, name: &str, value: impl AsRef<str>) {
        let padded = format!("{name:<12}");
        let name = Tone::Dim.paint(self.color, &padded);
        self.line(format!("{name} {}", value.as_ref()));
    }

    /// Text in a tone.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        tone.paint(self.color, text)
    }

    /// A point in time (Unix milliseconds), local.
    pub(crate) fn time(&self, unix_ms: i64) -> String {
        match jiff::Timestamp::from_millisecond(unix_ms) {
            Ok(time) => time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
            Err(_) => "?".to_owned(),
        }
    }

    /// A time of day with seconds if it is today, else with its date.
    pub(crate) fn log_time(&self, unix_ms: i64) -> String {
        match jiff::Timestamp::from_millisecond(unix_ms) {
            Ok(time) => time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
            Err(_) => "?".to_owned(),
        }
    }

    /// How long ago, or in how long, a point in time is.
    pub(crate) fn relative(&self, unix_ms: i64) -> String {
        let seconds = self.now.abs_diff(unix_ms) / 1000;
        match (seconds, unix_ms > self.now) {
            (0..5, _) => "now".to_owned(),
            (_, true) => format!("in {}", crate::units::span(seconds)),
            (_, false) => format!("{} ago", crate::units::span(seconds)),
        }
    }

    /// The text.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// An error for people: what happened, then what to do.
pub(crate) fn error(terminal: &Terminal, error: &ApiError) -> String {
    let color = terminal.color && terminal.err_is_terminal;
    let mut text = format!("{} {}\n", Tone::Bad.paint(color, "error:"), brief(&clean_text(&error.message)));
    if let Some(hint) = &error.hint {
        let _ = writeln!(text, "{} {}", Tone::Accent.paint(color, "hint:"), clean_text(hint));
    }
    text
}

/// Shows help, version or a usage error; gives the exit code.
pub(crate) fn usage(terminal: &mut Terminal, error: &clap::Error, json: bool) -> u8 {
    use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand as Helpless;
    let wanted = crate::is_wanted(error);
    let person_looks = if wanted { terminal.out_is_terminal } else { terminal.err_is_terminal };
    let plain_wanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let rendered = error.render();
    let text = if json && !wanted && error.kind() != Helpless {
        let message = rendered.to_string();
        let message = message.trim_start_matches("error: ").trim_end();
        let (message, hint) = message.split_once("\n\n").unwrap_or((message, ""));
        let mut error = ApiError::new(api::ErrorCode::BadRequest, message.trim());
        if !hint.is_empty() {
            error.hint = Some(hint.trim().to_owned());
        }
        json::error(&error)
    } else if json && error.kind() == clap::error::ErrorKind::DisplayVersion {
        json::line(&crate::commands::version::INFO)
    } else if person_looks && !plain_wanted {
        rendered.ansi().to_string()
    } else {
        rendered.to_string()
    };
    let text = if wanted || json { text } else { brief(&text) };
    if !wanted {
        let _ = terminal.err.write_all(text.as_bytes()).and_then(|()| terminal.err.flush());
        return USAGE;
    }
    let Err(lost) = terminal.write_out(&text) else { return 0 };
    let lost = Failure::io("cannot write to standard output", &lost);
    let _ = terminal.err.write_all(self::error(terminal, &lost).as_bytes());
    exit_code(lost.code)
}
