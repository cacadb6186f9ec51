//! `warren completions`.

use clap::Args;
use clap_complete::Shell;

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

impl Completions {
    pub(crate) fn run(self, cx: &mut Context) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::args::command(100), "warren", &mut script);
        cx.write_out(&String::from_utf8_lossy(&script));
        Ok(())
    }
}
