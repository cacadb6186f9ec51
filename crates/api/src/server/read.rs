//! `POST /v1/read`: the content of a file in a space, of any length, as it comes.
//!
//! What goes wrong before the first byte is an error like any other. Later the connection is cut without the end that
//! HTTP chunks have, so nobody takes a part for the whole.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{MAX_BODY, failure, too_large};
use crate::{ApiError, ErrorCode, Service};

/// Answers with the content.
pub(super) async fn read(State(service): State<Arc<dyn Service>>, body: Body) -> Response {
    let Ok(body) = to_bytes(body, MAX_BODY).await else { return too_large() };
    let request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(fault) => {
            let message = format!("the request to `read` makes no sense: {fault}");
            return failure(&ApiError::new(ErrorCode::BadRequest, message));
        }
    };
    match service.read(request).await {
        Ok(content) => {
            let bytes = [(header::CONTENT_TYPE, "application/octet-stream")];
            (StatusCode::OK, bytes, Body::from_stream(content)).into_response()
        }
        Err(error) => failure(&error),
    }
}
