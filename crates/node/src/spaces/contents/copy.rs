//! The content of a version once more: in the same space as it is, in another one sealed anew.
//!
//! Never inside of a change of the space that it goes to: the objects must be durable before that begins.

use logic::ledger::RealmId;
use logic::space::Content;

use super::fault::ContentFault;
use super::read::{Access, Piece, Pieces, Waiting};
use super::sealing::Sealing;
use crate::spaces::Kept;

/// The content of a version, to be written to a realm of `to`: its objects are there and held. Who reads there learns
/// nothing of the space that it comes from.
///
/// # Errors
/// [`ContentFault`]: it is not here, or damaged; this device may not write there; the disk is full.
pub(crate) fn copy_content(
    from: &Access,
    content: &Content,
    to: &Kept,
    realm: RealmId,
    waiting: &dyn Waiting,
) -> Result<Content, ContentFault> {
    let Content::File { size, hash, .. } = content else { return Ok(content.clone()) };
    if from.kept.space.id() == to.space.id() {
        return Ok(content.clone());
    }
    let mut pieces = Pieces::open(from.clone(), content, 0..*size, waiting)?;
    let mut sealing = Sealing::new(to, &from.objects, realm)?;
    let (mut hasher, mut first) = (blake3::Hasher::new(), Vec::new());
    while let Some(piece) = pieces.next(waiting) {
        if !waiting.goes_on() {
            return Err(ContentFault::Cancelled);
        }
        match piece? {
            Piece::Zeros(len) => {
                super::reading::zeros(&mut hasher, len);
                sealing.hole(0, len);
            }
            Piece::Data(data) => {
                hasher.update(&data);
                if *size <= logic::space::manifest::INLINE_MAX as u64 {
                    first = data;
                } else {
                    sealing.chunk(0, &data)?;
                }
            }
        }
    }
    if hasher.finalize().as_bytes() != hash {
        return Err(ContentFault::WrongHash);
    }
    let parts = sealing.finish()?.parts.remove(&0);
    let manifest = match parts {
        Some(parts) => sealing.manifest(parts)?,
        None => super::reading::inline(first)?,
    };
    Ok(Content::File { size: *size, hash: *hash, manifest })
}
