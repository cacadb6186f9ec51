//! What was found in the store, mended, and let go.

use api::types::{History, StoreCared, Tidied};

use super::{Page, Show, Table, Tone, clean};
use crate::units::{count, size};

/// What is kept of a space's past, as it is typed.
pub(crate) fn history(history: History) -> String {
    match (history.days, history.versions) {
        (Some(days), _) => format!("{days}d"),
        (None, Some(versions)) => format!("{versions}v"),
        (None, None) => "all".to_owned(),
    }
}

impl Show for StoreCared {
    fn human(&self, page: &mut Page) {
        for (tone, mark, lines) in [
            (Tone::Good, "✓", &self.holds),
            (Tone::Good, "+", &self.mended),
            (Tone::Warn, "?", &self.missing),
            (Tone::Bad, "✗", &self.damaged),
        ] {
            for line in lines {
                page.line(format!("{} {}", page.paint(tone, mark), clean(line)));
            }
        }
        page.line(if self.ok { "Nothing is wrong." } else { "Something is wrong." });
        self.next.iter().for_each(|line| page.line(format!("Next: {}", clean(line))));
    }
}

impl Show for Tidied {
    fn human(&self, page: &mut Page) {
        let mut table = Table::new(page, &["SPACE", "KEEPS", ">OLD VERSIONS", ">NEVER NAMED"]);
        for space in &self.spaces {
            let what = |objects: u64, bytes: u64| match objects {
                0 => "-".to_owned(),
                objects => format!("{} ({})", size(bytes), count(objects, "object")),
            };
            table.row([
                (Some(Tone::Strong), space.space.clone()),
                (None, history(space.history)),
                (None, what(space.old_objects, space.old_bytes)),
                (None, what(space.unnamed_objects, space.unnamed_bytes)),
            ]);
        }
        table.put(page);
        for space in &self.spaces {
            for why in &space.stays {
                page.line(format!("{} {}: {}", page.paint(Tone::Warn, "!"), clean(&space.space), clean(why)));
            }
        }
        let found: u64 = self.spaces.iter().map(|space| space.old_bytes + space.unnamed_bytes).sum();
        page.line(match self.preview {
            true if found == 0 => "All of it is needed.".to_owned(),
            true => format!("{} would be let go; the room would come back a day later.", size(found)),
            false => format!(
                "{} were let go; the room comes back in a day. {} of earlier times were removed, {} given back to the disk.",
                size(found),
                size(self.removed_bytes),
                size(self.freed_bytes)
            ),
        });
    }
}
