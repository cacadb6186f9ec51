//! The sending engine under any sequence of messages: a receiver may say anything at any time.
#![no_main]

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use logic::transfer::hash::{BLOCK, block_count, block_len};
use logic::transfer::listing::{Entry, Kind, Mtime};
use logic::transfer::message::{Held, decode};
use logic::transfer::receipt::{Receipt, SignedReceipt};
use logic::transfer::{FromReceiver, Job, Offer, ReadState, Reason, Sender, SenderAction, Totals, TransferId, Work};
use seal::Signature;
use serde_bytes::ByteBuf;

const SIZES: [u64; 6] = [0, 1, 5, BLOCK, BLOCK + 1, 3 * BLOCK];

fn small(u: &mut Unstructured<'_>) -> Result<u32> {
    if u.ratio(1, 20)? { u.arbitrary() } else { u.int_in_range(0..=5) }
}

fn totals(u: &mut Unstructured<'_>) -> Result<Totals> {
    Ok(Totals { files: small(u)?.into(), bytes: *u.choose(&SIZES)?, entries: small(u)?.into() })
}

fn message(u: &mut Unstructured<'_>) -> Result<FromReceiver> {
    Ok(match u.int_in_range(0..=10)? {
        0 => FromReceiver::Accept { resume: u.arbitrary()?, token: [1; 16] },
        1..=2 => {
            let values = vec![[1; 32]; u.int_in_range(0..=4)?];
            let (entry, generation, first) = (small(u)?, u.int_in_range(0..=3)?, small(u)?);
            FromReceiver::Held(vec![Held { entry, generation, first, values, end: u.arbitrary()? }])
        }
        3 => FromReceiver::Refetch { entry: small(u)?, generation: u.int_in_range(0..=3)?, block: small(u)? },
        4 => FromReceiver::Skipped { entry: small(u)?, reason: Reason::Denied },
        5..=6 => FromReceiver::Progress { done_below: small(u)?, done: totals(u)? },
        7 => FromReceiver::Limit(u.arbitrary()?),
        8 => {
            let receipt =
                Receipt { id: TransferId([7; 16]), sender: [5; 32], root: u.arbitrary()?, done: totals(u)?, at: 0 };
            FromReceiver::Receipt(SignedReceipt { receipt, signature: Signature::from_bytes([0; 64]) })
        }
        9 => FromReceiver::Pause,
        _ => {
            let len = u.int_in_range(0..=40)?;
            let bytes = u.bytes(usize::min(len, u.len()))?;
            decode(bytes).unwrap_or(FromReceiver::Resume)
        }
    })
}

fn entry(u: &mut Unstructured<'_>) -> Result<Entry> {
    let mtime = Mtime::default();
    let kind = match u.int_in_range(0..=4)? {
        0 => Kind::Dir { mtime },
        1 => Kind::Link { target: ByteBuf::from(b"x"), mtime },
        _ => Kind::File { size: *u.choose(&SIZES)?, mtime, exec: false },
    };
    Ok(Entry { depth: u.int_in_range(0..=2)?, name: ByteBuf::from(u.bytes(1)?), kind })
}

fn take(sender: &mut Sender, jobs: &mut Vec<Job>) {
    let Work::Jobs(more) = sender.next_work() else { return };
    let bytes: u64 = more.iter().map(|job| u64::from(job.len)).sum();
    assert!(!more.is_empty() && bytes <= BLOCK);
    for job in &more {
        assert!(u64::from(job.block) < block_count(job.size) && job.len == block_len(job.size, job.block), "{job:?}");
    }
    jobs.extend(more);
}

fn run(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let offer = Offer {
        version: 1,
        id: TransferId([7; 16]),
        names: Vec::new(),
        items: 1,
        text: None,
        found: Totals::default(),
        complete: false,
        created_at: 0,
    };
    let (mut sender, mut jobs, mut now) = (Sender::new(offer, [5; 32]), Vec::new(), Duration::ZERO);
    let (mut offered, mut scanned, mut over) = (false, false, false);
    while !u.is_empty() {
        match u.int_in_range(0..=12)? {
            0..=1 if !scanned => drop(sender.scanned(entry(&mut u)?)),
            2 if !offered => {
                offered = true;
                sender.make_offer();
            }
            3 => {
                scanned = true;
                sender.scan_ended();
            }
            4..=6 => {
                if sender.handle(message(&mut u)?).is_err() {
                    return Ok(());
                }
            }
            7 => take(&mut sender, &mut jobs),
            8..=9 if !jobs.is_empty() => {
                let job = jobs.swap_remove(u.choose_index(jobs.len())?);
                let (entry, generation) = (job.entry, job.generation);
                match u.int_in_range(0..=9)? {
                    0 => drop(sender.changed(entry, generation, *u.choose(&SIZES)?, Mtime::default())),
                    1 => sender.unreadable(entry, Reason::Denied),
                    _ => {
                        if sender.read(&job, [1; 32]) == ReadState::Complete {
                            sender.confirm(entry, generation);
                        }
                    }
                }
            }
            10 => sender.pause(u.arbitrary()?),
            11 => drop(sender.pace(u.arbitrary::<u32>()?.into(), now)),
            _ => {
                now += Duration::from_millis(u.int_in_range(0..=200)?);
                while let Some(action) = sender.poll(now) {
                    let end = matches!(
                        action,
                        SenderAction::Done(_)
                            | SenderAction::Rejected(_)
                            | SenderAction::Stuck(_)
                            | SenderAction::Cancelled(_)
                            | SenderAction::Outgrown { .. }
                    );
                    over |= end;
                }
                assert!(!over || sender.is_over());
            }
        }
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
