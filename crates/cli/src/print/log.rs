//! The activity log.

use api::types::LogEntry;
use serde::Serialize;

use super::{Page, Show, Tone, clean};

/// Entries of the log.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct LogList(pub(crate) Vec<LogEntry>);

impl Show for LogList {
    fn human(&self, page: &mut Page) {
        for entry in &self.0 {
            let line = log_line(page, entry);
            page.line(line);
        }
    }
}

/// One entry on one line.
pub(crate) fn log_line(page: &Page, entry: &LogEntry) -> String {
    let tone = match entry.outcome.as_str() {
        "ok" => Tone::Good,
        "refused" => Tone::Warn,
        _ => Tone::Bad,
    };
    let outcome = format!("{:<7}", clean(&entry.outcome));
    let mut line = format!(
        "{}  {} {}",
        page.paint(Tone::Dim, &page.log_time(entry.time)),
        page.paint(tone, &outcome),
        page.paint(Tone::Strong, &clean(&entry.event)),
    );
    if let Some(peer) = &entry.peer {
        line.push_str(&format!("  {}", clean(peer)));
    }
    for (name, value) in &entry.details {
        let name = format!("{}=", clean(name));
        line.push_str(&format!("  {}{}", page.paint(Tone::Dim, &name), clean(value)));
    }
    line
}
