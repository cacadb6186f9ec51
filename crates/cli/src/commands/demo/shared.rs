//! The demo's chapter about spaces: a file that two keep together and a third one only stores; changed on both sides, and
//! brought back to what it was.

use std::path::Path;
use std::time::Instant;

use api::types::{Access, PlanDone, Space, TreeEntry};
use api::{ApiError, ApiResult, ErrorCode};
use serde::{Deserialize, Serialize};

use super::fleet::{Device, Fleet};
use super::{LOOK_EVERY, TOGETHER_WITHIN, step};
use crate::context::Context;
use crate::exit::Failure;

/// Where the file is.
const PLACE: &str = "notes:list.txt";

/// What the chapter showed.
#[derive(Serialize)]
pub(super) struct Shared {
    /// Name of the space.
    pub(super) space: String,
    /// Versions that were made of the file.
    versions: usize,
    /// All devices showed the same bytes after each of them.
    pub(super) same: bool,
}

/// The line with which `put` and `get` end.
#[derive(Deserialize)]
struct Ended {}

/// Tells the chapter.
pub(super) async fn chapter(cx: &mut Context, fleet: &Fleet, dir: &Path) -> ApiResult<Shared> {
    let (ada, bo) = (fleet.named("ada")?, fleet.named("bo")?);
    let _: Space = ada.ask(&["space", "create", "notes"]).await?;
    let _: Vec<Access> = ada.ask(&["space", "share", "notes", "--with", "bo", "--role", "editor"]).await?;
    let _: Vec<Access> = ada.ask(&["space", "share", "notes", "--with", "cy", "--role", "storage"]).await?;
    step(cx, "ada makes the space `notes`, shares it with bo, and lets cy store it unread");
    let mut same = true;
    let first = version(dir, ada, bo, "bread\n", &mut same).await?;
    step(cx, "ada puts a file into it; bo has the same bytes");
    version(dir, bo, ada, "bread\nmilk\n", &mut same).await?;
    step(cx, "bo changes it; ada has the same bytes");
    let _: PlanDone = ada.ask(&["--yes", "restore", PLACE, "--at", &first]).await?;
    let restored = ada.ask::<TreeEntry>(&["ls", PLACE]).await?.version;
    same &= arrives(dir, bo, restored, "bread\n").await?;
    step(cx, "ada brings the first version back, for everybody");
    Ok(Shared { space: "notes".to_owned(), versions: 3, same })
}

/// One writes the file, and the other gets it. Gives the version.
async fn version(dir: &Path, writer: &Device, reader: &Device, text: &str, same: &mut bool) -> ApiResult<String> {
    let source = dir.join("list.txt");
    std::fs::write(&source, text).map_err(|error| Failure::io("cannot write a file", &error))?;
    let source = source.to_string_lossy();
    let _: Ended = writer.ask(&["--quiet", "put", &source, PLACE]).await?;
    let made = writer.ask::<TreeEntry>(&["ls", PLACE]).await?.version;
    *same &= arrives(dir, reader, made.clone(), text).await?;
    made.ok_or_else(|| ApiError::new(ErrorCode::Internal, "a file without a version"))
}

/// Waits until a device shows the version; true if it has the bytes.
async fn arrives(dir: &Path, reader: &Device, version: Option<String>, text: &str) -> ApiResult<bool> {
    let deadline = Instant::now() + TOGETHER_WITHIN;
    loop {
        match reader.ask::<TreeEntry>(&["ls", PLACE]).await {
            Ok(entry) if entry.version == version => break,
            // The space, its key and the change come one after the other.
            Err(error) if Instant::now() > deadline => return Err(error),
            Ok(_) if Instant::now() > deadline => {
                let message =
                    format!("{} did not hear of a change within {} s", reader.name, TOGETHER_WITHIN.as_secs());
                return Err(ApiError::new(ErrorCode::Unreachable, message));
            }
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
    let landed = dir.join("got.txt");
    let to = landed.to_string_lossy();
    let _: Ended = reader.ask(&["--quiet", "get", PLACE, &to, "--existing", "replace"]).await?;
    let read = std::fs::read(&landed).map_err(|error| Failure::io("cannot read what arrived", &error))?;
    Ok(read == text.as_bytes())
}
