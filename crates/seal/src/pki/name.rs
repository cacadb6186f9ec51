//! Names of circles, members and devices: what may be one, when two count as the same, and the DNS labels by which
//! name constraints bind members to their own devices.

use crate::id::BASE32;
use unicode_normalization::{UnicodeNormalization, is_nfc};
use unicode_security::skeleton;

/// Most characters of a name (RFC 5280 upper bound of `CN` and `O`).
pub const MAX_NAME: usize = 64;
/// Characters of a DNS label: 100 bits of a hash.
const LABEL: usize = 20;
/// So many characters of an id's alphabet and nothing else read like an id: far above any name, and beyond guessing.
const ID_LIKE: usize = 32;
/// Words that stand for somebody or something else where a name is expected.
const MEANINGS: [&str; 4] = [".", "..", "all", "me"];
/// Under which all names of certificates lie; `.internal` is reserved for private use and never delegated.
const DOMAIN: &str = "warren.internal";

/// Why a text cannot be a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// No characters.
    #[error("a name has at least one character")]
    Empty,
    /// More than [`MAX_NAME`] characters.
    #[error("a name has at most 64 characters")]
    TooLong,
    /// A blank at the beginning or end, two in a row, or a special blank.
    #[error("blanks may stand only singly and between other characters")]
    Blank,
    /// A control, invisible, direction-changing, private or unassigned character.
    #[error("the name has an invisible or special character")]
    Invisible,
    /// One of `/ \ , ~`, which have a meaning in lists, paths and shown names, or a hyphen at the beginning.
    #[error("a name must not contain / \\ , ~ nor begin with -")]
    Reserved,
    /// A word that means something else where a name is expected: `.`, `..`, `all`, `me`.
    #[error("this word means something else where a name is expected")]
    Meaning,
    /// It reads like the id of a device or member.
    #[error("the name reads like a device id")]
    IdLike,
    /// Composed in an unusual way (not Unicode normal form C).
    #[error("the name is not in Unicode normal form C")]
    NotNormal,
}

/// Checks that `name` may name a circle, member or device.
///
/// # Errors
/// [`BadName`] says which rule is broken.
pub fn valid_name(name: &str) -> Result<(), BadName> {
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    if name.chars().count() > MAX_NAME {
        return Err(BadName::TooLong);
    }
    if name.chars().any(is_invisible) {
        return Err(BadName::Invisible);
    }
    let special_blank = name.chars().any(|c| c.is_whitespace() && c != ' ');
    if special_blank || name.starts_with(' ') || name.ends_with(' ') || name.contains("  ") {
        return Err(BadName::Blank);
    }
    if name.starts_with('-') || name.contains(['/', '\\', ',', '~']) {
        return Err(BadName::Reserved);
    }
    if !is_nfc(name) {
        return Err(BadName::NotNormal);
    }
    let key = name_key(name);
    if MEANINGS.contains(&key.as_str()) {
        return Err(BadName::Meaning);
    }
    if key.len() >= ID_LIKE && key.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')) {
        return Err(BadName::IdLike);
    }
    Ok(())
}

/// Two names with the same key count as the same: compatibility forms and letter case are folded.
#[must_use]
pub fn name_key(name: &str) -> String {
    name.nfkc().flat_map(char::to_lowercase).nfkc().collect()
}

/// True if two names can be taken for each other: the same key, or the same skeleton (UTS 39 section 4) as they are
/// written or in small letters. So Latin and Cyrillic o are alike, and capital I, small L and the digit 1.
#[must_use]
pub fn look_alike(a: &str, b: &str) -> bool {
    let looks = |name: &str| {
        let small = name_key(name);
        [skeleton(&small).collect::<String>(), name_key(&skeleton(name).collect::<String>()), small]
    };
    let b = looks(b);
    looks(a).iter().any(|look| b.contains(look))
}

/// Controls, default-ignorables, direction marks, private use and noncharacters (Unicode 16, DerivedCoreProperties).
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            u32::from(c),
            0x00AD | 0x034F | 0x061C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F
            | 0x2028..=0x202E | 0x2060..=0x206F | 0x2800 | 0x3164 | 0xE000..=0xF8FF | 0xFDD0..=0xFDEF
            | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFF | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
            | 0xE0000..
        )
        || u32::from(c) & 0xFFFE == 0xFFFE
}

fn label(public_key: &[u8; 32]) -> String {
    let mut label = BASE32.encode(blake3::hash(public_key).as_bytes());
    label.truncate(LABEL);
    label
}

/// `<label of the root key>.warren.internal`.
pub(super) fn circle_domain(root_key: &[u8; 32]) -> String {
    format!("{}.{DOMAIN}", label(root_key))
}

/// `<label of the key>.<domain of the issuer>`.
pub(super) fn subdomain(public_key: &[u8; 32], parent: &str) -> String {
    format!("{}.{parent}", label(public_key))
}
