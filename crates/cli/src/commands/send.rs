//! `warren send`: to members, or to anybody by a one-time code.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::types::{ById, CodeSend, FromSpool, Limit, Nothing, Send as Request, Transfer, TransferState};
use api::{ApiError, ApiResult, Bytes, ContentStream, ErrorCode, Service};
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Failure, INTERRUPTED, Outcome, PARTLY, exit_code};
use crate::print::{Tone, clean, ending};
use crate::units::{Rate, parse_duration, parse_rate};
use crate::watch::{End, MEND, Patience, follow, is_away};

/// How long those who are away are waited for unless the user says otherwise, and how long at least somebody who is there.
const AWAY: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(3);

/// Bytes of standard input that are read at once, and how many such pieces may wait to be handed over.
const CHUNK: usize = 64 << 10;
const CHUNKS: usize = 4;

/// Send files, folders or a text, straight to the receivers' disks
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren send Photos notes.txt --to bo         a folder and a file to bo
  warren send Photos --to bo,cy --limit 5M     to two, at most 5 MB/s each
  warren send --text \"dinner at 8\" --all       a text to everybody
  tar c src | warren send - --name src.tar --to bo
  warren send Photos                           to anybody: prints a one-time code for `warren receive CODE`

Ends when the receivers have everything, verified and safe on their disks, or says for each one why not.
Ctrl-C stops the watching only: transfers go on in the background (`warren transfers`), also after a cut.
Sending by a one-time code needs no circle and no running device; it lasts as long as this command.")]
pub(crate) struct Send {
    /// Files and folders; `-` is standard input. A link that is named here is followed, links inside folders are sent
    /// as links
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    paths: Vec<PathBuf>,
    /// Receivers, with commas between them
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    to: Vec<String>,
    /// To everybody in the circle
    #[arg(short, long, conflicts_with = "to")]
    all: bool,
    /// A text that goes with it, or alone
    #[arg(long)]
    text: Option<String>,
    /// Name under which standard input arrives
    #[arg(long, default_value = "stdin", value_name = "NAME")]
    name: String,
    /// At most so many bytes per second to each receiver
    #[arg(short, long, value_parser = parse_rate, value_name = "RATE")]
    limit: Option<Rate>,
    /// Queue it and return at once
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for receivers that are away, that cannot take it, or that do not answer; `0s` does not wait for
    /// those away [default: 30s for those away; for ever for an answer, and for whoever has the code, but 10min if that one
    /// cannot take it]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    patience: Option<Duration>,
}

/// The last line of the JSON stream.
#[derive(Serialize)]
struct Summary<'a> {
    kind: &'static str,
    transfers: &'a [Transfer],
}

/// The line of the JSON stream that has the code.
#[derive(Serialize)]
struct CodeLine<'a> {
    kind: &'static str,
    code: &'a str,
    link: &'a str,
    addresses: &'a [String],
}

/// What is to be sent, in the API's terms.
struct Load {
    paths: Vec<String>,
    paths_raw: Vec<String>,
    /// Standard input, handed over already.
    spool: Option<FromSpool>,
}

impl Send {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        if self.paths.is_empty() && self.text.is_none() {
            return Err(Failure::usage("nothing to send")
                .hint("name files or folders, `-` for standard input, or give a --text")
                .into());
        }
        if self.text.as_ref().is_some_and(String::is_empty) {
            return Err(Failure::usage("the text is empty").hint("leave --text away to send files alone").into());
        }
        if self.to.is_empty() && !self.all {
            return self.by_code(cx).await;
        }
        let away = Some(self.patience.unwrap_or(AWAY));
        let patience = Patience { away, stuck: away, ..self.patience() };
        let service = cx.running().await?;
        let events = service.events().await?;
        let load = self.load(cx, &service).await?;
        let request = Request {
            paths: load.paths,
            paths_raw: load.paths_raw,
            to: self.to.clone(),
            all: self.all,
            text: self.text,
            spool: load.spool,
            rate_limit: self.limit.and_then(|limit| limit.0),
        };
        let sent = match service.send(request).await {
            Ok(sent) => sent,
            Err(error) => return Err(cx.suggest_peer(&service, &self.to, error).await.into()),
        };
        if self.no_wait {
            return summarise(cx, &sent.transfers, End::Away, true);
        }
        let followed = follow(cx, &service, events, sent.transfers, patience).await;
        let (transfers, end) = followed.map_err(|error| match error.code {
            ErrorCode::NotRunning => error.hint("what was to be sent is kept, and goes on after `warren up`"),
            _ => error,
        })?;
        summarise(cx, &transfers, end, false)
    }

    /// Sends to whoever has the code, from this process.
    async fn by_code(self, cx: &mut Context) -> Outcome {
        if self.no_wait {
            return Err(Failure::usage("a one-time code works only while this command runs")
                .hint("leave --no-wait away, or name receivers with --to")
                .into());
        }
        let patience = self.patience();
        let service = cx.host().passing().await?;
        let events = service.events().await?;
        let load = self.load(cx, &service).await?;
        let offer = service
            .code_send(CodeSend { paths: load.paths, paths_raw: load.paths_raw, text: self.text, spool: load.spool })
            .await?;
        if let Some(Rate(Some(limit))) = self.limit {
            let id = Some(offer.transfer.id.clone());
            let rate_limit = Some(limit);
            service.limit_transfer(Limit { id, rate_limit }).await?;
        }
        show_code(cx, &offer);
        let id = offer.transfer.id.clone();
        let (transfers, end) = follow(cx, &service, events, vec![offer.transfer], patience).await?;
        let code = outcome_code(&transfers);
        let stuck = end == End::Away && code != exit_code(ErrorCode::Unreachable);
        // Whoever has no room for the rest keeps what it has; everybody else is told that no more comes.
        if end != End::Final && !stuck {
            // The code dies with this process whether or not the other side hears of it.
            let _ = service.cancel_transfer(ById { id }).await;
        }
        if end == End::Interrupted {
            cx.note("Stopped. The code no longer works.");
            return Err(Failure::Said(INTERRUPTED));
        }
        // Hanging up tells the receiver that its receipt came.
        let _ = service.shutdown(Nothing {}).await;
        if end == End::Away {
            show_endings(cx, &transfers);
            let why =
                if stuck { "What is in the way was not mended in time." } else { "Nobody went on with it in time." };
            cx.note(&format!("{why} The code no longer works."));
            return Err(Failure::Said(code));
        }
        summarise(cx, &transfers, end, false)
    }

    /// What was asked for in words. An answer needs a moment, also from a device that answers by itself.
    fn patience(&self) -> Patience {
        Patience {
            away: self.patience,
            stuck: Some(self.patience.unwrap_or(MEND)),
            answer: self.patience.map(|patience| patience.max(ANSWER)),
        }
    }

    /// Makes paths absolute, and hands standard input over.
    async fn load(&self, cx: &mut Context, service: &Arc<dyn Service>) -> Result<Load, Failure> {
        let mut load = Load { paths: Vec::new(), paths_raw: Vec::new(), spool: None };
        let (input, files): (Vec<_>, Vec<_>) = self.paths.iter().partition(|path| path.as_os_str() == "-");
        for path in &files {
            load.add(&existing(path)?);
        }
        if !input.is_empty() {
            if !files.is_empty() {
                return Err(Failure::usage("standard input is sent alone")
                    .hint("send the files with a second command")
                    .into());
            }
            let id = hand_over(cx, service, "use it with a pipe: tar c DIR | warren send - --name dir.tar --to NAME")
                .await?;
            load.spool = Some(FromSpool { id, name: self.name.clone() });
        }
        Ok(load)
    }
}

impl Load {
    fn add(&mut self, path: &Path) {
        match path.to_str() {
            Some(text) => self.paths.push(text.to_owned()),
            None => self.paths_raw.push(data_encoding::BASE64URL_NOPAD.encode(path.as_os_str().as_bytes())),
        }
    }
}

/// The absolute form of a path that exists.
pub(crate) fn existing(path: &Path) -> ApiResult<PathBuf> {
    let shown = clean(&path.to_string_lossy()).into_owned();
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ApiError::new(ErrorCode::NotFound, format!("there is no file or folder `{shown}`")),
        _ => Failure::io(format_args!("cannot read `{shown}`"), &error),
    };
    std::fs::symlink_metadata(path).map_err(cannot)?;
    std::path::absolute(path).map_err(cannot)
}

/// Hands standard input over to the device; gives the name under which it has it. `otherwise`: what to do where it is a
/// terminal.
pub(super) async fn hand_over(
    cx: &mut Context,
    service: &Arc<dyn Service>,
    otherwise: &str,
) -> Result<String, Failure> {
    if cx.terminal.in_is_terminal {
        return Err(Failure::usage("standard input is a terminal").hint(otherwise).into());
    }
    let interrupted = cx.terminal.interrupted();
    // Dropping the call breaks it off, and what came so far is not kept.
    tokio::select! {
        spooled = service.spool(stream_of(cx.terminal.input.bytes())) => Ok(spooled?.id),
        () = interrupted => Err(Failure::Said(INTERRUPTED)),
    }
}

/// Bytes from something that blocks, read on a thread of their own.
fn stream_of(mut reader: Box<dyn io::Read + std::marker::Send>) -> ContentStream {
    let (chunks, mut from_chunks) = tokio::sync::mpsc::channel(CHUNKS);
    std::thread::spawn(move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match reader.read(&mut chunk) {
                Ok(0) => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(Bytes::from(chunk))
                }
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            if chunks.blocking_send(read).is_err() || failed {
                return;
            }
        }
    });
    Box::pin(futures_util::stream::poll_fn(move |cx| from_chunks.poll_recv(cx)))
}

/// Prints code, link and QR code.
fn show_code(cx: &mut Context, offer: &api::types::CodeOffer) {
    if cx.json {
        cx.json_line(&CodeLine { kind: "code", code: &offer.code, link: &offer.link, addresses: &offer.addresses });
        return;
    }
    let code = cx.paint(Tone::Accent, &clean(&offer.code));
    cx.say(&format!("code  {code}"));
    cx.say(&format!("link  {}", clean(&offer.link)));
    cx.draw(&offer.link);
    let code = clean(&offer.code).into_owned();
    cx.note(&format!("On the other machine: warren receive {code}"));
    cx.note("The code works once, and only while this command runs.");
}

/// Says how each transfer stands and ends with the exit code that fits.
pub(crate) fn summarise(cx: &mut Context, transfers: &[Transfer], end: End, queued: bool) -> Outcome {
    show_endings(cx, transfers);
    if queued {
        return Ok(());
    }
    let open: Vec<&Transfer> = transfers.iter().filter(|transfer| !transfer.state.is_final()).collect();
    if let Some(first) = open.first() {
        let id: String = first.id.chars().take(8).collect();
        cx.note(&if end == End::Interrupted {
            format!("\nNo longer watching. The device goes on in the background: `warren transfers watch {id}` shows it again,\n`warren transfers pause {id}` and `warren transfers resume {id}` stop it and let it go on, `warren transfers cancel {id}` ends it.")
        } else if first.state == TransferState::Offered {
            format!("\nThe other side has not answered yet. The offer stays: `warren transfers` shows it, `warren transfers cancel {id}` ends it.")
        } else if first.problem_code.is_some_and(|code| code != ErrorCode::Unreachable) {
            format!("\nThe device keeps trying, so it goes on by itself once that is mended: `warren transfers` shows it, `warren transfers cancel {id}` ends it.")
        } else {
            format!("\nIt goes on by itself as soon as the other side is back: `warren transfers` shows it, `warren transfers cancel {id}` ends it.")
        });
    }
    if end == End::Interrupted {
        return Err(Failure::Said(INTERRUPTED));
    }
    match outcome_code(transfers) {
        0 => Ok(()),
        code => Err(Failure::Said(code)),
    }
}

/// Says how each transfer stands.
pub(crate) fn show_endings(cx: &mut Context, transfers: &[Transfer]) {
    if cx.json {
        return cx.json_line(&Summary { kind: "result", transfers });
    }
    for transfer in transfers {
        let text = ending(&cx.page(), transfer);
        cx.say(&text);
    }
}

/// Exit code for a set of transfers: that of their common fate, or "partly".
pub(crate) fn outcome_code(transfers: &[Transfer]) -> u8 {
    let mut codes = transfers.iter().map(code_of);
    let first = codes.next().unwrap_or(0);
    if codes.all(|code| code == first) { first } else { PARTLY }
}

/// Exit code for one transfer.
fn code_of(transfer: &Transfer) -> u8 {
    match transfer.state {
        TransferState::Done if transfer.files_failed > 0 => exit_code(ErrorCode::Io),
        TransferState::Done => 0,
        TransferState::Rejected => exit_code(ErrorCode::Refused),
        TransferState::Cancelled => exit_code(ErrorCode::Cancelled),
        state => match transfer.problem_code {
            Some(code) => exit_code(code),
            // Nobody was there, or nobody answered.
            None if is_away(state) || state == TransferState::Offered => exit_code(ErrorCode::Unreachable),
            None => exit_code(ErrorCode::Internal),
        },
    }
}

/// Follows transfers on and says how they ended; for commands that only look.
pub(crate) async fn watch_on(
    cx: &mut Context,
    service: &Arc<dyn Service>,
    events: api::EventStream,
    transfers: Vec<Transfer>,
) -> Outcome {
    let (transfers, end) = follow(cx, service, events, transfers, Patience::default()).await?;
    summarise(cx, &transfers, end, false)
}
