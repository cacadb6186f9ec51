//! A folder as people have them, with everything that other tools get wrong: deep and empty folders, empty files, odd
//! names, an executable, a link, old times, and one large file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use api::ApiResult;
use tokio::sync::Mutex;

use crate::exit::Failure;

/// How many small files there are.
const SMALL_FILES: u64 = 300;

/// Bytes that are written at once.
const CHUNK: usize = 1 << 20;

/// Makes the folder on a thread of its own, which can be stopped.
#[derive(Default)]
pub(super) struct Generator {
    stop: Arc<AtomicBool>,
    /// Held by the thread while it writes.
    busy: Arc<Mutex<()>>,
}

impl Generator {
    /// Makes the folder at `path`, with a large file of `large` bytes.
    pub(super) async fn generate(&self, path: PathBuf, large: u64) -> ApiResult<PathBuf> {
        let (stop, busy) = (self.stop.clone(), self.busy.clone().lock_owned().await);
        let making = tokio::task::spawn_blocking(move || {
            let _busy = busy;
            generate(&path, large, &stop).map(|()| path)
        });
        let made = making.await.map_err(|error| super::fault(&error))?;
        made.map_err(|error| Failure::io("cannot make the folder to send", &error))
    }

    /// Stops the thread and waits until it writes no more.
    pub(super) async fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.busy.lock().await);
    }
}

/// Makes the folder at `path`; ends with an error of kind `Interrupted` soon after `stop` is set.
pub(super) fn generate(path: &Path, large: u64, stop: &AtomicBool) -> io::Result<()> {
    fs::create_dir(path)?;
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    write(&path.join("film.bin"), large, &mut noise, stop)?;
    for number in 0..SMALL_FILES {
        let dir = path.join(format!("album {}/day {}", number % 5, number % 12));
        fs::create_dir_all(&dir)?;
        let bytes = noise.next() % 48_000;
        write(&dir.join(format!("photo {number:03}.jpg")), bytes, &mut noise, stop)?;
    }
    fs::create_dir_all(path.join("empty/deeper/deepest"))?;
    File::create(path.join("nothing in it.txt"))?;
    for name in ["semi;colon & \"quotes\".txt", "two\nlines.txt", "Grüße 日本 🦀.txt"] {
        fs::write(path.join(name), name)?;
    }
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"not \xff utf-8.txt");
        fs::write(path.join(name), "a name of bytes")?;
    }
    let script = path.join("run me.sh");
    fs::write(&script, "#!/bin/sh\necho hello\n")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    symlink("film.bin", path.join("link to the film"))?;
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::open(&script)?.set_modified(old)
}

/// Writes a file of so many bytes that do not repeat.
fn write(path: &Path, mut bytes: u64, noise: &mut Noise, stop: &AtomicBool) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(CHUNK, File::create(path)?);
    while bytes > 0 {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let word = noise.next().to_le_bytes();
        let part = bytes.min(8);
        file.write_all(&word[..usize::try_from(part).unwrap_or(8)])?;
        bytes -= part;
    }
    file.flush()
}

/// Numbers without a pattern (xorshift64): fast, and no secret depends on them.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
