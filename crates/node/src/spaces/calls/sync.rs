//! Folders that are kept in step.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use api::types::{BySync, SyncAdd, SyncFolder};
use api::{ApiError, ApiResult, ErrorCode};

use super::scene::{Eye, Scene};
use super::{Calls, paths};
use crate::errors::blocking;
use crate::running::Running;
use crate::spaces::SpaceFault;

/// Begins to keep a folder in step.
pub(super) async fn add(running: &Running, request: SyncAdd) -> ApiResult<SyncFolder> {
    let (calls, folders) = (Calls::of(running), running.folders.clone());
    blocking(move || {
        let (kept, _) = calls.find(&request.space)?;
        let scene = Scene::of(&kept.space)?;
        let meant = kept.space.tree(|tree| {
            let meant = paths::find(&Eye::new(tree, None, &scene), &request.path)?;
            if super::scene::is_dir(&meant.entry) {
                return Ok(meant);
            }
            let message =
                format!("{} is no directory: a folder is kept in step with a directory", request.path.shown());
            let hint = "`warren get` and `warren put` bring a single file here and back";
            Err(SpaceFault::from(ApiError::new(ErrorCode::BadRequest, message).hint(hint)))
        })?;
        let dir = Path::new(OsStr::from_bytes(&request.dir.0));
        let folder = folders.add(dir, kept, meant.entry.node, !request.once)?;
        calls.with_name(folder)
    })
    .await
}

/// All of them.
pub(super) async fn all(running: &Running) -> ApiResult<Vec<SyncFolder>> {
    let (calls, folders) = (Calls::of(running), running.folders.clone());
    blocking(move || folders.all()?.into_iter().map(|folder| calls.with_name(folder)).collect()).await
}

/// Brings one in step.
pub(super) async fn now(running: &Running, request: BySync) -> ApiResult<SyncFolder> {
    let folder = running.folders.now(&request.dir).await?;
    let calls = Calls::of(running);
    blocking(move || calls.with_name(folder)).await
}

/// Ends keeping one in step.
pub(super) async fn remove(running: &Running, request: BySync) -> ApiResult<()> {
    let folders = running.folders.clone();
    blocking(move || folders.remove(&request.dir)).await
}

impl Calls {
    /// With the name that people know the space by.
    fn with_name(&self, folder: SyncFolder) -> ApiResult<SyncFolder> {
        let (_, space) = self.find(&folder.space)?;
        Ok(SyncFolder { space, ..folder })
    }
}
