//! What is sealed and stored behind the back of whoever reads: in a thread of its own once there is much.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use logic::space::manifest;
use logic::space::manifest::Part;
use seal::chunk::{Chunk, ChunkSealer, ContentKey, Fingerprint, Plain};
use store::objects::{ObjectStore, Putting};

use super::fault::ContentFault;
use crate::clock;
use crate::spaces::Kept;

/// Threads that seal, at most.
const THREADS: usize = 4;
/// Bytes below which one thread does.
const LITTLE: usize = 1 << 20;
/// Bytes that are made durable together.
const DURABLE: u64 = 128 << 20;

/// A part of a file, by its number.
pub(super) struct Piece {
    pub(super) file: usize,
    pub(super) what: What,
}

pub(super) enum What {
    Done(Part),
    Plain(Plain),
}

/// A part of a file, and the fingerprint of what was sealed for it.
pub(super) type Placed = (usize, Part, Option<Fingerprint>);

type Outcome = Result<Vec<Placed>, ContentFault>;

/// Takes pieces, in their order.
pub(super) enum Stage {
    Here(Box<Worker>),
    There(Thread),
    /// It failed.
    Gone,
}

/// See [`Stage`].
pub(super) struct Thread {
    ends: Option<Ends>,
    thread: Option<JoinHandle<()>>,
    /// Answers that are still to come.
    open: usize,
}

struct Ends {
    /// Pieces; none: all before are to be durable.
    to: SyncSender<Vec<Piece>>,
    from: Receiver<Outcome>,
}

/// See [`Stage`].
pub(super) struct Worker {
    key: ContentKey,
    sealers: Vec<ChunkSealer>,
    putting: Putting,
}

impl Stage {
    pub(super) fn new(kept: &Kept, objects: &ObjectStore, key: ContentKey) -> Self {
        Self::Here(Box::new(Worker { key, sealers: Vec::new(), putting: objects.putting(&kept.namespace()) }))
    }

    /// Gives pieces away; returns what is ready of those before.
    pub(super) fn give(&mut self, pieces: Vec<Piece>) -> Outcome {
        let mut thread = match std::mem::replace(self, Self::Gone) {
            Self::Here(worker) => Thread::start(worker)?,
            Self::There(thread) => thread,
            Self::Gone => return Err(gone()),
        };
        let done = thread.give(pieces)?;
        *self = Self::There(thread);
        Ok(done)
    }

    /// Everything is durable after that; returns what was not returned yet.
    pub(super) fn finish(&mut self, pieces: Vec<Piece>) -> Outcome {
        match std::mem::replace(self, Self::Gone) {
            Self::Here(mut worker) => {
                let done = worker.take(pieces)?;
                worker.putting.finish(clock::now())?;
                *self = Self::Here(worker);
                Ok(done)
            }
            Self::There(mut thread) => {
                let mut done = if pieces.is_empty() { Vec::new() } else { thread.give(pieces)? };
                done.extend(thread.give(Vec::new())?);
                while thread.open > 0 {
                    done.extend(thread.answer()?);
                }
                *self = Self::There(thread);
                Ok(done)
            }
            Self::Gone => Err(gone()),
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.ends = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn gone() -> ContentFault {
    std::io::Error::other("storing objects ended badly").into()
}

impl Thread {
    fn start(mut worker: Box<Worker>) -> Result<Self, ContentFault> {
        let (to, orders) = sync_channel::<Vec<Piece>>(1);
        let (answers, from) = sync_channel(4);
        let work = move || {
            for pieces in orders {
                let done = match pieces.is_empty() {
                    true => worker.putting.finish(clock::now()).map(|()| Vec::new()).map_err(ContentFault::from),
                    false => worker.take(pieces),
                };
                let failed = done.is_err();
                if answers.send(done).is_err() || failed {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("warren-objects".to_owned()).spawn(work)?;
        Ok(Self { ends: Some(Ends { to, from }), thread: Some(thread), open: 0 })
    }

    fn give(&mut self, pieces: Vec<Piece>) -> Outcome {
        let mut done = Vec::new();
        while self.open > 1 {
            done.extend(self.answer()?);
        }
        match self.ends.as_ref().map(|ends| ends.to.send(pieces)) {
            Some(Ok(())) => self.open += 1,
            _ => return Err(self.answer().err().unwrap_or_else(gone)),
        }
        Ok(done)
    }

    fn answer(&mut self) -> Outcome {
        self.open = self.open.saturating_sub(1);
        let answer = self.ends.as_ref().and_then(|ends| ends.from.recv().ok());
        answer.unwrap_or_else(|| Err(gone()))
    }
}

impl Worker {
    fn take(&mut self, pieces: Vec<Piece>) -> Outcome {
        let plain: Vec<&Plain> = pieces.iter().filter_map(Piece::plain).collect();
        let sealed = self.seal(&plain)?;
        let (objects, keys): (Vec<_>, Vec<_>) = sealed.into_iter().map(|chunk| (chunk.object, chunk.key)).unzip();
        self.putting.add(&objects)?;
        if self.putting.bytes() >= DURABLE {
            self.putting.finish(clock::now())?;
        }
        let mut sealed = objects.iter().map(seal::Object::id).zip(keys);
        let placed = pieces.into_iter().filter_map(|Piece { file, what }| match what {
            What::Done(part) => Some((file, part, None)),
            What::Plain(plain) => {
                let (id, key) = sealed.next()?;
                let len = u32::try_from(plain.bytes().len()).expect("a chunk has at most 4 MiB");
                Some((file, Part::Data(manifest::Chunk { id, key, len }), plain.fingerprint()))
            }
        });
        Ok(placed.collect())
    }

    /// In the same order; by several threads if there is enough to do.
    fn seal(&mut self, plain: &[&Plain]) -> Result<Vec<Chunk>, ContentFault> {
        let bytes: usize = plain.iter().map(|plain| plain.bytes().len()).sum();
        let cores = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS);
        let threads = if bytes < LITTLE { 1 } else { cores.min(plain.len()).max(1) };
        while self.sealers.len() < threads {
            self.sealers.push(ChunkSealer::new(self.key.clone()));
        }
        let share = bytes / threads + 1;
        let mut shares: Vec<Vec<&Plain>> = vec![Vec::new(); threads];
        let mut before = 0;
        for piece in plain {
            shares[before / share].push(piece);
            before += piece.bytes().len();
        }
        let seal_all = |sealer: &mut ChunkSealer, share: &[&Plain]| -> Result<Vec<_>, ContentFault> {
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
}

impl Piece {
    fn plain(&self) -> Option<&Plain> {
        match &self.what {
            What::Plain(plain) => Some(plain),
            What::Done(_) => None,
        }
    }
}
