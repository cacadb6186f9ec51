//! `warren decrypt`.

use std::path::PathBuf;

use api::ErrorCode;
use api::types::Decrypt as Request;
use clap::Args;

use super::encrypt::{absolute, text_path};
use super::send::existing;
use crate::context::{Context, FILE_PASSPHRASE};
use crate::exit::{Failure, Outcome};

/// Open a sealed file (the age format)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren decrypt taxes.pdf.age              into taxes.pdf
  warren decrypt taxes.pdf.age -o copy.pdf

Asks for the passphrase if the file was sealed under one. A file sealed to members needs the running device.")]
pub(crate) struct Decrypt {
    /// The sealed file
    #[arg(value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    /// Where to put the result [default: the name without `.age`]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// First line is the passphrase of the file; `-` is standard input (or set WARREN_FILE_PASSPHRASE)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file_passphrase_file: Option<PathBuf>,
}

impl Decrypt {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let output = match (&self.out, self.file.extension()) {
            (Some(out), _) => absolute(out)?,
            (None, Some(extension)) if extension == "age" => absolute(&self.file.with_extension(""))?,
            _ => {
                return Err(Failure::usage("the file's name does not end in `.age`")
                    .hint("say where to put the result: --out FILE")
                    .into());
            }
        };
        let mut request = Request { input: text_path(existing(&self.file)?)?, output, passphrase: None };
        let service = match cx.running_if_any().await? {
            Some(service) => service,
            None => cx.host().passing().await?,
        };
        let opened = match service.decrypt(request.clone()).await {
            Err(error) if error.code == ErrorCode::PassphraseNeeded => {
                let given = cx.given_file_passphrase(self.file_passphrase_file.as_deref())?;
                request.passphrase = Some(match given {
                    Some(passphrase) => passphrase,
                    None => cx.ask_passphrase("Passphrase of the file: ", FILE_PASSPHRASE).await?,
                });
                service.decrypt(request).await
            }
            other => other,
        };
        cx.show(&opened?);
        Ok(())
    }
}
