//! `warren write`.

use clap::Args;

use super::put::{Only, write};
use crate::context::Context;
use crate::exit::Outcome;
use crate::place::{Place, place};

/// Write standard input into a file in a space
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  echo milk | warren write home:shopping.txt           the file has this content from now on
  date | warren write -p home:logs/today               makes the directory that is not there
  warren write home:a.txt --if-version 3f9c2a71 < a    only if nobody has changed it meanwhile
  warren write home:lock --new < /dev/null             only if there is nothing of that name

The same as `warren put - SPACE:PATH`. What was there stays in the history. Nothing is written of an
input that breaks off.")]
pub(crate) struct Write {
    /// The file
    #[arg(value_name = "SPACE:PATH", value_parser = place())]
    to: Place,
    /// Make directories that are not there
    #[arg(short, long)]
    parents: bool,
    #[command(flatten)]
    only: Only,
}

impl Write {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let otherwise = "use it with a pipe or a file: warren write SPACE:PATH < FILE";
        write(cx, self.to, self.parents, self.only.version(), otherwise).await
    }
}
