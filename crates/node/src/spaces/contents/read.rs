//! The bytes of a version, from the objects on this device or from others.
//!
//! Invariants: what comes out was opened under its own key and is as long as the version says; one chunk is in memory at a
//! time. The bytes of a whole file are compared with its hash by whoever reads all of them.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logic::space::Content;
use logic::space::manifest::{BadManifest, Chunk, Manifest, Part, covering, read_index};
use seal::chunk::{ChunkError, ChunkOpener};
use seal::{Object, ObjectId};
use store::objects::{ObjectError, ObjectStore};

use super::fault::ContentFault;
use super::fetch::{Alone, Fetch, NotHere};
use super::tidy::RELEASED;
use crate::spaces::Kept;
use crate::spaces::list::History;

/// How long one attempt to fetch something takes; then it is looked whether the reader goes on.
const ATTEMPT: Duration = Duration::from_secs(1);

/// Who reads: of which space, from where, and how long it waits.
#[derive(Clone)]
pub(crate) struct Access {
    /// The space.
    pub kept: Arc<Kept>,
    /// What is here.
    pub objects: ObjectStore,
    /// How the rest comes here.
    pub fetch: Arc<dyn Fetch>,
    /// How long it waits for others; `None`: as long as it takes.
    pub patience: Option<Duration>,
}

/// Somebody who waits for contents can be told so, and can give up.
pub(crate) trait Waiting {
    /// What lacks is waited for, or has come.
    fn waits(&self, waits: bool);
    /// Does it go on?
    fn goes_on(&self) -> bool;
}

/// Nobody asks.
pub(crate) struct Patient;

impl Waiting for Patient {
    fn waits(&self, _: bool) {}

    fn goes_on(&self) -> bool {
        true
    }
}

impl Access {
    /// A chunk, verified.
    pub(super) fn chunk(
        &self,
        opener: &mut ChunkOpener,
        chunk: &Chunk,
        waiting: &dyn Waiting,
    ) -> Result<Vec<u8>, ContentFault> {
        let stored = match self.objects.get(&chunk.id) {
            Ok(stored) => stored,
            Err(ObjectError::Missing(_)) => self.fetched(chunk, waiting)?,
            Err(ObjectError::Damaged(_)) => match self.fetch.fetch(&self.kept, &[chunk.id], Instant::now() + ATTEMPT) {
                Ok(()) => self.objects.get(&chunk.id)?,
                Err(_) => return Err(ContentFault::Damaged(chunk.id)),
            },
            Err(error) => return Err(error.into()),
        };
        let plain = opener.open_object(&chunk.key, &stored)?;
        if plain.len() == chunk.len as usize { Ok(plain) } else { Err(ChunkError::Malformed.into()) }
    }

    /// An object that is not here comes from others.
    fn fetched(&self, chunk: &Chunk, waiting: &dyn Waiting) -> Result<Object, ContentFault> {
        let until = self.patience.map(|patience| Instant::now() + patience);
        loop {
            let begun = Instant::now();
            let lacks = match self.fetch.fetch(&self.kept, &[chunk.id], begun + ATTEMPT) {
                Ok(()) => NotHere { objects: vec![chunk.id], who: Vec::new() },
                Err(lacks) => lacks,
            };
            match self.objects.get(&chunk.id) {
                Err(ObjectError::Missing(_)) => {}
                done => {
                    waiting.waits(false);
                    return Ok(done?);
                }
            }
            if until.is_some_and(|until| Instant::now() + ATTEMPT > until) {
                if self.was_let_go(&chunk.id)? {
                    return Err(ContentFault::LetGo);
                }
                return Err(lacks.into());
            }
            waiting.waits(true);
            while begun.elapsed() < ATTEMPT {
                if !waiting.goes_on() {
                    return Err(ContentFault::Cancelled);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// It is of a version that this device does not keep any more.
    fn was_let_go(&self, id: &ObjectId) -> Result<bool, ContentFault> {
        let by_choice = self.kept.wish().history != History::All;
        let ever = || self.kept.space.peek(|reader| Ok(reader.value(RELEASED, b"")?.is_some()));
        let held = || self.objects.is_held(&self.kept.namespace(), id);
        Ok(by_choice && ever()? && !held()?)
    }

    /// Whether all of a content is on this device: whoever writes it without knowing may have to begin anew many times.
    pub(crate) fn is_here(&self, content: &Content) -> Result<bool, ContentFault> {
        let Content::File { size, manifest, .. } = content else { return Ok(true) };
        let here = Self { fetch: Arc::new(Alone), patience: Some(Duration::ZERO), ..self.clone() };
        let parts = match here.parts(manifest, *size, &Patient) {
            Ok(Bytes::Inline(_)) => return Ok(true),
            Ok(Bytes::Parts(parts)) => parts,
            Err(ContentFault::NotHere(_)) => return Ok(false),
            Err(fault) => return Err(fault),
        };
        for part in parts {
            if let Part::Data(chunk) = part
                && !self.objects.has(&chunk.id)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where the bytes of a file are.
    fn parts(&self, manifest: &[u8], size: u64, waiting: &dyn Waiting) -> Result<Bytes, ContentFault> {
        Ok(match Manifest::read(manifest, size)? {
            Manifest::Inline(bytes) => Bytes::Inline(bytes.into_vec()),
            Manifest::Parts(parts) => Bytes::Parts(parts),
            Manifest::Index(index) => {
                let mut opener = ChunkOpener::new();
                let mut list = Vec::new();
                for part in &index {
                    match part {
                        Part::Data(chunk) => list.extend(self.chunk(&mut opener, chunk, waiting)?),
                        Part::Hole(_) => return Err(BadManifest::Garbled.into()),
                    }
                }
                Bytes::Parts(read_index(&list, size)?)
            }
        })
    }
}

enum Bytes {
    Inline(Vec<u8>),
    Parts(Vec<Part>),
}

/// Some bytes of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// These.
    Data(Vec<u8>),
    /// So many zeros.
    Zeros(u64),
}

/// Reads a range of a file from front to back.
pub(crate) struct Pieces {
    access: Access,
    opener: ChunkOpener,
    bytes: Option<Vec<u8>>,
    parts: std::vec::IntoIter<(Part, Range<u64>)>,
}

impl Pieces {
    /// A range of a content; what lies behind its end is left out.
    ///
    /// # Errors
    /// [`ContentFault`]: it is no file; its list of chunks is not here or cannot be read.
    pub(crate) fn open(
        access: Access,
        content: &Content,
        range: Range<u64>,
        waiting: &dyn Waiting,
    ) -> Result<Self, ContentFault> {
        let Content::File { size, manifest, .. } = content else { return Err(ContentFault::NoFile) };
        let (mut bytes, mut parts) = (None, Vec::new());
        match access.parts(manifest, *size, waiting)? {
            Bytes::Inline(inline) => {
                let end = range.end.min(*size).max(range.start.min(*size));
                let [start, end] = [range.start.min(*size), end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
                bytes = inline.get(start..end).filter(|bytes| !bytes.is_empty()).map(<[u8]>::to_vec);
            }
            Bytes::Parts(all) => parts = covering(&all, range).map(|(part, range)| (part.clone(), range)).collect(),
        }
        Ok(Self { access, opener: ChunkOpener::new(), bytes, parts: parts.into_iter() })
    }

    /// How many pieces are left.
    pub(super) fn left(&self) -> usize {
        self.parts.len() + usize::from(self.bytes.is_some())
    }

    /// The next bytes; `None` at the end.
    pub(crate) fn next(&mut self, waiting: &dyn Waiting) -> Option<Result<Piece, ContentFault>> {
        if let Some(bytes) = self.bytes.take() {
            return Some(Ok(Piece::Data(bytes)));
        }
        let (part, range) = self.parts.next()?;
        Some(match part {
            Part::Hole(_) => Ok(Piece::Zeros(range.end - range.start)),
            Part::Data(chunk) => self.access.chunk(&mut self.opener, &chunk, waiting).map(|plain| {
                let whole = range.start == 0 && range.end == plain.len() as u64;
                Piece::Data(if whole { plain } else { plain[range.start as usize..range.end as usize].to_vec() })
            }),
        })
    }
}
