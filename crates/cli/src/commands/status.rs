//! `warren status`.

use api::types::Nothing;
use clap::Args;

use crate::context::Context;
use crate::exit::Outcome;

/// What this device is doing
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren status                              who, where, how many
  warren status --json | jq -r .addresses[]  addresses for `warren join --at`

Exit code 7 says that no device is running, 9 that there is none in this home.")]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let status = cx.running().await?.status(Nothing {}).await?;
        cx.show(&status);
        Ok(())
    }
}
