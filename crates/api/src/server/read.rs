//! `POST /v1/read`: the content of a file in a space, of any length, as it comes.
//!
//! What goes wrong before the first bytes is an error like any other. Later the connection is cut without the end that
//! HTTP chunks have, so nobody takes a part for the whole.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{MAX_BODY, failure, too_large};
use crate::{ApiError, ContentStream, ErrorCode, Service};

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
        Ok(content) => answer(content).await,
        Err(error) => failure(&error),
    }
}

async fn answer(mut content: ContentStream) -> Response {
    let first = match content.next().await {
        Some(Err(fault)) => return failure(&ApiError::new(ErrorCode::Io, fault.to_string())),
        first => first,
    };
    let rest = content.or_else(|fault| async {
        // What came before goes out first; an answer that is cut before it began would say that the device is gone.
        tokio::task::yield_now().await;
        Err(fault)
    });
    let content = Body::from_stream(stream::iter(first).chain(rest));
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/octet-stream")], content).into_response()
}
