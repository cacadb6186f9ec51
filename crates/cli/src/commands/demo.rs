//! `warren demo`.
use crate::context::Context;
use crate::exit::Outcome;
use clap::Args;

/// Three devices on this machine, at work: invite, join, send, verify
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  warren demo")]
pub(crate) struct Demo {}

impl Demo {
    pub(crate) async fn run(self, _cx: &mut Context) -> Outcome {
        Ok(())
    }
}
