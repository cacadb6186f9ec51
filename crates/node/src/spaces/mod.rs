//! Spaces: shared file trees.
//!
//! | module | what it does |
//! |---|---|
//! | `list` | the spaces of a home |
//! | `logged` | its commits once more, to make it anew from |
//! | `space` | the one door to ledger, tree and disk of one space |
//! | `write` | what this device signs |
//! | `pen` | changes that may need several commits |
//! | `talk` | what is said to other devices and what they say |
//! | `epochs` | the keys of realms |
//! | `calls` | what the API asks and does |
//! | `contents` | files of this machine into objects and back |
//! | `between` | sessions and objects between devices |
//! | `folder` | folders of the user's, kept in step |

pub(crate) mod between;
mod calls;
pub(crate) mod contents;
mod epochs;
pub(crate) mod folder;
mod list;
mod logged;
mod pen;
pub(super) mod space;
mod talk;
#[cfg(test)]
mod tests;
mod write;

use logic::Misbehaved;
use logic::ledger::{BadDraft, BadState, CannotWrite, CommitId, SpaceRole, Taken};
use logic::space::{BadBody, Fault};
use seal::Unsound;
use store::database::DatabaseError;
use store::objects::ObjectError;
use store::space::SpaceError;
use thiserror::Error;

use crate::circle::CircleError;

pub(crate) use calls::{answer, housekeeping, read};
pub(crate) use contents::Jobs;
pub(crate) use list::{Kept, Spaces};
pub use space::{Outcome, Space};
pub use talk::Heard;
pub use write::Chain;

/// Why something could not be done in a space.
#[derive(Debug, Error)]
pub enum SpaceFault {
    /// The disk.
    #[error(transparent)]
    Store(#[from] SpaceError),
    /// The store of contents.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The home's database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Another file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// There is no circle to found a space in.
    #[error("{0}")]
    Circle(String),
    /// The stored tree cannot be read.
    #[error("the stored tree is damaged: {0}")]
    Tree(String),
    /// What is stored is no ledger.
    #[error(transparent)]
    State(#[from] BadState),
    /// The space was never completely made.
    #[error("the space was not completely made")]
    Unfinished,
    /// A commit that is stored cannot be read.
    #[error("the commit {0} is not readable on this disk")]
    Lost(CommitId),
    /// Somebody broke a rule.
    #[error(transparent)]
    Misbehaved(#[from] Misbehaved),
    /// This device cannot write.
    #[error(transparent)]
    CannotWrite(#[from] CannotWrite),
    /// The role is missing.
    #[error("that takes the role {0:?}")]
    MayNot(SpaceRole),
    /// The key of the realm is not here yet.
    #[error("the key is not here yet: somebody who owns the space has to come online")]
    NoKey,
    /// What this device made breaks its own rules.
    #[error("a commit of this device was not accepted: {0:?}")]
    OwnCommit(Taken),
    /// As above.
    #[error(transparent)]
    Draft(#[from] BadDraft),
    /// More than a commit can hold, or nothing that can be one.
    #[error(transparent)]
    Body(#[from] BadBody),
    /// What was asked cannot be done as things are now.
    #[error("{0}")]
    Asked(Box<api::ApiError>),
    /// What was sealed did not open.
    #[error(transparent)]
    Unsound(#[from] Unsound),
}

impl From<api::ApiError> for SpaceFault {
    fn from(error: api::ApiError) -> Self {
        Self::Asked(Box::new(error))
    }
}

impl From<CircleError> for SpaceFault {
    fn from(error: CircleError) -> Self {
        Self::Circle(error.to_string())
    }
}

impl From<Fault<SpaceError>> for SpaceFault {
    fn from(fault: Fault<SpaceError>) -> Self {
        match fault {
            Fault::Rows(error) => Self::Store(error),
            damaged @ Fault::Damaged(_) => Self::Tree(damaged.to_string()),
        }
    }
}
