//! Things as the space has them, made beside the folder and put into it.

use logic::folder::{Known, Print};
use logic::space::{Content, Entry, NodeKind, Written};
use logic::transfer::path::RelPath;
use store::FileTime;
use store::folder::{FolderError, Staged};

use super::super::{FolderFault, Given};
use super::{Down, is_fatal};

pub(super) enum Put {
    There(Print),
    /// The content is on another device.
    Waiting,
    /// Something else is there.
    Blocked,
    /// The reason was said.
    Failed,
}

impl Down<'_> {
    pub(super) fn put(
        &mut self,
        path: &RelPath,
        entry: &Entry,
        written: &Written,
        known: Option<&Known>,
    ) -> Result<Put, FolderFault> {
        let expected = known.map(|known| &known.print);
        let mode = written.meta.mode;
        let done = match (entry.kind, &written.content) {
            (kind, _) if kind.is_dir() => self.folder.make_dir(path, mode),
            (NodeKind::Link, Content::Link { target }) => {
                let staged = self.folder.stage_link(target)?;
                self.folder.put(&staged, path, expected, None, None)
            }
            (NodeKind::Link, _) => return Ok(Put::Failed),
            (_, content) => {
                let staged = self.folder.stage()?;
                match self.give(content, &staged)? {
                    Given::Whole => {}
                    Given::NotHere => return Ok(Put::Waiting),
                    Given::Damaged(why) => {
                        self.warn(format!("{path}: {why}"));
                        return Ok(Put::Failed);
                    }
                }
                let xattrs: Vec<_> =
                    written.meta.xattrs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
                match staged.set_xattrs(&xattrs) {
                    Ok(true) => {}
                    Ok(false) => self.warn(format!("{path}: this disk keeps no extended attributes")),
                    Err(error) => self.warn(format!("{path}: its extended attributes: {error}")),
                }
                let time = written.meta.mtime.map(|time| FileTime { seconds: time.secs, nanos: time.nanos });
                self.folder.put(&staged, path, expected, time, mode.or(Some(0o644)))
            }
        };
        Ok(match done {
            Ok(print) => Put::There(print),
            Err(FolderError::Changed(_)) => Put::Blocked,
            Err(FolderError::Io { path, error }) if !is_fatal(&error) => {
                self.warn(format!("{path}: {error}"));
                Put::Failed
            }
            Err(error) => return Err(error.into()),
        })
    }

    fn give(&mut self, content: &Content, to: &Staged<'_>) -> Result<Given, FolderFault> {
        let Content::File { size, .. } = content else { return Ok(Given::Whole) };
        let given = self.hands.give(content, to.write(*size), !self.in_vain)?;
        self.in_vain |= matches!(given, Given::NotHere);
        Ok(given)
    }
}
