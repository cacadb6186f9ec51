//! `warren conflicts`.

use api::types::{ConflictQuery, ConflictResolve};
use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Outcome;
use crate::place::space;
use crate::print::ConflictList;

/// What was changed on two sides, and which of them to keep
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  warren conflicts                                    of all spaces: both sides, who, on which device, when
  warren conflicts home --diff                        with the difference of texts
  warren conflicts resolve 7f3a --keep mine           what you wrote
  warren conflicts resolve 7f3a --keep theirs         what somebody else wrote
  warren conflicts resolve 7f3a --keep both           as two files
  warren conflicts resolve 7f3a --keep 3f9c2a71       one of the versions, as the list names it

Nothing is lost until then, and nothing after: what was not kept stays in the history
(`warren restore`)."
)]
pub(crate) struct Conflicts {
    /// Of one space [default: of all]
    #[arg(value_parser = space())]
    space: Option<String>,
    /// With the difference of texts
    #[arg(long)]
    diff: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Settle one
    #[command(after_help = "\
Examples:
  warren conflicts resolve 7f3a --keep mine --preview what it would mean
  warren conflicts resolve 7f3a --keep both           as two files
  warren conflicts resolve 7f3a --keep 3f9c2a71.4     a version, as the list names it
  warren conflicts resolve 7f3a --keep Notes.txt      of two things of one name, the one that is shown as this")]
    Resolve {
        /// Its id, or the beginning of it
        id: String,
        /// What is kept: mine, theirs, both (as two files), shown, a version, or of two things of one name what it is shown as
        #[arg(long, value_name = "WHICH")]
        keep: String,
        /// Only say what it would mean
        #[arg(long)]
        preview: bool,
    },
}

impl Conflicts {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        match self.action {
            Some(Action::Resolve { id, keep, preview }) => {
                let done = service.conflict_resolve(ConflictResolve { id, keep, preview }).await?;
                if preview { cx.show(&done) } else { cx.show_unless_quiet(&done) }
            }
            None => {
                let conflicts = service.conflicts(ConflictQuery { space: self.space }).await?;
                cx.show(&ConflictList { conflicts, diff: self.diff });
            }
        }
        Ok(())
    }
}
