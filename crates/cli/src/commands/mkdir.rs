//! `warren mkdir`.

use api::types::TreeMakeDir;
use clap::Args;

use crate::context::Context;
use crate::exit::Outcome;
use crate::place::{Place, one_space, place};

/// Make directories in a space
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren mkdir home:Photos
  warren mkdir -p home:work/2026/11    those above as well; what is there is no error")]
pub(crate) struct Mkdir {
    /// Which, in one space
    #[arg(value_name = "SPACE:PATH", required = true, value_parser = place())]
    dirs: Vec<Place>,
    /// Also those above; what is there is no error
    #[arg(short, long)]
    parents: bool,
}

impl Mkdir {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let (space, paths) = one_space(self.dirs)?;
        let request = TreeMakeDir { space, paths, parents: self.parents };
        let done = cx.running().await?.tree_make_dir(request).await?;
        cx.show_unless_quiet(&done);
        Ok(())
    }
}
