//! `warren version`.

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Outcome;
use crate::print::{Page, Show};

/// Show the version
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren version --json")]
pub(crate) struct Version {}

/// The version.
#[derive(Serialize)]
pub(crate) struct Info {
    version: &'static str,
}

/// This program's.
pub(crate) const INFO: Info = Info { version: env!("CARGO_PKG_VERSION") };

impl Show for Info {
    fn human(&self, page: &mut Page) {
        page.line(format!("warren {}", self.version));
    }
}

impl Version {
    pub(crate) fn run(self, cx: &mut Context) -> Outcome {
        cx.show(&INFO);
        Ok(())
    }
}
