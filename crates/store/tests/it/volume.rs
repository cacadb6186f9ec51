//! A file system that is mounted for one test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tests with volumes run one at a time: a program that another test is just starting holds copies of all open files
/// for a moment, and a removed file gives its space back only after that.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A mounted file system; unmounted when dropped.
pub struct Volume {
    _turn: MutexGuard<'static, ()>,
    _dir: tempfile::TempDir,
    image: PathBuf,
    mount: PathBuf,
}

impl Volume {
    /// A file system in memory of `size` bytes; `None`, with a message, where it cannot be mounted.
    pub fn in_memory(size: u64) -> Option<Self> {
        let volume = Self::unmounted();
        let options = format!("size={size},mode=700");
        run(
            "mount",
            &["-t".as_ref(), "tmpfs".as_ref(), "-o".as_ref(), options.as_ref(), "tmpfs".as_ref(), &volume.mount],
        )
        .then_some(volume)
    }

    /// Makes a file system in memory larger.
    pub fn grow(&self, size: u64) -> bool {
        let options = format!("remount,size={size}");
        run("mount", &["-o".as_ref(), options.as_ref(), &self.mount])
    }

    /// A fresh ext4; `None`, with a message, where it cannot be made.
    pub fn ext4(size: u64) -> Option<Self> {
        let volume = Self::unmounted();
        std::fs::File::create(&volume.image).unwrap().set_len(size).unwrap();
        let made = run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), &volume.image])
            && run("xfs_io", &["-V".as_ref()])
            && volume.mount_image();
        made.then_some(volume)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Stops the file system at once, without writing anything more, as if the power were cut; then mounts it again.
    pub fn cut_power(&self) {
        assert!(run("xfs_io", &["-x".as_ref(), "-c".as_ref(), "shutdown".as_ref(), &self.mount]));
        assert!(run("umount", &[&self.mount]));
        assert!(self.mount_image());
    }

    fn mount_image(&self) -> bool {
        run("mount", &["-o".as_ref(), "loop".as_ref(), &self.image, &self.mount])
    }

    fn unmounted() -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        let mount = dir.path().join("mount");
        std::fs::create_dir(&mount).unwrap();
        Self { image: dir.path().join("image"), mount, _dir: dir, _turn: turn }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.mount).output();
    }
}

fn run(program: &str, arguments: &[&Path]) -> bool {
    match Command::new(program).args(arguments).output() {
        Ok(done) if done.status.success() => true,
        Ok(done) => {
            eprintln!("skipped: {program}: {}", String::from_utf8_lossy(&done.stderr).trim());
            false
        }
        Err(e) => {
            eprintln!("skipped: {program}: {e}");
            false
        }
    }
}
