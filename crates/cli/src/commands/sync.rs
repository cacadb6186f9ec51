//! `warren sync`.

use std::path::PathBuf;
use std::sync::Arc;

use api::Service;
use api::types::{BySync, Nothing, SyncAdd, SyncFolder, TreePath};
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Failure, INTERRUPTED, Outcome, exit_code};
use crate::place::{Place, on_this_machine, scope};
use crate::print::{Page, Show, clean_bytes};

/// Keep a folder of this machine in step with a space
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren sync ~/Documents home:Documents   both ways, from now on, also after a restart
  warren sync ~/home home                  a whole space
  warren sync                              all folders, and how they stand
  warren sync ~/Documents                  bring it in step now, and end when it is
  warren sync out home:Photos --once       only now, for scripts: what is deleted later is seen the next time
  warren sync --stop ~/Documents           no longer; the folder stays as it is

What is deleted or changed on one side is deleted or changed on the other; all of it stays in the
history of the space. A file `.warrenignore` in the folder names what is left out, in the syntax of
.gitignore.")]
pub(crate) struct Sync {
    /// The folder
    #[arg(value_hint = clap::ValueHint::DirPath)]
    dir: Option<PathBuf>,
    /// A space, or a directory in it
    #[arg(value_name = "SPACE[:PATH]", value_parser = scope())]
    with: Option<Place>,
    /// Bring it in step now, and later only when asked
    #[arg(long, requires = "with")]
    once: bool,
    /// End keeping the folder in step; it stays as it is
    #[arg(long, requires = "dir", conflicts_with_all = ["with", "once"])]
    stop: bool,
}

/// What `--stop` did.
#[derive(Serialize)]
struct Stopped {
    stopped: TreePath,
}

impl Show for Stopped {
    fn human(&self, page: &mut Page) {
        page.line(format!("{} is no longer kept in step. It stays as it is.", clean_bytes(&self.stopped.0)));
    }
}

impl Sync {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let dir = self.dir.as_deref().map(on_this_machine).transpose()?;
        let service = cx.running().await?;
        match (dir, self.with) {
            (None, _) => cx.show(&service.syncs(Nothing {}).await?),
            (Some(dir), _) if self.stop => {
                service.sync_remove(BySync { dir: dir.clone() }).await?;
                cx.show(&Stopped { stopped: dir });
            }
            (Some(dir), None) => return now(cx, &service, dir).await,
            (Some(dir), Some(with)) => {
                let add = SyncAdd { dir: dir.clone(), space: with.space, path: with.path, once: self.once };
                let folder = service.sync_add(add).await?;
                if self.once {
                    return now(cx, &service, dir).await;
                }
                cx.show(&folder);
            }
        }
        Ok(())
    }
}

/// Brings a folder in step, and says how it stands then.
async fn now(cx: &mut Context, service: &Arc<dyn Service>, dir: TreePath) -> Outcome {
    let interrupted = cx.terminal.interrupted();
    let folder: SyncFolder = tokio::select! {
        folder = service.sync_now(BySync { dir }) => folder?,
        () = interrupted => return Err(Failure::Said(INTERRUPTED)),
    };
    cx.show(&folder);
    if folder.problem.is_some() { Err(Failure::Said(exit_code(api::ErrorCode::Io))) } else { Ok(()) }
}
