//! Content: pieces that come, and what lies here already.

use super::file::{Incoming, Then};
use super::{Admit, Effect, Phase, Receiver, ReceiverAction, Target};
use crate::Misbehaved;
use crate::transfer::hash::{Value, VerifiedBlock, block_len};
use crate::transfer::lane::{Piece, PieceKind};
use crate::transfer::limits::{BAD_BLOCKS, BATCH_BYTES, HELD_VALUES};
use crate::transfer::message::{FromReceiver, Held};
use crate::transfer::outcome::Outcome;

impl Receiver {
    /// Where a piece belongs, and whether it may come now. Counts it as being written when it is to be written.
    pub fn admit(&mut self, piece: &Piece) -> Result<Admit, Misbehaved> {
        if self.phase != Phase::Running {
            return Err(Misbehaved::LaneNotGranted);
        }
        if piece.entry >= self.listing.next() {
            return if self.listing_ended { Err(Misbehaved::UnknownEntry) } else { Ok(Admit::Early) };
        }
        let Some(file) = self.files.get_mut(&piece.entry) else {
            let dropped = self.dropped.contains(&piece.entry);
            return if dropped { Ok(Admit::Stale) } else { Err(Misbehaved::BlockTwice) };
        };
        if piece.generation < file.generation || matches!(file.draining, Some(Then::Remove(_))) {
            return Ok(Admit::Stale);
        }
        if piece.generation > file.generation {
            return Ok(Admit::Early);
        }
        let held = file.admit(piece)?;
        let fresh = file.held.is_none();
        let target = Target { path: file.path.clone(), size: file.size, mtime: file.mtime, exec: file.exec, fresh };
        self.held_values -= usize::from(held.is_some());
        self.wire += piece.carried() as u64;
        if piece.kind != PieceKind::Same {
            return Ok(Admit::Write(target));
        }
        match held.map(|held| VerifiedBlock::held(piece, &held)) {
            Some(Ok(block)) => {
                self.kept += u64::from(piece.len);
                Ok(Admit::Here(block, target))
            }
            _ => {
                self.spoiled(piece)?;
                Ok(Admit::Stale)
            }
        }
    }

    /// A block was verified and written (and the attributes set, if it is the only one of its file).
    pub fn placed(&mut self, block: &VerifiedBlock) -> Result<(), Misbehaved> {
        let entry = block.entry();
        let Some(file) = self.files.get_mut(&entry) else { return Ok(()) };
        file.admitted.remove(&block.block());
        if let Some(then) = file.draining {
            self.drain(entry, then);
            return Ok(());
        }
        if file.generation != block.generation() {
            return Ok(());
        }
        let len = u64::from(block_len(file.size, block.block()));
        file.hash.set(block.block(), block.value());
        file.verified += len;
        self.done.bytes += len;
        self.try_finish(entry)?;
        self.settle();
        Ok(())
    }

    /// A block did not match its hash: it is fetched again, a few times.
    pub fn spoiled(&mut self, piece: &Piece) -> Result<(), Misbehaved> {
        self.bad_blocks += 1;
        if self.bad_blocks > BAD_BLOCKS {
            return Err(Misbehaved::WrongBlockHash);
        }
        let Some(file) = self.files.get_mut(&piece.entry) else { return Ok(()) };
        file.admitted.remove(&piece.block);
        if let Some(then) = file.draining {
            self.drain(piece.entry, then);
        } else if file.generation == piece.generation {
            let Piece { entry, generation, block, .. } = *piece;
            self.send(FromReceiver::Refetch { entry, generation, block });
        }
        Ok(())
    }

    /// Says what lies here of a file: values of its next blocks; `end` when there are no more.
    pub fn read_back(&mut self, entry: u32, generation: u8, values: Vec<Value>, end: bool) {
        let open = |file: &&mut Incoming| !matches!(file.draining, Some(Then::Remove(_)));
        let Some(file) = self.files.get_mut(&entry).filter(open) else { return };
        let Some(held) = file.held.as_mut().filter(|held| file.generation == generation && !held.end) else { return };
        let first = held.said;
        held.values.extend((first..).zip(values.iter().copied()));
        held.said += values.len() as u32;
        held.end = end;
        self.held_values += values.len();
        self.held_bytes += 16 + values.len() * 32;
        self.held_out.push(Held { entry, generation, first, values, end });
        if self.held_bytes > BATCH_BYTES {
            self.flush_held();
        }
    }

    /// True while more may be said through [`Receiver::read_back`]; else wait for content.
    pub fn may_read_back(&self) -> bool {
        self.held_values < HELD_VALUES
    }

    pub(super) fn flush_held(&mut self) {
        if !self.held_out.is_empty() {
            self.held_bytes = 0;
            let held = std::mem::take(&mut self.held_out);
            self.send(FromReceiver::Held(held));
        }
    }

    pub(super) fn try_finish(&mut self, entry: u32) -> Result<(), Misbehaved> {
        let Some(file) = self.files.get(&entry).filter(|file| file.draining.is_none()) else { return Ok(()) };
        let Some(hash) = file.finished()? else { return Ok(()) };
        let (path, size, mtime, exec) = (file.path.clone(), file.size, file.mtime, file.exec);
        let at_once = file.blocks() == 1;
        self.retire(entry, Outcome::File(hash));
        self.done.files += 1;
        if at_once {
            self.performed(entry);
            return Ok(());
        }
        self.tell(ReceiverAction::Do(Effect::Close { entry, path, size, mtime, exec }))
    }
}
