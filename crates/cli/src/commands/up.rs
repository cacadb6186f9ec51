//! `warren up`: runs the device, in the foreground or in a process of its own.

use std::io::Read;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use api::types::{Event, Nothing};
use api::{ApiError, ErrorCode};
use clap::Args;
use futures_util::StreamExt;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::signal::unix::SignalKind;
use tokio::sync::oneshot;

use crate::context::{Context, not_initialised};
use crate::exit::{Failure, Outcome};
use crate::print::log_line;
use crate::unseen;

/// How long the device may take to be ready; opening the keystore takes most of it.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// Most of what a child may say about its failure.
const COMPLAINT_MAX: u64 = 64 << 10;

/// Run this device: connect, send, receive
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren up                     run here, show what happens; Ctrl-C stops it
  warren up --detach            run in the background; returns when the device is ready
  warren up --port 4100         on a port of your choice (QUIC on UDP, TLS on TCP)
  warren up --locked --detach   start without the passphrase; `warren unlock` opens it later
  warren service --write        let systemd start it at login

In the foreground, give the passphrase with --passphrase-file or type it: the environment of a
process (WARREN_PASSPHRASE) is open to your other programs as long as it runs.")]
pub(crate) struct Up {
    /// Run in the background; return when the device is ready
    #[arg(short, long)]
    detach: bool,
    /// Port for QUIC (UDP) and TLS (TCP) for this run [default: the setting `port`, else the one that
    /// the system chose before, if it is free]
    #[arg(short, long)]
    port: Option<u16>,
    /// Serve the local API on 127.0.0.1 as well; `0`: any free port (`api` in `warren status`)
    #[arg(long, value_name = "PORT")]
    api_port: Option<u16>,
    /// Start locked, without asking for the passphrase
    #[arg(long)]
    locked: bool,
    /// The child of `--detach`: reports on its streams, then lets them go
    #[arg(long, hide = true)]
    detached: bool,
    /// Stop when standard input ends: for programs that own this device
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

impl Up {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let host = cx.host();
        if !host.initialised()? {
            return Err(not_initialised(&host.home()).into());
        }
        if cx.running_if_any().await?.is_some() {
            return Err(ApiError::new(ErrorCode::AlreadyRunning, "the device is running already")
                .hint("`warren status` shows it, `warren down` stops it")
                .into());
        }
        let passphrase = if self.locked {
            None
        } else {
            let asked = cx.passphrase("Passphrase: ").await;
            Some(asked.map_err(|error| match (error.code, error.hint.as_ref()) {
                (ErrorCode::PassphraseNeeded, Some(hint)) => {
                    let hint = format!("{hint}; or start it locked: --locked");
                    error.hint(hint)
                }
                _ => error,
            })?)
        };
        cx.forget_passphrases();
        if self.detach {
            return self.spawn(cx, passphrase).await;
        }
        let up = api::Up { passphrase, port: self.port, api_port: self.api_port };
        self.foreground(cx, up).await
    }

    /// Runs the device in this process.
    async fn foreground(self, cx: &mut Context, up: api::Up) -> Outcome {
        let host = cx.host();
        let (ready, is_ready) = oneshot::channel();
        let signal = Box::new(move || {
            // Nobody listens any more if the device stopped at once.
            let _ = ready.send(());
        });
        // The device stops in good order at these.
        unseen::leave_to_others(SignalKind::interrupt());
        unseen::leave_to_others(SignalKind::terminate());
        let mut device = pin!(host.up(up, signal));
        tokio::select! {
            ended = &mut device => return ended.map_err(Failure::from),
            _ = is_ready => {}
        }
        let service = {
            let running = host.running();
            tokio::select! {
                ended = &mut device => return ended.map_err(Failure::from),
                service = running => service?,
            }
        };
        let status = service.status(Nothing {}).await?;
        cx.show_unless_quiet(&status);
        if self.detached {
            let _ = let_go_of_streams();
        } else {
            cx.note("\nReady. Ctrl-C stops the device.");
        }
        let stdin_ended = stdin_end(self.until_stdin_ends);
        let mut stdin_ended = pin!(stdin_ended);
        let mut events = service.events().await?;
        let follows = !self.detached && !cx.json && !cx.quiet;
        let mut following = follows;
        let mut stopping = false;
        loop {
            tokio::select! {
                ended = &mut device => return ended.map_err(Failure::from),
                event = events.next(), if following => match event {
                    Some(Event::Log(entry)) => {
                        let line = log_line(&cx.page(), &entry);
                        cx.say(&line);
                    }
                    Some(_) => {}
                    None => following = false,
                },
                () = &mut stdin_ended, if !stopping => {
                    stopping = true;
                    service.shutdown(Nothing {}).await?;
                }
            }
        }
    }

    /// Runs the device in a child; returns when it is ready, or says why it is not.
    async fn spawn(self, cx: &mut Context, passphrase: Option<api::types::Passphrase>) -> Outcome {
        let program = std::env::current_exe().map_err(|error| Failure::io("cannot find this program", &error))?;
        let home =
            std::path::absolute(cx.host().home()).map_err(|error| Failure::io("cannot use this home", &error))?;
        let mut command = tokio::process::Command::new(program);
        command
            .arg("--home")
            .arg(home)
            .args(["--json", "up", "--detached"])
            .env_remove("WARREN_PASSPHRASE")
            .env_remove("WARREN_PASSPHRASE_FILE")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(port) = self.port {
            command.args(["--port", &port.to_string()]);
        }
        if let Some(port) = self.api_port {
            command.args(["--api-port", &port.to_string()]);
        }
        if passphrase.is_some() {
            command.args(["--passphrase-file", "-"]);
        } else {
            command.arg("--locked");
        }
        let cannot = |error: std::io::Error| Failure::io("cannot start the device", &error);
        // Whatever the caller has open, a lock or a pipe, is none of the device's business.
        close_fds::set_fds_cloexec(3, &[]);
        let mut child = command.spawn().map_err(cannot)?;
        if let (Some(mut stdin), Some(passphrase)) = (child.stdin.take(), passphrase) {
            // A child that died already says why on its standard error. The end of the stream ends the line.
            let _ = stdin.write_all(passphrase.0.as_bytes()).await;
        }
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Failure::io("cannot start the device", &std::io::ErrorKind::BrokenPipe.into()).into());
        };
        let mut first = String::new();
        let mut reader = BufReader::new(stdout);
        let reading = tokio::time::timeout(READY_WITHIN, reader.read_line(&mut first));
        if reading.await.is_err() {
            let _ = child.kill().await;
            return Err(ApiError::new(
                ErrorCode::Internal,
                format!("the device was not ready within {} s", READY_WITHIN.as_secs()),
            )
            .hint("run `warren up -v` in the foreground to see what keeps it")
            .into());
        }
        match serde_json::from_str::<api::types::Status>(&first) {
            Ok(status) => {
                cx.show_unless_quiet(&status);
                Ok(())
            }
            Err(_) => Err(complaint(stderr).await.into()),
        }
    }
}

/// What a child that failed said on its standard error.
async fn complaint(stderr: tokio::process::ChildStderr) -> ApiError {
    #[derive(serde::Deserialize)]
    struct Said {
        error: ApiError,
    }
    let mut text = String::new();
    // What cannot be read is not said; the rest still is.
    let _ = stderr.take(COMPLAINT_MAX).read_to_string(&mut text).await;
    let said = text.lines().rev().find_map(|line| serde_json::from_str::<Said>(line).ok());
    match said {
        Some(said) => said.error,
        None => ApiError::new(ErrorCode::Internal, format!("the device ended before it was ready: {}", text.trim()))
            .hint("run `warren up -v` in the foreground to see more"),
    }
}

/// Leaves the terminal: a session of its own, and nothing more to say on streams whose other end is gone.
fn let_go_of_streams() -> std::io::Result<()> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    // Fails only for the leader of a process group, which has left the terminal already.
    let _ = rustix::process::setsid();
    Ok(())
}

/// Completes when standard input ends, if that is asked for.
async fn stdin_end(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let mut rest = [0; 256];
        while matches!(std::io::stdin().read(&mut rest), Ok(1..)) {}
        let _ = ended.send(());
    });
    // The sender is dropped only after it has sent.
    let _ = end.await;
}
