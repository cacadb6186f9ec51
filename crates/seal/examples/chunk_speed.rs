//! Measures what becomes of contents, one thread, in memory, step by step:
//!
//! ```text
//! cargo run --release -p warren-seal --example chunk_speed -- [FILE]
//! ```
//!
//! Without FILE the contents are made up: noise (nothing to compress), text (much), and small files. Printed are MB/s of
//! plain bytes (10^6) by the processor's time (Linux), so that a busy machine disturbs less; the best of three runs; and what
//! is stored.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use warren_seal::chunk::{Chunk, ChunkOpener, ChunkSealer, Chunker, ContentKey, CutKey, Plain};
use warren_seal::hpke::{HpkePublic, WrapContext, wrap};
use warren_seal::{DeviceId, EpochKey, ReadSeed};

type Outcome<T> = Result<T, Box<dyn Error>>;

const RUNS: usize = 3;
const WRAPS: u32 = 100;

fn main() -> Outcome<()> {
    let epoch = EpochKey::generate();
    println!("{:>28} {:>9} {:>9} {:>9} {:>9} {:>9}  stored", "MB/s", "cut", "find", "seal", "all", "open");
    if let Some(path) = std::env::args_os().nth(1) {
        measure("file", &[std::fs::read(path)?], &epoch)?;
    } else {
        measure("noise, 64 MiB", &[noise(1, 64 << 20)], &epoch)?;
        measure("text, 64 MiB", &[text(64 << 20)], &epoch)?;
        let small = |files, length: usize| (0..files).map(|number| noise(number, length)).collect::<Vec<_>>();
        measure("10,000 files of 10 KiB", &small(10_000, 10 << 10), &epoch)?;
        measure("100,000 files of 100 B", &small(100_000, 100), &epoch)?;
    }
    wraps(&epoch)
}

fn measure(what: &str, files: &[Vec<u8>], epoch: &EpochKey) -> Outcome<()> {
    let (cut, content) = (CutKey::of(epoch), ContentKey::of(epoch));
    let bytes: usize = files.iter().map(Vec::len).sum();
    let rate = |time: Duration| bytes as f64 / time.as_secs_f64() / 1e6;
    let mut sealer = ChunkSealer::new(content.clone());
    let (mut chunks, mut sealed) = (Vec::new(), Vec::<Chunk>::new());

    let cutting = best(|| {
        each_chunk(&cut, files, |chunk| {
            black_box(chunk);
        })
    })?;
    each_chunk(&cut, files, |chunk| chunks.push(chunk.to_vec()))?;
    let finding = best(|| {
        for chunk in &chunks {
            black_box(content.fingerprint(chunk));
        }
        Ok(())
    })?;
    let sealing = best(|| {
        sealed = chunks.iter().map(|chunk| sealer.seal(&Plain::new(chunk.clone()))).collect::<Result<_, _>>()?;
        Ok(())
    })?;
    let all = best(|| {
        let mut failed = Ok(());
        each_chunk(&cut, files, |chunk| {
            let plain = Plain::fingerprinted(chunk.to_vec(), &content);
            failed = failed.and(sealer.seal(&plain).map(|chunk| drop(black_box(chunk))));
        })?;
        Ok(failed?)
    })?;
    let mut opener = ChunkOpener::new();
    let opening = best(|| {
        for chunk in &sealed {
            black_box(opener.open(&chunk.object.id(), &chunk.key, chunk.object.bytes())?);
        }
        Ok(())
    })?;
    let stored: usize = sealed.iter().map(|chunk| chunk.object.bytes().len()).sum();
    println!(
        "{what:>28} {:>9.0} {:>9.0} {:>9.0} {:>9.0} {:>9.0}  {:.1} % in {} chunks",
        rate(cutting),
        rate(finding),
        rate(sealing),
        rate(all),
        rate(opening),
        stored as f64 * 100.0 / bytes as f64,
        sealed.len(),
    );
    Ok(())
}

/// What a change of an epoch costs.
fn wraps(epoch: &EpochKey) -> Outcome<()> {
    let device = DeviceId::from_bytes([1; 32]);
    let context = WrapContext { ledger: [2; 32], realm: [3; 16], number: 4, device };
    let seed = ReadSeed::generate();
    let hybrid = seed.public();
    let offers = hybrid.offers();
    let classical = HpkePublic::from_offers(offers.iter().filter(|offer| offer.0 == 1).map(|(n, key)| (*n, &**key)))?;
    for (what, public) in [("X-Wing", hybrid), ("X25519", classical)] {
        let sealing = best(|| {
            for _ in 0..WRAPS {
                black_box(wrap(&public, &context, epoch)?);
            }
            Ok(())
        })?;
        let wrapped = wrap(&public, &context, epoch)?;
        let commitment = epoch.commitment();
        let opening = best(|| {
            for _ in 0..WRAPS {
                black_box(seed.unwrap(&context, &wrapped, &commitment)?);
            }
            Ok(())
        })?;
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(WRAPS);
        println!("epoch key by {what}: sealed in {:.0} µs, opened in {:.0} µs", micros(sealing), micros(opening));
    }
    Ok(())
}

fn each_chunk(key: &CutKey, files: &[Vec<u8>], mut take: impl FnMut(&[u8])) -> Outcome<()> {
    for file in files {
        let mut chunker = Chunker::new(key, file.as_slice());
        while let Some(chunk) = chunker.next_chunk()? {
            take(chunk);
        }
    }
    Ok(())
}

fn best(mut run: impl FnMut() -> Outcome<()>) -> Outcome<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let start = processor_time()?;
        run()?;
        best = best.min(processor_time()?.saturating_sub(start));
    }
    Ok(best)
}

/// How long this thread has run: the first number of its scheduler's statistics, in nanoseconds.
fn processor_time() -> Outcome<Duration> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = statistics.split_ascii_whitespace().next().ok_or("no statistics")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Words in random order: about what prose compresses to.
fn text(length: usize) -> Vec<u8> {
    let words = bip39::Language::English.word_list();
    let picks = noise(2, length / 2);
    let (picks, _) = picks.as_chunks::<2>();
    let mut text = Vec::with_capacity(length + 16);
    for pick in picks {
        text.extend_from_slice(words[usize::from(u16::from_le_bytes(*pick)) % words.len()].as_bytes());
        text.push(b' ');
        if text.len() >= length {
            break;
        }
    }
    text
}
