//! `warren completions`.

use clap::Args;
use clap_complete::Shell;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Outcome;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren completions bash > ~/.local/share/bash-completion/completions/warren
  warren completions zsh > ~/.zfunc/_warren
  warren completions fish > ~/.config/fish/completions/warren.fish")]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

/// The completions of one shell.
#[derive(Serialize)]
struct Script {
    shell: String,
    script: String,
}

impl Completions {
    pub(crate) fn run(self, cx: &mut Context) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::args::command(100), "warren", &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        match cx.json {
            true => cx.json_line(&Script { shell: self.shell.to_string(), script }),
            false => cx.write_out(&script),
        }
        Ok(())
    }
}
