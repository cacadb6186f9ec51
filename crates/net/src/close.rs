//! Why a link ended, as QUIC application error codes.

use iroh::endpoint::{Connection, ConnectionError, VarInt};
use thiserror::Error;

/// Why a link ended. The first group travels to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Goodbye {
    /// The device stops, or does not need the link any more.
    #[error("the device is leaving")]
    Leaving,
    /// Another link to the same device is kept.
    #[error("there is another link to the same device")]
    Duplicate,
    /// Not talked with: blocked, not a member, no strangers expected.
    #[error("refused")]
    Refused,
    /// Too many are served already; may be tried again later.
    #[error("busy")]
    Busy,
    /// A rule was broken.
    #[error("a rule was broken")]
    Misbehaved,
    /// Nothing was heard for too long.
    #[error("nothing was heard for too long")]
    Silent,
    /// The connection failed in another way.
    #[error("the connection failed")]
    Failed,
}

impl Goodbye {
    /// Those that travel, with their codes.
    const CODES: [(Self, u32); 5] =
        [(Self::Leaving, 0), (Self::Duplicate, 1), (Self::Refused, 2), (Self::Busy, 3), (Self::Misbehaved, 4)];

    /// Closes `conn` for this reason. Closing it twice keeps the first reason.
    pub(crate) fn say(self, conn: &Connection) {
        let code = Self::CODES.iter().find(|(why, _)| *why == self);
        let code = code.map_or(0, |(_, code)| *code);
        conn.close(VarInt::from_u32(code), b"");
    }

    /// The reason why a connection ended.
    pub(crate) fn heard(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => Self::CODES
                .iter()
                .find(|(_, code)| VarInt::from_u32(*code) == close.error_code)
                .map_or(Self::Failed, |(why, _)| *why),
            ConnectionError::LocallyClosed => Self::Leaving,
            ConnectionError::TimedOut => Self::Silent,
            _ => Self::Failed,
        }
    }
}
