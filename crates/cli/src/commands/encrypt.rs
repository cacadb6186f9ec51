//! `warren encrypt`.

use std::path::PathBuf;

use api::SealTo;
use api::types::{Encrypt as Request, RecipientsOf, Sealed};
use clap::Args;

use super::send::existing;
use super::stream::{is_stream, judge, reader, writer};
use crate::context::{Context, FILE_PASSPHRASE};
use crate::exit::{Failure, Outcome};
use crate::print::{Page, Show, clean};
use crate::units::size;

/// Seal a file to members or under a passphrase (the age format)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren encrypt taxes.pdf                     under a passphrase, into taxes.pdf.age
  warren encrypt taxes.pdf --to bo,cy          for bo and cy (and yourself); needs the running device
  warren encrypt key.txt --armor -o key.age
  tar c photos | warren encrypt - --to bo > photos.tar.age

The passphrase of a file is its own, never that of the device: WARREN_PASSPHRASE is not used here.
Anybody can open the result with `warren decrypt` or with the age tool (https://age-encryption.org).")]
pub(crate) struct Encrypt {
    /// The file; `-` is standard input
    #[arg(value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
    /// Members who can open it, with commas between them; none: a passphrase opens it
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    to: Vec<String>,
    /// Where to put the result; `-` is standard output [default: FILE.age; standard output where that comes from
    /// standard input]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// As text, for mail and forms
    #[arg(long)]
    armor: bool,
    /// First line is the passphrase of the file; `-` is standard input (or set WARREN_FILE_PASSPHRASE)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with = "to")]
    file_passphrase_file: Option<PathBuf>,
}

impl Show for Sealed {
    fn human(&self, page: &mut Page) {
        page.line(format!("{} ({})", clean(&self.output), size(self.bytes)));
        if !self.readers.is_empty() {
            page.line(format!("can be opened by {}", clean(&self.readers.join(", "))));
        }
    }
}

impl Encrypt {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        if is_stream(&self.file) || self.out.as_deref().is_some_and(is_stream) {
            return self.pipe(cx).await;
        }
        let input = text_path(existing(&self.file)?)?;
        let output = self.out.unwrap_or_else(|| {
            let mut name = self.file.clone().into_os_string();
            name.push(".age");
            name.into()
        });
        let output = absolute(&output)?;
        let (service, passphrase) = if self.to.is_empty() {
            let passphrase = match cx.given_file_passphrase(self.file_passphrase_file.as_deref())? {
                Some(passphrase) => passphrase,
                None => cx.ask_new_passphrase("Passphrase for the file: ", FILE_PASSPHRASE).await?,
            };
            (cx.host().passing().await?, Some(passphrase))
        } else {
            (cx.running().await?, None)
        };
        let request = Request { input, output, to: self.to.clone(), passphrase, armor: self.armor };
        match service.encrypt(request).await {
            Ok(sealed) => {
                cx.show(&sealed);
                Ok(())
            }
            Err(error) => Err(cx.suggest_peer(&service, &self.to, error).await.into()),
        }
    }
}

impl Encrypt {
    /// Seals what comes from, or goes to, a pipe.
    async fn pipe(self, cx: &mut Context) -> Outcome {
        let out = self.out.clone().unwrap_or_else(|| "-".into());
        if is_stream(&out) && cx.terminal.out_is_terminal && !self.armor {
            return Err(Failure::usage("a sealed file is no text, and standard output is a terminal")
                .hint("write it into a file with --out FILE or > FILE, or as text: --armor")
                .into());
        }
        let input = reader(cx, &self.file, self.file_passphrase_file.as_deref())?;
        let (to, readers) = if self.to.is_empty() {
            let passphrase = match cx.given_file_passphrase(self.file_passphrase_file.as_deref())? {
                Some(passphrase) => passphrase,
                None => cx.ask_new_passphrase("Passphrase for the file: ", FILE_PASSPHRASE).await?,
            };
            (SealTo::Passphrase(passphrase), Vec::new())
        } else {
            let service = cx.running().await?;
            let path = self.file.to_string_lossy().into_owned();
            let found = service.recipients(RecipientsOf { to: self.to.clone(), path }).await;
            let found = match found {
                Ok(found) => found,
                Err(error) => return Err(cx.suggest_peer(&service, &self.to, error).await.into()),
            };
            let (names, recipients) = found.into_iter().map(|found| (found.name, found.recipient)).unzip();
            (SealTo::Recipients(recipients), names)
        };
        let (output, fate) = writer(cx, &out, false)?;
        let sealed = judge(cx.host().seal(input, output, to, self.armor).await, &fate)?;
        if let Some(bytes) = sealed.filter(|_| !is_stream(&out)) {
            cx.show(&Sealed { output: absolute(&out)?, bytes, readers });
        }
        Ok(())
    }
}

/// The absolute form of a path that need not exist, as the API wants it.
pub(crate) fn absolute(path: &std::path::Path) -> Result<String, api::ApiError> {
    let absolute = std::path::absolute(path)
        .map_err(|error| Failure::io(format_args!("cannot use {}", path.display()), &error))?;
    text_path(absolute)
}

/// A path as text.
pub(crate) fn text_path(path: PathBuf) -> Result<String, api::ApiError> {
    path.into_os_string().into_string().map_err(|raw| {
        let shown = raw.to_string_lossy();
        Failure::usage(format!("the name `{}` is no UTF-8", clean(&shown))).hint("give the file another name first")
    })
}
