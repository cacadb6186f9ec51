//! Messages on the control stream of a link between members.

use serde::{Deserialize, Serialize};

use crate::ledger::CommitId;
use crate::roster::{RosterUpdate, Summary};

/// One control message. Frames up to [`crate::limits::CONTROL_FRAME`], those of the roster up to [`crate::limits::ROSTER_FRAME`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// Are you there? Answered by `Pong` with the same number.
    Ping(u64),
    /// Answer to `Ping`.
    Pong(u64),
    /// Hash of everything that the sender knows of the circle; whoever knows something else answers `RosterSummary`.
    RosterDigest([u8; 32]),
    /// What the sender knows of the circle, by hashes and numbers; answered by `RosterUpdate` where the answerer knows more.
    RosterSummary(Box<Summary>),
    /// What the other side did not know.
    RosterUpdate(Box<RosterUpdate>),
    /// The sender closes the link on purpose.
    Bye(Bye),
    /// Ledgers that the sender keeps and in which the receiver's member has a role: all of them, at most
    /// [`crate::limits::SPACES_TOLD`], each time that they change. From version 2 on.
    Spaces(Vec<CommitId>),
}

/// Why a link is closed on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bye {
    /// The device stops or is locked.
    Leaving,
    /// There is a second link between the same two; this is the one to give up.
    Duplicate,
    /// The sender does not talk with the other side any more (blocked, removed).
    Refused,
}
