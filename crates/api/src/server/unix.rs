//! The Unix socket: mode 0600, in a directory of mode 0700, and only for its owner's processes (and root's).
//!
//! A socket that a killed device left behind is replaced; a socket that answers is not; anything else at that path is
//! left alone. The socket is bound under a temporary name, gets its mode, and is then renamed into place, so that
//! nobody ever sees it with a wider mode.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};

use super::accept::{Door, serve};
use super::router;
use crate::Service;
use crate::path::ShortPath;

/// A bound socket. Removes its file when dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    place: Place,
}

/// The socket's file; goes away with the socket, unless another one has taken its place.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    inode: u64,
    owner: u32,
}

impl Socket {
    /// Binds the socket at `path`, whatever its length. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// `AddrInUse` if a device answers there; `AlreadyExists` if something else than a socket is there.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let (dir, name) = match (path.parent(), path.file_name()) {
            (Some(dir), Some(name)) => (dir, name),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        if !dir.as_os_str().is_empty() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        refuse_unless_stale(path)?;
        let mut fresh_name = name.to_os_string();
        fresh_name.push(format!(".{}", std::process::id()));
        let fresh = dir.join(fresh_name);
        remove_if_there(&fresh)?;
        let listener = UnixListener::bind(ShortPath::of(&fresh)?.as_path())?;
        let placed = fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600))
            .and_then(|()| fs::metadata(&fresh))
            .and_then(|metadata| fs::rename(&fresh, path).map(|()| metadata));
        let metadata = match placed {
            Ok(metadata) => metadata,
            Err(error) => {
                remove_if_there(&fresh)?;
                return Err(error);
            }
        };
        let place = Place { path: path.to_path_buf(), inode: metadata.ino(), owner: metadata.uid() };
        Ok(Self { listener, place })
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// Serves until `until` completes; calls under way may then end, event streams are cut.
    pub async fn serve(self, service: Arc<dyn Service>, until: impl Future<Output = ()>) {
        serve(self, router(service), until).await;
    }
}

impl Door for Socket {
    type Conn = UnixStream;

    async fn accept(&mut self) -> io::Result<Option<UnixStream>> {
        let (stream, _) = self.listener.accept().await?;
        let uid = stream.peer_cred()?.uid();
        if uid != self.place.owner && uid != 0 {
            tracing::warn!(uid, "another user's process at the local API: turned away");
            return Ok(None);
        }
        Ok(Some(stream))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|now| now.ino() == self.inode);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// `Ok` if nothing is at `path`, or a socket that nobody serves any more.
fn refuse_unless_stale(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        let message = format!("{} is there and is no socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    match std::os::unix::net::UnixStream::connect(ShortPath::of(path)?.as_path()) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// Removes a file; it is fine if there is none.
fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
