//! `warren evidence`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use api::types::EvidenceQuery;
use api::{ApiError, ApiResult, ErrorCode};
use clap::{Args, Subcommand};

use super::send::existing;
use super::stream::is_stream;
use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::place::space;
use crate::print::{Exported, clean};

/// Largest file that is taken for evidence.
const EVIDENCE_MAX: u64 = 64 << 20;

/// Prove to others that somebody cheated in a space
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren evidence export home -o home.evidence       all that `warren verify home` proves
  warren evidence export home 2 -o two.evidence      one of it
  warren evidence check home.evidence                what a file proves; needs no device

Evidence is what the cheating device has signed itself, and the certificates that say whose it is:
anybody can check it, and nobody can make it. It has no names and no contents of files.")]
pub(crate) struct Evidence {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write evidence into a file
    Export {
        /// The space
        #[arg(value_parser = space())]
        space: String,
        /// Its number, as `warren verify` tells it [default: all]
        #[arg(value_name = "NUMBER")]
        evidence: Option<String>,
        /// Where to; must not exist [default: standard output]
        #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        out: Option<PathBuf>,
    },
    /// Say what a file proves
    Check {
        /// The file; `-` is standard input
        #[arg(value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
    },
}

impl Evidence {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        match self.action {
            Action::Export { space, evidence, out } => export(cx, EvidenceQuery { space, evidence }, out).await,
            Action::Check { file } => {
                let bytes = read(cx, &file)?;
                let proof = cx.host().check_evidence(bytes).await?;
                cx.show(&proof);
                Ok(())
            }
        }
    }
}

async fn export(cx: &mut Context, query: EvidenceQuery, out: Option<PathBuf>) -> Outcome {
    let out = out.filter(|out| !is_stream(out));
    if out.is_none() && cx.terminal.out_is_terminal && !cx.json {
        return Err(Failure::usage("evidence is no text, and standard output is a terminal")
            .hint("write it into a file with --out FILE or > FILE")
            .into());
    }
    let evidence = cx.running().await?.evidence_export(query).await?;
    if out.is_none() && cx.json {
        cx.json_line(&evidence);
        return Ok(());
    }
    let bytes = data_encoding::BASE64
        .decode(evidence.bytes.as_bytes())
        .map_err(|_| ApiError::new(ErrorCode::Internal, "the device gave evidence that is no base64"))?;
    match out {
        None => cx.write_bytes(&bytes),
        Some(out) => {
            let shown = clean(&out.to_string_lossy()).into_owned();
            let failed = |error| Failure::io(format_args!("cannot write `{shown}`"), &error);
            std::fs::File::create_new(&out).and_then(|mut file| file.write_all(&bytes)).map_err(failed)?;
            let output = out.to_string_lossy().into_owned();
            cx.show(&Exported { output, bytes: bytes.len() as u64, proves: evidence.proves });
        }
    }
    Ok(())
}

/// The bytes of a file, or of standard input.
fn read(cx: &Context, file: &Path) -> ApiResult<Vec<u8>> {
    let shown = clean(&file.to_string_lossy()).into_owned();
    let failed = |error| Failure::io(format_args!("cannot read `{shown}`"), &error);
    let input: Box<dyn Read> = if is_stream(file) {
        cx.terminal.input.bytes()
    } else {
        Box::new(std::fs::File::open(existing(file)?).map_err(failed)?)
    };
    let mut bytes = Vec::new();
    input.take(EVIDENCE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > EVIDENCE_MAX {
        return Err(Failure::usage(format!("`{shown}` is too large for evidence"))
            .hint("`warren evidence export` writes what this command reads"));
    }
    Ok(bytes)
}
