//! From the rooms' errors to what the API says: what happened, and what to do next.

use std::io;

use api::{ApiError, ErrorCode};

use crate::circle::CircleError;

/// An operation on a file that failed.
pub(crate) fn io_error(what: &str, error: &io::Error) -> ApiError {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let code = if full { ErrorCode::DiskFull } else { ErrorCode::Io };
    let error = ApiError::new(code, format!("could not {what}: {error}"));
    if full { error.hint("free some space and try again; nothing was lost") } else { error }
}

/// A fault of this program.
pub(crate) fn internal(what: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::Internal, what.to_string())
}

/// The database.
pub(crate) fn database(error: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::Io, format!("the database: {error}"))
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
            CircleError::Stored(_) => Self::new(ErrorCode::Damaged, message),
            CircleError::OwnRecord(_) | CircleError::Admission(_) => Self::new(ErrorCode::Internal, message),
        }
    }
}
