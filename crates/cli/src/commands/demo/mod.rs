//! `warren demo`: the whole story with three real devices, each a process of its own with a home of its own.
//!
//! The devices are this very program, driven through its command line, so that the demo shows what a user would type.
//! They use their own discovery port, so that they neither find nor disturb the user's own devices. Everything lives in
//! one temporary folder that goes away at the end, at an error, at Ctrl-C and when the demo is told to end; the devices stop when their standard input
//! ends, so that they do not even outlive a killed demo.

mod compare;
mod fleet;
mod room;
mod shared;
mod tree;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};

use api::types::{Peer, Transfer};
use api::{ApiError, ApiResult, ErrorCode};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use super::send::existing;
use crate::context::Context;
use crate::exit::{Failure, INTERRUPTED, Outcome};
use crate::print::bars::Progress;
use crate::print::{Page, Show, Table, Tone, clean};
use crate::units::{count, parse_size, rate, size};
use compare::Compared;
use fleet::{Device, Fleet};
use shared::Shared;
use tree::Generator;

/// How long the three devices may take to find each other.
const TOGETHER_WITHIN: Duration = Duration::from_secs(60);

/// How often to look whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Three real devices on this machine: invite, join, send, share, verify
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren demo                  a generated folder with a large file
  warren demo --files ~/Photos your own folder (it is only read)
  warren demo --size 4GiB      a larger file

Founds a circle on the first device, invites the two others with real codes, sends the folder to both at once,
compares every byte, shares a space in which two write and one only stores, shows a table, stops everything and leaves
nothing behind. Needs no set-up and no network.")]
pub(crate) struct Demo {
    /// Send this file or folder instead of a generated one
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    files: Option<PathBuf>,
    /// Size of the generated large file
    #[arg(long, value_parser = parse_size, default_value = "256MiB", value_name = "SIZE", conflicts_with = "files")]
    size: u64,
}

/// What happened, receiver by receiver.
#[derive(Serialize)]
struct Report {
    circle: String,
    receivers: Vec<Receiver>,
    seconds: f64,
    shared: Shared,
}

/// One receiver's part.
#[derive(Serialize)]
struct Receiver {
    name: String,
    path: Option<String>,
    lane: Option<String>,
    address: Option<String>,
    key_agreement: Option<String>,
    files: u64,
    bytes: u64,
    bytes_per_second: u64,
    /// What was compared, and what differed.
    checked: Compared,
}

/// A line of `warren send --json`.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Progress { transfer: Box<Transfer> },
    Result { transfers: Vec<Transfer> },
}

impl Demo {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let source = self.files.as_deref().map(existing).transpose()?;
        let mut told_to_end = pin!(told_to_end()?);
        let dir = tempfile::Builder::new()
            .prefix("warren-demo-")
            .tempdir()
            .map_err(|error| Failure::io("cannot make a temporary folder", &error))?;
        room::check(dir.path(), source.clone(), self.size).await?;
        let generator = Generator::default();
        let mut fleet = Fleet::new(dir.path())?;
        let mut interrupted = pin!(cx.terminal.interrupted());
        let told = {
            let source = source.map_or(Source::Generated(&generator, self.size), Source::Given);
            let story = Box::pin(story(cx, &mut fleet, dir.path(), source));
            tokio::select! {
                told = story => Some(told),
                () = &mut interrupted => None,
                () = &mut told_to_end => None,
            }
        };
        generator.stop().await;
        fleet.stop().await;
        let kept = dir.path().to_owned();
        dir.close().map_err(|error| Failure::io(format_args!("cannot remove {}", kept.display()), &error))?;
        let report = match told {
            Some(told) => told?,
            None => {
                cx.note("\nStopped. Nothing is left behind.");
                return Err(Failure::Said(INTERRUPTED));
            }
        };
        cx.note("");
        cx.show(&report);
        if let Some(left_out @ 1..) = report.receivers.first().map(|receiver| receiver.checked.left_out) {
            let what = count(left_out, "pipe, socket or device");
            cx.note(&format!("{what} left out: what is no file, folder or link is not sent."));
        }
        if report.receivers.iter().all(|receiver| receiver.checked.is_same()) && report.shared.same {
            cx.note("All devices are stopped; nothing is left behind. Now your own: `warren init --help`.");
            return Ok(());
        }
        Err(ApiError::new(ErrorCode::Damaged, "what arrived differs from what was sent").into())
    }
}

/// What is sent.
enum Source<'a> {
    Given(PathBuf),
    Generated(&'a Generator, u64),
}

/// Completes when somebody ends the demo by a signal, or closes its terminal.
fn told_to_end() -> ApiResult<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).map_err(|error| Failure::io("cannot listen for signals", &error));
    let (mut terminate, mut hangup) = (listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Everything between the first home and the last compared byte.
async fn story(cx: &mut Context, fleet: &mut Fleet, dir: &Path, source: Source<'_>) -> ApiResult<Report> {
    let source = match source {
        Source::Given(source) => source,
        Source::Generated(generator, large) => {
            let made = generator.generate(dir.join("holiday"), large).await?;
            step(cx, &format!("made a folder with {} to send", size(large)));
            made
        }
    };
    fleet.make(&["ada", "bo", "cy"]).await?;
    fleet.up(0).await?;
    step(cx, "ada founds the circle `demo` and runs her device");
    join(cx, fleet, 1, |invitation| invitation.code.clone()).await?;
    join(cx, fleet, 2, |invitation| invitation.link.clone()).await?;
    let peers = together(fleet).await?;
    step(cx, "all three are online and have proven who they are");
    let begun = Instant::now();
    let transfers = send(cx, &fleet.devices[0], &source).await?;
    let seconds = begun.elapsed().as_secs_f64();
    step(cx, &format!("sent to both at once in {seconds:.1} s; comparing every byte"));
    let mut receivers = Vec::new();
    for transfer in &transfers {
        let device = fleet.named(&transfer.peer)?;
        let landed = device.landed.join(source.file_name().unwrap_or_default());
        let checked = compared(source.clone(), landed).await?;
        receivers.push(receiver(transfer, &peers, checked, seconds));
    }
    step(cx, "compared");
    let shared = shared::chapter(cx, fleet, dir).await?;
    Ok(Report { circle: "demo".to_owned(), receivers, seconds, shared })
}

/// Compares on a thread that may block.
async fn compared(source: PathBuf, landed: PathBuf) -> ApiResult<Compared> {
    let comparing = tokio::task::spawn_blocking(move || compare::compare(&source, &landed));
    let compared = comparing.await.map_err(|error| fault(&error))?;
    compared.map_err(|error| Failure::io("cannot compare what arrived", &error))
}

fn fault(error: &tokio::task::JoinError) -> ApiError {
    ApiError::new(ErrorCode::Internal, error.to_string())
}

/// Invites a device with a real invitation, lets it join, and runs it.
async fn join(
    cx: &mut Context,
    fleet: &mut Fleet,
    index: usize,
    how: impl Fn(&api::types::Invitation) -> String,
) -> ApiResult<()> {
    let invitation: api::types::Invitation = fleet.devices[0].ask(&["invite"]).await?;
    let addresses = fleet.devices[0].addresses.clone();
    let device = &fleet.devices[index];
    let words = how(&invitation);
    let mut args = vec!["join", &words, "--name", &device.name];
    for address in &addresses {
        args.extend(["--at", address.as_str()]);
    }
    let joined: api::types::Joined = device.ask(&args).await?;
    let said: String = words.chars().take(40).collect();
    let name = device.name.clone();
    fleet.up(index).await?;
    let accepts = ["peers", "rule", "ada", "--auto-accept", "always"];
    let _: Peer = fleet.devices[index].ask(&accepts).await?;
    let text = format!("{name} joins with `{}`; safety words: {}", clean(&said), clean(&joined.safety_words));
    step(cx, &text);
    Ok(())
}

/// Waits until the first device sees both others online.
async fn together(fleet: &Fleet) -> ApiResult<Vec<Peer>> {
    let deadline = Instant::now() + TOGETHER_WITHIN;
    loop {
        let peers: Vec<Peer> = fleet.devices[0].ask(&["peers"]).await?;
        if peers.iter().filter(|peer| peer.state == "online").count() == fleet.devices.len() - 1 {
            return Ok(peers);
        }
        if Instant::now() > deadline {
            return Err(ApiError::new(
                ErrorCode::Unreachable,
                format!("the devices did not find each other within {} s", TOGETHER_WITHIN.as_secs()),
            )
            .hint("does a firewall forbid connections on loopback?"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Sends to both others with live progress.
async fn send(cx: &mut Context, sender: &Device, source: &Path) -> ApiResult<Vec<Transfer>> {
    let mut lines = sender.stream(&["send", "--to", "bo,cy", "--"], source)?;
    let mut progress = if cx.json { Progress::Silent } else { Progress::new(cx) };
    let mut result = None;
    while let Some(line) = lines.next().await? {
        match serde_json::from_str(&line) {
            Ok(Line::Progress { transfer }) => progress.update(cx, &*transfer),
            Ok(Line::Result { transfers }) => result = Some(transfers),
            Err(error) => return Err(ApiError::new(ErrorCode::Internal, error.to_string())),
        }
    }
    progress.clear();
    lines.finish().await?;
    result.ok_or_else(|| ApiError::new(ErrorCode::Internal, "`send` ended without a result"))
}

/// One receiver's line of the report.
fn receiver(transfer: &Transfer, peers: &[Peer], checked: Compared, seconds: f64) -> Receiver {
    let peer = peers.iter().find(|peer| peer.name == transfer.peer);
    Receiver {
        name: transfer.peer.clone(),
        path: peer.and_then(|peer| peer.path.clone()),
        lane: transfer.lane.clone().or_else(|| peer.and_then(|peer| peer.bulk.clone())),
        address: peer.and_then(|peer| peer.address.clone()),
        key_agreement: peer.and_then(|peer| peer.key_agreement.clone()),
        files: transfer.files_total,
        bytes: transfer.bytes_total,
        bytes_per_second: (transfer.bytes_total as f64 / seconds.max(0.001)) as u64,
        checked,
    }
}

/// Says that a step is done.
fn step(cx: &mut Context, text: &str) {
    let mark = cx.paint(Tone::Good, "✓");
    cx.note(&format!("{mark} {text}"));
}

impl Show for Report {
    fn human(&self, page: &mut Page) {
        let mut table =
            Table::new(page, &["TO", "PATH", "ADDRESS", "KEY EXCHANGE", ">FILES", ">SIZE", ">SPEED", "CHECKED"]);
        for receiver in &self.receivers {
            let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let checked = match receiver.checked.differences.as_slice() {
                [] => (Some(Tone::Good), format!("{}, all equal", count(receiver.checked.entries, "item"))),
                [first, ..] => (Some(Tone::Bad), first.clone()),
            };
            table.row([
                (Some(Tone::Strong), receiver.name.clone()),
                (None, format!("{}, {}", or_dash(&receiver.path), or_dash(&receiver.lane))),
                (None, or_dash(&receiver.address)),
                (None, or_dash(&receiver.key_agreement)),
                (None, receiver.files.to_string()),
                (None, size(receiver.bytes)),
                (None, rate(receiver.bytes_per_second)),
                checked,
            ]);
        }
        table.put(page);
    }
}
