//! `warren unlock`.

use api::types;
use clap::Args;

use super::lock::LockState;
use crate::context::Context;
use crate::exit::Outcome;

/// Unlock the running device
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren unlock                                asks for the passphrase
  warren unlock --passphrase-file ~/.secret    for scripts")]
pub(crate) struct Unlock {}

impl Unlock {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        let passphrase = cx.passphrase("Passphrase: ").await?;
        service.unlock(types::Unlock { passphrase }).await?;
        cx.show(&LockState { locked: false });
        Ok(())
    }
}
