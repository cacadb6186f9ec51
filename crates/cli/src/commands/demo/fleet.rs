//! Devices of the demo: this program again, as child processes.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use api::types::{Identity, Setting, Status};
use api::{ApiError, ApiResult, ErrorCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::exit::Failure;

/// Passphrase of the demo's keystores; they live for a minute in a folder that only this user can read.
const PASSPHRASE: &str = "demo passphrase of no consequence";

/// How long a device may take to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Most of what a child may say about its failure.
const COMPLAINT_MAX: u64 = 64 << 10;

/// All devices of the demo.
pub(super) struct Fleet {
    pub(super) devices: Vec<Device>,
    program: PathBuf,
    dir: PathBuf,
    lan_port: u16,
}

/// One device.
pub(super) struct Device {
    pub(super) name: String,
    /// Where received files land.
    pub(super) landed: PathBuf,
    /// Known once it runs.
    pub(super) addresses: Vec<String>,
    home: PathBuf,
    program: PathBuf,
    process: Option<Child>,
}

impl Fleet {
    pub(super) fn new(dir: &Path) -> ApiResult<Self> {
        let program = std::env::current_exe().map_err(|error| Failure::io("cannot find this program", &error))?;
        // A port that is free now; discovery shares it among the three.
        let lan_port = UdpSocket::bind("0.0.0.0:0")
            .and_then(|socket| socket.local_addr())
            .map_err(|error| Failure::io("cannot find a free port", &error))?
            .port();
        Ok(Self { devices: Vec::new(), program, dir: dir.to_owned(), lan_port })
    }

    /// Makes a device for each name, all at once; the first founds the circle `demo`.
    pub(super) async fn make(&mut self, names: &[&str]) -> ApiResult<()> {
        for name in names {
            self.devices.push(Device {
                name: (*name).to_owned(),
                landed: self.dir.join(name).join("received"),
                addresses: Vec::new(),
                home: self.dir.join(name).join("home"),
                program: self.program.clone(),
                process: None,
            });
        }
        let lan_port = self.lan_port.to_string();
        let making = self.devices.iter().enumerate().map(|(index, device)| {
            let lan_port = lan_port.as_str();
            async move { device.make(index == 0, lan_port).await }
        });
        futures_util::future::try_join_all(making).await?;
        Ok(())
    }

    /// Runs a device and waits until it is ready.
    pub(super) async fn up(&mut self, index: usize) -> ApiResult<()> {
        self.devices[index].up().await
    }

    /// The device of a name.
    pub(super) fn named(&self, name: &str) -> ApiResult<&Device> {
        let device = self.devices.iter().find(|device| device.name == name);
        device.ok_or_else(|| ApiError::new(ErrorCode::Internal, format!("no device `{name}`")))
    }

    /// Stops all devices, in good order if they let it.
    pub(super) async fn stop(&mut self) {
        for device in &mut self.devices {
            if let Some(process) = &mut device.process {
                // The end of its standard input tells it to stop.
                drop(process.stdin.take());
            }
        }
        for device in &mut self.devices {
            if let Some(mut process) = device.process.take()
                && tokio::time::timeout(STOP_WITHIN, process.wait()).await.is_err()
            {
                // It may have ended this very moment.
                let _ = process.kill().await;
            }
        }
    }
}

impl Device {
    async fn make(&self, founds: bool, lan_port: &str) -> ApiResult<()> {
        let mut args = vec!["init", "--name", &self.name, "--device", "demo"];
        if founds {
            args.extend(["--circle", "demo"]);
        }
        let _: Identity = self.ask(&args).await?;
        let landed = self.landed.to_string_lossy();
        let settings =
            [("received_dir", landed.as_ref()), ("lan_port", lan_port), ("bind", "127.0.0.1"), ("portmap", "false")];
        for (key, value) in settings {
            let _: Setting = self.ask(&["config", key, value]).await?;
        }
        Ok(())
    }

    async fn up(&mut self) -> ApiResult<()> {
        let mut process = self
            .command(&["up", "--until-stdin-ends"])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::io("cannot start a device", &error))?;
        let mut lines = StreamOf::new(&mut process)?;
        let first = lines.next().await?;
        let status: Option<Status> = first.and_then(|line| serde_json::from_str(&line).ok());
        let Some(status) = status else {
            return Err(self.explain(lines.complaint().await));
        };
        self.addresses = status.addresses;
        // Whatever it says from now on is drained, so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next().await {} });
        self.process = Some(process);
        Ok(())
    }

    /// Runs one command of this device and reads its one JSON document.
    pub(super) async fn ask<T: DeserializeOwned>(&self, args: &[&str]) -> ApiResult<T> {
        let output = self
            .command(args)
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|error| Failure::io("cannot run a command", &error))?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(self.explain(complaint));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| {
            ApiError::new(
                ErrorCode::Internal,
                format!("`warren {}` answered what nobody understands: {error}", args[0]),
            )
        })
    }

    /// Runs one command of this device that writes JSON lines.
    pub(super) fn stream(&self, args: &[&str], path: &Path) -> ApiResult<Running> {
        let mut process = self
            .command(args)
            .arg(path)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| Failure::io("cannot run a command", &error))?;
        let lines = StreamOf::new(&mut process)?;
        Ok(Running { lines, process, who: self.name.clone() })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--home")
            .arg(&self.home)
            .arg("--json")
            .args(args)
            .env("WARREN_PASSPHRASE", PASSPHRASE)
            .env_remove("WARREN_PASSPHRASE_FILE")
            .env_remove("WARREN_HOME")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for the demo, which then stops its devices in good order.
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    fn explain(&self, complaint: String) -> ApiError {
        explain(&self.name, &complaint)
    }
}

/// The error that a child wrote to standard error.
fn explain(who: &str, complaint: &str) -> ApiError {
    #[derive(Deserialize)]
    struct Said {
        error: ApiError,
    }
    let said = complaint.lines().rev().find_map(|line| serde_json::from_str::<Said>(line).ok());
    match said {
        Some(Said { mut error }) => {
            error.message = format!("device {who}: {}", error.message);
            error
        }
        None => ApiError::new(ErrorCode::Internal, format!("device {who} failed: {}", complaint.trim())),
    }
}

/// A command under way that writes JSON lines.
pub(super) struct Running {
    lines: StreamOf,
    process: Child,
    who: String,
}

impl Running {
    /// The next line.
    pub(super) async fn next(&mut self) -> ApiResult<Option<String>> {
        self.lines.next().await
    }

    /// Waits for the end; an error if the command failed.
    pub(super) async fn finish(mut self) -> ApiResult<()> {
        let status = self.process.wait().await.map_err(|error| Failure::io("cannot wait for a command", &error))?;
        if status.success() {
            return Ok(());
        }
        Err(explain(&self.who, &self.lines.complaint().await))
    }
}

/// Both outputs of a child.
struct StreamOf {
    lines: Lines<BufReader<ChildStdout>>,
    stderr: ChildStderr,
}

impl StreamOf {
    fn new(process: &mut Child) -> ApiResult<Self> {
        match (process.stdout.take(), process.stderr.take()) {
            (Some(stdout), Some(stderr)) => Ok(Self { lines: BufReader::new(stdout).lines(), stderr }),
            _ => Err(ApiError::new(ErrorCode::Internal, "a child without outputs")),
        }
    }

    async fn next(&mut self) -> ApiResult<Option<String>> {
        let line = self.lines.next_line().await;
        line.map_err(|error| Failure::io("cannot read from a device", &error))
    }

    /// What the child says on standard error until it ends.
    async fn complaint(&mut self) -> String {
        let mut text = String::new();
        // What cannot be read is not said; the rest still is.
        let _ = (&mut self.stderr).take(COMPLAINT_MAX).read_to_string(&mut text).await;
        text
    }
}
