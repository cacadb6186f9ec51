//! From the rooms' errors to what the API says: what happened, and what to do next.

use std::borrow::Borrow;
use std::io;

use api::{ApiError, ErrorCode};
use store::database::DatabaseError;

use crate::circle::CircleError;

/// An operation on a file that failed.
pub(crate) fn io_error(what: &str, error: &io::Error) -> ApiError {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<DatabaseError>()) {
        return database(error);
    }
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let code = match error.kind() {
        _ if full => ErrorCode::DiskFull,
        io::ErrorKind::InvalidData => ErrorCode::Damaged,
        _ => ErrorCode::Io,
    };
    let shown = ApiError::new(code, format!("could not {what}: {error}"));
    match error.kind() {
        _ if full => shown.hint(FREE_SPACE),
        io::ErrorKind::PermissionDenied => shown.hint("whose is it, and who may use it? `ls -ld` shows that"),
        io::ErrorKind::FileTooLarge => {
            shown.hint("files may not grow so large here: `ulimit -f` shows a limit of the session")
        }
        io::ErrorKind::NotADirectory => shown.hint("a part of this path is a file: choose another path"),
        io::ErrorKind::InvalidFilename => shown.hint("a name may have 255 bytes here: choose a shorter one"),
        io::ErrorKind::ReadOnlyFilesystem => shown.hint("make the file system writable: it is mounted read-only"),
        _ => shown,
    }
}

/// What to do about a full disk.
const FREE_SPACE: &str = "free some space and try again; nothing was lost";

/// A fault of this program.
pub(crate) fn internal(what: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::Internal, what.to_string())
}

/// What to do about a home whose files are damaged or do not belong together.
pub(crate) const RESTORE: &str = "put back a copy of this home from a backup, keystore and database together";

/// The database.
pub(crate) fn database(error: impl Borrow<DatabaseError>) -> ApiError {
    let error = error.borrow();
    let (code, hint) = match error {
        DatabaseError::Missing | DatabaseError::Damaged(_) | DatabaseError::WrongKey(_) => {
            (ErrorCode::Damaged, RESTORE)
        }
        DatabaseError::DiskFull => (ErrorCode::DiskFull, FREE_SPACE),
        DatabaseError::DiskFails(_) => {
            (ErrorCode::Io, "the system's log (`dmesg`) says more; copy this home to another disk while it can be read")
        }
        DatabaseError::TooNew { .. } => (ErrorCode::Internal, "use the newer Warren with this home, as before"),
        DatabaseError::Io { source, .. } => return io_error("open the database", source),
        DatabaseError::Unstorable(_) => return internal(error),
        DatabaseError::Sqlite(_) => (ErrorCode::Io, "does another program work on the database of this home?"),
    };
    ApiError::new(code, error.to_string()).hint(hint)
}

/// Runs something that blocks where it does no harm.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(internal(format!("a task ended badly: {error}"))),
    }
}

impl From<CircleError> for ApiError {
    fn from(error: CircleError) -> Self {
        let message = error.to_string();
        match error {
            CircleError::NoCircle => {
                Self::new(ErrorCode::NotAllowed, message).hint("join one with `warren join CODE --name NAME`")
            }
            CircleError::Removed => Self::new(ErrorCode::NotAllowed, message)
                .hint("what you received stays yours; to come back, ask for an invitation and join with a new home (WARREN_HOME)"),
            CircleError::HasCircle => {
                Self::new(ErrorCode::Exists, message).hint("use another home (WARREN_HOME) for another circle")
            }
            CircleError::NotAdmin => {
                Self::new(ErrorCode::NotAllowed, message).hint("`warren peers` shows who is admin")
            }
            CircleError::AdmittedBy(_) => {
                Self::new(ErrorCode::NotAllowed, message).hint("until then you can block it: `warren peers block`")
            }
            CircleError::NothingToRevoke => Self::new(ErrorCode::NotAllowed, message),
            CircleError::Issue(_) => Self::new(ErrorCode::BadRequest, message),
            CircleError::Database(error) => database(error),
            CircleError::Stored(_) | CircleError::Gone => Self::new(ErrorCode::Damaged, message).hint(RESTORE),
            CircleError::OwnRecord(_) | CircleError::Admission(_) => Self::new(ErrorCode::Internal, message),
        }
    }
}
