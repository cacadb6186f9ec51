//! Bytes of files into sealed objects: read and cut here, sealed and stored meanwhile by the stage behind.
//!
//! Invariants: what [`Sealing::finish`] hands out is durable in the store and held for the space; memory does not grow with
//! a file but for 80 bytes per chunk. Chunks that were sealed before under the same key are found by their fingerprint,
//! which costs a hash instead of compressing and sealing; only those of files of several chunks, since for the others
//! looking them up would cost as much as it saves.

use std::collections::HashMap;

use logic::ledger::{EpochId, RealmId, SpaceRole};
use logic::space::manifest::{self, Manifest, Part};
use seal::ObjectId;
use seal::chunk::{ChunkKey, Chunker, ContentKey, CutKey, Fingerprint, MIN, Plain};
use serde_bytes::ByteBuf;
use store::objects::{ObjectError, ObjectStore};
use store::space::Transaction;

use super::fault::ContentFault;
use super::gate::Storing;
use super::stage::{Piece, Placed, Stage, What};
use crate::clock;
use crate::spaces::{Kept, SpaceFault, epochs};

/// Bytes that are gathered before they are sealed and stored together.
const WINDOW: usize = 6 << 20;
/// Small pieces that are gathered at most.
const PIECES: usize = 4096;
/// Fingerprints that are remembered besides the stored ones.
const REMEMBERED: usize = 16 << 10;
/// Under which kind of value fingerprints are stored.
const CHUNKS: &str = "chunk";

/// Seals what is written to one realm, under the key that it is written with now.
pub(super) struct Sealing<'a> {
    kept: &'a Kept,
    objects: &'a ObjectStore,
    realm: RealmId,
    epoch: EpochId,
    pub(super) cut: CutKey,
    key: ContentKey,
    stage: Stage,
    pending: Vec<Piece>,
    bytes: usize,
    done: Vec<(usize, Part)>,
    fresh: HashMap<Fingerprint, manifest::Chunk>,
    noted: Vec<(Fingerprint, ObjectId, ChunkKey)>,
    /// Objects that were here before, to be held.
    found: Vec<ObjectId>,
    /// Nothing is let go until what is sealed here was signed.
    _storing: Storing<'a>,
}

/// What came of it: everything is durable.
pub(super) struct Sealed {
    /// The parts of each file, by its number.
    pub(super) parts: HashMap<usize, Vec<Part>>,
    /// What to note with the commit.
    pub(super) noted: Noted,
}

/// Chunks by their fingerprints.
#[derive(Default)]
pub(super) struct Noted(Vec<(Fingerprint, ObjectId, ChunkKey)>);

impl Noted {
    pub(super) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Stores them, so that these chunks are found again.
    pub(super) fn store(&self, store: &Transaction<'_>) -> Result<(), SpaceFault> {
        for (fingerprint, id, key) in &self.0 {
            let value = [&id.as_bytes()[..], key.as_bytes()].concat();
            store.set_value(CHUNKS, &fingerprint.0, &value)?;
        }
        Ok(())
    }
}

impl<'a> Sealing<'a> {
    /// Under the newest key of a realm, if this device may write there.
    pub(super) fn new(kept: &'a Kept, objects: &'a ObjectStore, realm: RealmId) -> Result<Self, SpaceFault> {
        let storing = kept.gate.enter();
        let due = kept.space.look(|ledger, _| {
            if ledger.judgement().cap_for(kept.space.device(), realm, SpaceRole::Editor).is_none() {
                return Err(SpaceFault::MayNot(SpaceRole::Editor));
            }
            Ok(epochs::is_due(ledger, realm))
        })?;
        if due {
            kept.space.change(|work| kept.space.prepare(work, realm, clock::now()))?;
        }
        let (epoch, key) = kept.space.look(|ledger, reader| {
            let judgement = ledger.judgement();
            let epoch = judgement.writers_epoch(realm).ok_or(SpaceFault::NoKey)?.id;
            Ok((epoch, epochs::key(reader, &epoch)?.ok_or(SpaceFault::NoKey)?))
        })?;
        let (cut, key) = (CutKey::of(&key), ContentKey::of(&key));
        Ok(Self {
            kept,
            objects,
            realm,
            epoch,
            cut,
            stage: Stage::new(kept, objects, key.clone()),
            key,
            pending: Vec::new(),
            bytes: 0,
            done: Vec::new(),
            fresh: HashMap::new(),
            noted: Vec::new(),
            found: Vec::new(),
            _storing: storing,
        })
    }

    /// A hole in the file of that number.
    pub(super) fn hole(&mut self, file: usize, len: u64) {
        if len > 0 {
            self.pending.push(Piece { file, what: What::Done(Part::Hole(len)) });
        }
    }

    /// The next chunk of a file.
    pub(super) fn chunk(&mut self, file: usize, plain: &[u8]) -> Result<(), ContentFault> {
        let plain = match plain.len() {
            MIN.. => Plain::fingerprinted(plain.to_vec(), &self.key),
            _ => Plain::new(plain.to_vec()),
        };
        let len = plain.bytes().len();
        if let Some(fingerprint) = plain.fingerprint()
            && let Some(known) = self.known(&fingerprint, len)?
        {
            self.pending.push(Piece { file, what: What::Done(Part::Data(known)) });
            return Ok(());
        }
        self.bytes += len;
        self.pending.push(Piece { file, what: What::Plain(plain) });
        if self.bytes >= WINDOW || self.pending.len() >= PIECES { self.flush() } else { Ok(()) }
    }

    /// A chunk that was sealed before, if its object is here.
    fn known(&mut self, fingerprint: &Fingerprint, len: usize) -> Result<Option<manifest::Chunk>, ContentFault> {
        if let Some(chunk) = self.fresh.get(fingerprint) {
            return Ok(Some(chunk.clone()));
        }
        let stored = self.kept.space.tree(|tree| Ok(tree.rows().value(CHUNKS, &fingerprint.0)?))?;
        let Some((id, key)) = stored.as_deref().and_then(|value| value.split_first_chunk::<32>()) else {
            return Ok(None);
        };
        let Ok(key) = <[u8; 32]>::try_from(key) else { return Ok(None) };
        let id = ObjectId::from_bytes(*id);
        if !self.objects.has(&id)? {
            return Ok(None);
        }
        self.found.push(id);
        let len = u32::try_from(len).expect("a chunk has at most 4 MiB");
        Ok(Some(manifest::Chunk { id, key: ChunkKey::from_bytes(key), len }))
    }

    /// Lets what is gathered be sealed and stored.
    fn flush(&mut self) -> Result<(), ContentFault> {
        self.hold_found()?;
        let pending = std::mem::take(&mut self.pending);
        self.bytes = 0;
        let placed = self.stage.give(pending)?;
        self.keep(placed);
        Ok(())
    }

    fn hold_found(&mut self) -> Result<(), ContentFault> {
        let found = std::mem::take(&mut self.found);
        if !found.is_empty()
            && let Some(gone) = self.objects.hold(&self.kept.namespace(), &found)?.first()
        {
            return Err(ObjectError::Missing(*gone).into());
        }
        Ok(())
    }

    fn keep(&mut self, placed: Vec<Placed>) {
        for (file, part, fingerprint) in placed {
            if let (Part::Data(chunk), Some(fingerprint)) = (&part, fingerprint) {
                self.remember(fingerprint, chunk);
            }
            self.done.push((file, part));
        }
    }

    fn remember(&mut self, fingerprint: Fingerprint, chunk: &manifest::Chunk) {
        if self.fresh.len() >= REMEMBERED {
            self.fresh.clear();
        }
        self.noted.push((fingerprint, chunk.id, chunk.key.clone()));
        self.fresh.insert(fingerprint, chunk.clone());
    }

    /// The realm has another key by now.
    pub(super) fn is_outdated(&self) -> Result<bool, SpaceFault> {
        let now = self.kept.space.look(|ledger, _| Ok(ledger.judgement().writers_epoch(self.realm)))?;
        Ok(now.is_none_or(|now| now.id != self.epoch))
    }

    /// Everything that was given is durable after that; more may follow.
    pub(super) fn finish(&mut self) -> Result<Sealed, ContentFault> {
        self.hold_found()?;
        let pending = std::mem::take(&mut self.pending);
        self.bytes = 0;
        let placed = self.stage.finish(pending)?;
        self.keep(placed);
        let mut parts: HashMap<usize, Vec<Part>> = HashMap::new();
        for (file, part) in self.done.drain(..) {
            parts.entry(file).or_default().push(part);
        }
        Ok(Sealed { parts, noted: Noted(std::mem::take(&mut self.noted)) })
    }

    /// The manifest of a file; a long one becomes objects itself.
    pub(super) fn manifest(&mut self, parts: Vec<Part>) -> Result<ByteBuf, ContentFault> {
        let listed = Manifest::Parts(parts);
        if let Ok(bytes) = listed.to_bytes() {
            return Ok(bytes);
        }
        let Manifest::Parts(parts) = listed else { return Err(manifest::BadManifest::TooMuch.into()) };
        let index = manifest::write_index(&parts);
        if index.len() as u64 > manifest::INDEX_MAX {
            return Err(manifest::BadManifest::TooMuch.into());
        }
        // No other file is under way here: what is gathered was finished.
        const INDEX: usize = usize::MAX;
        let cut = self.cut.clone();
        let mut chunks = Chunker::new(&cut, index.as_slice());
        while let Some(chunk) = chunks.next_chunk()? {
            self.chunk(INDEX, chunk)?;
        }
        let Sealed { mut parts, noted } = self.finish()?;
        self.noted = noted.0;
        Ok(Manifest::Index(parts.remove(&INDEX).unwrap_or_default()).to_bytes()?)
    }
}
