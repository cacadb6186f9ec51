//! A folder as people have them, with everything that other tools get wrong: deep and empty folders, empty files, odd
//! names, an executable, a link, old times, and one large file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How many small files there are.
const SMALL_FILES: u64 = 300;

/// Bytes that are written at once.
const CHUNK: usize = 1 << 20;

/// Makes the folder at `path`, with a large file of `large` bytes.
pub(super) fn generate(path: &Path, large: u64) -> io::Result<()> {
    fs::create_dir(path)?;
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    write(&path.join("film.bin"), large, &mut noise)?;
    for number in 0..SMALL_FILES {
        let dir = path.join(format!("album {}/day {}", number % 5, number % 12));
        fs::create_dir_all(&dir)?;
        let bytes = noise.next() % 48_000;
        write(&dir.join(format!("photo {number:03}.jpg")), bytes, &mut noise)?;
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
fn write(path: &Path, mut bytes: u64, noise: &mut Noise) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(CHUNK, File::create(path)?);
    while bytes > 0 {
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
