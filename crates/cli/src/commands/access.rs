//! `warren access`.

use api::types::AccessQuery;
use clap::Args;

use crate::context::Context;
use crate::exit::Outcome;
use crate::place::{Place, scope};
use crate::print::Accesses;

/// Who may do what in a space, and why
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren access home               who has which role on the space, and who granted it
  warren access home:Photos/2026   at one place: also which directory's permissions say so")]
pub(crate) struct Access {
    /// A space, or a place in it
    #[arg(value_name = "SPACE[:PATH]", value_parser = scope())]
    place: Place,
}

impl Access {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let query = AccessQuery { space: self.place.space, path: self.place.path };
        let access = cx.running().await?.space_access(query).await?;
        cx.show(&Accesses(access));
        Ok(())
    }
}
