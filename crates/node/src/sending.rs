//! Transfers between the API and [`crate::transfers`]: requests, listings, errors with a next step, progress as events.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use api::types::{Event as ApiEvent, Limit, Transfer, TransferQuery, TransferState};
use api::{ApiError, ApiResult, ErrorCode, EventHub};
use data_encoding::BASE64URL_NOPAD;
use store::landing::LandingError;
use store::source::SourceError;
use tokio::sync::broadcast::error::RecvError;

use crate::transfers::{NoSource, TransferError, Transfers};

/// Paths as text and as bytes.
pub(crate) fn paths(text: &[String], raw: &[String]) -> ApiResult<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = text.iter().map(PathBuf::from).collect();
    for encoded in raw {
        let bytes = BASE64URL_NOPAD
            .decode(encoded.as_bytes())
            .map_err(|_| ApiError::new(ErrorCode::BadRequest, "a path in `paths_raw` is not base64url"))?;
        paths.push(OsString::from_vec(bytes).into());
    }
    match paths.iter().find(|path| !path.is_absolute()) {
        Some(path) => Err(ApiError::new(ErrorCode::BadRequest, format!("{} is not an absolute path", path.display()))),
        None => Ok(paths),
    }
}

/// Lists what a query asks for, the newest last.
pub(crate) fn list(transfers: &Transfers, query: &TransferQuery) -> ApiResult<Vec<Transfer>> {
    if let Some(id) = &query.id {
        return Ok(vec![transfers.get(id)?]);
    }
    let mut all = transfers.list();
    all.retain(|transfer| query.ended || !transfer.state.is_final());
    Ok(all)
}

/// Limits one transfer, or all of them together until the end of this process.
pub(crate) fn limit(transfers: &Transfers, request: &Limit) -> ApiResult<()> {
    check_limit(request.rate_limit)?;
    match &request.id {
        Some(id) => transfers.limit(id, request.rate_limit)?,
        None => transfers.limit_all(request.rate_limit),
    }
    Ok(())
}

/// Refuses a limit under which nothing would ever arrive.
pub(crate) fn check_limit(limit: Option<u64>) -> ApiResult<()> {
    match limit {
        Some(0) => Err(ApiError::new(ErrorCode::BadRequest, "a limit of 0 would stop everything")
            .hint("`off` lifts the limit; `warren transfers pause` stops a transfer")),
        _ => Ok(()),
    }
}

/// How many run, and how many offers wait here.
pub(crate) fn counts(transfers: &Transfers) -> (u32, u32) {
    let all = transfers.list();
    let count = |test: fn(&Transfer) -> bool| {
        u32::try_from(all.iter().filter(|transfer| test(transfer)).count()).unwrap_or(u32::MAX)
    };
    let active = count(|transfer| matches!(transfer.state, TransferState::Running | TransferState::Finishing));
    (active, count(|transfer| transfer.direction == "in" && transfer.state == TransferState::Offered))
}

/// Hands progress on to whoever listens to the device's events.
pub(crate) async fn forward(transfers: Transfers, hub: EventHub) {
    let mut snapshots = transfers.subscribe();
    loop {
        match snapshots.recv().await {
            Ok(transfer) => hub.send(ApiEvent::Transfer(Box::new(transfer))),
            Err(RecvError::Lagged(count)) => hub.send(ApiEvent::Lost { count }),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Nothing can be received into this folder.
pub(crate) fn unusable(to: &Path, error: LandingError) -> ApiError {
    let message = format!("cannot receive into {}: {error}", to.display());
    match error {
        LandingError::InUse => {
            let message = format!("another `warren receive` is at work with this code in {}", to.display());
            ApiError::new(ErrorCode::AlreadyRunning, message).hint("wait for it, or choose another folder: --out DIR")
        }
        LandingError::DiskFull { .. } => ApiError::new(ErrorCode::DiskFull, message),
        _ => ApiError::new(ErrorCode::Io, message).hint("choose another folder: --out DIR"),
    }
}

impl From<TransferError> for ApiError {
    fn from(error: TransferError) -> Self {
        let message = error.to_string();
        match error {
            TransferError::Unknown(_) => {
                Self::new(ErrorCode::NotFound, message).hint("`warren transfers --all` lists them")
            }
            TransferError::Ambiguous(_) | TransferError::TooShort(_) => {
                Self::new(ErrorCode::BadRequest, message).hint("`warren transfers --all` lists them")
            }
            TransferError::Landing { to, source } => unusable(&to, source),
            TransferError::NothingToSend(_) => Self::new(ErrorCode::BadRequest, message),
            TransferError::NoSource(NoSource::Path(SourceError::Missing { .. })) => {
                Self::new(ErrorCode::NotFound, message).hint("a link that leads nowhere counts as nothing")
            }
            TransferError::NoSource(NoSource::Path(SourceError::Io { path, source })) => {
                crate::errors::io_error(&format!("read {}", path.display()), &source)
            }
            TransferError::NoSource(NoSource::Input(error)) => {
                crate::errors::io_error("read the content to be sent", &error)
            }
            TransferError::NoSource(NoSource::Path(_)) => Self::new(ErrorCode::BadRequest, message),
            TransferError::Over(_) => {
                Self::new(ErrorCode::BadRequest, message).hint("to send it again, use `warren send`")
            }
            TransferError::NoOffer(_) => {
                Self::new(ErrorCode::BadRequest, message).hint("`warren inbox` lists what waits")
            }
            TransferError::Storage(error) => crate::errors::io_error("store the transfer", &error),
        }
    }
}
