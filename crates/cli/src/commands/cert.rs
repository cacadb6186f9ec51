//! `warren cert`.

use std::io::Write;
use std::path::{Path, PathBuf};

use api::types::{CertChain, CertQuery, CertVerify};
use api::{ApiError, ErrorCode};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Failure, Outcome, exit_code};
use crate::print::{Page, Show, clean};

/// Largest PEM file that is read.
const PEM_MAX: u64 = 1 << 20;

/// Show, export and verify certificates (X.509)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren cert show              this device's chain: device, member, root, revocation lists
  warren cert show bo
  warren cert export certs      writes device.pem, chain.pem, root.pem, crls.pem
  cat certs/device.pem certs/chain.pem > bo.pem
  warren cert verify bo.pem     would this device accept it, now?

The same question to OpenSSL:
  openssl verify -CAfile certs/root.pem -untrusted certs/chain.pem -CRLfile certs/crls.pem -crl_check_all certs/device.pem")]
pub(crate) struct Cert {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show a chain
    Show {
        /// Whose [default: this device's]
        name: Option<String>,
    },
    /// Write a chain as PEM files; overwrites nothing
    Export {
        /// Folder for the files
        #[arg(value_hint = clap::ValueHint::DirPath)]
        dir: PathBuf,
        /// Whose [default: this device's]
        name: Option<String>,
    },
    /// Check a chain from a file against the circle, now; says of what kind the lowest certificate is
    Verify {
        /// PEM file: a device certificate and its issuers, any order; without a device only the member is checked
        #[arg(value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
    },
}

/// What `export` wrote.
#[derive(Serialize)]
struct Exported {
    files: Vec<String>,
}

impl Show for Exported {
    fn human(&self, page: &mut Page) {
        for file in &self.files {
            page.line(clean(file));
        }
    }
}

impl Cert {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        match self.action {
            Action::Show { name } => {
                let asked: Vec<String> = name.clone().into_iter().collect();
                match service.certificates(CertQuery { name }).await {
                    Ok(chain) => cx.show(&chain),
                    Err(error) => {
                        return Err(cx.suggest_peer(&service, &asked, error).await.into());
                    }
                }
            }
            Action::Export { dir, name } => {
                let chain = service.certificates(CertQuery { name }).await?;
                let exported = export(&chain, &dir).map_err(|error| match error.kind() {
                    std::io::ErrorKind::AlreadyExists => {
                        ApiError::new(ErrorCode::Exists, format!("{} has such files already", dir.display()))
                            .hint("nothing is overwritten: name another folder")
                    }
                    _ => Failure::io(format_args!("cannot write to {}", dir.display()), &error),
                })?;
                cx.show(&exported);
            }
            Action::Verify { file } => {
                let pem = read_pem(&file)
                    .map_err(|error| Failure::io(format_args!("cannot read {}", file.display()), &error))?;
                let pem = String::from_utf8(pem).map_err(|_| {
                    Failure::usage("this is not PEM with certificates: it is no text")
                        .hint("`warren cert export` writes what this command reads")
                })?;
                let chain = service.verify_certificate(CertVerify { pem }).await?;
                cx.show(&chain);
                if chain.verdict != "valid" {
                    return Err(Failure::Said(exit_code(ErrorCode::Damaged)));
                }
            }
        }
        Ok(())
    }
}

/// Reads a PEM file of sensible size.
fn read_pem(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(file)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, PEM_MAX), &mut bytes)?;
    Ok(bytes)
}

/// Writes the four files; none may exist.
fn export(chain: &CertChain, dir: &Path) -> std::io::Result<Exported> {
    let pems = |kinds: &[&str]| -> String {
        let wanted = chain.certificates.iter();
        wanted
            .filter(|certificate| kinds.contains(&certificate.kind.as_str()))
            .map(|certificate| certificate.pem.as_str())
            .collect()
    };
    let crls: String = chain.crls.iter().map(|crl| crl.pem.as_str()).collect();
    let contents = [
        ("device.pem", pems(&["device"])),
        ("chain.pem", pems(&["member"])),
        ("root.pem", pems(&["root"])),
        ("crls.pem", crls),
    ];
    std::fs::create_dir_all(dir)?;
    let mut files = Vec::new();
    for (name, text) in contents {
        let path = dir.join(name);
        std::fs::File::create_new(&path)?.write_all(text.as_bytes())?;
        files.push(path.to_string_lossy().into_owned());
    }
    Ok(Exported { files })
}
