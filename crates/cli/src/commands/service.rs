//! `warren service`: a systemd user unit.

use std::path::{Path, PathBuf};

use api::{ApiError, ErrorCode};
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::print::{Page, Show, clean};

/// Print or write a systemd user unit that runs this device
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren service                                    print the unit
  warren service --write                            write it to ~/.config/systemd/user/warren.service
  warren service --write --passphrase-file ~/.secret   starts unlocked
  systemctl --user enable --now warren              what comes next

Without a passphrase file the device starts locked; `warren unlock` opens it after you have logged in.")]
pub(crate) struct Service {
    /// Write the unit instead of printing it
    #[arg(long)]
    write: bool,
    /// Replace another unit of this name; the old one stays beside it with `.old` at its end
    #[arg(long, requires = "write")]
    force: bool,
    /// Name of the unit
    #[arg(long, default_value = "warren", value_name = "NAME")]
    name: String,
}

/// The unit, and where it is.
#[derive(Serialize)]
struct Unit {
    path: String,
    written: bool,
    unit: String,
}

impl Show for Unit {
    fn human(&self, page: &mut Page) {
        if self.written {
            page.line(format!("written: {}", clean(&self.path)));
        } else {
            page.line(self.unit.trim_end());
        }
    }
}

impl Service {
    pub(crate) fn run(self, cx: &mut Context) -> Outcome {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || !self.name.chars().all(plain) || self.name.starts_with('.') {
            return Err(Failure::usage(format!("`{}` is no name for a unit", clean(&self.name))).into());
        }
        let program = std::env::current_exe().map_err(|error| Failure::io("cannot find this program", &error))?;
        let home =
            std::path::absolute(cx.host().home()).map_err(|error| Failure::io("cannot use this home", &error))?;
        let passphrase =
            cx.passphrase_file().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
        let unit = unit(&program, &home, passphrase.as_deref());
        let path = unit_dir()?.join(format!("{}.service", self.name));
        if self.write {
            self.make_room(&path, &unit)?;
            write(&path, &unit)
                .map_err(|error| Failure::io(format_args!("cannot write {}", path.display()), &error))?;
        }
        cx.show(&Unit { path: path.to_string_lossy().into_owned(), written: self.write, unit });
        if self.write {
            cx.note(&format!("Next: systemctl --user daemon-reload && systemctl --user enable --now {}", self.name));
        }
        Ok(())
    }
}

impl Service {
    /// Sees that no other unit is lost: whoever wrote that may depend on it.
    fn make_room(&self, path: &Path, unit: &str) -> Result<(), ApiError> {
        let cannot = |error: std::io::Error| Failure::io(format_args!("cannot read {}", path.display()), &error);
        let other = match std::fs::read(path) {
            Ok(found) => found != unit.as_bytes(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => return Err(cannot(error)),
        };
        if other && !self.force {
            return Err(ApiError::new(ErrorCode::Exists, format!("{} is another unit", path.display()))
                .hint("--force replaces it and keeps the old one beside it; --name NAME writes another one"));
        }
        if other {
            std::fs::rename(path, path.with_extension("service.old")).map_err(cannot)?;
        }
        Ok(())
    }
}

/// Text of the unit.
fn unit(program: &Path, home: &Path, passphrase: Option<&Path>) -> String {
    let secret = match passphrase {
        Some(path) => format!("--passphrase-file {} ", quoted(path)),
        None => String::new(),
    };
    let locked = if passphrase.is_some() { "" } else { " --locked" };
    format!(
        "\
[Unit]
Description=Warren: files straight from disk to disk
Documentation=man:warren(1)
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart={} --quiet --home {} {secret}up{locked}
Restart=on-failure
RestartSec=5
NoNewPrivileges=yes
LimitCORE=0
UMask=0077

[Install]
WantedBy=default.target
",
        quoted(program),
        quoted(home)
    )
}

/// A path as one word of a unit file (systemd.syntax(7), systemd.service(5): `%` and `$` are doubled).
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let escaped =
        text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// Where systemd looks for a user's units.
fn unit_dir() -> Result<PathBuf, Failure> {
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".config")));
    match config {
        Some(config) => Ok(config.join("systemd/user")),
        None => Err(Failure::usage("this user has no home folder").into()),
    }
}

fn write(path: &Path, unit: &str) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(path, unit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn another_unit_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("warren.service");
        let service = |force| Service { write: true, force, name: "warren".to_owned() };
        service(false).make_room(&path, "ours").unwrap();
        write(&path, "ours").unwrap();
        service(false).make_room(&path, "ours").unwrap();
        write(&path, "theirs").unwrap();
        assert_eq!(service(false).make_room(&path, "ours").unwrap_err().code, ErrorCode::Exists);
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
        service(true).make_room(&path, "ours").unwrap();
        assert_eq!(std::fs::read(dir.path().join("warren.service.old")).unwrap(), b"theirs");
    }
}
