//! `POST /v1/spool`: content of any length, as it comes.
//!
//! A service that fails in the middle (a full disk) answers while the caller is still sending. HTTP/1.1 callers do not
//! get an answer whose connection is closed under their hands, so the answer goes out at once, and then whatever still
//! comes is read and dropped until the caller has seen it and stops.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{json, status_of};
use crate::{ApiError, ErrorCode, Service};

/// Chunks on their way from the connection to the service.
const QUEUE: usize = 4;

/// Hands the body to the service. A caller who hangs up before its end keeps nothing.
pub(super) async fn spool(State(service): State<Arc<dyn Service>>, body: Body) -> Response {
    let (chunks, content) = mpsc::channel(QUEUE);
    let pouring = tokio::spawn(pour(body, chunks));
    match service.spool(Box::pin(ReceiverStream::new(content))).await {
        Ok(spooled) => match serde_json::to_vec(&spooled) {
            Ok(body) => json(StatusCode::OK, body),
            Err(fault) => super::failure(&ApiError::new(ErrorCode::Internal, fault.to_string())),
        },
        Err(error) => {
            let said = Bytes::from(serde_json::to_vec(&error).unwrap_or_default());
            let rest = stream::once(async move {
                let _ = pouring.await;
                Bytes::new()
            });
            let body = stream::iter([said]).chain(rest).map(Ok::<_, Infallible>);
            let json = [(header::CONTENT_TYPE, "application/json")];
            (status_of(error.code), json, Body::from_stream(body)).into_response()
        }
    }
}

/// Reads the body to its end, whether somebody still listens or not.
async fn pour(body: Body, chunks: mpsc::Sender<io::Result<Bytes>>) {
    let mut body = body.into_data_stream();
    while let Some(chunk) = body.next().await {
        let broken = chunk.is_err();
        let _ = chunks.send(chunk.map_err(io::Error::other)).await;
        if broken {
            return;
        }
    }
}
