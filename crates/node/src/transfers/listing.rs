//! What a scan finds, as the protocol lists it.

use logic::transfer::listing::{Entry, Kind, Mtime};
use serde_bytes::ByteBuf;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use store::source::{EntryKind, SkipReason, Skipped};
use store::{FileTime, RelPath};

/// An entry as the protocol says it.
pub(super) fn entry(found: &store::source::Entry) -> Entry {
    let depth = found.path.depth() - 1;
    let name = found.path.name().as_bytes().to_vec();
    let mtime = mtime(found.modified);
    let kind = match &found.kind {
        EntryKind::Directory => Kind::Dir { mtime },
        EntryKind::File { size, executable, .. } => Kind::File { size: *size, mtime, exec: *executable },
        EntryKind::Symlink { target } => Kind::Link { target: ByteBuf::from(target.clone().into_vec()), mtime },
    };
    Entry { depth: u8::try_from(depth).unwrap_or(u8::MAX), name: ByteBuf::from(name), kind }
}

/// What stands in the listing for a folder that may not be looked into: something of one byte, which then cannot be read,
/// so that the receiver hears its name and the reason as it does of files.
pub(super) fn stand_in(skipped: &Skipped) -> Option<store::source::Entry> {
    let SkipReason::Io(error) = &skipped.why else { return None };
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    let path = RelPath::new(skipped.inside.iter()).ok().filter(|path| denied && path.depth() > 1)?;
    let kind = EntryKind::File { size: 1, executable: false, sparse: false };
    Some(store::source::Entry { path, kind, modified: FileTime::default(), mode: None })
}

/// Times that the protocol cannot say become 1970.
pub(super) fn mtime(time: FileTime) -> Mtime {
    let mtime = Mtime { secs: time.seconds, nanos: time.nanos };
    if mtime.check().is_ok() { mtime } else { Mtime::default() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_that_may_not_be_looked_into_is_listed_so_that_the_receiver_can_be_told() {
        let skipped = |inside: &str, why| Skipped { path: "/home/ada".into(), inside: inside.into(), why };
        let denied = || SkipReason::Io(io::ErrorKind::PermissionDenied.into());
        let listed = stand_in(&skipped("src/shut", denied())).map(|found| entry(&found)).unwrap();
        assert_eq!((listed.depth, listed.name.as_slice()), (1, &b"shut"[..]));
        assert!(matches!(listed.kind, Kind::File { size: 1, .. }), "a file of no bytes would simply be made");
        // What was named itself is looked at before anything is offered; what vanished is no longer there to be missed.
        let vanished = || SkipReason::Io(io::ErrorKind::NotFound.into());
        for (inside, why) in [("src", denied()), ("src/gone", vanished()), ("src/pipe", SkipReason::Special)] {
            assert!(stand_in(&skipped(inside, why)).is_none(), "{inside}");
        }
    }
}
