//! Puts any [`Service`] on a socket: `POST /v1/NAME` with JSON in and out, `GET /v1/events` as server-sent events.
//!
//! `POST /v1/spool` takes content of any length in ([`spool`]), `POST /v1/read` gives it out ([`read`]).
//!
//! Two doors, same house: a Unix socket that only its owner can open ([`Socket`]), and loopback TCP behind a bearer token
//! ([`Loopback`]), which runs only where somebody asks for it. Invariants: bodies of calls are bounded ([`MAX_BODY`])
//! before they are read into memory; a call that was read is carried out even if the caller hangs up; an error always
//! has a JSON [`ApiError`] as its body; a slow reader of events slows nobody down (see [`crate::EventHub`]).

mod accept;
mod loopback;
mod read;
mod spool;
mod unix;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::StreamExt;

use crate::{ApiError, ErrorCode, Request, Service};

pub use loopback::{Loopback, Token};
pub use unix::Socket;

/// Largest request body in bytes: room for a hundred thousand long paths.
pub const MAX_BODY: usize = 16 << 20;

/// How often an idle event stream shows that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Routes of the local API over a service.
pub fn router(service: Arc<dyn Service>) -> Router {
    Router::new()
        .route("/v1/events", get(events))
        .route("/v1/spool", post(spool::spool))
        .route("/v1/read", post(read::read))
        .route("/v1/{name}", post(call))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(service)
}

/// Carries out one call.
async fn call(
    State(service): State<Arc<dyn Service>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > MAX_BODY) {
        return too_large();
    }
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return too_large();
    };
    let request = match Request::read(&name, &body) {
        Some(Ok(request)) => request,
        Some(Err(fault)) => {
            let message = format!("the request to `{name}` makes no sense: {fault}");
            return failure(&ApiError::new(ErrorCode::BadRequest, message));
        }
        None => {
            return failure(&ApiError::new(ErrorCode::NotFound, format!("there is no call `{name}`")));
        }
    };
    // In a task of its own: a caller who hangs up must not leave the work half done.
    match tokio::spawn(async move { service.call(request).await }).await {
        Ok(Ok(reply)) => match reply.body() {
            Ok(body) => json(StatusCode::OK, body),
            Err(fault) => failure(&ApiError::new(ErrorCode::Internal, fault.to_string())),
        },
        Ok(Err(error)) => failure(&error),
        Err(_) => {
            tracing::error!(call = name, "the call panicked");
            failure(&ApiError::new(ErrorCode::Internal, format!("a fault in Warren ended the call `{name}`")))
        }
    }
}

/// Streams events until the caller hangs up.
async fn events(State(service): State<Arc<dyn Service>>) -> Response {
    let events = match service.events().await {
        Ok(events) => events,
        Err(error) => return failure(&error),
    };
    let frames = events.filter_map(|event| async move {
        let frame = axum::response::sse::Event::default().json_data(&event).ok()?;
        Some(Ok::<_, Infallible>(frame))
    });
    Sse::new(frames).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// Says that a path is unknown.
async fn no_such_path() -> Response {
    failure(&ApiError::new(ErrorCode::NotFound, "the local API has no such path: use /v1/NAME or /v1/events"))
}

/// Says that a path was asked with the wrong method.
async fn wrong_method() -> Response {
    let error = ApiError::new(ErrorCode::BadRequest, "wrong method: calls are POST, events are GET");
    error_response(StatusCode::METHOD_NOT_ALLOWED, &error)
}

/// Says that a body is larger than any request, or broke off.
fn too_large() -> Response {
    let message = format!("the request is larger than {MAX_BODY} bytes, or broke off");
    let error = ApiError::new(ErrorCode::BadRequest, message);
    error_response(StatusCode::PAYLOAD_TOO_LARGE, &error)
}

/// An error in the HTTP status that fits its kind.
fn failure(error: &ApiError) -> Response {
    error_response(status_of(error.code), error)
}

/// An error as a JSON response.
fn error_response(status: StatusCode, error: &ApiError) -> Response {
    json(status, serde_json::to_vec(error).unwrap_or_default())
}

/// A JSON response.
fn json(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// HTTP status (RFC 9110; 423 and 507: RFC 4918) for each kind of error.
fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Exists
        | ErrorCode::AlreadyRunning
        | ErrorCode::NotInitialised
        | ErrorCode::Refused
        | ErrorCode::Cancelled => StatusCode::CONFLICT,
        ErrorCode::Locked | ErrorCode::PassphraseNeeded => StatusCode::LOCKED,
        ErrorCode::WrongPassphrase | ErrorCode::NotAllowed => StatusCode::FORBIDDEN,
        ErrorCode::NotRunning => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Unreachable => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::BadInvitation => StatusCode::GONE,
        ErrorCode::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::Io | ErrorCode::Damaged | ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
