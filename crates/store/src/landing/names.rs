//! Names for what lands beside something of the same name: `report (2).pdf`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::relpath::MAX_COMPONENT;

/// Longest ending that counts as an extension; `v1.the-final-version` has none.
const MAX_EXTENSION: usize = 12;

/// `name` with ` (number)` before its extension, cut where it would be too long. `number` 1 is the plain name. A
/// directory has no extension; `.tar.gz` and its like are one; a leading dot begins none.
pub(crate) fn numbered(name: &OsStr, number: u32, is_dir: bool) -> OsString {
    if number <= 1 {
        return name.to_owned();
    }
    let name = name.as_bytes();
    let (stem, extension) = if is_dir { (name, &name[name.len()..]) } else { split_extension(name) };
    let suffix = format!(" ({number})");
    let room = MAX_COMPONENT - suffix.len() - extension.len();
    let mut result = cut(stem, room).to_vec();
    result.extend_from_slice(suffix.as_bytes());
    result.extend_from_slice(extension);
    OsString::from_vec(result)
}

fn split_extension(name: &[u8]) -> (&[u8], &[u8]) {
    let Some(dot) = extension_dot(name) else {
        return (name, &[]);
    };
    let (stem, _) = name.split_at(dot);
    let dot = match extension_dot(stem) {
        Some(inner) if stem[inner..].eq_ignore_ascii_case(b".tar") => inner,
        _ => dot,
    };
    name.split_at(dot)
}

fn extension_dot(name: &[u8]) -> Option<usize> {
    let dot = name.iter().rposition(|b| *b == b'.')?;
    let length = name.len() - dot - 1;
    let plain = name[dot + 1..].iter().all(u8::is_ascii_alphanumeric);
    (dot > 0 && (1..=MAX_EXTENSION).contains(&length) && plain).then_some(dot)
}

/// The longest beginning of `stem` of at most `room` bytes that does not end inside a UTF-8 character.
fn cut(stem: &[u8], room: usize) -> &[u8] {
    if stem.len() <= room {
        return stem;
    }
    let is_continuation = |at: usize| stem[at] & 0b1100_0000 == 0b1000_0000;
    let end = (room.saturating_sub(3)..=room).rev().find(|at| !is_continuation(*at)).unwrap_or(room);
    &stem[..end]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_number_goes_before_the_extension() {
        let cases = [
            ("report.pdf", "report (2).pdf"),
            ("archive.tar.gz", "archive (2).tar.gz"),
            ("x.TAR.ZST", "x (2).TAR.ZST"),
            (".tar.gz", ".tar (2).gz"),
            ("noext", "noext (2)"),
            (".bashrc", ".bashrc (2)"),
            (".config.toml", ".config (2).toml"),
            ("ends.", "ends. (2)"),
            ("v1.the final version", "v1.the final version (2)"),
            ("a;b\nc.txt", "a;b\nc (2).txt"),
        ];
        for (name, expected) in cases {
            assert_eq!(numbered(OsStr::new(name), 2, false), *expected, "{name:?}");
        }
        assert_eq!(numbered(OsStr::new("photos.d"), 3, true), "photos.d (3)");
        assert_eq!(numbered(OsStr::from_bytes(b"\xff\xfe.bin"), 2, false).as_bytes(), b"\xff\xfe (2).bin");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let name = format!("{}.txt", "ü".repeat(125));
        let new = numbered(OsStr::new(&name), 2, false).into_string().unwrap();
        assert!(new.len() <= MAX_COMPONENT && new.ends_with("ü (2).txt"), "{new}");
    }

    proptest! {
        #[test]
        fn numbered_names_fit_and_differ(name in prop::collection::vec(1u8.., 1..=255), number in 2u32.., dir: bool) {
            let name = OsString::from_vec(name);
            let new = numbered(&name, number, dir);
            prop_assert!(new.as_bytes().len() <= MAX_COMPONENT);
            prop_assert_ne!(&new, &numbered(&name, number - 1, dir));
        }
    }
}
