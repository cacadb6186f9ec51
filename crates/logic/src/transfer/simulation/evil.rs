//! Evil peers: each offence by its name, and nothing of it on the disk.

use super::super::limits::{BAD_BLOCKS, GROWTH, HELD_BATCH, REFETCHES, WINDOW};
use super::super::message::Held;
use super::super::receipt::Receipt;
use super::*;

fn accepted(offer: &Offer, resume: bool) -> Receiver {
    let mut receiver = Receiver::new(offer, Naming::Unix).unwrap();
    receiver.accept(resume, [3; 16], None);
    receiver
}

fn receiver() -> Receiver {
    accepted(&offer(false), false)
}

fn file(name: &str, size: u64) -> Entry {
    let kind = Kind::File { size, mtime: Mtime::default(), exec: false };
    Entry { depth: 0, name: ByteBuf::from(name), kind }
}

fn entries(first: u32, entries: Vec<Entry>) -> FromSender {
    FromSender::Entries { first, entries }
}

/// A block of zeros in a file of `size` bytes.
fn piece(entry: u32, block: u32, size: u64) -> Piece {
    let len = block_len(size, block).max(1);
    let value = block_value(size, block, &vec![0; len as usize]);
    Piece { kind: PieceKind::Zero, generation: 0, entry, block, len, value }
}

/// A receiver to which one file is listed.
fn listed(size: u64) -> Receiver {
    let mut receiver = receiver();
    receiver.handle(entries(0, vec![file("f", size)])).unwrap();
    receiver
}

fn ended(size: u64) -> Receiver {
    let mut receiver = listed(size);
    let mut listing = listing::Listing::default();
    listing.push(&file("f", size)).unwrap();
    let message = FromSender::ListingEnd { totals: listing.totals(), hash: listing.hash() };
    receiver.handle(message).unwrap();
    receiver
}

fn effects(receiver: &mut Receiver) -> usize {
    let mut effects = 0;
    while let Some(action) = receiver.poll(Duration::ZERO) {
        effects += usize::from(matches!(action, ReceiverAction::Do(_) | ReceiverAction::Land));
    }
    effects
}

#[test]
fn hostile_listings_touch_nothing() {
    let link = Entry {
        depth: 0,
        name: ByteBuf::from("l"),
        kind: Kind::Link { target: ByteBuf::from("/etc"), mtime: Mtime::default() },
    };
    let below = |entry: Entry| Entry { depth: 1, ..entry };
    for (list, offence) in [
        (vec![file("../up", 1)], Misbehaved::NameWithSeparator),
        (vec![file("..", 1)], Misbehaved::NameTraversal),
        (vec![file(".", 1)], Misbehaved::NameTraversal),
        (vec![file("/etc/passwd", 1)], Misbehaved::NameWithSeparator),
        (vec![file("", 1)], Misbehaved::NameEmpty),
        (vec![file("a\0", 1)], Misbehaved::NameWithNul),
        (vec![file(&"n".repeat(256), 1)], Misbehaved::NameTooLong),
        (vec![below(file("a", 1))], Misbehaved::EntryWithoutParent),
        (vec![link.clone(), below(file("passwd", 1))], Misbehaved::EntryWithoutParent),
        (vec![link.clone(), link], Misbehaved::ListingUnsorted),
        (vec![file("a", u64::MAX), file("b", u64::MAX)], Misbehaved::MoreThanAccepted),
    ] {
        let harmless = list.len() - 1;
        let mut receiver = receiver();
        assert_eq!(receiver.handle(entries(0, list)), Err(offence));
        assert!(effects(&mut receiver) <= harmless, "{offence}");
    }
}

#[test]
fn a_file_given_up_twice_is_given_up_once() {
    let size = 2 * BLOCK;
    let failed = || FromSender::Failed { entry: 0, reason: Reason::Denied };
    let changed = FromSender::Changed { entry: 0, generation: 1, size, mtime: Mtime::default() };
    for again in [failed(), changed] {
        let mut receiver = listed(size);
        let zeros = vec![0; BLOCK as usize];
        let block = |number| hash::VerifiedBlock::check(&piece(0, number, size), size, &zeros).unwrap();
        receiver.admit(&piece(0, 0, size)).unwrap();
        receiver.placed(&block(0)).unwrap();
        // While the second block is being written, the file cannot be removed yet.
        receiver.admit(&piece(0, 1, size)).unwrap();
        receiver.handle(failed()).unwrap();
        assert_eq!(receiver.handle(again), Ok(()));
        receiver.placed(&block(1)).unwrap();
        assert_eq!(receiver.done(), Totals::default());
        let mut removals = 0;
        while let Some(action) = receiver.poll(Duration::ZERO) {
            removals += usize::from(matches!(action, ReceiverAction::Do(Effect::Remove { .. })));
        }
        assert_eq!(removals, 1);
    }
}

#[test]
fn a_listing_of_a_billion_files_ends_at_the_window() {
    let mut receiver = receiver();
    for n in 0..=WINDOW {
        let told = receiver.handle(entries(n, vec![file(&format!("{n:08}"), 1)]));
        let expected = if n < WINDOW { Ok(()) } else { Err(Misbehaved::ListingTooFarAhead) };
        assert_eq!(told, expected);
    }
    // Long paths fill it sooner.
    let mut receiver = self::receiver();
    let offence = (0..WINDOW).find_map(|n| receiver.handle(entries(n, vec![file(&format!("{n:0255}"), 1)])).err());
    assert_eq!(offence, None, "names alone fit");
    let target = ByteBuf::from(vec![b't'; 4000]);
    let kind = Kind::Link { target, mtime: Mtime::default() };
    let mut receiver = self::receiver();
    let offence = (0..WINDOW).find_map(|n| {
        let entry = Entry { depth: 0, name: ByteBuf::from(format!("{n:08}")), kind: kind.clone() };
        receiver.handle(entries(n, vec![entry])).err()
    });
    assert_eq!(offence, Some(Misbehaved::ListingTooFarAhead));
}

#[test]
fn lying_sizes_are_refused_before_anything_is_written() {
    let small = Offer { found: Totals { files: 1, bytes: 10, entries: 1 }, complete: true, ..offer(true) };
    let mut receiver = accepted(&small, false);
    assert_eq!(receiver.handle(entries(0, vec![file("f", GROWTH + 11)])), Err(Misbehaved::MoreThanAccepted));
    let mut receiver = accepted(&small, false);
    let two = vec![file("a", 1), file("b", 1)];
    assert_eq!(receiver.handle(entries(0, two)), Err(Misbehaved::MoreThanAccepted));
    let mut receiver = Receiver::new(&offer(false), Naming::Unix).unwrap();
    receiver.accept(false, [3; 16], Some(100));
    receiver.handle(entries(0, vec![file("e", 100), file("f", 1), file("g", 1)])).unwrap();
    let actions: Vec<_> = std::iter::from_fn(|| receiver.poll(Duration::ZERO)).collect();
    assert_eq!(actions.last(), Some(&ReceiverAction::Over), "nobody agreed to it: it is no offence either");
    assert!(!receiver.is_running());
    let mut receiver = accepted(&small, false);
    receiver.handle(entries(0, vec![file("f", 10)])).unwrap();
    let grown = FromSender::Changed { entry: 0, generation: 1, size: GROWTH + 11, mtime: Mtime::default() };
    assert_eq!(receiver.handle(grown), Err(Misbehaved::MoreThanAccepted));
}

#[test]
fn blocks_that_do_not_belong_are_refused() {
    let size = 3 * BLOCK + 5;
    let wrong_len = Piece { len: 7, ..piece(0, 1, size) };
    for (sent, offence) in [
        (piece(0, 4, size), Misbehaved::BlockBeyondEnd),
        (piece(0, u32::MAX, size), Misbehaved::BlockBeyondEnd),
        (wrong_len, Misbehaved::BlockLengthWrong),
        (Piece { len: 6, ..piece(0, 3, size) }, Misbehaved::BlockLengthWrong),
        (piece(1, 0, size), Misbehaved::UnknownEntry),
    ] {
        assert_eq!(ended(size).admit(&sent), Err(offence), "{sent:?}");
    }
    let mut receiver = listed(size);
    assert!(matches!(receiver.admit(&piece(0, 0, size)), Ok(Admit::Write(_))));
    assert_eq!(receiver.admit(&piece(0, 0, size)), Err(Misbehaved::BlockTwice));
    assert_eq!(receiver.admit(&piece(1, 0, size)), Ok(Admit::Early));
}

#[test]
fn content_before_or_after_its_time_is_refused() {
    let mut waiting = Receiver::new(&offer(false), Naming::Unix).unwrap();
    assert_eq!(waiting.admit(&piece(0, 0, 1)), Err(Misbehaved::LaneNotGranted));
    assert_eq!(waiting.handle(entries(0, vec![])), Err(Misbehaved::FrameOutOfTurn));
    let mut resumed = accepted(&offer(false), true);
    resumed.handle(entries(0, vec![file("f", 9)])).unwrap();
    assert_eq!(resumed.admit(&piece(0, 0, 9)), Err(Misbehaved::ContentBeforeWanted));
    let mut receiver = ended(9);
    assert_eq!(receiver.handle(entries(1, vec![file("g", 1)])), Err(Misbehaved::EntriesAfterEnd));
    let again = FromSender::ListingEnd { totals: Totals::default(), hash: [0; 32] };
    assert_eq!(receiver.handle(again.clone()), Err(Misbehaved::EntriesAfterEnd));
    assert_eq!(listed(9).handle(again), Err(Misbehaved::ListingTotalsWrong));
    assert_eq!(listed(9).handle(FromSender::Offer(offer(false))), Err(Misbehaved::FrameOutOfTurn));
    assert_eq!(listed(9).handle(entries(0, vec![file("g", 1)])), Err(Misbehaved::ListingUnsorted));
}

#[test]
fn wrong_hashes_are_found_within_the_block_and_end_the_run_after_a_few() {
    let size = 9 * BLOCK;
    let mut receiver = listed(size);
    for n in 0..=BAD_BLOCKS {
        let lie = Piece { value: [9; 32], ..piece(0, n, size) };
        assert!(matches!(receiver.admit(&lie), Ok(Admit::Write(_))));
        let zeros = vec![0; BLOCK as usize];
        assert_eq!(hash::VerifiedBlock::check(&lie, size, &zeros), Err(Misbehaved::WrongBlockHash));
        let told = receiver.spoiled(&lie);
        assert_eq!(told, if n < BAD_BLOCKS { Ok(()) } else { Err(Misbehaved::WrongBlockHash) });
    }
    assert_eq!(receiver.done().bytes, 0);
}

#[test]
fn a_file_hash_that_its_blocks_do_not_give_never_completes_the_file() {
    let size = 2 * BLOCK;
    let mut receiver = listed(size);
    for block in 0..2 {
        let piece = piece(0, block, size);
        receiver.admit(&piece).unwrap();
        let block = hash::VerifiedBlock::check(&piece, size, &vec![0; BLOCK as usize]).unwrap();
        receiver.placed(&block).unwrap();
    }
    let lie = FromSender::FileHash { entry: 0, generation: 0, hash: [1; 32] };
    assert_eq!(receiver.handle(lie), Err(Misbehaved::FileHashWrong));
    assert_eq!((effects(&mut receiver), receiver.done().files), (0, 0));
    let unknown = FromSender::FileHash { entry: 5, generation: 0, hash: [1; 32] };
    assert_eq!(receiver.handle(unknown), Err(Misbehaved::UnknownEntry));
}

#[test]
fn a_block_claimed_to_be_held_must_be_the_one_that_was_read_back() {
    let size = 2 * BLOCK;
    let mut receiver = accepted(&offer(false), true);
    receiver.handle(entries(0, vec![file("f", size)])).unwrap();
    receiver.read_back(0, 0, vec![[5; 32]], true);
    let lie = Piece { kind: PieceKind::Same, ..piece(0, 0, size) };
    assert_eq!(receiver.admit(&lie), Ok(Admit::Stale), "it is fetched again");
    let never_said = Piece { kind: PieceKind::Same, ..piece(0, 1, size) };
    assert_eq!(receiver.admit(&never_said), Ok(Admit::Stale));
    assert_eq!(receiver.done().bytes, 0);
}

/// A sender that has listed one file of three blocks and given two of them to readers.
fn sender(resume: bool) -> Sender {
    let mut sender = Sender::new(offer(false), [1; 32]);
    sender.scanned(file("f", 3 * BLOCK)).unwrap();
    sender.scan_ended();
    sender.make_offer();
    sender.handle(FromReceiver::Accept { resume, token: [3; 16] }).unwrap();
    while sender.poll(Duration::ZERO).is_some() {}
    if !resume {
        assert!(matches!(sender.next_work(), Work::Jobs(_)));
        assert!(matches!(sender.next_work(), Work::Jobs(_)));
    }
    sender
}

#[test]
fn hostile_receivers_are_named() {
    let done = |bytes| Totals { bytes, ..Totals::default() };
    let held = |entry, first, values: usize| {
        FromReceiver::Held(vec![Held { entry, generation: 0, first, values: vec![[0; 32]; values], end: false }])
    };
    for (resume, message, offence) in [
        (false, FromReceiver::Accept { resume: false, token: [0; 16] }, Misbehaved::FrameOutOfTurn),
        (false, FromReceiver::Pending, Misbehaved::FrameOutOfTurn),
        (false, FromReceiver::Reject(Reason::Asked), Misbehaved::FrameOutOfTurn),
        (false, FromReceiver::Progress { done_below: 1, done: done(0) }, Misbehaved::ProgressUntrue),
        (false, FromReceiver::Progress { done_below: 2, done: done(0) }, Misbehaved::ProgressUntrue),
        (false, FromReceiver::Progress { done_below: 0, done: done(3 * BLOCK) }, Misbehaved::ProgressUntrue),
        (false, FromReceiver::Refetch { entry: 0, generation: 0, block: 2 }, Misbehaved::BlockBeyondEnd),
        (false, FromReceiver::Refetch { entry: 9, generation: 0, block: 0 }, Misbehaved::UnknownEntry),
        (false, FromReceiver::Skipped { entry: 9, reason: Reason::Denied }, Misbehaved::UnknownEntry),
        (false, held(0, 0, 1), Misbehaved::FrameOutOfTurn),
        (true, held(9, 0, 1), Misbehaved::UnknownEntry),
        (true, held(0, 1, 1), Misbehaved::FrameOutOfTurn),
        (true, held(0, 0, HELD_BATCH), Misbehaved::BlockBeyondEnd),
    ] {
        assert_eq!(sender(resume).handle(message.clone()), Err(offence), "{message:?}");
    }
    let mut sender = sender(false);
    let refetch = FromReceiver::Refetch { entry: 0, generation: 0, block: 0 };
    let told: Vec<_> = (0..=REFETCHES).map(|_| sender.handle(refetch.clone())).collect();
    assert_eq!(told.last(), Some(&Err(Misbehaved::RefetchFlood)));
}

#[test]
fn receipts_that_prove_nothing_are_refused() {
    let receipt = Receipt { id: TransferId([7; 16]), sender: [1; 32], root: [0; 32], done: Totals::default(), at: 0 };
    let signed = |receipt| FromReceiver::Receipt(SignedReceipt { receipt, signature: Signature::from_bytes([0; 64]) });
    for lie in [receipt, Receipt { id: TransferId([8; 16]), ..receipt }, Receipt { sender: [2; 32], ..receipt }] {
        assert_eq!(sender(false).handle(signed(lie)), Err(Misbehaved::BadReceipt));
    }
    // Signed by somebody else.
    let key = seal::DeviceKey::from_seed(&[1; 32]);
    let other = seal::DeviceKey::from_seed(&[2; 32]);
    let signature = key.sign(seal::Purpose::TransferReceipt, &receipt.to_bytes());
    let signed = SignedReceipt { receipt, signature };
    assert!(signed.is_from(&key.id()) && !signed.is_from(&other.id()));
    let forged = SignedReceipt { receipt: Receipt { at: 1, ..receipt }, ..signed };
    assert!(!forged.is_from(&key.id()));
}
