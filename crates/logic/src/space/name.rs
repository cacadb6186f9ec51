//! Names in one directory: which count as the same, and what the others of one name are called.
//!
//! Two names are twins if a file system that folds case or normalises (NTFS, APFS, ext4 with casefold) takes them for
//! one. Whoever had the name first keeps it; the others are shown as `name (conflict DEVICE DATE ID).ext`: who made that
//! file, on which day (UTC) of that device's clock, and the beginning of its node id. The same on every device.

use seal::{DeviceId, Timestamp};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::node::NodeId;
use super::rules::Rule;
use crate::transfer::path::NAME_MAX;

/// What the suffix of a twin begins with.
const MARK: &[u8] = b" (conflict ";
/// Names shorter than this are never cut for a suffix, whatever folding does to their length.
pub(super) const LONG: usize = 80;

/// What names are compared by: two names with the same fold are twins.
///
/// Canonical caseless matching (Unicode 16, D145) with upper-then-lower as the folding, so that `ß`, `ss` and `SS` are
/// one. Bytes that are not UTF-8 stand for themselves.
pub fn fold(name: &[u8]) -> Vec<u8> {
    let Some(text) = str::from_utf8(name).ok().filter(|_| Rule::Folded.holds()) else {
        return name.to_vec();
    };
    if text.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let folded = text.nfd().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    folded.nfd().collect::<String>().into_bytes()
}

/// Who made a node, and when by its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maker {
    /// The device.
    pub device: DeviceId,
    /// Its time.
    pub time: Timestamp,
}

/// What a twin is shown as. `attempt` counts up when somebody gave that very name to another file.
pub(super) fn conflict_name(name: &[u8], maker: Option<&Maker>, node: NodeId, attempt: u32) -> Vec<u8> {
    let by =
        maker.map_or_else(|| "unknown".to_owned(), |maker| format!("{} {}", maker.device.short(), day(maker.time)));
    let again = if attempt == 0 { String::new() } else { format!(" {attempt}") };
    let suffix = format!("(conflict {by} {}{again})", &node.hex()[2..14]);
    let (stem, extension) = split(name);
    let room = NAME_MAX.saturating_sub(suffix.len() + 1 + extension.len());
    [cut(stem, room), b" ", suffix.as_bytes(), extension].concat()
}

/// The fold of the name before the suffix, if a fold could be that of a name that [`conflict_name`] made. Exact unless the
/// name was cut, which needs at least [`LONG`] bytes.
pub(super) fn without_suffix(fold: &[u8]) -> Option<Vec<u8>> {
    let at = fold.windows(MARK.len()).rposition(|window| window == MARK)?;
    let end = at + fold[at..].iter().position(|&byte| byte == b')')?;
    Some([&fold[..at], &fold[end + 1..]].concat())
}

/// Stem and extension with its dot. A leading dot begins no extension; long ones and those with blanks are none.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|&byte| byte == b'.') {
        Some(dot) if dot > 0 && name.len() - dot <= 16 && !name[dot..].contains(&b' ') => name.split_at(dot),
        _ => (name, b""),
    }
}

/// The beginning of a name, not cut inside of a character.
fn cut(stem: &[u8], room: usize) -> &[u8] {
    if stem.len() <= room {
        return stem;
    }
    let mut end = room;
    while end > 0 && room - end < 4 && stem[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &stem[..end]
}

/// The date in UTC, `YYYY-MM-DD` (Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
fn day(time: Timestamp) -> String {
    // What is outside of the years 0 to 9999 is nobody's day.
    const RANGE: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;
    let seconds = time.seconds().clamp(*RANGE.start(), *RANGE.end());
    let z = seconds.div_euclid(86_400) + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{:02}", doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::path::check_name;

    #[test]
    fn names_that_a_folding_file_system_takes_for_one_are_twins() {
        for (a, b) in [
            ("Read.ME", "read.me".to_owned()),
            ("\u{e9}t\u{e9}", "e\u{301}te\u{301}".to_owned()),
            ("\u{c9}T\u{c9}", "e\u{301}te\u{301}".to_owned()),
            ("stra\u{df}e", "STRASSE".to_owned()),
            ("\u{212a}elvin", "kelvin".to_owned()),
            ("\u{3a3}\u{3a3}", "\u{3c3}\u{3c2}".to_owned()),
        ] {
            assert_eq!(fold(a.as_bytes()), fold(b.as_bytes()), "{a} {b}");
        }
        assert_ne!(fold(b"\xff"), fold(b"\xfe"));
        assert_ne!(fold(b"a "), fold(b"a"));
    }

    #[test]
    fn a_conflict_name_says_who_and_when_and_can_exist() {
        let maker = Maker { device: DeviceId::from_bytes([7; 32]), time: Timestamp::from_seconds(1_790_000_000) };
        let node = NodeId::of(&maker.device, 3, 0, super::super::NodeKind::File);
        let name = conflict_name(b"doc.tar.gz", Some(&maker), node, 0);
        let text = String::from_utf8(name.clone()).unwrap();
        assert_eq!(text, format!("doc.tar (conflict {} 2026-09-21 {}).gz", maker.device.short(), &node.hex()[2..14]));
        assert_eq!(without_suffix(&fold(&name)).unwrap(), b"doc.tar.gz");
        for long in
            [vec![b'x'; 255], "\u{e4}".repeat(127).into_bytes(), vec![0x80; 255], b"..a".to_vec(), b".bashrc".to_vec()]
        {
            let name = conflict_name(&long, None, node, 12);
            check_name(&name).unwrap();
            assert_eq!(str::from_utf8(&long).is_ok(), str::from_utf8(&name).is_ok());
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (-1, "1969-12-31"),
            (i64::MAX / 1000, "9999-12-31"),
            (i64::MIN / 1000, "0000-01-01"),
        ] {
            assert_eq!(day(Timestamp::from_seconds(seconds)), text);
        }
    }
}
