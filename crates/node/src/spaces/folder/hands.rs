//! Bytes of files, from the folder into the space's objects and back.

use std::io;
use std::sync::Arc;

use logic::folder::Print;
use logic::ledger::RealmId;
use logic::space::Content;
use logic::transfer::path::RelPath;
use store::Sequential;
use store::folder::{Folder, FolderError};

use super::FolderFault;
use crate::spaces::Kept;
use crate::spaces::contents::{self, Access, Alone, ContentFault, Progress, Single};

/// See the module.
pub(super) struct Hands {
    pub(super) access: Access,
    /// Nobody watches it; it says when to stop.
    pub(super) progress: Progress,
}

/// What came of giving a content.
pub(super) enum Given {
    /// All of it.
    Whole,
    /// Some of it is on other devices.
    NotHere,
    /// It cannot be had, and why.
    Damaged(String),
}

impl Hands {
    /// Whether to go on.
    pub(super) fn go_on(&self) -> Result<(), FolderFault> {
        self.progress.go_on().map_err(|_| FolderFault::Stopped)
    }

    /// Takes files of the folder that looked like this.
    pub(super) fn take(
        &self,
        kept: &Kept,
        folder: &Folder,
        realm: RealmId,
        files: &[(&RelPath, &Print)],
    ) -> Result<Vec<Single>, FolderFault> {
        let open = |(path, _): &(&RelPath, &Print)| {
            folder.open_file(path).map_err(|error| match error {
                FolderError::Io { error, .. } => error,
                other => io::Error::other(other.to_string()),
            })
        };
        let mut taken = contents::take(kept, &self.access.objects, realm, files, open, &self.progress)?;
        for ((path, print), single) in files.iter().zip(&mut taken) {
            // It may be another file by now, or have changed between the look and the reading.
            if matches!(single, Single::Content(..)) && folder.print(path)?.as_ref() != Some(*print) {
                *single = Single::Changed;
            }
        }
        Ok(taken)
    }

    /// Writes a content into a file. What is not here comes by itself, unless this device fetches on demand: that is one,
    /// if `ask`.
    pub(super) fn give(&self, content: &Content, to: Sequential<'_>, ask: bool) -> Result<Given, FolderFault> {
        let mut access = self.access.clone();
        let asks = ask && access.kept.wish().on_demand;
        if !asks {
            access.fetch = Arc::new(Alone);
        }
        if !asks && matches!(access.is_here(content), Ok(false)) {
            return Ok(Given::NotHere);
        }
        match contents::give(&access, content, to, &self.progress) {
            Ok(()) => Ok(Given::Whole),
            Err(ContentFault::NotHere(_)) => Ok(Given::NotHere),
            Err(
                fault @ (ContentFault::Damaged(_)
                | ContentFault::Manifest(_)
                | ContentFault::Chunk(_)
                | ContentFault::WrongHash),
            ) => Ok(Given::Damaged(fault.to_string())),
            Err(ContentFault::Cancelled) => Err(FolderFault::Stopped),
            Err(fault) => Err(fault.into()),
        }
    }
}
