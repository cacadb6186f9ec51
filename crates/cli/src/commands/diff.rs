//! `warren diff`.

use api::types::TreeDiff;
use clap::Args;

use crate::context::Context;
use crate::exit::Outcome;
use crate::place::{Place, place};

/// How two points in the history of a space differ
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren diff home:notes.txt                               the last change of a file
  warren diff home:notes.txt --from 3f9c2a71               since a version of `warren log home:notes.txt`
  warren diff home:notes.txt --from 2d --to 1d             between two points
  warren diff home:Photos --from 1w                        what came (+), went (-), changed (~) in a directory
  warren diff home:a.txt --json | jq -r .text | patch      for programs: characters as they are")]
pub(crate) struct Diff {
    /// A file or directory; `SPACE:` is the whole space
    #[arg(value_name = "SPACE:PATH", value_parser = place())]
    what: Place,
    /// The older point [default: the version before (files), a day ago (directories)]
    #[arg(long, value_name = "TIME|VERSION")]
    from: Option<String>,
    /// The newer point [default: now]
    #[arg(long, value_name = "TIME|VERSION")]
    to: Option<String>,
}

impl Diff {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let request = TreeDiff { space: self.what.space, path: self.what.path, from: self.from, to: self.to };
        let diff = cx.running().await?.tree_diff(request).await?;
        cx.show(&diff);
        Ok(())
    }
}
