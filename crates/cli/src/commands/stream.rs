//! What `encrypt` and `decrypt` share where one of their ends is standard input or output (`-`). The work is done in this
//! process; a running device only names recipients and opens headers.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api::{ApiError, ApiResult, ErrorCode, Output};

use super::encrypt::absolute;
use super::send::existing;
use crate::context::Context;
use crate::exit::Failure;
use crate::print::clean;

/// What stands for standard input or output.
pub(super) fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The content: a file, or standard input, which cannot be the passphrase file at the same time.
pub(super) fn reader(cx: &mut Context, file: &Path, passphrase: Option<&Path>) -> ApiResult<Box<dyn Read + Send>> {
    if !is_stream(file) {
        let path = existing(file)?;
        let failed = |error| Failure::io(format_args!("cannot read `{}`", clean(&path.to_string_lossy())), &error);
        let file = File::open(&path).map_err(failed)?;
        if file.metadata().is_ok_and(|meta| meta.is_dir()) {
            return Err(Failure::usage(format!("{} is a folder", clean(&path.to_string_lossy())))
                .hint("pack it: tar c FOLDER | warren encrypt - > FOLDER.tar.age"));
        }
        return Ok(Box::new(file));
    }
    if passphrase.is_some_and(is_stream) {
        return Err(Failure::usage("standard input cannot be the content and the passphrase")
            .hint("put the passphrase into a file, or into WARREN_FILE_PASSPHRASE"));
    }
    if cx.terminal.in_is_terminal {
        return Err(Failure::usage("standard input is a terminal").hint("use it with a pipe, or with < FILE"));
    }
    cx.content_on_stdin = true;
    Ok(cx.terminal.input.bytes())
}

/// What became of standard output.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// It is a terminal, and the result no text.
    garbled: AtomicBool,
    /// Its reader went away.
    left: AtomicBool,
}

/// The place of the result, and what becomes of standard output.
pub(super) fn writer(cx: &mut Context, out: &Path, guard: bool) -> ApiResult<(Output, Arc<Fate>)> {
    let fate = Arc::new(Fate::default());
    if !is_stream(out) {
        return Ok((Output::File(absolute(out)?), fate));
    }
    let stdout = std::mem::replace(&mut cx.terminal.out, Box::new(io::sink()));
    let stream: Box<dyn Write + Send> = if guard && cx.terminal.out_is_terminal {
        Box::new(TextOnly { out: stdout, begun: Vec::new(), fate: fate.clone() })
    } else {
        Box::new(Pipe { out: stdout, fate: fate.clone() })
    };
    Ok((Output::Stream(stream), fate))
}

/// What is no text does not go to a terminal.
fn no_text() -> ApiError {
    Failure::usage("this is no text, which a terminal would take for commands")
        .hint("write it into a file with --out FILE or > FILE, or pipe it into a program that reads it")
}

/// How a stream was sealed or opened: `None` where nobody wanted the rest, which is no error. What is wrong with the
/// content itself is said in any case.
pub(super) fn judge(worked: ApiResult<u64>, fate: &Fate) -> ApiResult<Option<u64>> {
    match worked {
        Err(error) if error.code == ErrorCode::Damaged => Err(error),
        Err(_) if fate.garbled.load(Ordering::Relaxed) => Err(no_text()),
        Err(_) if fate.left.load(Ordering::Relaxed) => Ok(None),
        worked => worked.map(Some),
    }
}

/// Standard output where no person looks.
struct Pipe {
    out: Box<dyn Write + Send>,
    fate: Arc<Fate>,
}

impl Pipe {
    fn heed<T>(&self, written: io::Result<T>) -> io::Result<T> {
        written.inspect_err(|error| {
            self.fate.left.fetch_or(error.kind() == io::ErrorKind::BrokenPipe, Ordering::Relaxed);
        })
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.heed(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.heed(flushed)
    }
}

/// A terminal that takes nothing but text: what somebody else has sealed must not move its cursor.
struct TextOnly {
    out: Box<dyn Write + Send>,
    /// A character that is not whole yet.
    begun: Vec<u8>,
    fate: Arc<Fate>,
}

impl TextOnly {
    /// How much of `bytes` is whole characters; `None` where they are no text.
    fn whole(bytes: &[u8]) -> Option<usize> {
        let (text, whole) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, bytes.len()),
            Err(error) if error.error_len().is_none() => {
                let whole = error.valid_up_to();
                (std::str::from_utf8(&bytes[..whole]).ok()?, whole)
            }
            Err(_) => return None,
        };
        let shown = |character: char| matches!(character, '\n' | '\t') || !character.is_control();
        text.chars().all(shown).then_some(whole)
    }
}

impl Write for TextOnly {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        let Some(whole) = Self::whole(&self.begun) else {
            self.fate.garbled.store(true, Ordering::Relaxed);
            return Err(io::Error::other("no text"));
        };
        self.out.write_all(&self.begun[..whole])?;
        self.begun.drain(..whole);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_terminal_is_given_text_and_nothing_that_it_obeys() {
        let written = |pieces: &[&[u8]]| {
            let fate = Arc::new(Fate::default());
            let mut terminal = TextOnly { out: Box::new(io::sink()), begun: Vec::new(), fate: fate.clone() };
            let all = pieces.iter().try_for_each(|piece| terminal.write_all(piece));
            assert_eq!(all.is_err(), fate.garbled.load(Ordering::Relaxed));
            all.is_ok()
        };
        assert!(written(&[b"two\nlines\n", "\u{fc}ber".as_bytes()]));
        assert!(written(&[b"a \xc3", b"\xbc in two pieces"]));
        for bad in [&b"\x1b[2J"[..], b"\0", b"\xff\xfe", b"a\rb", "\u{9b}31m".as_bytes()] {
            assert!(!written(&[b"text\n", bad]), "{bad:?}");
        }
    }
}
