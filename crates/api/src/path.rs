//! Unix socket addresses hold about a hundred bytes of path (`sun_path`: 108 on Linux); homes may lie deeper. A longer
//! path is reached through a handle of its directory: `/proc/self/fd/N/NAME` is short and names the same file.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Longest path that fits everywhere (macOS has 104 bytes, one of them the final zero).
const LONGEST: usize = 100;

/// A path that fits into a socket address, for as long as this value lives.
pub(crate) struct ShortPath {
    path: PathBuf,
    _dir: Option<File>,
}

impl ShortPath {
    /// A short path for `path`.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= LONGEST {
            return Ok(Self { path: path.to_path_buf(), _dir: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let dir = File::open(parent)?;
        let through = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
        if !cfg!(target_os = "linux") || through.as_os_str().len() > LONGEST {
            let message = format!("the socket path {} is too long", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(Self { path: through, _dir: Some(dir) })
    }

    /// The short path.
    pub(crate) fn as_path(&self) -> &Path {
        &self.path
    }
}
