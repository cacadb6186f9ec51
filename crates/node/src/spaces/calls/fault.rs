//! From faults of spaces to what the API says.

use std::io;

use api::{ApiError, ErrorCode};
use logic::ledger::CannotWrite;
use store::objects::ObjectError;
use store::space::SpaceError;

use crate::errors::{database, internal, io_error};
use crate::spaces::SpaceFault;

/// What to do about a file of a space that is damaged.
const VERIFY: &str =
    "`warren verify SPACE` says what is damaged; `warren store repair` mends it, from this home or from other devices";

impl From<SpaceFault> for ApiError {
    fn from(fault: SpaceFault) -> Self {
        let message = fault.to_string();
        let error = |code| Self::new(code, message.clone());
        match fault {
            SpaceFault::Asked(error) => *error,
            SpaceFault::Store(fault) => store(fault),
            SpaceFault::Objects(fault) => objects(&fault),
            SpaceFault::Database(fault) => database(fault),
            SpaceFault::Io(fault) => io_error("read or write a space", &fault),
            SpaceFault::Circle(_) => error(ErrorCode::NotAllowed).hint("join one with `warren join CODE --name NAME`"),
            SpaceFault::MayNot(_) => {
                error(ErrorCode::NotAllowed).hint("`warren access SPACE` shows who may do what, and who could allow it")
            }
            SpaceFault::NoKey => error(ErrorCode::Unreachable)
                .hint("`warren space info SPACE` shows who owns it; it goes on by itself when one of them is online"),
            SpaceFault::CannotWrite(CannotWrite::Forked) => error(ErrorCode::Refused).hint(
                "this home was copied, or put back from a backup: ask the founder of the space to settle it, or join the \
                 circle again with a new home (WARREN_HOME)",
            ),
            SpaceFault::CannotWrite(CannotWrite::OutOfTurn) => {
                error(ErrorCode::NotAllowed).hint("it enters by itself when another device of the space is online")
            }
            SpaceFault::CannotWrite(CannotWrite::TooMany) => error(ErrorCode::Refused),
            SpaceFault::Tree(_) | SpaceFault::State(_) | SpaceFault::Lost(_) | SpaceFault::Unfinished => {
                error(ErrorCode::Damaged).hint(VERIFY)
            }
            SpaceFault::Body(_) => error(ErrorCode::BadRequest),
            SpaceFault::Misbehaved(_) | SpaceFault::OwnCommit(_) | SpaceFault::Draft(_) | SpaceFault::Unsound(_) => {
                internal(message)
            }
        }
    }
}

fn store(fault: SpaceError) -> ApiError {
    let message = fault.to_string();
    match fault {
        SpaceError::Damaged(_) => ApiError::new(ErrorCode::Damaged, message).hint(VERIFY),
        SpaceError::Database(fault) => database(fault),
        SpaceError::Unguarded => ApiError::new(ErrorCode::Unreachable, message)
            .hint("nothing is written before another device of the space was online and told what this one had; reading works. If there \
                 is none any more: `warren space trust SPACE`"),
        SpaceError::Unmirrored(fault) => io_error("write beside the file of a space", &fault),
        SpaceError::ReadOnly | SpaceError::NoSuchCommit | SpaceError::WouldGoBack => internal(message),
    }
}

fn objects(fault: &ObjectError) -> ApiError {
    let message = fault.to_string();
    match fault {
        ObjectError::Missing(_) => ApiError::new(ErrorCode::Unreachable, "the content is not on this device")
            .hint("it comes when a device that has it is online"),
        ObjectError::Damaged(_) => ApiError::new(ErrorCode::Damaged, message).hint(VERIFY),
        ObjectError::OverQuota { .. } => ApiError::new(ErrorCode::DiskFull, message),
        ObjectError::DiskFull(_) => {
            io_error("store contents", &io::Error::new(io::ErrorKind::StorageFull, message.clone()))
        }
        ObjectError::Io { source, .. } => {
            io_error("read or write contents", &io::Error::new(source.kind(), source.to_string()))
        }
        ObjectError::Database(fault) => database(fault),
        ObjectError::InUse(_) => ApiError::new(ErrorCode::AlreadyRunning, message),
        ObjectError::HoldsUnknown => ApiError::new(ErrorCode::Damaged, message),
        ObjectError::TooLong { .. } => internal(message),
    }
}
