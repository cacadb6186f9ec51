//! A file of this machine, read once: its bytes to be sealed, its hash, and what lies beside them.

use std::io::{self, Read};

use logic::space::manifest::{INLINE_MAX, Manifest};
use logic::space::{Content, MODE_MASK, Meta};
use logic::transfer::listing::Mtime;
use seal::chunk::{Chunker, MIN};
use serde_bytes::ByteBuf;
use store::FileTime;
use store::source::SourceFile;

use super::fault::ContentFault;
use super::jobs::Progress;
use super::sealing::Sealing;

/// Holes below this are read: an object costs more than zeros that are compressed away.
const HOLE: u64 = 128 << 10;
/// Bytes that are hashed at a time where nothing is sealed.
const PIECE: usize = 256 << 10;
/// Bytes of a hole after which it is looked whether it goes on.
const STRETCH: u64 = 64 << 20;

/// What was read of a file.
pub(super) struct Taken {
    /// Its parts are in the sealing under this number; `None`: these are its bytes.
    pub(super) inline: Option<Vec<u8>>,
    pub(super) size: u64,
    pub(super) hash: [u8; 32],
}

impl Taken {
    /// The content of the version, when all is sealed.
    pub(super) fn content(self, manifest: ByteBuf) -> Content {
        Content::File { size: self.size, hash: self.hash, manifest }
    }
}

/// The manifest of a file that lies in the commit.
pub(super) fn inline(bytes: Vec<u8>) -> Result<ByteBuf, ContentFault> {
    Ok(Manifest::Inline(ByteBuf::from(bytes)).to_bytes()?)
}

/// The content of an empty file.
///
/// # Errors
/// None in fact.
pub(crate) fn nothing() -> Result<Content, ContentFault> {
    Ok(Content::File { size: 0, hash: *blake3::hash(&[]).as_bytes(), manifest: inline(Vec::new())? })
}

/// Why a file was not taken.
pub(super) enum Lost {
    /// It cannot be read: others go on.
    File(io::Error),
    /// Nothing goes on.
    All(ContentFault),
}

impl From<ContentFault> for Lost {
    fn from(fault: ContentFault) -> Self {
        Self::All(fault)
    }
}

/// Reads a file from front to back; its chunks go into the sealing under a number.
pub(super) fn take(
    source: &SourceFile,
    sparse: bool,
    number: usize,
    sealing: &mut Sealing<'_>,
    progress: &Progress,
) -> Result<Taken, Lost> {
    let mut hasher = blake3::Hasher::new();
    // Some file systems keep what is short beside the inode, and say that it takes no room.
    let sparse = sparse && source.len() > MIN as u64;
    if source.len() <= MIN as u64 {
        let mut bytes = vec![0; source.len() as usize];
        let read = source.read_at(0, &mut bytes).map_err(Lost::File)?;
        bytes.truncate(read);
        hasher.update(&bytes);
        let (size, hash) = (read as u64, *hasher.finalize().as_bytes());
        progress.note(|job| job.bytes_done += size);
        if bytes.len() <= INLINE_MAX {
            return Ok(Taken { inline: Some(bytes), size, hash });
        }
        sealing.chunk(number, &bytes)?;
        return Ok(Taken { inline: None, size, hash });
    }
    let cut = sealing.cut.clone();
    let mut at = 0;
    while let Some(data) = next_data(source, sparse, at).map_err(Lost::File)? {
        sealing.hole(number, data.start - at);
        hole(&mut hasher, data.start - at, progress)?;
        let mut input = Input { source, hasher: &mut hasher, at: data.start, end: data.end };
        let mut chunks = Chunker::new(&cut, &mut input);
        while let Some(chunk) = chunks.next_chunk().map_err(Lost::File)? {
            progress.go_on()?;
            progress.note(|job| job.bytes_done += chunk.len() as u64);
            sealing.chunk(number, chunk)?;
        }
        at = input.at;
        if at < data.end {
            // It became shorter; whoever looks whether it has changed finds out.
            break;
        }
    }
    if at < source.len() && sparse {
        sealing.hole(number, source.len() - at);
        hole(&mut hasher, source.len() - at, progress)?;
        at = source.len();
    }
    Ok(Taken { inline: None, size: at, hash: *hasher.finalize().as_bytes() })
}

/// The next run of data, with short holes in it.
fn next_data(source: &SourceFile, sparse: bool, at: u64) -> io::Result<Option<std::ops::Range<u64>>> {
    if !sparse {
        return Ok((at < source.len()).then(|| at..source.len()));
    }
    let Some(mut data) = source.next_data(at)? else { return Ok(None) };
    if data.start - at < HOLE {
        data.start = at;
    }
    while let Some(next) = source.next_data(data.end)?.filter(|next| next.start - data.end < HOLE) {
        if next.end <= data.end {
            break;
        }
        data.end = next.end;
    }
    Ok(Some(data))
}

/// Hashes a hole.
pub(super) fn zeros(hasher: &mut blake3::Hasher, len: u64) {
    static ZEROS: [u8; PIECE] = [0; PIECE];
    let mut left = len;
    while left > 0 {
        let piece = left.min(PIECE as u64);
        hasher.update(&ZEROS[..piece as usize]);
        left -= piece;
    }
}

/// The same, of what may be very long.
pub(super) fn hole(hasher: &mut blake3::Hasher, len: u64, progress: &Progress) -> Result<(), ContentFault> {
    let mut left = len;
    while left > 0 {
        progress.go_on()?;
        let piece = left.min(STRETCH);
        zeros(hasher, piece);
        progress.note(|job| job.bytes_done += piece);
        left -= piece;
    }
    Ok(())
}

/// The hash of a file whose bytes may be there already.
pub(super) fn hash(source: &SourceFile, progress: &Progress) -> Result<[u8; 32], Lost> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; PIECE.min(source.len() as usize + 1)];
    let mut at = 0;
    loop {
        progress.go_on()?;
        let read = source.read_at(at, &mut buffer).map_err(Lost::File)?;
        if read == 0 {
            return Ok(*hasher.finalize().as_bytes());
        }
        hasher.update(&buffer[..read]);
        at += read as u64;
    }
}

/// A part of a file as a stream; what is read is hashed.
struct Input<'a> {
    source: &'a SourceFile,
    hasher: &'a mut blake3::Hasher,
    at: u64,
    end: u64,
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.source.read_at(self.at, &mut buffer[..most])?;
        self.hasher.update(&buffer[..read]);
        self.at += read as u64;
        Ok(read)
    }
}

/// What a version keeps beside the content. A time that no version can hold is left out.
pub(super) fn meta(modified: FileTime, mode: Option<u16>, xattrs: Vec<store::xattr::Attribute>) -> Meta {
    let mtime = Some(Mtime { secs: modified.seconds, nanos: modified.nanos }).filter(|mtime| mtime.check().is_ok());
    let xattrs = xattrs.into_iter().map(|(name, value)| (ByteBuf::from(name), ByteBuf::from(value))).collect();
    Meta { mtime, mode: mode.map(|mode| mode & MODE_MASK), xattrs }
}
