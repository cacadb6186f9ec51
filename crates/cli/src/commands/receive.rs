//! `warren receive`: by a one-time code, or what members offer.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use api::types::{Accept, ById, CodeReceive, Nothing, Transfer, TransferQuery, TransferState};
use api::{ApiResult, Service};
use clap::Args;
use futures_util::StreamExt;

use super::send::{outcome_code, show_endings, summarise, watch_on};
use crate::context::{Context, is_yes};
use crate::exit::{Failure, INTERRUPTED, Outcome, exit_code};
use crate::print::{clean, clean_text, names};
use crate::units::{count, parse_duration, size};
use crate::watch::{End, MEND, Patience, follow};

/// How often to look for offers where no event told of one.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Receive by a one-time code, or wait for offers and decide
#[derive(Debug, Args)]
#[command(visible_aliases = ["recv"], after_help = "\
Examples:
  warren receive acid-brave-coral-dune        by a one-time code, into this folder
  warren receive CODE --out ~/Downloads --yes
  warren receive                              wait for offers of members, ask for each
  warren receive --yes --once                 accept the next offer and end when it is here

Nothing is ever overwritten: a name that is taken gets a number. By a code it needs no circle and no running device.
After a cut it goes on by itself; after Ctrl-C or a crash the same command in the same folder goes on.")]
pub(crate) struct Receive {
    /// One-time code (four words) or link; nothing: wait for offers of members
    #[arg(value_name = "CODE")]
    code: Vec<String>,
    /// Landing folder [default: this folder for a code, else the setting `received_dir`]
    #[arg(short, long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Where the sender is; may be given several times
    #[arg(long, value_name = "IP:PORT", requires = "code")]
    at: Vec<String>,
    /// End after one offer
    #[arg(long, conflicts_with = "code")]
    once: bool,
    /// How long to wait for a sender that is away, or until there is room on this disk [default: for ever; 10min for room]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION", requires = "code")]
    patience: Option<Duration>,
}

impl Receive {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let out = self.out.as_deref().map(folder).transpose()?;
        if self.code.is_empty() {
            offers(cx, out, self.once).await
        } else {
            let to = match out {
                Some(out) => out,
                None => folder(std::path::Path::new("."))?,
            };
            let request = CodeReceive { code: self.code.join("-"), to, at: self.at, yes: cx.yes };
            by_code(cx, request, self.patience).await
        }
    }
}

/// The absolute form of a folder, as the API wants it.
fn folder(path: &std::path::Path) -> ApiResult<String> {
    let shown = clean(&path.to_string_lossy()).into_owned();
    let absolute =
        std::path::absolute(path).map_err(|error| Failure::io(format_args!("cannot use `{shown}`"), &error))?;
    absolute.into_os_string().into_string().map_err(|_| {
        Failure::usage(format!("the landing folder `{shown}` is no UTF-8"))
            .hint("choose a folder whose name is plain text")
    })
}

/// Receives from whoever made the code, and hangs up in good order however it ends.
async fn by_code(cx: &mut Context, request: CodeReceive, patience: Option<Duration>) -> Outcome {
    if !cx.yes && !cx.terminal.in_is_terminal {
        return Err(Failure::usage("nobody can answer whether to accept: standard input is no terminal")
            .hint("say `--yes` to accept without being asked")
            .into());
    }
    let service = cx.host().passing().await?;
    let ended = receive_by_code(cx, &service, request, patience).await;
    let _ = service.shutdown(Nothing {}).await;
    ended
}

async fn receive_by_code(
    cx: &mut Context,
    service: &Arc<dyn Service>,
    request: CodeReceive,
    patience: Option<Duration>,
) -> Outcome {
    let mut interrupted = pin!(cx.terminal.interrupted());
    let mut transfer = tokio::select! {
        transfer = service.code_receive(request.clone()) => transfer?,
        () = &mut interrupted => return Err(Failure::Said(INTERRUPTED)),
    };
    // Otherwise it was accepted already: by `--yes`, or before an interruption.
    if transfer.state == TransferState::Offered {
        let (id, question) = (transfer.id.clone(), format!("{} Accept?", describe(&transfer)));
        let accepted = tokio::select! {
            accepted = cx.confirm(&question) => accepted?,
            () = &mut interrupted => return Err(Failure::Said(INTERRUPTED)),
        };
        if !accepted {
            service.reject_offer(ById { id }).await?;
            cx.note("Rejected.");
            return Err(Failure::Said(exit_code(api::ErrorCode::Cancelled)));
        }
        let to = Some(request.to.clone());
        transfer = service.accept_offer(Accept { id, to }).await?;
    }
    // Only what happens from here on: what was told before the decision is no news.
    let events = service.events().await?;
    let query = TransferQuery { id: Some(transfer.id.clone()), ended: true };
    let now = service.transfers(query).await?.pop().filter(|now| now.state != TransferState::Offered);
    transfer = now.unwrap_or(transfer);
    let patience = Patience { away: patience, stuck: Some(patience.unwrap_or(MEND)), answer: None };
    let (transfers, end) = follow(cx, service, events, vec![transfer], patience).await?;
    let code = match end {
        End::Final => return summarise(cx, &transfers, end, false),
        End::Away => outcome_code(&transfers),
        End::Interrupted => INTERRUPTED,
    };
    show_endings(cx, &transfers);
    cx.note(&format!(
        "\nWhat arrived is kept in {}. The same command goes on there, as long as the sender's command runs.",
        clean(&request.to)
    ));
    Err(Failure::Said(code))
}

/// Waits for offers and asks for each.
async fn offers(cx: &mut Context, to: Option<String>, once: bool) -> Outcome {
    let service = cx.running().await?;
    if !cx.yes && !cx.terminal.in_is_terminal {
        return Err(Failure::usage("nobody can answer whether to accept: standard input is no terminal")
            .hint("`warren receive --yes` accepts everything; `warren inbox` lists offers, `warren inbox accept ID` takes one")
            .into());
    }
    let mut asked = BTreeSet::new();
    let mut events = service.events().await?;
    let mut interrupted = pin!(cx.terminal.interrupted());
    cx.note("Waiting for offers. Ctrl-C ends the waiting; offers stay in `warren inbox`.");
    loop {
        for offer in waiting(&service).await? {
            if !asked.insert(offer.id.clone()) {
                continue;
            }
            let accepted = tokio::select! {
                accepted = decide(cx, &service, &offer, to.clone()) => accepted?,
                () = &mut interrupted => return Err(Failure::Said(INTERRUPTED)),
            };
            if let Some(transfer) = accepted {
                let ended = watch_on(cx, &service, service.events().await?, vec![transfer]).await;
                if once || matches!(ended, Err(Failure::Said(INTERRUPTED))) {
                    return ended;
                }
            }
            if once {
                return Ok(());
            }
        }
        tokio::select! {
            event = events.next() => if event.is_none() {
                events = service.events().await?;
            },
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = &mut interrupted => return Err(Failure::Said(INTERRUPTED)),
        }
    }
}

/// Offers that wait for a decision.
pub(crate) async fn waiting(service: &Arc<dyn Service>) -> ApiResult<Vec<Transfer>> {
    let mut offers = service.transfers(TransferQuery::default()).await?;
    offers.retain(|offer| offer.direction == "in" && offer.state == TransferState::Offered);
    Ok(offers)
}

/// Asks about one offer; gives the transfer if it was accepted.
async fn decide(
    cx: &mut Context,
    service: &Arc<dyn Service>,
    offer: &Transfer,
    to: Option<String>,
) -> ApiResult<Option<Transfer>> {
    let id = offer.id.clone();
    if !cx.yes {
        let question = format!("{} Accept? [y]es, [n]o, [l]ater ", describe(offer));
        let answer = cx.ask(&question, "say `--yes`").await?.unwrap_or_default();
        match answer.trim().to_lowercase().as_str() {
            "n" | "no" => {
                service.reject_offer(ById { id }).await?;
                cx.note("Rejected.");
                return Ok(None);
            }
            yes if is_yes(yes) => {}
            _ => {
                cx.note("Left in `warren inbox`.");
                return Ok(None);
            }
        }
    }
    service.accept_offer(Accept { id, to }).await.map(Some)
}

/// An offer in words.
pub(crate) fn describe(offer: &Transfer) -> String {
    let more = if offer.scanned { "" } else { " so far" };
    let mut text = format!(
        "{} offers {}: {} in {}{more}.",
        clean(&offer.peer),
        clean(&names(offer)),
        size(offer.bytes_total),
        count(offer.files_total, "file"),
    );
    if let Some(message) = &offer.text {
        for line in clean_text(message).lines() {
            text.push_str(&format!("\n  | {line}"));
        }
        text.push('\n');
    }
    text
}
