//! JSON for scripts: one document on one line. Characters that would act on a terminal are written as `\uXXXX`, which
//! means the same to every reader of JSON.

use std::io;

use api::ApiError;
use serde::Serialize;
use serde_json::ser::Formatter;

use super::clean::is_unsafe;

/// A value on one line.
pub(crate) fn line(value: &(impl Serialize + ?Sized)) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Harmless);
    match value.serialize(&mut serializer) {
        Ok(()) => {
            bytes.push(b'\n');
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Err(fault) => format!("{{\"fault\":\"{}\"}}\n", fault.classify() as u8),
    }
}

/// An error, as it goes to standard error.
pub(crate) fn error(error: &ApiError) -> String {
    line(&Wrapped { error })
}

#[derive(Serialize)]
struct Wrapped<'a> {
    error: &'a ApiError,
}

/// Compact JSON without characters that act on a terminal.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut rest = fragment;
        while let Some(at) = rest.find(is_unsafe) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut chars = tail.chars();
            if let Some(c) = chars.next() {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn json_means_the_same_and_does_nothing_to_a_terminal() {
        let everything: String = (0..=char::MAX as u32).filter_map(char::from_u32).collect();
        let text = line(&everything);
        assert!(!text.trim_end().chars().any(is_unsafe));
        let read: String = serde_json::from_str(&text).unwrap();
        assert_eq!(read, everything);
    }
}
