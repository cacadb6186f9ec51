//! The command line of Warren. Everything it does, it asks of a device through the local API ([`api::Service`]) or of the
//! program that can make and run devices ([`api::Host`]); it owns no keys and decides nothing about files or peers.
//!
//! A command is one file in [`commands`]: its arguments and a `run` that hands values to the printer. How a value looks
//! (for people, or as JSON) is decided in [`print`] alone. Exit codes are listed in [`exit`] and `docs/exit-codes.md`.

mod args;
mod commands;
mod context;
mod exit;
mod nearest;
mod place;
mod print;
mod terminal;
mod units;
mod unseen;
mod watch;
mod work;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use api::{ApiResult, Host};
use clap::error::ErrorKind;

use args::Cli;
use context::Context;
use exit::Failure;

pub use exit::exit_code;
pub use terminal::{Input, Terminal};

/// What the program must know before it opens a home.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    /// Home from `--home` or `WARREN_HOME`; absent: the default one.
    pub home: Option<PathBuf>,
    /// How often `-v` was given: 0 warnings, 1 information, 2 details, 3 everything.
    pub verbosity: u8,
}

/// Runs one command line (`args` begins with the program's name) on this process's terminal. `open` makes the host for
/// the chosen home; it is not called for help and usage errors.
pub async fn run<H>(args: impl Iterator<Item = OsString>, open: H) -> ExitCode
where
    H: FnOnce(&Start) -> ApiResult<Arc<dyn Host>>,
{
    ExitCode::from(run_on(Terminal::of_process(), args, open).await)
}

/// [`run`] on any terminal; gives the exit code.
pub async fn run_on<H>(mut terminal: Terminal, args: impl Iterator<Item = OsString>, open: H) -> u8
where
    H: FnOnce(&Start) -> ApiResult<Arc<dyn Host>>,
{
    let args: Vec<OsString> = args.collect();
    let cli = match parse(&args, terminal.columns) {
        Ok(cli) => cli,
        Err(error) => return print::usage(&mut terminal, &error, wants_json(&args)),
    };
    terminal.choose_color(cli.global.color);
    let start = Start {
        home: cli.global.home.clone().filter(|home| !home.as_os_str().is_empty()),
        verbosity: cli.global.verbose,
    };
    let mut context = Context::new(terminal, cli.global);
    let outcome = match open(&start) {
        Ok(host) => {
            context.set_host(host);
            Box::pin(commands::run(cli.command, &mut context)).await
        }
        Err(error) => Err(Failure::from(error)),
    };
    let code = match outcome {
        Ok(()) => 0,
        Err(failure) => context.fail(failure),
    };
    match context.lost_output() {
        Some(error) => {
            let lost = context.fail(Failure::from(error));
            if code == 0 { lost } else { code }
        }
        None => code,
    }
}

/// Parses the command line.
fn parse(args: &[OsString], columns: u16) -> Result<Cli, clap::Error> {
    use clap::FromArgMatches;
    let matches = args::command(columns).try_get_matches_from(args)?;
    Cli::from_arg_matches(&matches)
}

/// True if errors should be JSON, although the command line could not be parsed.
fn wants_json(args: &[OsString]) -> bool {
    args.iter().any(|arg| arg == "--json")
}

/// True for what is no error: help and version were asked for.
fn is_wanted(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}
