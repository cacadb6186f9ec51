//! Is there room for the demo? What is sent lands twice on the same disk, beside the source if that is generated; a full
//! disk would be a nuisance to everything else on this machine.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use api::{ApiError, ApiResult, ErrorCode};

use crate::exit::Failure;
use crate::units::size;

/// How many receive it.
const RECEIVERS: u64 = 2;

/// Homes and small files, and what a disk needs to stay usable.
const RESERVE: u64 = 128 << 20;

/// Checks that the disk of `dir` can take the demo with `source`, or with a generated file of `large` bytes.
pub(super) async fn check(dir: &Path, source: Option<PathBuf>, large: u64) -> ApiResult<()> {
    let content = match source {
        None => large.saturating_mul(1 + RECEIVERS),
        Some(source) => {
            let weighing = tokio::task::spawn_blocking(move || weight(&source));
            weighing.await.map_err(|error| super::fault(&error))?.saturating_mul(RECEIVERS)
        }
    };
    let disk = rustix::fs::statvfs(dir)
        .map_err(|error| Failure::io(format_args!("cannot look at the disk of {}", dir.display()), &error.into()))?;
    compare(content.saturating_add(RESERVE), disk.f_bavail.saturating_mul(disk.f_frsize), dir)
}

fn compare(needed: u64, free: u64, dir: &Path) -> ApiResult<()> {
    if needed <= free {
        return Ok(());
    }
    let place = dir.parent().unwrap_or(dir).display();
    let text = format!("the demo needs {} in {place}, and only {} are free there", size(needed), size(free));
    Err(ApiError::new(ErrorCode::DiskFull, text)
        .hint("send less (--size, --files), or choose another disk: TMPDIR=DIR"))
}

/// Bytes on disk below `path`; what cannot be read will not be sent either.
fn weight(path: &Path) -> u64 {
    let Ok(found) = path.symlink_metadata() else { return 0 };
    if found.is_dir() {
        let Ok(items) = fs::read_dir(path) else { return 0 };
        return items.flatten().fold(0, |sum: u64, item| sum.saturating_add(weight(&item.path())));
    }
    // Holes stay holes.
    if found.is_file() { found.len().min(found.blocks().saturating_mul(512)) } else { 0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_no_disk_can_hold_is_refused_before_a_byte_is_written() {
        let dir = tempfile::tempdir().unwrap();
        for large in [1 << 60, u64::MAX] {
            let refused = check(dir.path(), None, large).await.unwrap_err();
            assert_eq!(refused.code, ErrorCode::DiskFull);
            assert!(refused.message.contains("free"), "{refused}");
        }
        let given = dir.path().join("given");
        fs::create_dir_all(given.join("sub")).unwrap();
        fs::write(given.join("sub/file"), [1; 10_000]).unwrap();
        fs::File::create(given.join("holes")).unwrap().set_len(1 << 40).unwrap();
        std::os::unix::fs::symlink("/", given.join("link")).unwrap();
        assert!((10_000..1 << 20).contains(&weight(&given)), "{}", weight(&given));
    }
}
