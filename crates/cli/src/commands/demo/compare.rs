//! Compares two trees entry by entry, byte by byte.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde::Serialize;

/// Most differences that are listed.
const DIFFERENCES_MAX: usize = 10;

/// Bytes that are compared at once.
const CHUNK: usize = 1 << 20;

/// What a comparison found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Compared {
    /// Files, folders and links that were compared.
    pub(super) entries: u64,
    /// Pipes, sockets and devices, which are not sent.
    pub(super) left_out: u64,
    /// Bytes of content that were compared.
    pub(super) bytes: u64,
    /// What differs; the first ten.
    pub(super) differences: Vec<String>,
}

impl Compared {
    pub(super) fn is_same(&self) -> bool {
        self.differences.is_empty()
    }

    fn differs(&mut self, path: &Path, how: &str) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(format!("{}: {how}", path.display()));
        }
    }
}

/// Compares names, kinds, contents, link targets, executable bits and times of files.
///
/// # Errors
/// Those of reading the source; what cannot be read at the other side is a difference.
pub(super) fn compare(source: &Path, landed: &Path) -> io::Result<Compared> {
    let mut compared = Compared::default();
    entry(source, landed, &mut compared)?;
    Ok(compared)
}

fn entry(source: &Path, landed: &Path, compared: &mut Compared) -> io::Result<()> {
    let here = fs::symlink_metadata(source)?;
    if !(here.is_dir() || here.is_file() || here.is_symlink()) {
        compared.left_out += 1;
        if fs::symlink_metadata(landed).is_ok() {
            compared.differs(source, "is no plain file and arrived all the same");
        }
        return Ok(());
    }
    compared.entries += 1;
    let Ok(there) = fs::symlink_metadata(landed) else {
        compared.differs(source, "missing");
        return Ok(());
    };
    if here.file_type() != there.file_type() {
        compared.differs(source, "another kind of file");
    } else if here.is_dir() {
        folder(source, landed, compared)?;
    } else if here.is_symlink() {
        if fs::read_link(source)? != fs::read_link(landed)? {
            compared.differs(source, "the link leads elsewhere");
        }
    } else {
        let executable = |metadata: &fs::Metadata| metadata.permissions().mode() & 0o100 != 0;
        if executable(&here) != executable(&there) {
            compared.differs(source, "the executable bit differs");
        }
        if (here.mtime(), here.mtime_nsec()) != (there.mtime(), there.mtime_nsec()) {
            compared.differs(source, "the time differs");
        }
        if !same_content(source, landed, compared)? {
            compared.differs(source, "the content differs");
        }
    }
    Ok(())
}

fn folder(source: &Path, landed: &Path, compared: &mut Compared) -> io::Result<()> {
    let here = names(source)?;
    let there = names(landed)?;
    for extra in there.difference(&here) {
        compared.differs(&source.join(extra), "was never sent");
    }
    for name in &here {
        entry(&source.join(name), &landed.join(name), compared)?;
    }
    Ok(())
}

fn names(dir: &Path) -> io::Result<BTreeSet<OsString>> {
    fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}

fn same_content(source: &Path, landed: &Path, compared: &mut Compared) -> io::Result<bool> {
    let (mut here, mut there) = (File::open(source)?, File::open(landed)?);
    let (mut ours, mut theirs) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let read = fill(&mut here, &mut ours)?;
        if read != fill(&mut there, &mut theirs)? || ours[..read] != theirs[..read] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
        compared.bytes += read as u64;
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::commands::demo::tree::generate;
    use std::path::PathBuf;
    use std::sync::atomic::AtomicBool;

    /// Two generated folders that are equal: the generator does not depend on anything but its arguments.
    fn twins(dir: &Path) -> (PathBuf, PathBuf) {
        let (one, two) = (dir.join("one"), dir.join("two"));
        generate(&one, 100_000, &AtomicBool::new(false)).unwrap();
        let copied = std::process::Command::new("cp").args(["-a"]).args([&one, &two]).status();
        assert!(copied.unwrap().success());
        (one, two)
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        type Harm = fn(&Path) -> io::Result<()>;
        let harms: [(&str, Harm); 7] = [
            ("the content differs", |dir| {
                let path = dir.join("film.bin");
                let time = fs::metadata(&path)?.modified()?;
                let mut bytes = fs::read(&path)?;
                bytes[99_999] ^= 1;
                fs::write(&path, bytes)?;
                File::options().write(true).open(&path)?.set_modified(time)
            }),
            ("missing", |dir| fs::remove_file(dir.join("two\nlines.txt"))),
            ("missing", |dir| fs::remove_dir(dir.join("empty/deeper/deepest"))),
            ("was never sent", |dir| fs::write(dir.join("empty/extra"), "")),
            ("the executable bit differs", |dir| {
                fs::set_permissions(dir.join("run me.sh"), fs::Permissions::from_mode(0o644))
            }),
            ("another kind of file", |dir| {
                fs::remove_file(dir.join("link to the film"))?;
                fs::write(dir.join("link to the film"), "")
            }),
            ("the time differs", |dir| {
                File::open(dir.join("nothing in it.txt"))?.set_modified(std::time::SystemTime::UNIX_EPOCH)
            }),
        ];
        for (what, harm) in harms {
            let dir = tempfile::tempdir().unwrap();
            let (one, two) = twins(dir.path());
            assert!(compare(&one, &two).unwrap().is_same());
            std::os::unix::net::UnixListener::bind(one.join("socket")).unwrap();
            assert_eq!(compare(&one, &two).unwrap().left_out, 1);
            harm(&two).unwrap();
            let found = compare(&one, &two).unwrap().differences;
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].ends_with(what), "{found:?}");
        }
    }
}
