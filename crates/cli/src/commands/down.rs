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

/// The device's process; another one that gets its number later is not taken for it.
struct Process(#[cfg(target_os = "linux")] Option<rustix::fd::OwnedFd>);

impl Process {
    #[cfg(target_os = "linux")]
    fn of(pid: u32) -> Self {
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        Self(pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()))
    }

    /// A process that cannot be watched (in another container) counts as over with its API.
    #[cfg(target_os = "linux")]
    fn is_over(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let Some(process) = &self.0 else { return true };
        let mut ended = [PollFd::new(process, PollFlags::IN)];
        poll(&mut ended, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    #[cfg(not(target_os = "linux"))]
    fn of(_pid: u32) -> Self {
        Self()
    }

    #[cfg(not(target_os = "linux"))]
    fn is_over(&self) -> bool {
        true
    }
}

impl Down {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        let pid = service.status(Nothing {}).await?.pid;
        let process = Process::of(pid);
        service.shutdown(Nothing {}).await?;
        let deadline = Instant::now() + GONE_WITHIN;
        while cx.running_if_any().await?.is_some() || !process.is_over() {
            if Instant::now() > deadline {
                let text = format!("the device was told to stop and still runs as process {pid}");
                return Err(ApiError::new(ErrorCode::Internal, text)
                    .hint(format!("`kill {pid}` ends it; nothing that was acknowledged is lost"))
                    .into());
            }
            sleep(LOOK_EVERY).await;
        }
        cx.show(&Stopped { stopped: true });
        Ok(())
    }
}
