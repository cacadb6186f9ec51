//! Where tests let the disk fail. In the shipped program every step is taken as it is.

#[cfg(not(test))]
mod steps {
    use std::io;
    use std::path::Path;

    /// Something is about to be done to the file or directory at `path`.
    pub(in crate::objects) fn step(_: super::Step, _: &Path) -> io::Result<()> {
        Ok(())
    }

    /// How many of these bytes are to be written, and what happens then.
    pub(in crate::objects) fn write(_: &Path, _: u64, len: usize) -> (usize, io::Result<()>) {
        (len, Ok(()))
    }
}

#[cfg(test)]
#[path = "tests/disk.rs"]
pub(super) mod steps;

pub(super) use steps::{step, write};

/// What can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A file is made.
    Create,
    /// A file is made durable.
    SyncFile,
    /// The names in a directory are made durable.
    SyncDir,
    /// A file is made shorter.
    Cut,
    /// A file is removed.
    Remove,
    /// The index is about to be changed.
    Commit,
    /// The index has been changed.
    Committed,
}
