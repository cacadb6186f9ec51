//! Where the bytes of a file are: in the commit itself, or in sealed objects.
//!
//! A manifest is what [`super::Content::File`] holds as bytes. Invariants: its parts are exactly the file, in order, and
//! within limits; what is read was checked. It holds keys, so it exists in the clear only where the commit was opened.
//! Called by `node`, which makes and opens the objects. Format: `docs/formats/space.md`.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use thiserror::Error;

/// Files up to here lie in the commit.
pub const INLINE_MAX: usize = 512;
/// Bytes of a manifest; what would be longer is an [`Manifest::Index`].
pub const LISTED_MAX: usize = 32 << 10;
/// Bytes of one object before it is sealed.
pub const CHUNK_MAX: u32 = 4 << 20;
/// Bytes of an index: enough for files of half a terabyte.
pub const INDEX_MAX: u64 = 64 << 20;

/// A sealed object with what opens it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its name: BLAKE3 of its ciphertext.
    pub id: [u8; 32],
    /// Its key.
    pub key: [u8; 32],
    /// Bytes of the file that it holds.
    pub len: u32,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({}, {})", data_encoding::HEXLOWER.encode(&self.id[..4]), self.len)
    }
}

/// A run of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// In an object.
    Data(Chunk),
    /// Zeros that take no room.
    Hole(u64),
}

impl Part {
    /// Bytes of the file.
    pub fn len(&self) -> u64 {
        match self {
            Self::Data(chunk) => chunk.len.into(),
            Self::Hole(len) => *len,
        }
    }

    /// True for what may not be in a manifest.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// See the module. New variants go to the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manifest {
    /// The bytes themselves.
    Inline(ByteBuf),
    /// The file is these parts.
    Parts(Vec<Part>),
    /// These parts together are the list of the file's parts ([`read_index`]).
    Index(Vec<Part>),
}

/// A manifest that cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadManifest {
    /// No manifest of this version.
    #[error("the manifest of a file is garbled")]
    Garbled,
    /// The parts are not the size that the version says.
    #[error("the parts of a file are not the file")]
    WrongSize,
    /// Above the limits.
    #[error("the manifest of a file is above the limits")]
    TooMuch,
}

impl Manifest {
    /// The bytes to put into the version.
    ///
    /// # Errors
    /// [`BadManifest::TooMuch`]: the parts have to go into an index.
    pub fn to_bytes(&self) -> Result<ByteBuf, BadManifest> {
        let bytes = postcard::to_stdvec(self).expect("a manifest has only types that postcard can write");
        if bytes.len() > LISTED_MAX { Err(BadManifest::TooMuch) } else { Ok(ByteBuf::from(bytes)) }
    }

    /// Reads the manifest of a file of `size` bytes.
    ///
    /// # Errors
    /// [`BadManifest`].
    pub fn read(bytes: &[u8], size: u64) -> Result<Self, BadManifest> {
        if bytes.len() > LISTED_MAX {
            return Err(BadManifest::TooMuch);
        }
        let manifest: Self = whole(bytes)?;
        let same = match &manifest {
            Self::Inline(inline) if inline.len() > INLINE_MAX => return Err(BadManifest::TooMuch),
            Self::Inline(inline) => inline.len() as u64 == size,
            Self::Parts(parts) => total(parts)? == size,
            Self::Index(parts) if total(parts)? > INDEX_MAX => return Err(BadManifest::TooMuch),
            Self::Index(_) => true,
        };
        if same { Ok(manifest) } else { Err(BadManifest::WrongSize) }
    }
}

/// The bytes of an index, which are stored like a file.
pub fn write_index(parts: &[Part]) -> Vec<u8> {
    postcard::to_stdvec(parts).expect("a list of parts has only types that postcard can write")
}

/// Reads the parts of a file of `size` bytes from its index.
///
/// # Errors
/// [`BadManifest`].
pub fn read_index(bytes: &[u8], size: u64) -> Result<Vec<Part>, BadManifest> {
    if bytes.len() as u64 > INDEX_MAX {
        return Err(BadManifest::TooMuch);
    }
    let parts: Vec<Part> = whole(bytes)?;
    if total(&parts)? == size { Ok(parts) } else { Err(BadManifest::WrongSize) }
}

fn whole<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, BadManifest> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(BadManifest::Garbled),
    }
}

fn total(parts: &[Part]) -> Result<u64, BadManifest> {
    let bad = |part: &Part| part.is_empty() || matches!(part, Part::Data(chunk) if chunk.len > CHUNK_MAX);
    if parts.iter().any(bad) {
        return Err(BadManifest::Garbled);
    }
    parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.len())).ok_or(BadManifest::WrongSize)
}

/// The parts that hold a range of a file, each with what of it is in the range. What lies behind the end is left out.
pub fn covering(parts: &[Part], range: Range<u64>) -> impl Iterator<Item = (Part, Range<u64>)> + '_ {
    let mut begin = 0;
    let placed = parts.iter().map(move |part| {
        let from = begin;
        begin += part.len();
        (*part, from, begin)
    });
    placed.filter_map(move |(part, from, to)| {
        let (first, last) = (range.start.max(from), range.end.min(to));
        (first < last).then(|| (part, first - from..last - from))
    })
}
