//! `warren rm`.

use api::types::TreeRemove;
use clap::Args;

use crate::context::Context;
use crate::exit::Outcome;
use crate::place::{Place, one_space, place};

/// Delete in a space; `warren restore` brings it back
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren rm home:notes.txt            shows what would be deleted, and asks
  warren rm -r home:Photos            a directory with everything in it
  warren rm 'home:*.tmp' --yes        without a question; patterns: * ? [...] **
  warren rm -r home:Photos --preview  only what would be deleted

It is deleted for everybody in the space, and stays in its history.")]
pub(crate) struct Rm {
    /// What, in one space
    #[arg(value_name = "SPACE:PATH", required = true, value_parser = place())]
    what: Vec<Place>,
    /// Directories with what is in them
    #[arg(short, long)]
    recursive: bool,
    /// Only say what it would mean
    #[arg(long)]
    preview: bool,
}

impl Rm {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let (space, paths) = one_space(self.what)?;
        let service = cx.running().await?;
        let mut request = TreeRemove { space, paths, recursive: self.recursive, preview: true };
        if self.preview || !cx.yes {
            let plan = service.tree_remove(request.clone()).await?;
            if self.preview || plan.count == 0 {
                cx.show(&plan);
                return Ok(());
            }
            cx.agree(&plan, "Delete?").await?;
        }
        request.preview = false;
        let done = service.tree_remove(request).await?;
        cx.done(&done, !cx.yes);
        if done.count > 0 {
            cx.note("`warren restore SPACE:PATH` brings it back.");
        }
        Ok(())
    }
}
