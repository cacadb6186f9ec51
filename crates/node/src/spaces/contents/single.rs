//! Files of a folder that is kept in step: taken and given one by one, for whoever decides what becomes of them.

use std::io;

use logic::ledger::RealmId;
use logic::space::{Content, Meta};
use serde_bytes::ByteBuf;
use store::Sequential;
use store::objects::ObjectStore;
use store::source::SourceFile;

use super::fault::ContentFault;
use super::jobs::Progress;
use super::read::{Access, Patient, Piece, Pieces};
use super::reading::{self, Lost};
use super::sealing::Sealing;
use crate::spaces::Kept;

/// Times that files are sealed if the realm's key is changed meanwhile.
const KEYS: usize = 3;

/// What came of taking a file.
pub(crate) enum Single {
    /// Its content, durable in the store, and what lies beside it.
    Content(Content, Meta),
    /// It changed while it was read.
    Changed,
    /// It cannot be read.
    Unreadable(io::Error),
}

/// Takes files into the store, to be written to a realm. `open` gives them, one at a time.
///
/// # Errors
/// [`ContentFault`], if none can be taken.
pub(crate) fn take<F>(
    kept: &Kept,
    objects: &ObjectStore,
    realm: RealmId,
    files: &[F],
    open: impl Fn(&F) -> io::Result<SourceFile>,
    progress: &Progress,
) -> Result<Vec<Single>, ContentFault> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    for attempt in 1.. {
        let mut sealing = Sealing::new(kept, objects, realm)?;
        let mut taken = Vec::with_capacity(files.len());
        for (number, file) in files.iter().enumerate() {
            progress.go_on()?;
            taken.push(match one(&open, file, number, &mut sealing, progress) {
                Ok(Some(one)) => Ok(one),
                Ok(None) => Err(Single::Changed),
                Err(Lost::File(error)) => Err(Single::Unreadable(error)),
                Err(Lost::All(fault)) => return Err(fault),
            });
        }
        let mut sealed = sealing.finish()?;
        let mut done = Vec::with_capacity(files.len());
        for (number, taken) in taken.into_iter().enumerate() {
            done.push(match taken {
                Ok((mut taken, meta)) => {
                    let manifest = match taken.inline.take() {
                        Some(bytes) => reading::inline(bytes)?,
                        None => sealing.manifest(sealed.parts.remove(&number).unwrap_or_default())?,
                    };
                    Single::Content(taken.content(manifest), meta)
                }
                Err(not) => not,
            });
        }
        sealed.noted.append(sealing.finish()?.noted);
        if attempt < KEYS && sealing.is_outdated()? {
            continue;
        }
        kept.space.jot(|store| sealed.noted.store(store))?;
        return Ok(done);
    }
    unreachable!("the last attempt returns")
}

fn one<F>(
    open: &impl Fn(&F) -> io::Result<SourceFile>,
    file: &F,
    number: usize,
    sealing: &mut Sealing<'_>,
    progress: &Progress,
) -> Result<Option<(reading::Taken, Meta)>, Lost> {
    let file = open(file).map_err(Lost::File)?;
    let meta = reading::meta(file.meta().modified, file.mode(), file.xattrs().map_err(Lost::File)?);
    let taken = reading::take(&file, true, number, sealing, progress)?;
    let whole = taken.size == file.len() && !file.changed().map_err(Lost::File)?;
    Ok(whole.then_some((taken, meta)))
}

/// Writes the content of a version into an empty file, and compares it with its hash.
///
/// # Errors
/// [`ContentFault`]: what is in the file then is not the content.
pub(crate) fn give(
    access: &Access,
    content: &Content,
    mut to: Sequential<'_>,
    progress: &Progress,
) -> Result<(), ContentFault> {
    let Content::File { size, hash, .. } = content else { return Err(ContentFault::NoFile) };
    let pieces = Pieces::open(access.clone(), content, 0..*size, &Patient)?;
    let mut hasher = blake3::Hasher::new();
    pieces.for_each(&Patient, |piece| {
        progress.go_on()?;
        match piece {
            Piece::Data(bytes) => {
                to.append(&bytes)?;
                hasher.update(&bytes);
            }
            Piece::Zeros(len) => {
                reading::hole(&mut hasher, len, progress)?;
                to.skip(len)?;
            }
        }
        Ok(())
    })?;
    let len = to.finish()?;
    if (len, hasher.finalize().as_bytes()) == (*size, hash) { Ok(()) } else { Err(ContentFault::WrongHash) }
}

/// What a version of a file as it is now would show, without the list of its chunks; if it can be read.
pub(crate) fn shape(file: &SourceFile, progress: &Progress) -> Option<(Content, Meta)> {
    let content = Content::File { size: file.len(), hash: hash(file, progress)?, manifest: ByteBuf::new() };
    Some((content, reading::meta(file.meta().modified, file.mode(), file.xattrs().ok()?)))
}

/// The hash of a file, if it can be read.
pub(crate) fn hash(file: &SourceFile, progress: &Progress) -> Option<[u8; 32]> {
    reading::hash(file, progress).ok()
}
