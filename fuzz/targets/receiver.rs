//! The receiving engine under any sequence of messages, pieces and effects: a sender may say anything at any time.
#![no_main]

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use logic::Misbehaved;
use logic::transfer::hash::{BLOCK, Value, VerifiedBlock, block_len, block_value};
use logic::transfer::lane::{Piece, PieceKind};
use logic::transfer::listing::{Entry, Kind, Listing, Mtime};
use logic::transfer::message::decode;
use logic::transfer::path::Naming;
use logic::transfer::{Admit, Effect, FromSender, Offer, Reason, Receiver, ReceiverAction, Target, Totals, TransferId};
use serde_bytes::ByteBuf;

/// Sizes around the edges of blocks; content is zeros.
const SIZES: [u64; 6] = [0, 1, 5, BLOCK, BLOCK + 1, 3 * BLOCK];
const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];

thread_local! {
    /// Values of blocks of zeros: hashing a megabyte takes as long as a hundred messages.
    static VALUES: std::cell::RefCell<std::collections::HashMap<(u64, u32), Value>> = Default::default();
}

fn value_of(size: u64, block: u32) -> Value {
    let make = || block_value(size, block, &ZEROS[..block_len(size, block) as usize]);
    VALUES.with_borrow_mut(|values| *values.entry((size, block)).or_insert_with(make))
}

struct Run {
    receiver: Receiver,
    /// Kept beside the engine to say the right thing now and then.
    listing: Listing,
    sizes: Vec<u64>,
    effects: Vec<Effect>,
    writing: Vec<(Piece, Target)>,
    landed: bool,
    now: Duration,
}

fn small(u: &mut Unstructured<'_>) -> Result<u32> {
    if u.ratio(1, 20)? { u.arbitrary() } else { u.int_in_range(0..=3) }
}

fn generation(u: &mut Unstructured<'_>) -> Result<u8> {
    if u.ratio(3, 4)? { Ok(0) } else { u.int_in_range(0..=3) }
}

/// An entry that fits the listing, mostly.
fn entry(next: u32, u: &mut Unstructured<'_>) -> Result<Entry> {
    let mtime = Mtime { secs: u.int_in_range(0..=9)?, nanos: 0 };
    let kind = match u.int_in_range(0..=5)? {
        0 => Kind::Dir { mtime },
        1 => Kind::Link { target: ByteBuf::from(u.bytes(1)?), mtime },
        _ => Kind::File { size: *u.choose(&SIZES)?, mtime, exec: u.arbitrary()? },
    };
    if u.ratio(7, 8)? {
        return Ok(Entry { depth: 0, name: ByteBuf::from(format!("{next:04}")), kind });
    }
    let name = u.choose(&["a", "b", "c", "d", "e", "con", "..", ""])?;
    Ok(Entry { depth: u.int_in_range(0..=2)?, name: ByteBuf::from(*name), kind })
}

impl Run {
    fn new(u: &mut Unstructured<'_>) -> Result<Option<Self>> {
        let found = Totals { files: 9, bytes: *u.choose(&SIZES)?, entries: u.int_in_range(0..=9)? };
        let offer = Offer {
            version: 1,
            id: TransferId([7; 16]),
            names: Vec::new(),
            items: 1,
            text: None,
            found,
            complete: u.arbitrary()?,
            created_at: 0,
        };
        let naming = if u.arbitrary()? { Naming::Unix } else { Naming::Windows };
        let Ok(mut receiver) = Receiver::new(&offer, naming) else { return Ok(None) };
        if u.ratio(9, 10)? {
            receiver.accept(u.arbitrary()?, [1; 16], u.arbitrary::<bool>()?.then_some(64 * BLOCK));
        }
        let (listing, sizes, effects, writing) = Default::default();
        Ok(Some(Self { receiver, listing, sizes, effects, writing, landed: false, now: Duration::ZERO }))
    }

    /// The number of an entry that exists, mostly.
    fn listed(&self, u: &mut Unstructured<'_>) -> Result<u32> {
        match self.listing.next().checked_sub(1) {
            Some(last) if u.ratio(19, 20)? => u.int_in_range(last.saturating_sub(3)..=last),
            _ => small(u),
        }
    }

    fn message(&mut self, u: &mut Unstructured<'_>) -> Result<FromSender> {
        Ok(match u.int_in_range(0..=9)? {
            0..=2 => {
                let entries = (0..u.int_in_range(0..=3)?)
                    .map(|further| entry(self.listing.next() + further, u))
                    .collect::<Result<Vec<_>>>()?;
                let first = if u.ratio(9, 10)? { self.listing.next() } else { small(u)? };
                for entry in &entries {
                    let _ = self.listing.push(entry);
                    self.sizes.push(if let Kind::File { size, .. } = entry.kind { size } else { 0 });
                }
                FromSender::Entries { first, entries }
            }
            3 => FromSender::ListingEnd { totals: self.listing.totals(), hash: self.listing.hash() },
            4 => {
                let (entry, generation) = (self.listed(u)?, generation(u)?);
                let size = self.sizes.get(entry as usize).copied().unwrap_or_default();
                let hash = blake3::Hasher::new().update(&vec![0; size as usize]).finalize().into();
                FromSender::FileHash { entry, generation, hash }
            }
            5 => {
                let (entry, size) = (self.listed(u)?, *u.choose(&SIZES)?);
                if let Some(known) = self.sizes.get_mut(entry as usize) {
                    *known = size;
                }
                FromSender::Changed { entry, generation: u.int_in_range(0..=3)?, size, mtime: Mtime::default() }
            }
            6 => FromSender::Failed { entry: self.listed(u)?, reason: Reason::Denied },
            7 => {
                let found = Totals { files: u.arbitrary()?, bytes: u.arbitrary()?, entries: u.arbitrary()? };
                FromSender::Found { found, complete: u.arbitrary()? }
            }
            8 => FromSender::Pause,
            _ => {
                let len = u.int_in_range(0..=40)?;
                let bytes = u.bytes(usize::min(len, u.len()))?;
                decode(bytes).unwrap_or(FromSender::Resume)
            }
        })
    }

    fn piece(&self, u: &mut Unstructured<'_>) -> Result<Piece> {
        let (entry, block, generation) = (self.listed(u)?, small(u)?, generation(u)?);
        let size = self.sizes.get(entry as usize).copied().unwrap_or(1);
        let kind = *u.choose(&[PieceKind::Data, PieceKind::Zero, PieceKind::Same])?;
        let len = if u.ratio(9, 10)? { block_len(size, block).max(1) } else { u.int_in_range(1..=9)? };
        let value = if u.ratio(9, 10)? && len == block_len(size, block) { value_of(size, block) } else { [3; 32] };
        Ok(Piece { kind, generation, entry, block, len, value })
    }

    /// Finishes a block that was admitted: as it should be, or spoiled.
    fn write(&mut self, u: &mut Unstructured<'_>) -> Result<std::result::Result<(), Misbehaved>> {
        if self.writing.is_empty() {
            return Ok(Ok(()));
        }
        let (piece, target) = self.writing.swap_remove(u.choose_index(self.writing.len())?);
        if u.ratio(1, 8)? {
            self.receiver.refused(piece.entry, Some(piece.block), Reason::Denied);
            return Ok(Ok(()));
        }
        let bytes = &ZEROS[..piece.len as usize];
        if piece.value != value_of(target.size, piece.block) {
            return Ok(self.receiver.spoiled(&piece));
        }
        Ok(match VerifiedBlock::check(&piece, target.size, bytes) {
            Ok(block) => self.receiver.placed(&block),
            Err(_) => self.receiver.spoiled(&piece),
        })
    }

    fn perform(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if self.effects.is_empty() {
            return Ok(());
        }
        let effect = self.effects.remove(u.choose_index(self.effects.len())?);
        let refused = u.ratio(1, 8)?;
        match effect {
            Effect::ReadBack { entry, generation, size, .. } => {
                let blocks = size.div_ceil(BLOCK).min(u.int_in_range(0..=3)?);
                let values = (0..blocks as u32).map(|block| value_of(size, block)).collect();
                self.receiver.read_back(entry, generation, values, u.ratio(3, 4)?);
            }
            Effect::Dir { entry, .. } | Effect::Link { entry, .. } | Effect::Close { entry, .. } if refused => {
                self.receiver.refused(entry, None, Reason::Denied);
            }
            Effect::Dir { entry, .. }
            | Effect::Link { entry, .. }
            | Effect::Close { entry, .. }
            | Effect::Remove { entry, .. } => self.receiver.performed(entry),
        }
        Ok(())
    }

    fn poll(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.now += Duration::from_millis(u.int_in_range(0..=200)?);
        while let Some(action) = self.receiver.poll(self.now) {
            match action {
                ReceiverAction::Do(effect) => self.effects.push(effect),
                ReceiverAction::Land => {
                    assert!(!self.landed, "landed twice");
                    self.landed = true;
                    let open = self.effects.iter().filter(|effect| !matches!(effect, Effect::ReadBack { .. })).count();
                    assert_eq!(open, 0, "landed before everything was done: {:?}", self.effects);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<std::result::Result<(), Misbehaved>> {
        match u.int_in_range(0..=9)? {
            0..=2 => {
                let message = self.message(u)?;
                return Ok(self.receiver.handle(message));
            }
            3..=5 => {
                let piece = self.piece(u)?;
                match self.receiver.admit(&piece) {
                    Err(offence) => return Ok(Err(offence)),
                    Ok(Admit::Write(target)) => self.writing.push((piece, target)),
                    Ok(Admit::Here(block, _)) => return Ok(self.receiver.placed(&block)),
                    Ok(Admit::Early | Admit::Stale) => {}
                }
            }
            6..=7 => return self.write(u),
            8 => self.perform(u)?,
            _ => self.poll(u)?,
        }
        Ok(Ok(()))
    }

    fn check(&self) {
        let done = self.receiver.done();
        let listed = self.listing.totals();
        assert!(done.entries <= listed.entries, "{done:?} of {listed:?}");
        assert!(done.files <= listed.entries && done.bytes <= 1000 * BLOCK, "{done:?} of {listed:?}");
    }
}

fn run(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let Some(mut run) = Run::new(&mut u)? else { return Ok(()) };
    while !u.is_empty() {
        if run.step(&mut u)?.is_err() {
            break;
        }
        run.check();
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
