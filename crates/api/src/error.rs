//! Errors of the local API: what happened, what to do next, and a code that scripts can rely on.

use serde::{Deserialize, Serialize};

/// Kind of an error; decides the exit code of the command line (documented in `docs/exit-codes.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request makes no sense as it stands.
    BadRequest,
    /// A name, id or path that does not exist.
    NotFound,
    /// The name or file is there already.
    Exists,
    /// The keystore is locked.
    Locked,
    /// The passphrase is wrong.
    WrongPassphrase,
    /// A passphrase is needed and none was given: ask for it and try again.
    PassphraseNeeded,
    /// No device is running in this home.
    NotRunning,
    /// A device is running in this home already.
    AlreadyRunning,
    /// This home has no device yet.
    NotInitialised,
    /// This device has no circle yet, or not the role that the request needs.
    NotAllowed,
    /// The other side could not be reached.
    Unreachable,
    /// The other side said no.
    Refused,
    /// The code or the invitation is wrong, used, expired or burned.
    BadInvitation,
    /// A disk is full.
    DiskFull,
    /// A file or folder could not be read or written.
    Io,
    /// Stored or received bytes are damaged or forged.
    Damaged,
    /// Ended by the user.
    Cancelled,
    /// A fault in Warren.
    Internal,
}

/// An error with a next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Kind.
    pub code: ErrorCode,
    /// What happened.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl ErrorCode {
    /// All kinds.
    pub const ALL: &[Self] = &[
        Self::BadRequest,
        Self::NotFound,
        Self::Exists,
        Self::Locked,
        Self::WrongPassphrase,
        Self::PassphraseNeeded,
        Self::NotRunning,
        Self::AlreadyRunning,
        Self::NotInitialised,
        Self::NotAllowed,
        Self::Unreachable,
        Self::Refused,
        Self::BadInvitation,
        Self::DiskFull,
        Self::Io,
        Self::Damaged,
        Self::Cancelled,
        Self::Internal,
    ];
}

impl ApiError {
    /// An error without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The same error with a next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Result of an API call.
pub type ApiResult<T> = Result<T, ApiError>;
