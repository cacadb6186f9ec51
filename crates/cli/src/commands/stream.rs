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

/// The place of the result, and what standard output was refused for, once it is known.
pub(super) fn writer(cx: &mut Context, out: &Path, guard: bool) -> ApiResult<(Output, Arc<AtomicBool>)> {
    let garbled = Arc::new(AtomicBool::new(false));
    if !is_stream(out) {
        return Ok((Output::File(absolute(out)?), garbled));
    }
    let stdout = std::mem::replace(&mut cx.terminal.out, Box::new(io::sink()));
    let stream: Box<dyn Write + Send> = if guard && cx.terminal.out_is_terminal {
        Box::new(TextOnly { out: stdout, begun: Vec::new(), garbled: garbled.clone() })
    } else {
        stdout
    };
    Ok((Output::Stream(stream), garbled))
}

/// What is no text does not go to a terminal.
fn no_text() -> ApiError {
    Failure::usage("this is no text, which a terminal would take for commands")
        .hint("write it into a file with --out FILE or > FILE, or pipe it into a program that reads it")
}

/// Says why a stream could not be opened.
pub(super) fn explain(error: ApiError, garbled: &AtomicBool) -> ApiError {
    if garbled.load(Ordering::Relaxed) && error.code != ErrorCode::Damaged { no_text() } else { error }
}

/// A terminal that takes nothing but text: what somebody else has sealed must not move its cursor.
struct TextOnly {
    out: Box<dyn Write + Send>,
    /// A character that is not whole yet.
    begun: Vec<u8>,
    garbled: Arc<AtomicBool>,
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
            self.garbled.store(true, Ordering::Relaxed);
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
            let garbled = Arc::new(AtomicBool::new(false));
            let mut terminal = TextOnly { out: Box::new(io::sink()), begun: Vec::new(), garbled: garbled.clone() };
            let all = pieces.iter().try_for_each(|piece| terminal.write_all(piece));
            assert_eq!(all.is_err(), garbled.load(Ordering::Relaxed));
            all.is_ok()
        };
        assert!(written(&[b"two\nlines\n", "\u{fc}ber".as_bytes()]));
        assert!(written(&[b"a \xc3", b"\xbc in two pieces"]));
        for bad in [&b"\x1b[2J"[..], b"\0", b"\xff\xfe", b"a\rb", "\u{9b}31m".as_bytes()] {
            assert!(!written(&[b"text\n", bad]), "{bad:?}");
        }
    }
}
