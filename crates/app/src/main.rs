//! The one binary: gives the command line a host that can make and run devices.

#[cfg(target_os = "linux")]
mod memory;

use std::process::ExitCode;
use std::sync::Arc;

use api::{ApiResult, Host};
use node::NodeHost;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// "File size limit exceeded": the same number on Linux (but on MIPS), macOS and the BSDs.
const SIGXFSZ: i32 = 25;

/// What goes to standard error beside the program's own messages, for `-v`, `-vv`, `-vvv`.
const FILTERS: [&str; 4] = ["off", "warren=info,warn", "warren=debug,info", "debug"];

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    memory::give_back_soon();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "warren: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    outlive_file_limits(&runtime);
    let code = runtime.block_on(cli::run(std::env::args_os(), host));
    // Blocking threads may wait for something that never comes; what had to be durable is.
    runtime.shutdown_background();
    code
}

/// Where a file may not grow further (`ulimit -f`), writing fails as it does on a full disk, instead of ending the process.
fn outlive_file_limits(runtime: &Runtime) {
    let _inside = runtime.enter();
    // Whoever is listened for once does not kill any more. Where that cannot be had, the process ends as before.
    let _ = signal(SignalKind::from_raw(SIGXFSZ));
}

fn host(start: &cli::Start) -> ApiResult<Arc<dyn Host>> {
    let filter = FILTERS[usize::from(start.verbosity).min(FILTERS.len() - 1)];
    let filter = EnvFilter::try_from_env("WARREN_LOG").unwrap_or_else(|_| EnvFilter::new(filter));
    // A second one cannot be set; there is none before.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    Ok(Arc::new(NodeHost::new(start.home.clone())?))
}
