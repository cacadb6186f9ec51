//! What people should look at, and how it was settled.

use api::types::{Conflict, ConflictSide};
use serde::Serialize;

use super::tree::diff_text;
use super::{Page, Show, Tone, clean, clean_bytes};
use crate::units::size;

/// Conflicts.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct ConflictList {
    pub(crate) conflicts: Vec<Conflict>,
    /// With the difference of texts.
    #[serde(skip)]
    pub(crate) diff: bool,
}

impl Show for ConflictList {
    fn human(&self, page: &mut Page) {
        if self.conflicts.is_empty() {
            page.line("No conflicts.");
            return;
        }
        for (index, conflict) in self.conflicts.iter().enumerate() {
            if index > 0 {
                page.line("");
            }
            show(page, conflict, self.diff);
        }
        page.line("");
        page.line("Both sides are kept. `warren conflicts resolve ID --keep mine|theirs|both|VERSION` settles one.");
    }
}

fn show(page: &mut Page, conflict: &Conflict, diff: bool) {
    let id: String = conflict.id.chars().take(8).collect();
    let id = page.paint(Tone::Accent, &clean(&id));
    let place = format!("{}:{}", clean(&conflict.space), clean_bytes(&conflict.path.0));
    page.line(format!("{id}  {}: {}", page.paint(Tone::Strong, &place), kind(&conflict.kind)));
    let versions: Vec<&str> = conflict.sides.iter().filter_map(|side| side.version.as_deref()).collect();
    for (index, one) in conflict.sides.iter().enumerate() {
        let line = side(page, one, &called(&versions, one.version.as_deref()), index == 0);
        page.line(line);
    }
    match &conflict.diff {
        Some(text) if diff => diff_text(page, text),
        None if diff => page.line("  (no text to compare)"),
        _ => {}
    }
}

/// A kind in words.
fn kind(kind: &str) -> String {
    match kind {
        "versions" => "changed on two sides".to_owned(),
        "edited_and_deleted" => "changed on one side, deleted on the other".to_owned(),
        "names" => "two things of one name".to_owned(),
        "moved" => "moved into each other".to_owned(),
        "kept" => "deleted, and still there for what is in it".to_owned(),
        other => clean(other).into_owned(),
    }
}

/// What is enough to name one version among these: with which of its changes, where one commit made several.
fn called(versions: &[&str], version: Option<&str>) -> String {
    let Some(version) = version else { return "-".to_owned() };
    let begin = |version: &str| version.chars().take(8).collect::<String>();
    let alone = versions.iter().filter(|other| begin(other) == begin(version)).count() < 2;
    match version.split_once('.').filter(|_| !alone) {
        Some((commit, index)) => format!("{}.{index}", begin(commit)),
        None => begin(version),
    }
}

/// One side on one line.
fn side(page: &Page, side: &ConflictSide, version: &str, shown: bool) -> String {
    let whose = if side.mine { "mine" } else { "theirs" };
    let what = match (side.deleted, side.size) {
        (true, _) => "deleted".to_owned(),
        (false, Some(bytes)) => size(bytes),
        (false, None) => String::new(),
    };
    let path = side.path.as_ref().map(|path| format!("  {}", clean_bytes(&path.0))).unwrap_or_default();
    let shown = if shown { "  (shown)" } else { "" };
    format!(
        "  {whose:<6}  {:<8}  {}  {}  {what}{path}{shown}",
        clean(version),
        page.time(side.change.at),
        clean(&side.change.device),
    )
}
