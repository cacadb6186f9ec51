//! `warren invites`.

use api::types::Nothing;
use clap::Args;

use crate::context::Context;
use crate::exit::Outcome;

/// List invitations
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren invites                  open, used, expired, revoked and burned ones
  warren invite --revoke 3kq7     end one")]
pub(crate) struct Invites {}

impl Invites {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let invitations = cx.running().await?.invitations(Nothing {}).await?;
        cx.show(&invitations);
        Ok(())
    }
}
