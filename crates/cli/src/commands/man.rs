//! `warren man`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::print::{Page, Show, clean};

/// Write the man pages to a folder
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren man ~/.local/share/man/man1    then: man warren, man warren-send, man warren-peers-rule

Pages that are there already, of an earlier version for example, are replaced.")]
pub(crate) struct Man {
    /// Folder for the pages
    #[arg(value_hint = clap::ValueHint::DirPath)]
    dir: PathBuf,
}

/// Pages that were written.
#[derive(Serialize)]
struct Written {
    files: Vec<String>,
}

impl Show for Written {
    fn human(&self, page: &mut Page) {
        for file in &self.files {
            page.line(clean(file));
        }
    }
}

impl Man {
    pub(crate) fn run(self, cx: &mut Context) -> Outcome {
        let files = write(&self.dir)
            .map_err(|error| Failure::io(format_args!("cannot write to {}", self.dir.display()), &error))?;
        cx.show(&Written { files });
        Ok(())
    }
}

/// One page for the program and one for each command, those of commands included.
fn write(dir: &Path) -> std::io::Result<Vec<String>> {
    std::fs::create_dir_all(dir)?;
    // The template is for the terminal; a man page lists commands by itself.
    let mut program = crate::args::command(100).help_template("{about}");
    program.build();
    let mut files = Vec::new();
    let mut left = vec![("warren".to_owned(), &program)];
    while let Some((name, command)) = left.pop() {
        let path = dir.join(format!("{name}.1"));
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone()).render(&mut page)?;
        std::fs::write(&path, page)?;
        files.push(path.to_string_lossy().into_owned());
        let below = command.get_subcommands().filter(|below| !below.is_hide_set());
        left.extend(below.map(|below| (format!("{name}-{}", below.get_name()), below)));
    }
    files.sort();
    Ok(files)
}
