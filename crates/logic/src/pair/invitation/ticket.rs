//! What an invited person holds: a code or a link.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use seal::words::{BadCode, Code};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::link::{BadLink, Link};

/// Names an invitation: 8 random bytes, public.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InvitationId(pub [u8; 8]);

impl fmt::Display for InvitationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
    }
}

impl fmt::Debug for InvitationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The secret of a link: 16 random bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct LinkSecret(pub [u8; 16]);

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret(***)")
    }
}

/// How a stranger says which invitation it means; public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reference {
    /// The first word of a code.
    Nameplate(u16),
    /// The id in a link.
    Link(InvitationId),
}

/// What an invited person holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ticket {
    /// Four words. Where the inviter is must be found out.
    Code(Code),
    /// A link, with device and addresses.
    Link(Box<Link>),
}

/// Text that is neither a code nor a link.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadTicket {
    /// It looks like a link.
    #[error(transparent)]
    Link(#[from] BadLink),
    /// It looks like a code.
    #[error(transparent)]
    Code(#[from] BadCode),
}

impl Ticket {
    /// Which invitation it belongs to.
    pub fn reference(&self) -> Reference {
        match self {
            Self::Code(code) => Reference::Nameplate(code.nameplate()),
            Self::Link(link) => Reference::Link(link.invitation),
        }
    }

    /// The shared secret, for SPAKE2 alone.
    pub(crate) fn secret(&self) -> zeroize::Zeroizing<Vec<u8>> {
        match self {
            Self::Code(code) => code.secret().to_vec().into(),
            Self::Link(link) => link.secret.0.to_vec().into(),
        }
    }
}

impl FromStr for Ticket {
    type Err = BadTicket;

    fn from_str(text: &str) -> Result<Self, BadTicket> {
        if Link::looks_like(text) {
            Ok(Self::Link(Box::new(text.parse()?)))
        } else {
            Ok(Self::Code(Code::parse(text)?))
        }
    }
}
