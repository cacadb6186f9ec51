//! Folders of the user's that are kept in step with directories of spaces.
//!
//! | module | what it does |
//! |---|---|
//! | `list` | the folders of a home |
//! | `keeper` | one folder: what wakes it, and what it does then |
//! | `up` | what happened in the folder, told to the space |
//! | `down` | what the space shows, done in the folder |
//! | `base` | what was last the same on both sides |
//!
//! What has happened is decided by [`logic::folder`]; the folder itself is [`store::folder`]. A round tells first and does
//! then, so that what somebody wrote here is in the space before anything comes from there.

mod base;
mod down;
mod hands;
mod keeper;
mod list;
#[cfg(test)]
mod tests;
mod up;

use api::{ApiError, ErrorCode};
use store::folder::FolderError;
use thiserror::Error;

use super::SpaceFault;
use super::contents::ContentFault;
use crate::errors::io_error;

use hands::{Given, Hands};
pub(crate) use list::Folders;

/// Things that are named when they cannot be kept in step.
const WARNINGS: usize = 100;

/// Why a folder is not in step.
#[derive(Debug, Error)]
pub(crate) enum FolderFault {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The space.
    #[error(transparent)]
    Space(#[from] SpaceFault),
    /// Contents.
    #[error(transparent)]
    Content(#[from] ContentFault),
    /// What it is kept in step with is not there.
    #[error("the directory that it is kept in step with is not in the space any more")]
    NoTop,
    /// The device stops or is locked.
    #[error("ended before it was done")]
    Stopped,
}

impl From<FolderFault> for ApiError {
    fn from(fault: FolderFault) -> Self {
        let message = fault.to_string();
        match fault {
            FolderFault::Folder(FolderError::NotTheFolder(_)) => Self::new(ErrorCode::NotFound, message).hint(
                "is its disk mounted? If it was moved: `warren sync --stop DIR`, then `warren sync` with its new place",
            ),
            FolderFault::Folder(FolderError::Io { path, error }) => io_error(&format!("use {path}"), &error),
            FolderFault::Folder(FolderError::Top { path, error }) => {
                io_error(&format!("use {}", path.display()), &error)
            }
            FolderFault::Folder(_) => Self::new(ErrorCode::Io, message),
            FolderFault::Space(fault) => fault.into(),
            FolderFault::Content(fault) => fault.into(),
            FolderFault::NoTop => Self::new(ErrorCode::NotFound, message)
                .hint("`warren restore` brings it back; `warren sync --stop DIR` ends it"),
            FolderFault::Stopped => Self::new(ErrorCode::Cancelled, message),
        }
    }
}
