//! `warren passphrase`.

use std::path::PathBuf;

use api::types::ChangePassphrase;
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Outcome;
use crate::print::{Page, Show};

/// Change the passphrase of this device
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren passphrase                                                  asks for the old one and twice for the new one
  warren passphrase --passphrase-file old --new-passphrase-file new  for scripts")]
pub(crate) struct Passphrase {
    /// First line is the new passphrase
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    new_passphrase_file: Option<PathBuf>,
}

/// What `passphrase` did.
#[derive(Serialize)]
struct Changed {
    changed: bool,
}

impl Show for Changed {
    fn human(&self, page: &mut Page) {
        page.line("The passphrase is changed.");
    }
}

impl Passphrase {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        let old = cx.passphrase("Passphrase until now: ").await?;
        let new = match &self.new_passphrase_file {
            Some(path) => cx.passphrase_in(path)?,
            None => {
                cx.ask_new_passphrase(
                    "New passphrase (at least 8 characters): ",
                    "give the new one with --new-passphrase-file FILE",
                )
                .await?
            }
        };
        service.change_passphrase(ChangePassphrase { old, new }).await?;
        cx.show(&Changed { changed: true });
        Ok(())
    }
}
