//! `warren put`.

use std::path::PathBuf;
use std::sync::Arc;

use api::types::{TreePath, TreePut, TreeQuery};
use api::{ApiResult, ErrorCode, Service};
use clap::Args;

use super::send::{existing, hand_over};
use super::stream::is_stream;
use crate::context::Context;
use crate::exit::{Failure, INTERRUPTED, Outcome};
use crate::place::{Place, on_this_machine, place};
use crate::work::{AWAY, follow};

/// What to do where standard input is a terminal.
const PIPE: &str = "use it with a pipe: tar c DIR | warren put - SPACE:NAME.tar";

/// Bring files and folders of this machine into a space
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren put notes.txt home:                   into the space
  warren put Photos Music home:Media           folders, with everything in them
  warren put notes.txt home:todo.txt           under another name
  warren put -p report.pdf home:work/2026/     makes the directories that are not there
  tar c src | warren put - home:src.tar        standard input
  warren put --delete Photos home:             and delete in home:Photos what the folder has not

The last argument is the place in the space, all others are of this machine, whatever they contain.
What is there already gets a new version; the old one stays in the history (`warren log SPACE:PATH`).
Only what differs is stored anew. Ends when everything is durable on this device. Ctrl-C ends it:
what is done stays.")]
pub(crate) struct Put {
    /// Files and folders; `-` is standard input
    #[arg(value_name = "FILE", required = true, value_hint = clap::ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// Where to: a directory, or the new name of the one file
    #[arg(value_name = "SPACE:PATH", value_parser = place())]
    to: Place,
    /// Make directories that are not there
    #[arg(short, long)]
    parents: bool,
    /// Delete in the directories what the folders do not have
    #[arg(long)]
    delete: bool,
    #[command(flatten)]
    only: Only,
    /// Folders are always brought with everything in them
    #[arg(short, long, hide = true)]
    recursive: bool,
}

/// Under which condition a file is written.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Only {
    /// Only if this version is the one that is shown
    #[arg(long, value_name = "VERSION")]
    if_version: Option<String>,
    /// Only if there is nothing of that name
    #[arg(long)]
    new: bool,
}

impl Only {
    /// As the API has it.
    pub(super) fn version(self) -> Option<String> {
        if self.new { Some(String::new()) } else { self.if_version }
    }
}

impl Put {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let streams = self.files.iter().filter(|file| is_stream(file)).count();
        if streams > 0 && self.files.len() > 1 {
            return Err(Failure::usage("standard input is put alone")
                .hint("put the files with a second command")
                .into());
        }
        if streams > 0 {
            return write(cx, self.to, self.parents, self.only.version(), PIPE).await;
        }
        let sources: Vec<TreePath> =
            self.files.iter().map(|file| on_this_machine(&existing(file)?)).collect::<ApiResult<_>>()?;
        if self.delete
            && !cx
                .confirm(&format!("Delete in {} what is not in the folders? It can be restored.", self.to.shown()))
                .await?
        {
            cx.note("Nothing was done.");
            return Err(Failure::Said(INTERRUPTED));
        }
        let service = cx.running().await?;
        let exact = match self.files.as_slice() {
            [_] => becomes(&service, &self.to).await?,
            _ => false,
        };
        let request = TreePut {
            space: self.to.space,
            to: self.to.path,
            exact,
            sources,
            spool: None,
            parents: self.parents,
            delete: self.delete,
            if_version: self.only.version(),
        };
        let events = service.events().await?;
        let job = service.tree_put(request).await?;
        follow(cx, &service, events, job, AWAY).await
    }
}

/// True if the one thing becomes the place itself, as with other tools that copy: no directory is there.
async fn becomes(service: &Arc<dyn Service>, to: &Place) -> ApiResult<bool> {
    if to.directory {
        return Ok(false);
    }
    let query = TreeQuery { space: to.space.clone(), path: to.path.clone(), limit: Some(1), ..TreeQuery::default() };
    match service.tree_list(query).await {
        // A directory is listed by what is in it.
        Ok(listing) => Ok(listing.entries.first().is_some_and(|entry| entry.path == to.path)),
        Err(error) if error.code == ErrorCode::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Standard input becomes the file.
pub(super) async fn write(
    cx: &mut Context,
    to: Place,
    parents: bool,
    if_version: Option<String>,
    otherwise: &str,
) -> Outcome {
    if to.directory {
        return Err(Failure::usage(format!("`{}` is a directory", to.shown()))
            .hint("give the file a name: SPACE:DIRECTORY/NAME")
            .into());
    }
    let service = cx.running().await?;
    let spool = Some(hand_over(cx, &service, otherwise).await?);
    let request = TreePut {
        space: to.space,
        to: to.path,
        exact: true,
        sources: Vec::new(),
        spool,
        parents,
        delete: false,
        if_version,
    };
    let events = service.events().await?;
    let job = service.tree_put(request).await?;
    follow(cx, &service, events, job, AWAY).await
}
