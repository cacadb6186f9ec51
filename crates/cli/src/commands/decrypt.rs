//! `warren decrypt`.

use std::path::PathBuf;

use api::types::{Decrypt as Request, FileKeyOf, Sealed};
use api::{ApiError, ErrorCode, OpenWith};
use clap::Args;

use super::encrypt::{absolute, text_path};
use super::send::existing;
use super::stream::{is_stream, judge, reader, writer};
use crate::context::{Context, FILE_PASSPHRASE};
use crate::exit::{Failure, Outcome};

/// Open a sealed file (the age format)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren decrypt taxes.pdf.age              into taxes.pdf
  warren decrypt taxes.pdf.age -o copy.pdf
  warren decrypt - < photos.tar.age | tar x

What goes to standard output goes there while it is read and checked. If the file turns out to be damaged or cut short,
what came before is genuine but not the whole: the exit code says so (16), and the result must not be used as if it were.

Asks for the passphrase if the file was sealed under one. A file sealed to members needs the running device.")]
pub(crate) struct Decrypt {
    /// The sealed file; `-` is standard input
    #[arg(value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    /// Where to put the result; `-` is standard output [default: the name without `.age`; standard output for what comes
    /// from standard input]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// First line is the passphrase of the file; `-` is standard input (or set WARREN_FILE_PASSPHRASE)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file_passphrase_file: Option<PathBuf>,
}

impl Decrypt {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        if is_stream(&self.file) || self.out.as_deref().is_some_and(is_stream) {
            return self.pipe(cx).await;
        }
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

    /// Opens what comes from, or goes to, a pipe.
    async fn pipe(self, cx: &mut Context) -> Outcome {
        let out = self.out.clone().unwrap_or_else(|| "-".into());
        let input = reader(cx, &self.file, self.file_passphrase_file.as_deref())?;
        let sealed = cx.host().look_into(input).await?;
        let with = if sealed.under_passphrase {
            OpenWith::Passphrase(match cx.given_file_passphrase(self.file_passphrase_file.as_deref())? {
                Some(passphrase) => passphrase,
                None => cx.ask_passphrase("Passphrase of the file: ", FILE_PASSPHRASE).await?,
            })
        } else {
            let Some(service) = cx.running_if_any().await? else {
                let what = "the file is sealed to members, and no device is running";
                return Err(ApiError::new(ErrorCode::NotRunning, what)
                    .hint("start yours with `warren up --detach`: its keys open what is sealed to you")
                    .into());
            };
            let header = data_encoding::BASE64URL_NOPAD.encode(&sealed.header);
            let path = self.file.to_string_lossy().into_owned();
            OpenWith::Key(service.file_key(FileKeyOf { header, path }).await?)
        };
        let (output, fate) = writer(cx, &out, true)?;
        let opened = judge(cx.host().open(sealed, output, with).await, &fate)?;
        if let Some(bytes) = opened.filter(|_| !is_stream(&out)) {
            cx.show(&Sealed { output: absolute(&out)?, bytes, readers: Vec::new() });
        }
        Ok(())
    }
}
