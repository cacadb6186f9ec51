//! `warren store`.

use api::types::{StoreAction, StoreCare, StoreTidy};
use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::{Failure, Outcome, WRONG};
use crate::place::space;

/// Check, mend and tidy what this device stores of spaces
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren store check             reads everything, and says in words what is damaged or missing
  warren store repair            mends what it can, asks other devices for the rest
  warren store rebuild           makes spaces anew whose files are gone, from what lies beside their objects
  warren store tidy --preview    what is not needed any more, by what `warren space history` says
  warren store tidy --yes        lets go of it; the room comes back a day later

Nothing is ever removed that can still be read and may be needed: what is in the way of something
new is set aside. Exit code 18 says that something is wrong.")]
pub(crate) struct Store {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read everything that is stored, and say what is wrong
    #[command(after_help = "\
Examples:
  warren store check
  warren store check --json | jq .damaged")]
    Check,
    /// Mend what is damaged, from what is here and from other devices
    #[command(after_help = "\
Examples:
  warren store repair")]
    Repair,
    /// Make the files of spaces and the index of contents anew
    #[command(after_help = "\
Examples:
  warren store rebuild")]
    Rebuild,
    /// Let go of contents that are not needed any more
    #[command(after_help = "\
Examples:
  warren store tidy --preview           what would go
  warren store tidy home --yes          of one space, without a question")]
    Tidy {
        /// Only of this space
        #[arg(value_parser = space())]
        space: Option<String>,
        /// Only say what it would mean
        #[arg(long)]
        preview: bool,
    },
}

impl Store {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let action = match self.action {
            Action::Check => StoreAction::Check,
            Action::Repair => StoreAction::Repair,
            Action::Rebuild => StoreAction::Rebuild,
            Action::Tidy { space, preview } => return tidy(cx, space, preview).await,
        };
        let said = cx.running().await?.store_care(StoreCare { action }).await?;
        cx.show(&said);
        if said.ok { Ok(()) } else { Err(Failure::Said(WRONG)) }
    }
}

async fn tidy(cx: &mut Context, space: Option<String>, preview: bool) -> Outcome {
    let service = cx.running().await?;
    let mut request = StoreTidy { space, preview: true };
    if preview || !cx.yes {
        let found = service.store_tidy(request.clone()).await?;
        if preview {
            cx.show(&found);
            return Ok(());
        }
        cx.agree(&found, "Let go of it?").await?;
    }
    request.preview = false;
    let done = service.store_tidy(request).await?;
    cx.show(&done);
    Ok(())
}
