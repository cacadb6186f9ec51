//! What a stream is for: its first frame, at most [`crate::limits::HEADER_FRAME`].
//!
//! The layout is fixed by the ALPN (`warren/1`, `warren-guest/1`); new kinds are added at the end, and used only when the
//! version that the hello negotiated has them.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};

use crate::ledger::CommitId;

/// Names one transfer on both sides: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TransferId(pub [u8; 16]);

/// Proves that a TCP lane belongs to a link: 16 random bytes, sent over the link once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LinkToken(pub [u8; 16]);

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken(***)")
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
    }
}

impl fmt::Debug for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0[..4]))
    }
}

/// Text that is no transfer id: 32 hex digits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a transfer id is 32 hex digits")]
pub struct NoTransferId;

impl FromStr for TransferId {
    type Err = NoTransferId;

    fn from_str(text: &str) -> Result<Self, NoTransferId> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| NoTransferId)?;
        bytes.try_into().map(Self).map_err(|_| NoTransferId)
    }
}

/// First frame of a stream between members, after the hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamHeader {
    /// Control messages, one stream per link, opened by whoever dialled.
    Control,
    /// The control stream of one transfer.
    Transfer {
        /// Which.
        id: TransferId,
    },
    /// A stream of bulk data for a transfer.
    Lane {
        /// Which transfer.
        id: TransferId,
        /// Number of the lane in its transfer, from 0.
        number: u16,
        /// On TCP: the token that the other side handed out over the link. On QUIC: absent.
        token: Option<LinkToken>,
    },
    /// A conversation about one ledger ([`crate::ledger::session`]). From version 2 on.
    Space {
        /// Which.
        ledger: CommitId,
    },
    /// Encrypted objects of a space ([`super::Objects`]). From version 2 on.
    Objects {
        /// Its ledger.
        ledger: CommitId,
    },
}

/// First frame of a stream with a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestHeader {
    /// Proves a code or link ([`crate::code`]); joining ([`crate::pair`]) goes on in the same stream.
    Knock,
    /// After the proof: the control stream of the one transfer.
    Transfer {
        /// Which.
        id: TransferId,
    },
    /// After the proof: a stream of bulk data.
    Lane {
        /// Which transfer.
        id: TransferId,
        /// Number of the lane in its transfer, from 0.
        number: u16,
        /// As in [`StreamHeader::Lane`].
        token: Option<LinkToken>,
    },
}
