//! Objects of one space that are wanted and not here: in blocks in the file of the space, of which some are in memory.
//!
//! Everything is asked of one peer at a time, and of the next one if that has not got it. What somebody waits for comes
//! first, and is not stored: it is asked for again when it is read again.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seal::{DeviceId, ObjectId};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::spaces::{Kept, Space, SpaceFault};

/// Under which kind of value the blocks are stored, by number; and by [`RANGE`] which numbers there are.
const BLOCKS: &str = "absent";
const RANGE: &[u8] = b"range";
/// Objects in a block.
const BLOCK: usize = 256;
/// Objects in memory, from which on no further block is read.
const LOADED: usize = 8192;
/// Objects that are looked at for one that a peer may have.
const LOOK: usize = 2048;
/// After which time a peer is asked again for what it had not.
const AGAIN: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    urgent: VecDeque<ObjectId>,
    waiting: VecDeque<ObjectId>,
    tickets: HashMap<ObjectId, Ticket>,
    flying: HashSet<ObjectId>,
    /// Somebody waits for these.
    awaited: HashSet<ObjectId>,
    /// Blocks in memory, with how many of each are still wanted.
    loaded: BTreeMap<u64, Vec<ObjectId>>,
    /// The first block that is not in memory, and the one behind the last.
    next: u64,
    end: u64,
    /// The first block that is stored.
    begin: u64,
}

/// What is wanted.
#[derive(Default)]
struct Ticket {
    block: Option<u64>,
    lacking: Vec<(DeviceId, Instant)>,
}

impl Ticket {
    fn lacks(&self, peer: DeviceId, now: Instant) -> bool {
        self.lacking.iter().any(|(lacks, since)| *lacks == peer && now < *since + AGAIN)
    }
}

impl Queue {
    /// What is stored of it.
    pub(super) fn open(kept: &Kept) -> Result<Self, SpaceFault> {
        let range = kept.space.peek(|store| Ok(store.value(BLOCKS, RANGE)?))?;
        let (begin, end) = range.and_then(|bytes| postcard::from_bytes(&bytes).ok()).unwrap_or((0, 0));
        let inner = Inner { begin, next: begin, end, ..Inner::default() };
        Ok(Self { inner: Mutex::new(inner), changed: watch::Sender::new(0) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Counts up when something is wanted, came, or can be asked of others.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// How many are wanted, nearly.
    pub(super) fn len(&self) -> u64 {
        let inner = self.inner();
        inner.tickets.len() as u64 + (inner.end - inner.next) * BLOCK as u64
    }

    /// Remembers that these are wanted.
    pub(super) fn want(&self, space: &Space, ids: &[ObjectId]) -> Result<(), SpaceFault> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut inner = self.inner();
        let end = inner.end + ids.len().div_ceil(BLOCK) as u64;
        space.jot(|store| {
            for (number, ids) in (inner.end..).zip(ids.chunks(BLOCK)) {
                let bytes: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
                store.set_value(BLOCKS, &number.to_be_bytes(), &bytes)?;
            }
            store_range(store, inner.begin, end)
        })?;
        inner.end = end;
        drop(inner);
        self.touch();
        Ok(())
    }

    /// Somebody waits for these.
    pub(super) fn hurry(&self, ids: &[ObjectId]) {
        let mut inner = self.inner();
        for id in ids {
            let ticket = inner.tickets.entry(*id).or_default();
            ticket.lacking.clear();
            inner.awaited.insert(*id);
            if !inner.flying.contains(id) && !inner.urgent.contains(id) {
                inner.urgent.push_back(*id);
            }
        }
        drop(inner);
        self.touch();
    }

    /// Nobody waits for these any more.
    pub(super) fn calm(&self, ids: &[ObjectId]) {
        let mut inner = self.inner();
        inner.urgent.retain(|id| !ids.contains(id));
        for id in ids {
            inner.awaited.remove(id);
            if inner.tickets.get(id).is_some_and(|ticket| ticket.block.is_none()) && !inner.flying.contains(id) {
                inner.tickets.remove(id);
            }
        }
    }

    /// At most `most` that this peer may have; they are its until they are [`Self::done`] or [`Self::back`]. Blocking.
    pub(super) fn take(&self, space: &Space, peer: DeviceId, most: usize) -> Result<Vec<ObjectId>, SpaceFault> {
        let mut inner = self.inner();
        inner.load(space)?;
        let mut taken = inner.pick(peer, most, true);
        let rest = most - taken.len();
        taken.extend(inner.pick(peer, rest, false));
        if taken.is_empty() && inner.tickets.len() >= LOADED {
            inner.rotate(space)?;
        }
        Ok(taken)
    }

    /// These came, or are wanted no more.
    pub(super) fn done(&self, space: &Space, ids: &[ObjectId]) -> Result<(), SpaceFault> {
        let mut inner = self.inner();
        let mut finished = Vec::new();
        for id in ids {
            inner.flying.remove(id);
            let Some(Ticket { block: Some(block), .. }) = inner.tickets.remove(id) else { continue };
            let left = inner.loaded.entry(block).or_default();
            left.retain(|other| other != id);
            if left.is_empty() {
                inner.loaded.remove(&block);
                finished.push(block);
            }
        }
        if !finished.is_empty() {
            inner.remove(space, &finished)?;
        }
        drop(inner);
        self.touch();
        Ok(())
    }

    /// These did not come. `lacking`: the peer has not got them.
    pub(super) fn back(&self, ids: &[ObjectId], lacking: Option<DeviceId>) {
        if ids.is_empty() {
            // Nothing to tell: who found nothing to ask for would wake itself for ever.
            return;
        }
        let mut inner = self.inner();
        let now = Instant::now();
        for id in ids {
            inner.flying.remove(id);
            let Some(ticket) = inner.tickets.get_mut(id) else { continue };
            if let Some(peer) = lacking {
                ticket.lacking.retain(|(other, _)| *other != peer);
                ticket.lacking.push((peer, now));
            }
            let block = ticket.block;
            match block {
                Some(_) => inner.waiting.push_back(*id),
                None if inner.awaited.contains(id) => inner.urgent.push_back(*id),
                None => drop(inner.tickets.remove(id)),
            }
        }
        drop(inner);
        self.touch();
    }
}

impl Inner {
    fn pick(&mut self, peer: DeviceId, most: usize, urgent: bool) -> Vec<ObjectId> {
        let Self { tickets, flying, .. } = self;
        let line = if urgent { &mut self.urgent } else { &mut self.waiting };
        let (mut taken, mut skipped, now) = (Vec::new(), Vec::new(), Instant::now());
        while taken.len() < most && skipped.len() < LOOK {
            let Some(id) = line.pop_front() else { break };
            let Some(ticket) = tickets.get(&id).filter(|_| !flying.contains(&id)) else { continue };
            if ticket.lacks(peer, now) {
                skipped.push(id);
            } else {
                flying.insert(id);
                taken.push(id);
            }
        }
        // Others first, next time.
        line.extend(skipped);
        taken
    }

    /// Reads blocks until there is enough in memory.
    fn load(&mut self, space: &Space) -> Result<(), SpaceFault> {
        while self.tickets.len() < LOADED && self.next < self.end {
            let block = self.next;
            let bytes = space.peek(|store| Ok(store.value(BLOCKS, &block.to_be_bytes())?))?.unwrap_or_default();
            self.next += 1;
            let (ids, _) = bytes.as_chunks::<32>();
            let mut fresh = Vec::new();
            for id in ids.iter().map(|id| ObjectId::from_bytes(*id)) {
                let ticket = self.tickets.entry(id).or_default();
                if ticket.block.is_none() {
                    ticket.block = Some(block);
                    fresh.push(id);
                }
            }
            self.waiting.extend(&fresh);
            if fresh.is_empty() {
                self.remove(space, &[block])?;
            } else {
                self.loaded.insert(block, fresh);
            }
        }
        Ok(())
    }

    /// Puts the oldest block behind the others: nobody who is there has it, and what comes later may be had.
    fn rotate(&mut self, space: &Space) -> Result<(), SpaceFault> {
        if self.next >= self.end {
            return Ok(());
        }
        let free = |ids: &Vec<ObjectId>| !ids.iter().any(|id| self.flying.contains(id));
        let Some(block) = self.loaded.iter().find(|(_, ids)| free(ids)).map(|(block, _)| *block) else {
            return Ok(());
        };
        let ids = self.loaded.remove(&block).unwrap_or_default();
        let bytes: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
        let (begin, end) = (self.begin, self.end + 1);
        space.jot(|store| {
            store.set_value(BLOCKS, &self.end.to_be_bytes(), &bytes)?;
            store_range(store, begin, end)
        })?;
        self.end = end;
        for id in ids {
            self.tickets.remove(&id);
        }
        self.remove(space, &[block])
    }

    fn remove(&mut self, space: &Space, blocks: &[u64]) -> Result<(), SpaceFault> {
        let first = self.loaded.keys().next().copied().unwrap_or(self.next).min(self.next);
        space.jot(|store| {
            for block in blocks {
                store.remove_value(BLOCKS, &block.to_be_bytes())?;
            }
            store_range(store, first, self.end)
        })?;
        self.begin = first;
        Ok(())
    }
}

fn store_range(store: &store::space::Transaction<'_>, begin: u64, end: u64) -> Result<(), SpaceFault> {
    let bytes = postcard::to_stdvec(&(begin, end)).expect("two numbers can be written");
    Ok(store.set_value(BLOCKS, RANGE, &bytes)?)
}
