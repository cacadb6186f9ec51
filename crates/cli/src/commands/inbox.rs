//! `warren inbox`: offers that wait for a decision.

use api::types::{Accept, ById, Transfer, TransferState};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::receive::{describe, waiting};
use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::print::{Page, Show, ending};
use crate::watch::settled;

/// Offers that wait for your decision
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren inbox                        who offers what, and how much
  warren inbox accept 3kq7            take one (any unambiguous beginning of its id)
  warren inbox accept 3kq7 --out big  into another folder; also one that is stuck
  warren inbox accept --all
  warren inbox reject 3kq7
  warren peers rule bo --auto-accept 500M    accept what bo sends without asking, up to 500 MB")]
pub(crate) struct Inbox {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List offers (the same as no action)
    List,
    /// Accept offers
    Accept {
        #[command(flatten)]
        which: Which,
        /// Landing folder [default: the setting `received_dir`]
        #[arg(short, long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
        out: Option<std::path::PathBuf>,
    },
    /// Reject offers
    Reject {
        #[command(flatten)]
        which: Which,
    },
}

/// Some or all.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Ids, or their beginnings
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All that wait
    #[arg(long)]
    all: bool,
}

/// Offers, as they are listed.
#[derive(Serialize)]
#[serde(transparent)]
struct Offers(Vec<Transfer>);

impl Show for Offers {
    fn human(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("No offers wait.");
            return;
        }
        for offer in &self.0 {
            let id: String = offer.id.chars().take(8).collect();
            page.line(format!("{id}  {}", describe(offer).trim_end()));
        }
        page.line("");
        page.line("`warren inbox accept ID` or `warren inbox reject ID` (or --all).");
    }
}

/// What became of offers.
#[derive(Serialize)]
#[serde(transparent)]
struct Decided(Vec<Transfer>);

impl Show for Decided {
    fn human(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("No offers wait.");
        }
        for transfer in &self.0 {
            page.line(ending(page, transfer));
        }
    }
}

impl Inbox {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        let (which, out, accept) = match self.action {
            None | Some(Action::List) => {
                cx.show(&Offers(waiting(&service).await?));
                return Ok(());
            }
            Some(Action::Accept { which, out }) => (which, out, true),
            Some(Action::Reject { which }) => (which, None, false),
        };
        let to = match out {
            Some(out) => Some(
                std::path::absolute(&out)
                    .map_err(|error| Failure::io("cannot use the landing folder", &error))?
                    .to_string_lossy()
                    .into_owned(),
            ),
            None => None,
        };
        let ids = if which.all {
            let offers = waiting(&service).await?;
            offers.into_iter().map(|offer| offer.id).collect()
        } else {
            which.ids
        };
        let mut decided = Vec::new();
        for id in ids {
            let transfer = if accept {
                service.accept_offer(Accept { id, to: to.clone() }).await?
            } else {
                service.reject_offer(ById { id }).await?
            };
            decided.push(settled(&service, transfer, |state| state == TransferState::Offered).await?);
        }
        cx.show(&Decided(decided));
        Ok(())
    }
}
