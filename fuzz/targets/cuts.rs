//! Files of any bytes, however they arrive: the chunks make up the file, do not depend on how it was read, keep their
//! bounds, and open as they were.
#![no_main]

use std::io::{self, Read};

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use seal::EpochKey;
use seal::chunk::{ChunkOpener, ChunkSealer, Chunker, ContentKey, CutKey, MAX, MIN, Plain};

/// Reads at most so much at a time, in turns.
struct Pieces<'a>(&'a [u8], Vec<u16>, usize);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let turn = self.1.get(self.2 % self.1.len().max(1)).copied().unwrap_or(u16::MAX);
        self.2 += 1;
        let end = into.len().min(1 + usize::from(turn) * 64);
        self.0.read(&mut into[..end])
    }
}

/// Noise, repetitions and literal bytes, one after the other, up to some MiB.
fn file(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    for _ in 0..u.int_in_range(1..=6)? {
        let length = u.int_in_range(0..=3 << 20)?;
        let (from, byte) = (file.len(), u.arbitrary()?);
        file.resize(from + length, byte);
        if u.arbitrary()? {
            blake3::Hasher::new_keyed(&[byte; 32]).finalize_xof().fill(&mut file[from..]);
        }
        let literal = u.int_in_range(0..=64)?;
        file.extend_from_slice(u.bytes(usize::min(literal, u.len()))?);
    }
    Ok(file)
}

fn run(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let (file, turns) = (file(&mut u)?, u.arbitrary()?);
    let epoch = EpochKey::from_bytes(&[6; 32]);
    let key = CutKey::of(&epoch);
    let mut whole = Chunker::new(&key, file.as_slice());
    let mut pieces = Chunker::new(&key, Pieces(&file, turns, 0));
    let mut sealer = ChunkSealer::new(ContentKey::of(&epoch));
    let mut opener = ChunkOpener::new();
    let mut at = 0;
    while let Some(chunk) = whole.next_chunk().expect("memory") {
        assert_eq!(chunk, &file[at..at + chunk.len()]);
        assert!(pieces.next_chunk().expect("memory") == Some(chunk));
        at += chunk.len();
        assert!(chunk.len() <= MAX && (chunk.len() >= MIN || at == file.len()));
        let sealed = sealer.seal(&Plain::new(chunk.to_vec())).expect("within bounds");
        assert!(opener.open(&sealed.object.id(), &sealed.key, sealed.object.bytes()).as_deref() == Ok(chunk));
    }
    assert_eq!(at, file.len());
    assert!(pieces.next_chunk().expect("memory").is_none());
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
