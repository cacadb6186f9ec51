//! `warren down`.

use std::time::Duration;

use api::types::Nothing;
use api::{ApiError, ErrorCode};
use clap::Args;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::exit::Outcome;
use crate::print::{Page, Show};

/// How long a device may take to stop.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// How often to look whether it is gone.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Stop the running device
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren down    stop; transfers go on where they were after the next `warren up`")]
pub(crate) struct Down {}

/// What `down` did.
#[derive(Serialize)]
struct Stopped {
    stopped: bool,
}

impl Show for Stopped {
    fn human(&self, page: &mut Page) {
        page.line("The device has stopped.");
    }
}

impl Down {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        service.shutdown(Nothing {}).await?;
        let deadline = Instant::now() + GONE_WITHIN;
        while cx.running_if_any().await?.is_some() {
            if Instant::now() > deadline {
                return Err(ApiError::new(ErrorCode::Internal, "the device was told to stop and still runs")
                    .hint("`warren status` shows its process id")
                    .into());
            }
            sleep(LOOK_EVERY).await;
        }
        cx.show(&Stopped { stopped: true });
        Ok(())
    }
}
