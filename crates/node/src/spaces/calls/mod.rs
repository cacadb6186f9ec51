//! What the API asks of spaces, and does with them.

mod fault;
mod info;

use api::types::{Nothing, TreeRead};
use api::{ApiError, ApiResult, ContentStream, ErrorCode, Reply, Request};

use crate::errors::blocking;
use crate::running::Running;

/// Answers calls about spaces.
pub(crate) async fn answer(running: &Running, request: Request) -> ApiResult<Reply> {
    let (spaces, circle) = (running.spaces.clone(), running.circle.clone());
    blocking(move || {
        Ok(match request {
            Request::SpaceCreate(_) => {
                let kept = spaces.found()?;
                Reply::SpaceCreate(info::space(&circle, &spaces, &kept)?)
            }
            Request::Spaces(Nothing {}) => {
                let all = spaces.all();
                let shown = all.iter().map(|kept| info::space(&circle, &spaces, kept));
                Reply::Spaces(shown.collect::<ApiResult<_>>()?)
            }
            _ => return Err(unknown()),
        })
    })
    .await
}

/// Opens a file in a space for reading.
pub(crate) async fn read(_running: &Running, _request: TreeRead) -> ApiResult<ContentStream> {
    Err(unknown())
}

fn unknown() -> ApiError {
    ApiError::new(ErrorCode::BadRequest, "this device does not know that call")
        .hint("is the running device older than this command? `warren down`, then `warren up`")
}
