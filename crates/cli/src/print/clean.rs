//! What others wrote must not drive this terminal: control characters could move the cursor, recolour or retype what is
//! on the screen; bidirectional controls could make `exe.gpj` look like `jpg.exe` (Unicode TR 36); invisible characters
//! could make two names look the same. They are shown as escapes instead.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A name or another text of one line, safe to show.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// A text of several lines, safe to show: line ends and tabs stay.
pub(crate) fn clean_text(text: &str) -> Cow<'_, str> {
    escape(text, |c| matches!(c, '\n' | '\t'))
}

/// A name of bytes, safe to show: those that are no UTF-8 are escaped as well.
pub(crate) fn clean_bytes(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&clean(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// Longest word that an error repeats whole.
const WORD: usize = 64;

/// An error with its words cut to [`WORD`] characters: what was typed is known, and should not bury what is wrong with
/// it. Paths are shown part by part, and what paints a terminal is kept.
pub(crate) fn brief(text: &str) -> String {
    let mut brief = String::with_capacity(text.len());
    let mut length = 0;
    for c in text.chars() {
        let ends = c.is_whitespace() || matches!(c, '/' | '\u{1b}' | '\'' | '`' | '"');
        length = if ends { 0 } else { length + 1 };
        match length {
            0..=WORD => brief.push(c),
            _ if length == WORD + 1 => brief.push('…'),
            _ => {}
        }
    }
    brief
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|c| is_unsafe(c) && !keep(c)) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if !is_unsafe(c) || keep(c) => clean.push(c),
            '\n' => clean.push_str("\\n"),
            '\r' => clean.push_str("\\r"),
            '\t' => clean.push_str("\\t"),
            c => {
                let _ = write!(clean, "\\u{{{:x}}}", c as u32);
            }
        }
    }
    Cow::Owned(clean)
}

/// True for characters that act on the terminal or on the reader's eye instead of being seen.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // bidi
            | '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' // invisible
            | '\u{2028}' | '\u{2029}' // line ends
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}') // annotations, tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_the_terminal_is_escaped() {
        let cases = [
            ("plain", "plain"),
            ("naïve 🦀 日本", "naïve 🦀 日本"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe"),
            ("a\nb\rc\td", "a\\nb\\rc\\td"),
            ("ad\u{200b}a", "ad\\u{200b}a"),
            ("\u{7f}\u{0}", "\\u{7f}\\u{0}"),
        ];
        for (dirty, shown) in cases {
            assert_eq!(clean(dirty), shown);
        }
        assert_eq!(clean_bytes(b"caf\xc3\xa9 \xff\x1b"), "café \\xff\\u{1b}");
        assert_eq!(clean_text("one\n\ttwo\r\u{1b}c"), "one\n\ttwo\\r\\u{1b}c");
    }

    #[test]
    fn words_that_are_too_long_are_cut_and_paths_are_not() {
        let (word, name) = ("x".repeat(5_000), "y".repeat(60));
        assert_eq!(
            brief(&format!("nobody is called `{word}` here")),
            format!("nobody is called `{}…` here", &word[..64])
        );
        assert_eq!(brief(&format!("\u{1b}[33m{word}\u{1b}[0m.")), format!("\u{1b}[33m{}…\u{1b}[0m.", &word[..60]));
        for whole in [format!("`{name}` is no size"), format!("there is no {name}/{name}/{name}")] {
            assert_eq!(brief(&whole), whole);
        }
    }

    #[test]
    fn nothing_unsafe_is_left_whatever_comes() {
        let everything: String = (0..=char::MAX as u32).filter_map(char::from_u32).collect();
        assert!(!clean(&everything).chars().any(is_unsafe));
    }
}
