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

use crate::durable::{self, Existing};

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
    /// There is the database of a device in this folder, but not its keys.
    #[error("the keystore in {0:?} is missing, the database is here")]
    KeystoreMissing(PathBuf),
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
    /// Makes a home for a new device. The folder may exist, but hold neither keystore nor database.
    pub fn create(path: &Path) -> Result<Self, HomeError> {
        let home = Self { path: absolute(path)? };
        if home.has_device()? {
            return Err(HomeError::AlreadyInitialised(home.path));
        }
        home.prepare()?;
        Ok(home)
    }

    /// The home of an existing device.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        let home = Self { path: absolute(path)? };
        if !home.has_device()? {
            return Err(HomeError::NotInitialised(home.path));
        }
        home.prepare()?;
        Ok(home)
    }

    /// Is there a device at `path`? Touches nothing. A database without a keystore is an error, because it is neither
    /// a device nor a place for a new one.
    pub fn exists(path: &Path) -> Result<bool, HomeError> {
        Self { path: absolute(path)? }.has_device()
    }

    /// Makes a new device: from here until [`Making::done`] the home counts as empty, and what `Making` has left,
    /// also in a process that was killed, may be removed.
    pub fn make<'a>(&'a self, _lock: &'a HomeLock) -> Result<Making<'a>, HomeError> {
        if self.has_device()? {
            return Err(HomeError::AlreadyInitialised(self.path.clone()));
        }
        let making = Making { home: self, done: false };
        if is_there(&self.unfinished()).map_err(io_at(&self.path))? {
            making.clear().map_err(io_at(&self.path))?;
        }
        durable::write(&self.unfinished(), b"", Existing::Keep).map_err(io_at(&self.path))?;
        Ok(making)
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

    /// Spaces, one sealed file each.
    pub fn spaces_dir(&self) -> PathBuf {
        self.path.join("spaces")
    }

    /// Encrypted objects of spaces.
    pub fn objects_dir(&self) -> PathBuf {
        self.path.join("objects")
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

    /// Exists while a device is being made.
    fn unfinished(&self) -> PathBuf {
        self.path.join("unfinished")
    }

    fn has_device(&self) -> Result<bool, HomeError> {
        let has = |path: &Path| is_there(path).map_err(io_at(&self.path));
        if has(&self.unfinished())? {
            return Ok(false);
        }
        match (has(&self.keystore())?, has(&self.database())?) {
            (false, true) => Err(HomeError::KeystoreMissing(self.path.clone())),
            (keystore, _) => Ok(keystore),
        }
    }

    /// Makes the folders that are missing and closes the home to others.
    fn prepare(&self) -> Result<(), HomeError> {
        for dir in [self.path.clone(), self.run_dir(), self.spool_dir(), self.spaces_dir()] {
            DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(io_at(&dir))?;
        }
        let found = self.path.metadata().map_err(io_at(&self.path))?;
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(HomeError::NotOurs(self.path.clone()));
        }
        if found.mode() & 0o077 != 0 {
            std::fs::set_permissions(&self.path, Permissions::from_mode(0o700)).map_err(io_at(&self.path))?;
        }
        // SQLite gives its other files the mode of the database.
        for file in [self.keystore(), self.database()] {
            match file.metadata() {
                Ok(found) if found.mode() & 0o077 != 0 => {
                    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).map_err(io_at(&file))?;
                }
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(io_at(&file)(e)),
            }
        }
        Ok(())
    }
}

/// A device that is being made. Dropped before it is [done](Self::done), it removes what was made.
#[derive(Debug)]
pub struct Making<'a> {
    home: &'a Home,
    done: bool,
}

impl Making<'_> {
    /// Keystore and database are complete and durable: from now on there is a device.
    pub fn done(mut self) -> Result<(), HomeError> {
        let mark = self.home.unfinished();
        durable::remove(&mark).map_err(io_at(&mark))?;
        self.done = true;
        Ok(())
    }

    /// Removes everything of the unfinished device, its mark last.
    fn clear(&self) -> io::Result<()> {
        let database = self.home.database();
        let beside = |suffix: &str| {
            let mut path = database.clone().into_os_string();
            path.push(suffix);
            PathBuf::from(path)
        };
        for path in [self.home.keystore(), beside("-wal"), beside("-shm"), database.clone(), self.home.unfinished()] {
            durable::remove(&path)?;
        }
        Ok(())
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if !self.done {
            // What stays is marked as unfinished, and removed by the next attempt.
            let _ = self.clear();
        }
    }
}

/// Is there anything at `path`? Not being allowed to look is no answer.
fn is_there(path: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
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
        std::fs::set_permissions(home.keystore(), Permissions::from_mode(0o644)).unwrap();
        Home::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        assert_eq!(home.keystore().metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_database_without_its_keystore_is_no_place_for_a_new_device() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(dir.path()).unwrap();
        std::fs::write(home.database(), "all that this device knows").unwrap();
        let lock = home.lock().unwrap();
        assert!(matches!(home.make(&lock), Err(HomeError::KeystoreMissing(_))));
        assert!(matches!(Home::create(dir.path()), Err(HomeError::KeystoreMissing(_))));
        assert!(matches!(Home::open(dir.path()), Err(HomeError::KeystoreMissing(_))));
        assert!(matches!(Home::exists(dir.path()), Err(HomeError::KeystoreMissing(_))));
        assert_eq!(std::fs::read(home.database()).unwrap(), b"all that this device knows");
    }

    #[test]
    fn a_device_whose_making_was_cut_off_is_none_and_makes_room_for_another() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::create(dir.path()).unwrap();
        let lock = home.lock().unwrap();
        for made in [&["keystore"][..], &["keystore", "database", "database-wal"], &["database"]] {
            let making = home.make(&lock).unwrap();
            for name in made {
                std::fs::write(dir.path().join(name), name).unwrap();
            }
            // Killed: no destructor runs.
            std::mem::forget(making);
            assert!(!Home::exists(dir.path()).unwrap(), "{made:?}");
            assert!(matches!(Home::open(dir.path()), Err(HomeError::NotInitialised(_))));
            let making = home.make(&lock).unwrap();
            assert!(made.iter().all(|name| !dir.path().join(name).exists()), "{made:?}");
            std::fs::write(home.keystore(), "given up").unwrap();
            drop(making);
            assert!(!home.keystore().exists());
        }
        let making = home.make(&lock).unwrap();
        std::fs::write(home.keystore(), "keys").unwrap();
        making.done().unwrap();
        assert!(Home::exists(dir.path()).unwrap());
        assert!(matches!(home.make(&lock), Err(HomeError::AlreadyInitialised(_))));
        assert_eq!(std::fs::read(home.keystore()).unwrap(), b"keys");
    }

    #[test]
    fn a_home_that_cannot_be_looked_into_is_not_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("loop");
        std::os::unix::fs::symlink("loop", &path).unwrap();
        for refused in [Home::create(&path.join("home")).err(), Home::open(&path.join("home")).err()] {
            assert!(matches!(refused, Some(HomeError::Io { .. })), "{refused:?}");
        }
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
