//! The commits of a space once more, in a file of their own beside the objects: what a space can be made from anew without
//! its database, by whoever has the keys (`docs/formats/commit-log.md`).
//!
//! Only ever appended to, or replaced as a whole. What is torn or damaged is passed over; the rest is found all the same. Who writes it sees to it
//! that nothing is in it that is not in the database first, so that no commit comes back that was never made.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use seal::{RecordKey, TableKey};

use crate::durable;

const MAGIC: [u8; 8] = *b"WRNCLOG\x01";
const FRAME: [u8; 8] = *b"WRNC\x01\0\0\0";
/// Length of the file's header, of a frame's header.
const HEADER: (u64, usize) = (64, 24);
const ALIGNMENT: u64 = 8;
/// The longest commit and what sealing and padding add.
const MOST: usize = 4 << 20;
/// Bytes that are looked at together when a frame is searched for.
const WINDOW: usize = 64 << 10;
/// Lengths are hidden in steps of so many bytes.
const STEP: usize = 32;
const END: u8 = 0x80;

/// Which log it is: random, made with it.
pub type LogId = [u8; 16];

/// A log that can be added to.
pub struct CommitLog {
    file: File,
    path: PathBuf,
    key: TableKey,
    id: LogId,
    end: u64,
}

/// What was found in a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Commits that can be read.
    pub commits: u64,
    /// Frames that cannot.
    pub damaged: u64,
}

impl CommitLog {
    /// Opens the log at `path`, or begins it.
    ///
    /// # Errors
    /// The system's; one without a header that can be read is set aside (`.damaged`), and begun anew.
    pub fn open(path: &Path, key: &RecordKey) -> io::Result<Self> {
        if let Some(id) = id_of(path)? {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            let end = file.metadata()?.len().next_multiple_of(ALIGNMENT);
            return Ok(Self { file, path: path.to_owned(), key: table(key), id, end });
        }
        if path.exists() {
            std::fs::rename(path, path.with_extension("log.damaged"))?;
        }
        let id: LogId = seal::random();
        let mut header = MAGIC.to_vec();
        header.extend(id);
        header.resize(32, 0);
        let check = blake3::hash(&header);
        header.extend(check.as_bytes());
        durable::write(path, &header, durable::Existing::Replace)?;
        let file = OpenOptions::new().read(true).write(true).mode(0o600).open(path)?;
        Ok(Self { file, path: path.to_owned(), key: table(key), id, end: HEADER.0 })
    }

    /// Begins another log beside this one; it counts for nothing before [`Self::replace`].
    ///
    /// # Errors
    /// The system's.
    pub fn anew(&self, key: &RecordKey) -> io::Result<Self> {
        let path = self.path.with_extension("log.new");
        durable::remove(&path)?;
        Self::open(&path, key)
    }

    /// Takes the place of an older log, durably.
    ///
    /// # Errors
    /// The system's.
    pub fn replace(&mut self, older: &Self) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.path, &older.path)?;
        self.path.clone_from(&older.path);
        match self.path.parent() {
            Some(dir) => File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Which it is.
    pub fn id(&self) -> LogId {
        self.id
    }

    /// Where it ends.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Adds commits, as they were received. `durable`: they are on the disk when this returns.
    ///
    /// # Errors
    /// The system's; then nothing counts as added.
    pub fn append(&mut self, commits: &[Vec<u8>], durable: bool) -> io::Result<()> {
        let (mut bytes, check) = (Vec::new(), check_key(&self.id));
        for commit in commits {
            let at = self.end + bytes.len() as u64;
            let mut plain = commit.clone();
            plain.push(END);
            plain.resize(plain.len().next_multiple_of(STEP), 0);
            let sealed = self.key.seal(&place(&self.id, at), &plain);
            bytes.extend(frame_header(&check, at, sealed.len() as u32));
            bytes.extend(sealed);
            bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        }
        self.file.write_all_at(&bytes, self.end)?;
        if durable {
            self.file.sync_data()?;
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Reads the commits that lie behind `from`, in the order in which they were added.
    ///
    /// # Errors
    /// The system's, and those of `each`.
    pub fn read<E: From<io::Error>>(
        &self,
        from: u64,
        each: impl FnMut(Vec<u8>) -> Result<(), E>,
    ) -> Result<LogReport, E> {
        scan(&self.file, &self.key, &self.id, from, each)
    }
}

impl std::fmt::Debug for CommitLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CommitLog").field(&self.path).finish()
    }
}

/// Reads all commits of the log at `path`.
///
/// # Errors
/// As [`CommitLog::read`]; a file that is no log has none.
pub fn read_log<E: From<io::Error>>(
    path: &Path,
    key: &RecordKey,
    each: impl FnMut(Vec<u8>) -> Result<(), E>,
) -> Result<LogReport, E> {
    match id_of(path)? {
        Some(id) => scan(&File::open(path)?, &table(key), &id, HEADER.0, each),
        None => Ok(LogReport { commits: 0, damaged: 1 }),
    }
}

fn table(key: &RecordKey) -> TableKey {
    key.table("commit log")
}

/// `None`: there is no such file, or its header is damaged.
fn id_of(path: &Path) -> io::Result<Option<LogId>> {
    let mut header = [0; HEADER.0 as usize];
    let read = match File::open(path) {
        Ok(file) => crate::landing::read_full_at(&file, 0, &mut header)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let sound =
        read == header.len() && header.starts_with(&MAGIC) && header[32..] == *blake3::hash(&header[..32]).as_bytes();
    let id = header[8..24].first_chunk().copied().filter(|_| sound);
    Ok(id)
}

fn check_key(id: &LogId) -> [u8; 32] {
    blake3::derive_key("warren 2026-11 commit log check v1", id)
}

fn place(id: &LogId, at: u64) -> Vec<u8> {
    [&id[..], &at.to_be_bytes()].concat()
}

fn frame_header(key: &[u8; 32], at: u64, len: u32) -> [u8; HEADER.1] {
    let mut header = [0; HEADER.1];
    header[..8].copy_from_slice(&FRAME);
    header[8..12].copy_from_slice(&len.to_be_bytes());
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&at.to_be_bytes()).update(&header[..12]);
    header[12..].copy_from_slice(&hasher.finalize().as_bytes()[..12]);
    header
}

/// The length of what follows, if a frame begins here.
fn length(key: &[u8; 32], at: u64, bytes: &[u8]) -> Option<usize> {
    let header: &[u8; HEADER.1] = bytes.first_chunk()?;
    let len = u32::from_be_bytes(*header[8..].first_chunk()?);
    let len_ = usize::try_from(len).ok().filter(|len| *len <= MOST)?;
    (*header == frame_header(key, at, len)).then_some(len_)
}

fn scan<E: From<io::Error>>(
    file: &File,
    key: &TableKey,
    id: &LogId,
    from: u64,
    mut each: impl FnMut(Vec<u8>) -> Result<(), E>,
) -> Result<LogReport, E> {
    let (check, end) = (check_key(id), file.metadata()?.len());
    let (mut at, mut report) = (from.max(HEADER.0).next_multiple_of(ALIGNMENT), LogReport::default());
    let (mut window, mut searching) = (vec![0; HEADER.1], false);
    while at + HEADER.1 as u64 <= end {
        // What the disk does not give is taken for damaged.
        let read = crate::landing::read_full_at(file, at, &mut window).unwrap_or(0);
        let places = (0..=read.saturating_sub(HEADER.1)).step_by(ALIGNMENT as usize);
        let found = places.filter(|_| read >= HEADER.1).find_map(|place| {
            let here = at + place as u64;
            length(&check, here, window.get(place..)?).map(|len| (here, len))
        });
        let Some((here, len)) = found else {
            report.damaged += u64::from(!std::mem::replace(&mut searching, true));
            at += (window.len() - HEADER.1 + ALIGNMENT as usize) as u64;
            window.resize(WINDOW, 0);
            continue;
        };
        (at, searching) = (here + ALIGNMENT, false);
        window.resize(HEADER.1, 0);
        let mut sealed = vec![0; len];
        let whole = crate::landing::read_full_at(file, here + HEADER.1 as u64, &mut sealed).unwrap_or(0) == len;
        match key.open(&place(id, here), &sealed).ok().filter(|_| whole).and_then(|plain| unpadded(&plain)) {
            Some(commit) => {
                report.commits += 1;
                at = (here + (HEADER.1 + len) as u64).next_multiple_of(ALIGNMENT);
                each(commit)?;
            }
            None => {
                report.damaged += 1;
                searching = true;
            }
        }
    }
    Ok(report)
}

fn unpadded(plain: &[u8]) -> Option<Vec<u8>> {
    let end = plain.iter().rposition(|byte| *byte != 0).filter(|end| plain.get(*end) == Some(&END))?;
    Some(plain[..end].to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn all(path: &Path, key: &RecordKey) -> (Vec<Vec<u8>>, LogReport) {
        let mut found = Vec::new();
        let report = read_log(path, key, |commit| {
            found.push(commit);
            Ok::<_, io::Error>(())
        });
        (found, report.unwrap())
    }

    fn commits() -> Vec<Vec<u8>> {
        (0..60_u8).map(|number| vec![number; 1 + usize::from(number) * 37]).collect()
    }

    #[test]
    fn every_sector_may_be_lost_and_the_other_commits_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (dir.path().join("x.log"), RecordKey::generate());
        let mut log = CommitLog::open(&path, &key).unwrap();
        for chunk in commits().chunks(7) {
            log.append(chunk, true).unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(all(&path, &key).0, commits());
        for place in (512..whole.len()).step_by(512) {
            let mut bytes = whole.clone();
            let end = (place + 512).min(bytes.len());
            bytes[place..end].fill(0xa5);
            std::fs::write(&path, &bytes).unwrap();
            let (found, report) = all(&path, &key);
            assert!(found.len() >= 60 - 30 && report.damaged > 0, "{} at {place}", found.len());
            assert!(found.iter().all(|commit| commits().contains(commit)));
        }
    }

    #[test]
    fn a_torn_end_is_passed_over_and_added_to() {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (dir.path().join("x.log"), RecordKey::generate());
        CommitLog::open(&path, &key).unwrap().append(&commits(), true).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..200 {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let mut log = CommitLog::open(&path, &key).unwrap();
            log.append(&[b"later".to_vec()], true).unwrap();
            let (found, _) = all(&path, &key);
            assert_eq!(found.last().unwrap(), b"later");
            assert!(found.len() >= 60);
        }
    }

    #[test]
    fn a_log_takes_the_place_of_another_one_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (dir.path().join("x.log"), RecordKey::generate());
        let mut old = CommitLog::open(&path, &key).unwrap();
        old.append(&commits(), true).unwrap();
        let mut new = old.anew(&key).unwrap();
        new.append(&commits()[..3], false).unwrap();
        assert_eq!(all(&path, &key).0, commits());
        // What a crash left of an earlier one is not in it.
        let mut new = old.anew(&key).unwrap();
        new.append(&commits()[..2], false).unwrap();
        new.replace(&old).unwrap();
        new.append(&[b"later".to_vec()], true).unwrap();
        assert_eq!(all(&path, &key).0, [&commits()[..2], &[b"later".to_vec()]].concat());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_opens_under_another_key_at_another_place_or_in_another_log() {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (dir.path().join("x.log"), RecordKey::generate());
        CommitLog::open(&path, &key).unwrap().append(&commits(), true).unwrap();
        assert_eq!(all(&path, &RecordKey::generate()).0, Vec::<Vec<u8>>::new());
        let other = dir.path().join("y.log");
        CommitLog::open(&other, &key).unwrap().append(&[b"y".to_vec()], true).unwrap();
        let (mut one, two) = (std::fs::read(&path).unwrap(), std::fs::read(&other).unwrap());
        one.extend_from_slice(&two[HEADER.0 as usize..]);
        std::fs::write(&path, &one).unwrap();
        assert_eq!(all(&path, &key).0, commits(), "a frame of another log is none here");
        assert!(!one.windows(20).any(|window| window == [40; 20]), "nothing lies there in clear");
    }
}
