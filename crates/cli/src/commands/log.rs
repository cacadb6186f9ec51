//! `warren log`.

use std::pin::pin;

use api::types::{Event, LogQuery, TreeLogQuery};
use api::{ApiError, ErrorCode};
use clap::Args;
use futures_util::StreamExt;

use crate::context::Context;
use crate::exit::Outcome;
use crate::place::{Place, place};
use crate::print::{History, LogList, log_line};
use crate::units::count;

/// What this device did, or what happened to a place in a space
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren log                          the newest 100 entries
  warren log --follow                 and what happens from now on
  warren log --event transfer         only events whose name begins so
  warren log --after 4711 --json      for scripts: all after an entry
  warren log home:notes.txt           the versions of a file in a space: who, on which device, when
  warren log home:Photos              all that happened in a directory
  warren log home:                    in the whole space, permissions as well

Without SPACE:PATH it is the activity log of this device, which never has contents of files and
messages. With it, the history of that place: the ids of its versions are for `--at` of `ls`, `cat`,
`get`, `restore` and others.")]
pub(crate) struct Log {
    /// History of a place in a space, instead of this device's activity log; `SPACE:` is the whole space
    #[arg(value_name = "SPACE:PATH", value_parser = place(), conflicts_with_all = ["follow", "after", "event"])]
    place: Option<Place>,
    /// Go on with what happens from now on
    #[arg(short, long)]
    follow: bool,
    /// At most so many entries, the newest
    #[arg(short = 'n', long, default_value_t = 100, value_name = "N")]
    limit: u32,
    /// Only those after this sequence number
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// Only events whose name begins so
    #[arg(long, value_name = "PREFIX")]
    event: Option<String>,
}

/// What the device puts in the place of an entry that it cannot read any more.
const DAMAGED: &str = "log.damaged";

/// The log is not whole.
fn holes(damaged: usize) -> ApiError {
    ApiError::new(ErrorCode::Damaged, format!("{} of the log cannot be read any more", count(damaged as u64, "entry")))
        .hint("the others are whole; a backup of this home may still have it")
}

impl Log {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        if let Some(place) = self.place {
            let query = TreeLogQuery { space: place.space, path: place.path, limit: Some(self.limit) };
            let versions = service.tree_log(query).await?;
            if cx.json {
                versions.iter().for_each(|version| cx.json_line(version));
            } else {
                let mut page = cx.page();
                History(&versions).put(&mut page);
                let text = page.finish();
                cx.write_out(&text);
            }
            return Ok(());
        }
        // Listening begins before the list is asked for, so that nothing falls between.
        let events = if self.follow { Some(service.events().await?) } else { None };
        let query = LogQuery { after: self.after, limit: Some(self.limit), event: self.event.clone() };
        let entries = service.log(query).await?;
        let mut seen = entries.last().map_or(0, |entry| entry.seq);
        let Some(mut events) = events else {
            let damaged = entries.iter().filter(|entry| entry.event == DAMAGED).count();
            cx.show(&LogList(entries));
            return if damaged == 0 { Ok(()) } else { Err(holes(damaged).into()) };
        };
        for entry in &entries {
            if cx.json {
                cx.json_line(entry);
            } else {
                let line = log_line(&cx.page(), entry);
                cx.say(&line);
            }
        }
        let mut interrupted = pin!(cx.terminal.interrupted());
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = &mut interrupted => return Ok(()),
            };
            let news = match event {
                Some(Event::Log(entry)) => vec![entry],
                // What the stream lost, the log still has.
                Some(Event::Lost { .. }) => {
                    let query = LogQuery { after: Some(seen), limit: None, event: None };
                    service.log(query).await?
                }
                Some(_) => continue,
                None => {
                    cx.note("The device has stopped.");
                    return Ok(());
                }
            };
            let prefix = self.event.as_deref().unwrap_or_default();
            for entry in news.iter().filter(|entry| entry.seq > seen) {
                if !entry.event.starts_with(prefix) {
                    continue;
                }
                if cx.json {
                    cx.json_line(entry);
                } else {
                    let line = log_line(&cx.page(), entry);
                    cx.say(&line);
                }
            }
            seen = news.iter().map(|entry| entry.seq).fold(seen, u64::max);
        }
    }
}
