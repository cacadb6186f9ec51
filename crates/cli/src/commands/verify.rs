//! `warren verify`.

use api::types::BySpace;
use clap::Args;

use crate::context::Context;
use crate::exit::{Failure, Outcome, WRONG};
use crate::place::space;

/// Check everything that can be checked of a space
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren verify home                     what holds, what is missing, what is damaged, who cheated
  warren verify home --json | jq .cheats

Checks every signature, chain, hash and key, and the contents on this disk. Exit code 18 says that
something is wrong; what is only missing here is not.")]
pub(crate) struct Verify {
    /// The space
    #[arg(value_parser = space())]
    space: String,
}

impl Verify {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let found = cx.running().await?.space_verify(BySpace { space: self.space }).await?;
        cx.show(&found);
        if found.ok { Ok(()) } else { Err(Failure::Said(WRONG)) }
    }
}
