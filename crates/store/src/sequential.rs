//! A file written from front to back, past the page cache where it is large ([`Direct`]).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memmap2::MmapMut;

use crate::disk;
use crate::landing::direct::{ALIGN, Direct};

/// Bytes that are gathered.
const GATHERED: usize = 1 << 20;
/// Bytes after which the disk is to begin, where the page cache has them.
const HURRY: u64 = 8 << 20;

/// See the module. Nothing is durable: that is a matter of whoever has the file.
pub struct Sequential<'f> {
    file: &'f File,
    large: Option<Large>,
    /// Where the next byte goes that is not gathered.
    at: u64,
    /// Bytes that the page cache got since the disk began.
    cached: u64,
}

struct Large {
    direct: Direct,
    gathered: MmapMut,
    filled: usize,
}

impl<'f> Sequential<'f> {
    /// Writes to an empty file.
    pub(crate) fn new(file: &'f File, direct: Option<Direct>) -> Self {
        let large = direct.and_then(|direct| {
            let gathered = MmapMut::map_anon(GATHERED).ok()?;
            Some(Large { direct, gathered, filled: 0 })
        });
        Self { file, large, at: 0, cached: 0 }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The disk's, here and below.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.large.is_none() {
            return self.cache(bytes);
        }
        let mut rest = bytes;
        while let (Some(large), false) = (&mut self.large, rest.is_empty()) {
            let (now, later) = rest.split_at(rest.len().min(GATHERED - large.filled));
            large.gathered[large.filled..][..now.len()].copy_from_slice(now);
            large.filled += now.len();
            rest = later;
            if large.filled == GATHERED {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Leaves a hole.
    ///
    /// # Errors
    /// As above.
    pub fn skip(&mut self, len: u64) -> io::Result<()> {
        self.flush()?;
        self.at += len;
        Ok(())
    }

    /// Writes what is left; returns how long the file is.
    ///
    /// # Errors
    /// As above.
    pub fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        self.file.set_len(self.at)?;
        Ok(self.at)
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(mut large) = self.large.take() else { return Ok(()) };
        let whole = large.filled - large.filled % ALIGN;
        let gone = whole > 0 && large.direct.write_at(self.at, &large.gathered[..whole])?;
        let done = if gone { whole } else { 0 };
        self.at += done as u64;
        self.cache(&large.gathered[done..large.filled])?;
        large.filled = 0;
        self.large = Some(large);
        Ok(())
    }

    fn cache(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        self.cached += bytes.len() as u64;
        if self.cached >= HURRY {
            self.cached = 0;
            disk::start_writeback(self.file);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::ffi::OsStr;

    use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Append(usize),
        Skip(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let len = prop_oneof![0..10_000_usize, Just(4096), Just(GATHERED), 0..3 * GATHERED];
        prop_oneof![4 => len.prop_map(Step::Append), 1 => (0..300_u64).prop_map(|n| Step::Skip(n * 1024))]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn whatever_is_written_is_there(steps in proptest::collection::vec(step(), 0..12), large: bool) {
            // Beside this program: a file system in memory may know no other way than through the page cache.
            let program = std::env::current_exe().unwrap();
            let dir = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
            let path = dir.path().join("f");
            let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
            let opened = File::open(dir.path()).unwrap();
            let direct = large.then(|| Direct::open(&opened, OsStr::new("f"), &file)).flatten();
            let mut out = Sequential::new(&file, direct);
            let mut expected = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Append(len) => {
                        let bytes: Vec<u8> = (0..len).map(|at| (at * 31 + number * 7) as u8).collect();
                        out.append(&bytes).unwrap();
                        expected.extend(bytes);
                    }
                    Step::Skip(len) => {
                        out.skip(len).unwrap();
                        expected.resize(expected.len() + len as usize, 0);
                    }
                }
            }
            assert_eq!(out.finish().unwrap(), expected.len() as u64);
            assert!(std::fs::read(&path).unwrap() == expected);
        }
    }
}
