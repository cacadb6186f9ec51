//! Content that waits to be sent and is not a file of the user's: what came from a pipe, the text of a message.
//!
//! A spooled item is sealed in pieces of [`PIECE`] bytes under the database's key, so that it can be read anywhere
//! without being opened as a whole, and nothing readable lies in the home. Each piece is bound to its item, its place
//! and whether it is the last, so that none can be exchanged, dropped or cut off unnoticed. Format:
//! `docs/formats/home.md`.
//!
//! Without a home an item is sealed in the same way under a key that is never stored, in a file without a name
//! ([`nameless`]): it is gone with the process, however that ends.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use seal::RecordKey;
use zeroize::Zeroizing;

use crate::home::Home;
use crate::landing::read_full_at;
use crate::meta::FileTime;

/// Bytes of content in each piece but the last, which may have fewer.
const PIECE: usize = 64 << 10;

/// How much longer a piece is when sealed.
const SEALING: usize = 41;

const STORED_PIECE: u64 = (PIECE + SEALING) as u64;

const TABLE: &str = "spool";

/// Ending of an item that is not complete.
const UNFINISHED: &str = "new";

/// Names an item.
pub type SpoolId = [u8; 16];

/// The spool of a home.
#[derive(Debug, Clone)]
pub struct Spool {
    dir: PathBuf,
    key: RecordKey,
}

/// A spooled item, open for reading.
#[derive(Debug)]
pub struct SpoolFile {
    file: File,
    id: SpoolId,
    key: RecordKey,
    /// Length of the content in bytes.
    len: u64,
    /// When it was stored.
    modified: FileTime,
}

/// Stores everything that `content` yields in a file in `dir` that has no name.
pub fn nameless(dir: &Path, content: &mut dyn Read) -> io::Result<SpoolFile> {
    let (key, id) = (RecordKey::generate(), SpoolId::default());
    let file = open_nameless(dir)?;
    write(&key, &id, &file, content)?;
    SpoolFile::new(file, id, key)
}

impl Spool {
    /// The spool of `home`, sealed under `key`.
    pub fn new(home: &Home, key: RecordKey) -> Self {
        Self { dir: home.spool_dir(), key }
    }

    /// Stores everything that `content` yields as item `id`, durably; returns its length. Fails with `AlreadyExists`
    /// when there is such an item.
    pub fn put(&self, id: &SpoolId, content: &mut dyn Read) -> io::Result<u64> {
        let unfinished = self.path(id).with_extension(UNFINISHED);
        let result = self.write(id, &unfinished, content).and_then(|len| {
            // Not `rename`: an item is never replaced.
            fs::hard_link(&unfinished, self.path(id))?;
            File::open(&self.dir)?.sync_all()?;
            Ok(len)
        });
        let _ = fs::remove_file(&unfinished);
        result
    }

    /// Opens an item.
    pub fn open(&self, id: &SpoolId) -> io::Result<SpoolFile> {
        SpoolFile::new(File::open(self.path(id))?, *id, self.key.clone())
    }

    /// Removes an item; no error when it is not there.
    pub fn remove(&self, id: &SpoolId) -> io::Result<()> {
        crate::durable::remove(&self.path(id))
    }

    /// All items.
    pub fn list(&self) -> io::Result<Vec<SpoolId>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let id = data_encoding::HEXLOWER.decode(name.as_encoded_bytes()).ok();
            ids.extend(id.and_then(|id| SpoolId::try_from(id).ok()));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Removes what a crashed `put` has left. Only for the process that holds the home's lock.
    pub fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == UNFINISHED) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn write(&self, id: &SpoolId, path: &Path, content: &mut dyn Read) -> io::Result<u64> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let len = write(&self.key, id, &file, content)?;
        file.sync_all()?;
        Ok(len)
    }

    fn path(&self, id: &SpoolId) -> PathBuf {
        self.dir.join(data_encoding::HEXLOWER.encode(id))
    }
}

impl SpoolFile {
    fn new(file: File, id: SpoolId, key: RecordKey) -> io::Result<Self> {
        let meta = file.metadata()?;
        let pieces = meta.len().div_ceil(STORED_PIECE);
        let len = meta.len().checked_sub(pieces * SEALING as u64).ok_or_else(damaged)?;
        let opened = Self { file, id, key, len, modified: meta.modified()?.into() };
        // Only the right last piece opens as the last one: the item has not been cut off.
        opened.piece(pieces.checked_sub(1).ok_or_else(damaged)?)?;
        Ok(opened)
    }

    /// Length of the content in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// When it was stored.
    pub fn modified(&self) -> FileTime {
        self.modified
    }

    /// Is there no content?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads into `buffer` from `offset` until it is full or the content ends; returns how many bytes were read. Damage
    /// is an error of kind `InvalidData`.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() && offset + (filled as u64) < self.len {
            let at = offset + filled as u64;
            let piece = self.piece(at / PIECE as u64)?;
            let rest = &piece[(at % PIECE as u64) as usize..];
            let count = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
        }
        Ok(filled)
    }

    fn piece(&self, number: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        let last = (number + 1).saturating_mul(PIECE as u64) >= self.len;
        let mut stored = vec![0; STORED_PIECE as usize];
        let read = read_full_at(&self.file, number * STORED_PIECE, &mut stored)?;
        let piece = self.key.open(TABLE, &place(&self.id, number, last), &stored[..read]).map_err(|_| damaged())?;
        let expected = (self.len - number * PIECE as u64).min(PIECE as u64);
        if piece.len() as u64 == expected { Ok(piece) } else { Err(damaged()) }
    }
}

/// Seals everything that `content` yields, piece after piece; gives its length.
fn write(key: &RecordKey, id: &SpoolId, mut file: &File, content: &mut dyn Read) -> io::Result<u64> {
    let (mut piece, mut next) = (Zeroizing::new(Vec::new()), Zeroizing::new(Vec::new()));
    let mut len = 0;
    fill(content, &mut piece)?;
    for number in 0.. {
        // One piece ahead, to know which one is the last.
        fill(content, &mut next)?;
        let last = next.is_empty();
        file.write_all(&key.seal(TABLE, &place(id, number, last), &piece))?;
        len += piece.len() as u64;
        if last {
            break;
        }
        std::mem::swap(&mut piece, &mut next);
    }
    Ok(len)
}

/// A file without a name; where the file system has no such thing, one that loses its name at once.
fn open_nameless(dir: &Path) -> io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR;
    #[cfg(target_os = "linux")]
    match rustix::fs::open(dir, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, mode) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
        file => return Ok(file?.into()),
    }
    let name = format!(".warren-spool-{}", data_encoding::HEXLOWER.encode(&seal::random::<16>()));
    let path = dir.join(name);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(&path, flags, mode)?);
    fs::remove_file(&path)?;
    Ok(file)
}

/// Item, number of the piece and whether it is the last: what a piece is bound to.
fn place(id: &SpoolId, number: u64, last: bool) -> Vec<u8> {
    [&id[..], &number.to_be_bytes(), &[u8::from(last)]].concat()
}

fn fill(content: &mut dyn Read, piece: &mut Zeroizing<Vec<u8>>) -> io::Result<()> {
    piece.clear();
    content.take(PIECE as u64).read_to_end(piece)?;
    Ok(())
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a spooled item is damaged")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn spool(dir: &tempfile::TempDir) -> Spool {
        Spool::new(&Home::create(dir.path()).unwrap(), RecordKey::generate())
    }

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 31 % 251) as u8).collect()
    }

    #[test]
    fn what_goes_in_comes_out_at_every_offset() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(&dir);
        for (n, len) in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE].into_iter().enumerate() {
            let id = [n as u8; 16];
            assert_eq!(spool.put(&id, &mut &content(len)[..]).unwrap(), len as u64);
            let file = spool.open(&id).unwrap();
            assert_eq!(file.len(), len as u64);
            for offset in [0, len / 2, len.saturating_sub(1), len, len + 5] {
                let mut buffer = vec![0; 100_000];
                let read = file.read_at(offset as u64, &mut buffer).unwrap();
                assert_eq!(
                    buffer[..read],
                    content(len)[offset.min(len)..(offset + 100_000).min(len).max(offset.min(len))]
                );
            }
        }
        assert_eq!(spool.list().unwrap().len(), 6);
        assert!(spool.put(&[0; 16], &mut &b"again"[..]).is_err());
        assert!(spool.open(&[0; 16]).unwrap().is_empty(), "the first one stays");
        spool.remove(&[0; 16]).unwrap();
        assert_eq!(spool.open(&[0; 16]).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn cut_off_exchanged_and_changed_pieces_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(&dir);
        let (id, piece) = ([9; 16], STORED_PIECE as usize);
        spool.put(&id, &mut &content(3 * PIECE)[..]).unwrap();
        let path = spool.path(&id);
        let good = fs::read(&path).unwrap();
        let mut exchanged = good.clone();
        exchanged.rotate_left(piece);
        let mut changed = good.clone();
        changed[piece / 2] ^= 1;
        let cut: [&[u8]; 6] =
            [&[], &good[..1], &good[..piece], &good[..2 * piece], &good[..2 * piece + 60], &good[..3 * piece - 1]];
        for bytes in cut.into_iter().chain([&exchanged[..], &changed[..]]) {
            fs::write(&path, bytes).unwrap();
            let read = spool.open(&id).and_then(|file| file.read_at(0, &mut vec![0; 3 * PIECE]));
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        fs::write(spool.path(&[8; 16]), &good).unwrap();
        assert!(spool.open(&[8; 16]).is_err(), "under another name");
    }

    #[test]
    fn without_a_home_nothing_has_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = nameless(dir.path(), &mut &content(2 * PIECE + 7)[..]).unwrap();
        let mut buffer = vec![0; 3 * PIECE];
        assert_eq!(file.read_at(5, &mut buffer).unwrap(), 2 * PIECE + 2);
        assert_eq!(buffer[..2 * PIECE + 2], content(2 * PIECE + 7)[5..]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut stored = Vec::new();
        io::Seek::rewind(&mut &file.file).unwrap();
        (&file.file).read_to_end(&mut stored).unwrap();
        let plain = content(8);
        assert!(!stored.windows(8).any(|window| window == plain));
    }

    #[test]
    fn nothing_readable_lies_on_disk_and_crashes_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(&dir);
        let words = b"the quick brown fox";
        spool.put(&[1; 16], &mut &words[..]).unwrap();
        let stored = fs::read(spool.path(&[1; 16])).unwrap();
        assert!(!stored.windows(5).any(|w| words.windows(5).any(|x| x == w)));
        fs::write(dir.path().join("spool/0102.new"), "left").unwrap();
        spool.sweep().unwrap();
        assert_eq!(fs::read_dir(dir.path().join("spool")).unwrap().count(), 1);
    }
}
