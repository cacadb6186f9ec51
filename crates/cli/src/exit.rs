//! Exit codes: part of the contract with scripts, documented in `docs/exit-codes.md`. A number is never given a new
//! meaning.

use api::{ApiError, ErrorCode};

/// The command line itself is wrong.
pub(crate) const USAGE: u8 = 2;
/// Some receivers have it and others do not.
pub(crate) const PARTLY: u8 = 17;
/// A check found that something is wrong with a space.
pub(crate) const WRONG: u8 = 18;
/// Ended by Ctrl-C (128 + SIGINT, as shells have it).
pub(crate) const INTERRUPTED: u8 = 130;

/// Exit code for a kind of error.
pub fn exit_code(code: ErrorCode) -> u8 {
    match code {
        ErrorCode::Internal => 1,
        ErrorCode::BadRequest => USAGE,
        ErrorCode::NotFound => 3,
        ErrorCode::Exists => 4,
        ErrorCode::Locked | ErrorCode::PassphraseNeeded => 5,
        ErrorCode::WrongPassphrase => 6,
        ErrorCode::NotRunning => 7,
        ErrorCode::AlreadyRunning => 8,
        ErrorCode::NotInitialised => 9,
        ErrorCode::NotAllowed => 10,
        ErrorCode::Unreachable => 11,
        ErrorCode::Refused => 12,
        ErrorCode::BadInvitation => 13,
        ErrorCode::DiskFull => 14,
        ErrorCode::Io => 15,
        ErrorCode::Damaged => 16,
        ErrorCode::Cancelled => INTERRUPTED,
    }
}

/// How a command ends when it does not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error that is still to be shown.
    Error(ApiError),
    /// All was said; this is the exit code.
    Said(u8),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

impl Failure {
    /// An error of the command line's own.
    pub(crate) fn usage(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::BadRequest, message)
    }

    /// A file or stream that could not be read or written.
    pub(crate) fn io(what: impl std::fmt::Display, error: &std::io::Error) -> ApiError {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorCode::NotFound,
            std::io::ErrorKind::AlreadyExists => ErrorCode::Exists,
            std::io::ErrorKind::IsADirectory => ErrorCode::BadRequest,
            std::io::ErrorKind::StorageFull => ErrorCode::DiskFull,
            _ => ErrorCode::Io,
        };
        let shown = ApiError::new(code, format!("{what}: {error}"));
        match error.kind() {
            std::io::ErrorKind::NotADirectory => shown.hint("a part of this path is a file; only the last one may be"),
            std::io::ErrorKind::InvalidFilename => shown.hint("a name may have 255 bytes here: choose a shorter one"),
            _ => shown,
        }
    }
}

/// Outcome of a command.
pub(crate) type Outcome = Result<(), Failure>;
