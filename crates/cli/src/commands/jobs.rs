//! `warren jobs`.

use api::types::{ById, Nothing};
use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Outcome;
use crate::print::JobList;

/// Work in spaces that runs, and what ended lately
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren jobs                what `put` and `get` are doing
  warren jobs cancel 3kq7    end one: what is done stays")]
pub(crate) struct Jobs {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List it (the same as no action)
    List,
    /// End work; what is done stays
    Cancel {
        /// Its id, or the beginning of it
        id: String,
    },
}

impl Jobs {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        match self.action {
            None | Some(Action::List) => cx.show(&JobList(service.jobs(Nothing {}).await?)),
            Some(Action::Cancel { id }) => cx.show(&service.cancel_job(ById { id }).await?),
        }
        Ok(())
    }
}
