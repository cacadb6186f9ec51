//! `warren restore`.

use api::types::TreeRestore;
use clap::Args;

use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::place::{Place, place};

/// Bring back what was deleted or changed in a space
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren restore home:notes.txt                what was deleted, as it was last
  warren restore home:notes.txt --at 3f9c2a71  one version of `warren log home:notes.txt`
  warren restore home:Photos --at 2h           a whole directory as it was two hours ago
  warren restore home: --at 2026-11-20         the whole space
  warren restore home:Photos --at 2h --preview only what would change

Shows what would change, and asks. A restore is a change like any other: it can be undone in the
same way. To look first: `warren ls`, `warren cat` and `warren diff` read the past as well.")]
pub(crate) struct Restore {
    /// What; `SPACE:` is the whole space
    #[arg(value_name = "SPACE:PATH", value_parser = place())]
    what: Place,
    /// As it was then [default: as it was before it was deleted]
    #[arg(long, value_name = "TIME|VERSION")]
    at: Option<String>,
    /// Only say what it would mean
    #[arg(long)]
    preview: bool,
}

impl Restore {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        if self.what.path.is_root() && self.at.is_none() {
            return Err(Failure::usage("to which point is the whole space restored?")
                .hint("say it with --at TIME|VERSION, or name what was deleted: SPACE:PATH")
                .into());
        }
        let service = cx.running().await?;
        let mut request = TreeRestore { space: self.what.space, path: self.what.path, at: self.at, preview: true };
        if self.preview || !cx.yes {
            let plan = service.tree_restore(request.clone()).await?;
            if self.preview || plan.count == 0 {
                cx.show(&plan);
                return Ok(());
            }
            cx.agree(&plan, "Restore?").await?;
        }
        request.preview = false;
        let done = service.tree_restore(request).await?;
        cx.done(&done, !cx.yes);
        Ok(())
    }
}
