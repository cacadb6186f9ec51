//! What the targets share: changing bytes under the fuzzer's hand, and a small circle with fixed keys.
//!
//! Everything here is the same in every run, so that an input found once fails again.

pub mod forge;
pub mod world;

use arbitrary::{Result, Unstructured};

/// Changes `base` at a few places. An input that is used up changes nothing.
pub fn edit(base: &[u8], u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut bytes = base.to_vec();
    let edits = if u.is_empty() { 0 } else { u.int_in_range(0..=8)? };
    for _ in 0..edits {
        let at = if bytes.is_empty() { 0 } else { u.choose_index(bytes.len())? };
        match u.int_in_range(0..=6)? {
            0 if at < bytes.len() => bytes[at] = u.arbitrary()?,
            1 if at < bytes.len() => bytes[at] ^= 1 << u.int_in_range(0..=7)?,
            2 => bytes.insert(at, u.arbitrary()?),
            3 if at < bytes.len() => drop(bytes.remove(at)),
            4 => bytes.truncate(at),
            5 => {
                let end = (at + u.int_in_range(0..=64)?).min(bytes.len());
                let twice = bytes[at..end].to_vec();
                bytes.splice(at..at, twice);
            }
            _ => {
                let end = (at + u.int_in_range(0..=64)?).min(bytes.len());
                let len = u.int_in_range(0..=16)?;
                let with = u.bytes(usize::min(len, u.len()))?.to_vec();
                bytes.splice(at..end, with);
            }
        }
    }
    Ok(bytes)
}

/// Whatever is left of the input.
pub fn rest<'a>(u: &mut Unstructured<'a>) -> &'a [u8] {
    u.bytes(u.len()).unwrap_or_default()
}
