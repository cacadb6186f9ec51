//! `warren transfers`.

use api::types::{ById, Limit, PausedBy, Transfer, TransferQuery, TransferState};
use api::{ApiError, ApiResult, ErrorCode, Service};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::sync::Arc;

use super::send::watch_on;
use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::print::{Page, Show, TransferList, clean};
use crate::units::{Rate, parse_rate, rate};
use crate::watch::settled;

/// List, watch, pause, resume, cancel and limit transfers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren transfers                    what runs or waits now
  warren transfers --all              those that ended, too
  warren transfers watch              live progress of all that run
  warren transfers pause 3kq7         any unambiguous beginning of an id
  warren transfers resume 3kq7
  warren transfers resume --all
  warren transfers cancel 3kq7
  warren transfers limit 5M/s         all sending together, from now on (the setting `rate_limit`)
  warren transfers limit 1M/s 3kq7    one transfer, within the limit of all
  warren transfers limit off 3kq7     no limit of its own for one

A transfer that was cut goes on by itself; `resume` is for those that this side paused. What the
other side paused, it alone can resume.")]
pub(crate) struct Transfers {
    #[command(subcommand)]
    action: Option<Action>,
    /// Those that ended, too
    #[arg(short, long)]
    all: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List transfers (the same as no action)
    List {
        /// Those that ended, too
        #[arg(short, long)]
        all: bool,
    },
    /// Show one transfer in full
    Show {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Show progress until they end
    Watch {
        /// Ids, or their beginnings; none: all that run
        ids: Vec<String>,
    },
    /// Pause
    Pause(Which),
    /// Let paused ones go on
    Resume(Which),
    /// End for good
    Cancel(Which),
    /// Limit the rate
    Limit {
        /// Bytes per second, for example 5M/s, or off
        #[arg(value_parser = parse_rate)]
        rate: Rate,
        /// One transfer; none: all sending together, later ones as well
        id: Option<String>,
    },
}

/// Some or all.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Ids, or their beginnings
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All that have not ended
    #[arg(long)]
    all: bool,
}

/// What can be done to a transfer.
#[derive(Clone, Copy)]
enum Deed {
    Pause,
    Resume,
    Cancel,
}

/// The limit that holds now.
#[derive(Serialize)]
struct Limited {
    id: Option<String>,
    rate_limit: Option<u64>,
}

impl Show for Limited {
    fn human(&self, page: &mut Page) {
        let what = self.id.as_deref().map_or("all sending together".into(), clean);
        page.line(match self.rate_limit {
            Some(limit) => format!("At most {} for {what}.", rate(limit)),
            None if self.id.is_some() => format!("No limit of its own for {what}."),
            None => format!("No limit for {what}."),
        });
    }
}

impl Transfers {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        let listed = Action::List { all: self.all };
        match self.action.unwrap_or(listed) {
            Action::List { all } => {
                let ended = all || self.all;
                let query = TransferQuery { id: None, ended };
                let transfers = service.transfers(query).await?;
                cx.show(&TransferList(transfers));
                Ok(())
            }
            Action::Show { id } => {
                let transfer = one(&service, &id).await?;
                cx.show(&transfer);
                Ok(())
            }
            Action::Watch { ids } => watch(cx, &service, ids).await,
            Action::Pause(which) => act(cx, &service, which, Deed::Pause).await,
            Action::Resume(which) => act(cx, &service, which, Deed::Resume).await,
            Action::Cancel(which) => act(cx, &service, which, Deed::Cancel).await,
            Action::Limit { rate, id } => {
                let limited = Limited { id: id.clone(), rate_limit: rate.0 };
                let rate_limit = rate.0;
                service.limit_transfer(Limit { id, rate_limit }).await?;
                cx.show(&limited);
                Ok(())
            }
        }
    }
}

/// Does one deed to each transfer.
async fn act(cx: &mut Context, service: &Arc<dyn Service>, which: Which, deed: Deed) -> Outcome {
    let ids = if which.all {
        let open = service.transfers(TransferQuery::default()).await?;
        open.into_iter().map(|transfer| transfer.id).collect()
    } else {
        which.ids
    };
    let mut changed = Vec::new();
    for id in ids {
        let id = ById { id };
        let transfer = match deed {
            Deed::Pause => service.pause_transfer(id).await?,
            Deed::Resume => service.resume_transfer(id).await?,
            Deed::Cancel => service.cancel_transfer(id).await?,
        };
        let before = |state: TransferState| match deed {
            Deed::Pause => state != TransferState::Paused && !state.is_final(),
            Deed::Resume => state == TransferState::Paused,
            Deed::Cancel => !state.is_final(),
        };
        changed.push(settled(service, transfer, before).await?);
    }
    let list = TransferList(changed);
    cx.show(&list);
    let paused_there = |transfer: &&Transfer| transfer.paused_by == Some(PausedBy::Other);
    for transfer in list.0.iter().filter(|_| matches!(deed, Deed::Resume)).filter(paused_there) {
        let (id, peer) = (transfer.id.get(..8).unwrap_or(&transfer.id), clean(&transfer.peer));
        cx.note(&format!("\n{peer} paused {}: only there it can be resumed.", clean(id)));
    }
    Ok(())
}

/// Follows some transfers, or all that have not ended.
async fn watch(cx: &mut Context, service: &Arc<dyn Service>, ids: Vec<String>) -> Outcome {
    let events = service.events().await?;
    let transfers = if ids.is_empty() {
        service.transfers(TransferQuery::default()).await?
    } else {
        let mut transfers = Vec::new();
        for id in &ids {
            transfers.push(one(service, id).await?);
        }
        transfers
    };
    if transfers.is_empty() {
        cx.show(&TransferList(transfers));
        return Ok(());
    }
    watch_on(cx, service, events, transfers).await
}

/// The one transfer whose id begins so.
async fn one(service: &Arc<dyn Service>, id: &str) -> ApiResult<Transfer> {
    let query = TransferQuery { id: Some(id.to_owned()), ended: true };
    let mut found = service.transfers(query).await?;
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(ApiError::new(ErrorCode::NotFound, format!("no transfer's id begins with `{}`", clean(id)))
            .hint("`warren transfers --all` lists all of them")),
        more => {
            Err(Failure::usage(format!("the ids of {more} transfers begin with `{}`", clean(id)))
                .hint("type more of it"))
        }
    }
}
