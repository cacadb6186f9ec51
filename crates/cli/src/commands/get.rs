//! `warren get`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::types::{Existing, TreeGet, TreePath};
use clap::{Args, ValueEnum};

use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::place::{on_this_machine, one_space, places_and_folder};
use crate::units::parse_duration;
use crate::work::follow;

/// Bring files and folders of a space onto this machine
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren get home:Photos                        into this folder
  warren get home:Photos home:notes.txt out     into the folder `out`
  warren get home:notes.txt --to ~/Documents    into a folder that is there, under its own name
  warren get home:notes.txt old.txt --at 3d     as it was three days ago, under another name
  warren get 'home:*.pdf' --to ~/Documents      patterns: * ? [...] **
  warren get home: --to backup --existing skip  only what is not there yet

The last argument is a folder of this machine if it has no `:`, or begins with `/`, `./` or `../`;
`--to` names it in any case. Nothing is overwritten unless you say `--existing replace`.
Ctrl-C ends it: what is done stays. Contents that no device online has are waited for (`--patience`).")]
pub(crate) struct Get {
    /// What, in one space; then perhaps a folder, or the new name of the one thing [default: this folder]
    #[arg(value_name = "SPACE:PATH", required = true)]
    what: Vec<OsString>,
    /// Where to
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::AnyPath)]
    to: Option<PathBuf>,
    /// As it was then
    #[arg(long, value_name = "TIME|VERSION")]
    at: Option<String>,
    /// What happens where there is something of that name: number (it stays, what comes gets another name), skip, replace
    #[arg(long, value_enum, default_value = "number", value_name = "HOW", hide_possible_values = true)]
    existing: There,
    /// How long to wait for contents that no device online has
    #[arg(long, value_parser = parse_duration, value_name = "DURATION", default_value = "30s")]
    patience: Duration,
    /// Folders always come with everything in them
    #[arg(short, long, hide = true)]
    recursive: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum There {
    Number,
    Skip,
    Replace,
}

impl Get {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let (places, folder) = places_and_folder(self.what)?;
        let to = match (self.to, folder) {
            (Some(_), Some(folder)) => {
                let folder = crate::print::clean_bytes(folder.as_os_str().as_bytes());
                return Err(Failure::usage(format!(
                    "`{folder}` is no place in a space, and --to names the folder already"
                ))
                .hint("a place in a space is written SPACE:PATH")
                .into());
            }
            (to, folder) => to.or(folder).unwrap_or_else(|| ".".into()),
        };
        if to.as_os_str() == "-" {
            return Err(Failure::usage("files go to a folder")
                .hint("`warren cat SPACE:PATH` writes to standard output")
                .into());
        }
        let (space, paths) = one_space(places)?;
        let exact = matches!(paths.as_slice(), [path] if becomes(path, &to));
        let request = TreeGet {
            space,
            paths,
            at: self.at,
            to: on_this_machine(&to)?,
            exact,
            existing: match self.existing {
                There::Number => Existing::Number,
                There::Skip => Existing::Skip,
                There::Replace => Existing::Replace,
            },
        };
        let service = cx.running().await?;
        let events = service.events().await?;
        let job = service.tree_get(request).await?;
        follow(cx, &service, events, job, self.patience).await
    }
}

/// True if the one thing becomes `to` itself, as with other tools that copy: no directory is there, or meant.
fn becomes(path: &TreePath, to: &Path) -> bool {
    let is_pattern = path.0.iter().any(|byte| b"*?[".contains(byte));
    !is_pattern && !to.as_os_str().as_bytes().ends_with(b"/") && !to.is_dir()
}
