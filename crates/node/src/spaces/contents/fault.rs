//! Why contents could not be read or written.

use api::{ApiError, ErrorCode};
use logic::space::manifest::BadManifest;
use seal::ObjectId;
use seal::chunk::{ChunkError, SealError};
use store::landing::LandingError;
use store::objects::ObjectError;
use thiserror::Error;

use super::fetch::NotHere;
use crate::errors::{internal, io_error};
use crate::spaces::SpaceFault;

/// See the module.
#[derive(Debug, Error)]
pub(crate) enum ContentFault {
    /// The space.
    #[error(transparent)]
    Space(#[from] SpaceFault),
    /// The store of objects.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// What is not on this device, and cannot be fetched now.
    #[error(transparent)]
    NotHere(#[from] NotHere),
    /// It is of a version whose content this device does not keep any more.
    #[error(
        "this device does not keep the content of that version any more (`warren space history`), and no device that does is here"
    )]
    LetGo,
    /// This disk has other bytes than were stored, and nobody who has them is there.
    #[error("object {0} is damaged on this disk, and no device that has it can be reached")]
    Damaged(ObjectId),
    /// Whoever wrote the version did not say right where its bytes are.
    #[error("the version was not written as it must be: {0}")]
    Manifest(#[from] BadManifest),
    /// As above.
    #[error("the version was not written as it must be: {0}")]
    Chunk(#[from] ChunkError),
    /// All bytes are as they were sealed, but they are not what the version says.
    #[error("the content is not what the version says: its BLAKE3 hash is another one")]
    WrongHash,
    /// The version has no bytes to be read.
    #[error("that is no file")]
    NoFile,
    /// A chunk was not sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// This machine's disk.
    #[error(transparent)]
    Landing(#[from] LandingError),
    /// As above.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The user ended it, or the device was locked.
    #[error("ended before it was done")]
    Cancelled,
    /// What was asked cannot be done.
    #[error("{0}")]
    Asked(Box<ApiError>),
}

impl From<ApiError> for ContentFault {
    fn from(error: ApiError) -> Self {
        Self::Asked(Box::new(error))
    }
}

impl From<ContentFault> for ApiError {
    fn from(fault: ContentFault) -> Self {
        let message = fault.to_string();
        match fault {
            ContentFault::Space(fault) => fault.into(),
            ContentFault::Objects(error) => objects(&error),
            ContentFault::NotHere(_) => Self::new(ErrorCode::Unreachable, message)
                .hint("it comes as soon as a device that has it is online; `warren space info` shows who is"),
            ContentFault::LetGo => Self::new(ErrorCode::Unreachable, message)
                .hint("bring a device online that keeps more of the past; `warren space info` shows who has the space"),
            ContentFault::Damaged(_) => Self::new(ErrorCode::Damaged, message)
                .hint("bring a device online that has the space: damaged contents are fetched again from there"),
            ContentFault::Manifest(_) | ContentFault::Chunk(_) | ContentFault::WrongHash => {
                Self::new(ErrorCode::Damaged, message)
                    .hint("`warren log` shows who wrote it; an earlier version can be restored")
            }
            ContentFault::NoFile => Self::new(ErrorCode::BadRequest, message),
            ContentFault::Seal(_) => internal(message),
            ContentFault::Landing(error) => landing(&error),
            ContentFault::Io(error) => io_error("read or write a file", &error),
            ContentFault::Cancelled => Self::new(ErrorCode::Cancelled, message),
            ContentFault::Asked(error) => *error,
        }
    }
}

/// The store of objects.
fn objects(error: &ObjectError) -> ApiError {
    let message = error.to_string();
    match error {
        ObjectError::DiskFull(_) => {
            ApiError::new(ErrorCode::DiskFull, message).hint("free some space and try again; what was there is whole")
        }
        ObjectError::OverQuota { .. } => ApiError::new(ErrorCode::DiskFull, message),
        ObjectError::Damaged(_) | ObjectError::Missing(_) => ApiError::new(ErrorCode::Damaged, message),
        ObjectError::Io { .. } => ApiError::new(ErrorCode::Io, message),
        ObjectError::Database(error) => crate::errors::database(error),
        _ => internal(message),
    }
}

/// Files that are made on this machine.
fn landing(error: &LandingError) -> ApiError {
    let message = error.to_string();
    match error {
        LandingError::DiskFull { .. } => {
            ApiError::new(ErrorCode::DiskFull, message).hint("free some space and try again; nothing is half in place")
        }
        LandingError::Denied { .. } => {
            ApiError::new(ErrorCode::Io, message).hint("whose is it, and who may write there? `ls -ld` shows that")
        }
        _ => ApiError::new(ErrorCode::Io, message),
    }
}
