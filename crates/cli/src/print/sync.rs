//! Folders that are kept in step.

use api::types::SyncFolder;

use super::{Page, Show, Table, Tone, clean, clean_bytes};
use crate::units::count;

impl Show for Vec<SyncFolder> {
    fn human(&self, page: &mut Page) {
        if self.is_empty() {
            page.line("No folders are kept in step. `warren sync DIR SPACE` keeps one.");
            return;
        }
        let mut table = Table::new(page, &["FOLDER", "SPACE", "STATE", ">CHANGES", ">TO DO", "IN STEP"]);
        for folder in self {
            table.row([
                (Some(Tone::Strong), clean_bytes(&folder.dir.0)),
                (None, place(folder)),
                (Some(tone(folder)), state(folder).to_owned()),
                (None, folder.changes.to_string()),
                (None, folder.pending.to_string()),
                (None, folder.in_step_at.map_or("never".to_owned(), |at| page.relative(at))),
            ]);
        }
        table.put(page);
        for folder in self {
            troubles(page, folder);
        }
    }
}

impl Show for SyncFolder {
    fn human(&self, page: &mut Page) {
        page.line(format!(
            "{} and {}: {}, {}",
            clean_bytes(&self.dir.0),
            clean(&place(self)),
            page.paint(tone(self), state(self)),
            count(self.changes, "change")
        ));
        troubles(page, self);
    }
}

/// What went wrong, and what is left out.
fn troubles(page: &mut Page, folder: &SyncFolder) {
    if let Some(problem) = &folder.problem {
        page.line(format!("{} {}: {}", page.paint(Tone::Bad, "✗"), clean_bytes(&folder.dir.0), clean(problem)));
    }
    for warning in &folder.warnings {
        page.line(format!("{} {}", page.paint(Tone::Warn, "left out:"), clean(warning)));
    }
}

/// Where in which space.
fn place(folder: &SyncFolder) -> String {
    format!("{}:{}", folder.space, clean_bytes(&folder.path.0))
}

fn state(folder: &SyncFolder) -> &str {
    match folder.state.as_str() {
        "in_step" => "in step",
        "waiting" => "waits for contents",
        other => other,
    }
}

fn tone(folder: &SyncFolder) -> Tone {
    match folder.state.as_str() {
        "in_step" => Tone::Good,
        "working" => Tone::Accent,
        "waiting" => Tone::Warn,
        _ => Tone::Bad,
    }
}
