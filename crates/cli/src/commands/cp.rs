//! `warren cp`.

use api::types::TreeCopy;
use clap::Args;

use crate::context::Context;
use crate::exit::Outcome;
use crate::place::{Place, one_space, place};

/// Copy in a space, or from one into another
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren cp home:notes.txt home:notes-2.txt
  warren cp home:Photos work:                        into another space
  warren cp home:plan.txt home:plan-old.txt --at 1w  as it was a week ago, beside what is there

Inside of a space a copy takes no room. Files of this machine: `warren put` and `warren get`.")]
pub(crate) struct Cp {
    /// What, then where to: a directory, or the new name of the one thing
    #[arg(value_name = "SPACE:PATH", required = true, num_args = 2.., value_parser = place())]
    places: Vec<Place>,
    /// As it was then
    #[arg(long, value_name = "TIME|VERSION")]
    at: Option<String>,
    /// Directories are always copied with everything in them
    #[arg(short, long, hide = true)]
    recursive: bool,
}

impl Cp {
    pub(crate) async fn run(mut self, cx: &mut Context) -> Outcome {
        let Some(to) = self.places.pop() else { return Ok(()) };
        let (space, from) = one_space(self.places)?;
        let to_space = (to.space != space).then_some(to.space);
        let request = TreeCopy { space, from, at: self.at, to_space, to: to.path };
        let done = cx.running().await?.tree_copy(request).await?;
        cx.show_unless_quiet(&done);
        Ok(())
    }
}
