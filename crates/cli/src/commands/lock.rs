//! `warren lock`.

use api::types::Nothing;
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Outcome;
use crate::print::{Page, Show};

/// Lock the running device: forget all keys, drop all connections
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren lock      nothing is sent, received or shown until `warren unlock`")]
pub(crate) struct Lock {}

/// Whether the device is locked now.
#[derive(Serialize)]
pub(crate) struct LockState {
    pub(crate) locked: bool,
}

impl Show for LockState {
    fn human(&self, page: &mut Page) {
        page.line(if self.locked {
            "The device is locked. `warren unlock` opens it."
        } else {
            "The device is unlocked."
        });
    }
}

impl Lock {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        cx.running().await?.lock(Nothing {}).await?;
        cx.show(&LockState { locked: true });
        Ok(())
    }
}
