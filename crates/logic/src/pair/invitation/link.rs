//! Links: `warren:join/...` invites into a circle, `warren:get/...` fetches one transfer.
//!
//! The part after the slash is base32 (RFC 4648, no padding, any case: upper case makes small QR codes) of a version
//! byte, the postcard form of the fields, and four bytes of BLAKE3 over both, which catch links that were cut or mistyped.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use seal::{CircleId, DeviceId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::ticket::{InvitationId, LinkSecret};
use crate::limits::ADDRESSES_PER_DEVICE;
use crate::wire::Address;

/// Version of the fields of a link.
const VERSION: u8 = 1;
/// Bytes of the checksum at the end.
const CHECKSUM: usize = 4;
/// Characters of the longest link that is looked at.
const MAX_TEXT: usize = 8 * 1024;
const SCHEME: &str = "warren:";
const JOIN: &str = "join/";
const GET: &str = "get/";

/// The contents of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Which invitation.
    pub invitation: InvitationId,
    /// The device that made it: the only one that may answer.
    pub device: DeviceId,
    /// Where that device was when the link was made.
    pub addresses: Vec<Address>,
    /// The shared secret.
    pub secret: LinkSecret,
    /// The circle to join; absent in a link that fetches a transfer.
    pub circle: Option<CircleId>,
}

/// Text that is no link of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadLink {
    /// Begins neither with `warren:join/` nor with `warren:get/`.
    #[error("a link begins with warren:join/ or warren:get/")]
    NotALink,
    /// The checksum does not fit: characters are missing or wrong.
    #[error("the link is not complete, or a character of it is wrong")]
    Damaged,
    /// Made by a newer version of the program.
    #[error("the link was made by a newer version of Warren (link format {0})")]
    TooNew(u8),
    /// The contents make no sense.
    #[error("the contents of the link make no sense")]
    Senseless,
}

impl Link {
    /// True if the text means to be a link.
    pub fn looks_like(text: &str) -> bool {
        text.trim().get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
    }

    fn path(&self) -> &'static str {
        if self.circle.is_some() { JOIN } else { GET }
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut sum);
    sum
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = postcard::to_extend(self, vec![VERSION]).map_err(|_| fmt::Error)?;
        bytes.extend(checksum(&bytes));
        write!(f, "{SCHEME}{}{}", self.path(), BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
    }
}

impl FromStr for Link {
    type Err = BadLink;

    fn from_str(text: &str) -> Result<Self, BadLink> {
        let text = text.trim();
        if text.len() > MAX_TEXT || !text.is_ascii() {
            return Err(if Self::looks_like(text) { BadLink::Damaged } else { BadLink::NotALink });
        }
        let lower = text.to_ascii_lowercase();
        let rest = lower.strip_prefix(SCHEME).ok_or(BadLink::NotALink)?;
        let (path, data) =
            [JOIN, GET].into_iter().find_map(|path| Some((path, rest.strip_prefix(path)?))).ok_or(BadLink::NotALink)?;
        let bytes = BASE32_NOPAD.decode(data.to_ascii_uppercase().as_bytes()).map_err(|_| BadLink::Damaged)?;
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(BadLink::Damaged)?;
        if checksum(body) != *sum {
            return Err(BadLink::Damaged);
        }
        let link: Self = match body {
            [VERSION, fields @ ..] => match postcard::take_from_bytes(fields) {
                Ok((link, [])) => link,
                _ => return Err(BadLink::Senseless),
            },
            [version, ..] => return Err(BadLink::TooNew(*version)),
            [] => return Err(BadLink::Damaged),
        };
        let sensible = link.path() == path
            && link.addresses.len() <= ADDRESSES_PER_DEVICE
            && link.addresses.iter().all(Address::is_usable);
        if sensible { Ok(link) } else { Err(BadLink::Senseless) }
    }
}
