//! What a change means, before or after it was made.

use api::types::{PlanDone, PlanStep};

use super::space::path as shown;
use super::{Page, Show, Tone, clean};
use crate::units::count;

/// Steps that are shown one by one; `--json` has all.
const SHOWN: usize = 20;

impl Show for PlanDone {
    fn human(&self, page: &mut Page) {
        if self.count == 0 {
            page.line(if self.preview { "Nothing would change." } else { "Nothing had to be changed." });
            return;
        }
        if self.preview {
            page.line(format!("{} would be made:", count(self.count, "step")));
        }
        for step in self.steps.iter().take(SHOWN) {
            let line = line(page, step, self.preview);
            page.line(line);
        }
        let untold = self.count.saturating_sub(self.steps.len().min(SHOWN) as u64);
        if untold > 0 {
            page.line(format!("and {untold} more (`--json` lists up to 10,000)"));
        }
    }
}

/// One step.
fn line(page: &Page, step: &PlanStep, preview: bool) -> String {
    let (tone, before, after) = match step.what.as_str() {
        "delete" => (Tone::Bad, "delete", "deleted"),
        "revive" => (Tone::Good, "bring back", "brought back"),
        "rewrite" => (Tone::Accent, "rewrite", "rewritten"),
        "move" => (Tone::Accent, "move", "moved"),
        "make" => (Tone::Good, "make", "made"),
        "copy" => (Tone::Good, "copy", "copied"),
        "stay" => (Tone::Dim, "leave", "left"),
        other => (Tone::Dim, other, other),
    };
    let verb = clean(if preview { before } else { after });
    let mut line = format!("{} ", page.paint(tone, &format!("{verb:<12}")));
    match (&step.path, &step.to) {
        (Some(path), Some(to)) if path != to => {
            line.push_str(&format!("{} -> {}", shown(path), shown(to)));
        }
        (Some(path), _) | (None, Some(path)) => line.push_str(&shown(path)),
        (None, None) => {}
    }
    line
}
