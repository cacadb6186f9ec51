//! `warren ls`.

use api::types::TreeQuery;
use clap::Args;

use crate::context::Context;
use crate::exit::Outcome;
use crate::place::{Place, scope};
use crate::print::Look;

/// Entries that are asked for at once. What is shown in columns is asked for in fewer, larger parts.
const PART: u32 = 1000;
const PART_IN_COLUMNS: u32 = 10_000;

/// List what is in a space, now or as it was
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren ls home:                       what is in the space
  warren ls -l home:Photos              kind, mode, size, date, who wrote it
  warren ls -r 'home:**/*.txt'          patterns: * ? [...] **
  warren ls home:Photos --at 2h         as it was two hours ago
  warren ls home: --at 2026-11-01       as it was on that day
  warren ls -r home: --deleted          what was deleted as well
  warren ls -r home: --json             a line of JSON for each entry

A time is a date or time (RFC 3339) or a span that has passed (90m, 2h, 3d, 1w); a version is the
beginning of its id, as `warren log SPACE:PATH` lists them. In the long form the kind is d
(directory), - (file), l (link) or + (any of them with permissions of its own: `warren access`).")]
pub(crate) struct Ls {
    /// A directory, a file or a pattern
    #[arg(value_name = "SPACE:PATH", value_parser = scope())]
    place: Place,
    /// Everything below as well
    #[arg(short, long)]
    recursive: bool,
    /// One per line: kind, mode, size, date, who wrote it
    #[arg(short, long)]
    long: bool,
    /// The directory itself rather than what is in it
    #[arg(short = 'd', long)]
    itself: bool,
    /// As it was then
    #[arg(long, value_name = "TIME|VERSION")]
    at: Option<String>,
    /// What was deleted as well
    #[arg(long)]
    deleted: bool,
}

impl Ls {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        let look = Look { base: self.place.path.clone(), long: self.long, lines: self.recursive };
        let in_columns = cx.terminal.out_is_terminal && !self.long && !self.recursive && !cx.json;
        let mut query = TreeQuery {
            space: self.place.space,
            path: self.place.path,
            recursive: self.recursive,
            itself: self.itself,
            at: self.at,
            deleted: self.deleted,
            after: None,
            limit: Some(if in_columns { PART_IN_COLUMNS } else { PART }),
        };
        loop {
            let listing = service.tree_list(query.clone()).await?;
            if cx.json {
                for entry in &listing.entries {
                    cx.json_line(entry);
                }
            } else {
                let mut page = cx.page();
                look.put(&mut page, &listing.entries);
                let text = page.finish();
                cx.write_out(&text);
            }
            match listing.entries.into_iter().next_back() {
                Some(last) if listing.more && cx.is_read() => query.after = Some(last.path),
                _ => return Ok(()),
            }
        }
    }
}
