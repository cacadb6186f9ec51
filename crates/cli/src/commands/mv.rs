//! `warren mv`.

use api::types::TreeMove;
use clap::Args;

use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::place::{Place, one_space, place};

/// Move or rename in a space
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren mv home:notes.txt home:old.txt             rename
  warren mv home:a.txt home:b.txt home:archive      into a directory
  warren mv 'home:*.jpg' home:Photos                patterns: * ? [...] **

Whoever changes a file meanwhile changes it where it is now. Between spaces: `warren cp`, then
`warren rm`.")]
pub(crate) struct Mv {
    /// What, then where to: a directory, or the new name of the one thing
    #[arg(value_name = "SPACE:PATH", required = true, num_args = 2.., value_parser = place())]
    places: Vec<Place>,
}

impl Mv {
    pub(crate) async fn run(mut self, cx: &mut Context) -> Outcome {
        let Some(to) = self.places.pop() else { return Ok(()) };
        let (space, from) = one_space(self.places)?;
        if to.space != space {
            return Err(Failure::usage("things are moved inside of one space")
                .hint("copy them with `warren cp`, then delete them with `warren rm`")
                .into());
        }
        let done = cx.running().await?.tree_move(TreeMove { space, from, to: to.path }).await?;
        cx.show_unless_quiet(&done);
        Ok(())
    }
}
