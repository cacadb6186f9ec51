//! What the engine asks of the tasks around it.

use crate::transfer::hash::VerifiedBlock;
use crate::transfer::listing::Mtime;
use crate::transfer::message::{FromReceiver, Reason};
use crate::transfer::path::RelPath;

/// Something to be done on the disk. All but `ReadBack` are answered by [`super::Receiver::performed`] or
/// [`super::Receiver::refused`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make a directory; set its time at the very end.
    Dir {
        /// Which entry.
        entry: u32,
        /// Where.
        path: RelPath,
        /// Modification time.
        mtime: Mtime,
    },
    /// Make a symbolic link at the very end, so that nothing is ever written through it.
    Link {
        /// Which entry.
        entry: u32,
        /// Where.
        path: RelPath,
        /// Where it points.
        target: Vec<u8>,
        /// Modification time.
        mtime: Mtime,
    },
    /// All content is in place: set the size (blocks of zeros may not have been written) and the attributes.
    Close {
        /// Which entry.
        entry: u32,
        /// Where.
        path: RelPath,
        /// Bytes.
        size: u64,
        /// Modification time.
        mtime: Mtime,
        /// Whether it may be executed.
        exec: bool,
    },
    /// The sender gave this file up: remove what is there of it.
    Remove {
        /// Which entry.
        entry: u32,
        /// Where.
        path: RelPath,
    },
    /// Cut or extend the file, if it exists, to `size`, hash its blocks and say so through [`super::Receiver::read_back`].
    ReadBack {
        /// Which entry.
        entry: u32,
        /// Which reading.
        generation: u8,
        /// Where.
        path: RelPath,
        /// Bytes.
        size: u64,
    },
}

/// What the tasks around the engine have to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiverAction {
    /// Send this on the control stream.
    Send(FromReceiver),
    /// Do this on the disk.
    Do(Effect),
    /// Tell the user that this entry is missing, and why.
    Warn {
        /// Which.
        path: RelPath,
        /// Why.
        reason: Reason,
    },
    /// Everything is there: make it durable and put it in its place, then call [`super::Receiver::landed`].
    Land,
    /// The sender paused, or goes on.
    Paused(bool),
    /// It is more than was agreed to without asking. Nothing above that was taken, and the run is over: somebody has to be
    /// asked.
    Over,
    /// The sender gave up.
    Cancelled(Reason),
}

/// Where a piece belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The file.
    pub path: RelPath,
    /// Its whole size.
    pub size: u64,
    /// Modification time.
    pub mtime: Mtime,
    /// Whether it may be executed.
    pub exec: bool,
    /// True if nothing can be there yet.
    pub fresh: bool,
}

/// What to do with a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admit {
    /// Verify it against the header, write it and call [`super::Receiver::placed`] or [`super::Receiver::spoiled`]. A file of one
    /// block gets its attributes at once.
    Write(Target),
    /// It lies here already and was verified when it was read back: call [`super::Receiver::placed`].
    Here(VerifiedBlock, Target),
    /// Its entry is not listed yet: ask again after the next control message.
    Early,
    /// It belongs to an older reading of the file, or to a file that was given up: drop it.
    Stale,
}
