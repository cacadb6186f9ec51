//! Bytes of files into sealed objects: read, cut, sealed by several threads, stored while the next are read.
//!
//! Invariants: what [`Sealing::finish`] hands out is durable in the store and held for the space; memory does not grow with
//! a file but for 80 bytes per chunk. Chunks that were sealed before under the same key are found by their fingerprint,
//! which costs a hash instead of compressing and sealing; only those of files of several chunks, since for the others
//! looking them up would cost as much as it saves.

use std::collections::HashMap;
use std::num::NonZero;
use std::thread::{self, JoinHandle};

use logic::ledger::{EpochId, RealmId, SpaceRole};
use logic::space::manifest::{self, Manifest, Part};
use seal::ObjectId;
use seal::chunk::{ChunkKey, ChunkSealer, Chunker, ContentKey, CutKey, Fingerprint, MIN};
use serde_bytes::ByteBuf;
use store::objects::{ObjectError, ObjectStore};
use store::space::Transaction;

use super::fault::ContentFault;
use super::gate::Storing;
use crate::clock;
use crate::spaces::{Kept, SpaceFault, epochs};

/// Bytes that are gathered before they are sealed and stored together.
const WINDOW: usize = 6 << 20;
/// Small pieces that are gathered at most.
const PIECES: usize = 4096;
/// Threads that seal, at most.
const THREADS: usize = 4;
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
    sealers: Vec<ChunkSealer>,
    pending: Vec<(usize, Pending)>,
    bytes: usize,
    storing: Option<JoinHandle<Result<(), ObjectError>>>,
    done: Vec<(usize, Part)>,
    fresh: HashMap<Fingerprint, manifest::Chunk>,
    noted: Vec<(Fingerprint, ObjectId, ChunkKey)>,
    /// Objects that were here before, to be held.
    found: Vec<ObjectId>,
    /// Nothing is let go until what is sealed here was signed.
    _storing: Storing<'a>,
}

enum Pending {
    Done(Part),
    Plain(Vec<u8>, Option<Fingerprint>),
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
        Ok(Self {
            kept,
            objects,
            realm,
            epoch,
            cut: CutKey::of(&key),
            key: ContentKey::of(&key),
            sealers: Vec::new(),
            pending: Vec::new(),
            bytes: 0,
            storing: None,
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
            self.pending.push((file, Pending::Done(Part::Hole(len))));
        }
    }

    /// The next chunk of a file.
    pub(super) fn chunk(&mut self, file: usize, plain: &[u8]) -> Result<(), ContentFault> {
        let fingerprint = (plain.len() >= MIN).then(|| self.key.fingerprint(plain));
        if let Some(fingerprint) = &fingerprint
            && let Some(known) = self.known(fingerprint, plain.len())?
        {
            self.pending.push((file, Pending::Done(Part::Data(known))));
            return Ok(());
        }
        self.bytes += plain.len();
        self.pending.push((file, Pending::Plain(plain.to_vec(), fingerprint)));
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

    /// Seals what is gathered, and lets it be stored.
    fn flush(&mut self) -> Result<(), ContentFault> {
        let pending = std::mem::take(&mut self.pending);
        self.bytes = 0;
        let plain: Vec<&[u8]> = pending.iter().filter_map(|(_, piece)| piece.plain()).collect();
        let mut sealed = self.seal(&plain)?.into_iter();
        let mut stored = Vec::with_capacity(plain.len());
        for (file, piece) in &pending {
            let part = match piece {
                Pending::Done(part) => part.clone(),
                Pending::Plain(plain, fingerprint) => {
                    let Some(chunk) = sealed.next() else { break };
                    let len = u32::try_from(plain.len()).expect("a chunk has at most 4 MiB");
                    let part = manifest::Chunk { id: chunk.id, key: chunk.key.clone(), len };
                    if let Some(fingerprint) = fingerprint {
                        self.remember(*fingerprint, &part);
                    }
                    stored.push((chunk.id, chunk.stored));
                    Part::Data(part)
                }
            };
            self.done.push((*file, part));
        }
        drop(pending);
        let found = std::mem::take(&mut self.found);
        if !found.is_empty()
            && let Some(gone) = self.objects.hold(&self.kept.namespace(), &found)?.first()
        {
            return Err(ObjectError::Missing(*gone).into());
        }
        self.store(stored)
    }

    fn remember(&mut self, fingerprint: Fingerprint, chunk: &manifest::Chunk) {
        if self.fresh.len() >= REMEMBERED {
            self.fresh.clear();
        }
        self.noted.push((fingerprint, chunk.id, chunk.key.clone()));
        self.fresh.insert(fingerprint, chunk.clone());
    }

    /// In the same order; by several threads if there is enough to do.
    fn seal(&mut self, plain: &[&[u8]]) -> Result<Vec<seal::chunk::Chunk>, ContentFault> {
        let bytes: usize = plain.iter().map(|plain| plain.len()).sum();
        let cores = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS);
        let threads = if bytes < WINDOW / 8 { 1 } else { cores.min(plain.len()).max(1) };
        while self.sealers.len() < threads {
            self.sealers.push(ChunkSealer::new(self.key.clone()));
        }
        let share = bytes / threads + 1;
        let mut shares: Vec<Vec<&[u8]>> = vec![Vec::new(); threads];
        let mut before = 0;
        for piece in plain {
            shares[before / share].push(piece);
            before += piece.len();
        }
        let seal_all = |sealer: &mut ChunkSealer, share: &[&[u8]]| -> Result<Vec<_>, ContentFault> {
            share.iter().map(|piece| Ok(sealer.seal(piece)?)).collect()
        };
        let sealers = &mut self.sealers[..threads];
        if let ([sealer], [share]) = (&mut *sealers, shares.as_slice()) {
            return seal_all(sealer, share);
        }
        let sealed = thread::scope(|scope| {
            let work =
                sealers.iter_mut().zip(&shares).map(|(sealer, share)| scope.spawn(move || seal_all(sealer, share)));
            let running: Vec<_> = work.collect();
            running.into_iter().map(|thread| thread.join().unwrap_or(Err(ContentFault::Cancelled))).collect::<Vec<_>>()
        });
        Ok(sealed.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Puts objects, in a thread of their own if they are many, after those before.
    fn store(&mut self, objects: Vec<(ObjectId, Vec<u8>)>) -> Result<(), ContentFault> {
        self.stored()?;
        if objects.is_empty() {
            return Ok(());
        }
        let (store, namespace) = (self.objects.clone(), self.kept.namespace());
        let put = move || {
            let objects: Vec<_> = objects.iter().map(|(id, bytes)| (*id, bytes.as_slice())).collect();
            store.put_many(&namespace, &objects, clock::now())
        };
        self.storing = Some(thread::Builder::new().name("warren-objects".to_owned()).spawn(put)?);
        Ok(())
    }

    fn stored(&mut self) -> Result<(), ContentFault> {
        match self.storing.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(done)) => Ok(done?),
            Some(Err(_)) => Err(std::io::Error::other("storing objects ended badly").into()),
        }
    }

    /// The realm has another key by now.
    pub(super) fn is_outdated(&self) -> Result<bool, SpaceFault> {
        let now = self.kept.space.look(|ledger, _| Ok(ledger.judgement().writers_epoch(self.realm)))?;
        Ok(now.is_none_or(|now| now.id != self.epoch))
    }

    /// Everything that was given is durable after that; more may follow.
    pub(super) fn finish(&mut self) -> Result<Sealed, ContentFault> {
        self.flush()?;
        self.stored()?;
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

impl Drop for Sealing<'_> {
    fn drop(&mut self) {
        let _ = self.stored();
    }
}

impl Pending {
    fn plain(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(plain, _) => Some(plain),
            Self::Done(_) => None,
        }
    }
}
