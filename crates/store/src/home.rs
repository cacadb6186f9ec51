//! The home of a device: the one folder with its keystore, database and settings (see `docs/formats/home.md`).
//!
//! Only its owner may enter it (mode 0700). Any number of homes may exist on a machine; at most one process at a time
//! holds the [`HomeLock`] of each, and only that one writes there.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::durable;

/// Name of the environment variable that chooses the home.
pub const HOME_VARIABLE: &str = "WARREN_HOME";

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is no device in this folder.
    #[error("there is no device in {0:?}")]
    NotInitialised(PathBuf),
    /// There is a device in this folder already.
    #[error("there is a device in {0:?} already")]
    AlreadyInitialised(PathBuf),
    /// Another process runs the device of this home.
    #[error("the device in {path:?} is running already{}", pid.map(|p| format!(" (process {p})")).unwrap_or_default())]
    AlreadyRunning {
        /// The home.
        path: PathBuf,
        /// The process, if it has said so.
        pid: Option<u32>,
    },
    /// The folder belongs to another user.
    #[error("{0:?} belongs to another user")]
    NotOurs(PathBuf),
    /// The system does not say where homes belong, and no home was named.
    #[error("no home directory is known; set {HOME_VARIABLE}")]
    Nowhere,
    /// Anything else.
    #[error("{path:?}: {source}")]
    Io {
        /// What was worked on.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The folder of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
}

/// Held by the one process that runs the device of a home; the system releases it when the process ends, however.
#[derive(Debug)]
pub struct HomeLock {
    file: File,
}

impl Drop for HomeLock {
    /// Closing the handle would release the lock as well, but not while a process that is just being started still
    /// holds a copy of it.
    fn drop(&mut self) {
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Where the home is when nobody names one: `named` (the value of [`HOME_VARIABLE`]) if it is set and not empty, else
/// `warren` in the user's data directory (XDG: `~/.local/share/warren`).
pub fn default_path(named: Option<OsString>) -> Result<PathBuf, HomeError> {
    match named {
        Some(path) if !path.is_empty() => Ok(path.into()),
        _ => Ok(etcetera::choose_base_strategy().map_err(|_| HomeError::Nowhere)?.data_dir().join("warren")),
    }
}

impl Home {
    /// Makes a home for a new device. The folder may exist, but not hold a keystore.
    pub fn create(path: &Path) -> Result<Self, HomeError> {
        let home = Self { path: absolute(path)? };
        if home.has_device() {
            return Err(HomeError::AlreadyInitialised(home.path));
        }
        home.prepare()?;
        Ok(home)
    }

    /// The home of an existing device.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        let home = Self { path: absolute(path)? };
        if !home.has_device() {
            return Err(HomeError::NotInitialised(home.path));
        }
        home.prepare()?;
        Ok(home)
    }

    /// The folder itself, an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The sealed keys.
    pub fn keystore(&self) -> PathBuf {
        self.path.join("keystore")
    }

    /// Failed attempts to open the keystore.
    pub fn attempts(&self) -> PathBuf {
        self.path.join("attempts")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join("database")
    }

    /// The settings.
    pub fn settings(&self) -> PathBuf {
        self.path.join("settings.toml")
    }

    /// What exists only while the device runs: lock, socket, token.
    pub fn run_dir(&self) -> PathBuf {
        self.path.join("run")
    }

    /// Content that waits to be sent, sealed.
    pub fn spool_dir(&self) -> PathBuf {
        self.path.join("spool")
    }

    /// Claims the home for this process and removes what crashed writes have left.
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        let path = self.run_dir().join("lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io_at(&path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = file.take(32).read_to_string(&mut text);
                return Err(HomeError::AlreadyRunning { path: self.path.clone(), pid: text.trim().parse().ok() });
            }
            locked => locked.map_err(|e| io_at(&path)(e.into()))?,
        }
        let write = |file: &mut File| file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        write(&mut file).map_err(io_at(&path))?;
        durable::sweep(&self.path).map_err(io_at(&self.path))?;
        Ok(HomeLock { file })
    }

    fn has_device(&self) -> bool {
        self.keystore().symlink_metadata().is_ok()
    }

    /// Makes the folders that are missing and closes the home to others.
    fn prepare(&self) -> Result<(), HomeError> {
        for dir in [self.path.clone(), self.run_dir(), self.spool_dir()] {
            DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(io_at(&dir))?;
        }
        let found = self.path.metadata().map_err(io_at(&self.path))?;
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(HomeError::NotOurs(self.path.clone()));
        }
        if found.mode() & 0o077 != 0 {
            std::fs::set_permissions(&self.path, Permissions::from_mode(0o700)).map_err(io_at(&self.path))?;
        }
        Ok(())
    }
}

fn absolute(path: &Path) -> Result<PathBuf, HomeError> {
    std::path::absolute(path).map_err(io_at(path))
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> HomeError {
    let path = path.to_owned();
    move |source| HomeError::Io { path, source }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_home_is_closed_to_others_and_created_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/home");
        assert!(matches!(Home::open(&path), Err(HomeError::NotInitialised(_))));
        assert!(!path.exists(), "asking for a home must not make one");
        let home = Home::create(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        std::fs::write(home.keystore(), "keys").unwrap();
        assert!(matches!(Home::create(&path), Err(HomeError::AlreadyInitialised(_))));

        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Home::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn one_process_at_a_time_and_its_number_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(dir.path()).unwrap();
        let held = home.lock().unwrap();
        let Err(HomeError::AlreadyRunning { pid, .. }) = home.lock() else { panic!("locked twice") };
        assert_eq!(pid, Some(std::process::id()));
        drop(held);
        home.lock().unwrap();
    }

    #[test]
    fn an_empty_variable_names_no_home() {
        assert_eq!(default_path(Some("/x".into())).unwrap(), Path::new("/x"));
        let default = default_path(None).unwrap();
        assert_eq!(default_path(Some("".into())).unwrap(), default);
        assert!(default.ends_with("warren"));
    }
}
