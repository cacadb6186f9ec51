//! Contents: cut where they say so, sealed once, opened as they were or not at all, and within bounds.

use crate::chunk::{
    AVERAGE, ChunkError, ChunkKey, ChunkOpener, ChunkSealer, Chunker, ContentKey, CutKey, MAX, MAX_STORED, MIN, Plain,
    SealError,
};
use crate::{EpochKey, ObjectId, labels, padding};
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use std::collections::HashSet;
use std::io::{self, ErrorKind, Read};

fn epoch(byte: u8) -> EpochKey {
    EpochKey::from_bytes(&[byte; 32])
}

/// An object that is said to be a chunk.
#[derive(Clone, Debug, PartialEq)]
struct Chunk {
    id: ObjectId,
    key: ChunkKey,
    stored: Vec<u8>,
}

struct Sealer(ChunkSealer);

impl Sealer {
    fn seal(&mut self, plain: &[u8]) -> Result<Chunk, SealError> {
        let crate::chunk::Chunk { object, key } = self.0.seal(&Plain::new(plain.to_vec()))?;
        Ok(Chunk { id: object.id(), key, stored: object.into_bytes() })
    }
}

fn sealer(byte: u8) -> Sealer {
    Sealer(ChunkSealer::new(ContentKey::of(&epoch(byte))))
}

fn open(chunk: &Chunk) -> Result<Vec<u8>, ChunkError> {
    ChunkOpener::new().open(&chunk.id, &chunk.key, &chunk.stored)
}

/// Bytes that do not compress, the same in every run.
fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut bytes);
    bytes
}

fn cut(byte: u8, content: &[u8]) -> Vec<Vec<u8>> {
    let key = CutKey::of(&epoch(byte));
    let mut chunker = Chunker::new(&key, content);
    std::iter::from_fn(|| chunker.next_chunk().unwrap().map(<[u8]>::to_vec)).collect()
}

/// Seals content as a writer without scruples does: any bytes under a right tag and id.
fn forge(content: &[u8]) -> Chunk {
    let mut stored = [&[1], content].concat();
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[9; 32]).unwrap());
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let tag = cipher.seal_in_place_separate_tag(nonce, Aad::from(labels::CHUNK), &mut stored[1..]).unwrap();
    stored.extend_from_slice(tag.as_ref());
    Chunk { id: ObjectId::of(&stored), key: ChunkKey::from_bytes([9; 32]), stored }
}

fn forge_padded(content: &[u8]) -> Chunk {
    let mut padded = content.to_vec();
    padding::pad(&mut padded, 0);
    forge(&padded)
}

#[test]
fn chunks_of_every_kind_survive() {
    let mut sealer = sealer(1);
    let text = "the same words again and again ".repeat(40_000);
    let mut mixed = noise(1, 900_000);
    mixed.resize(1_000_000, 0);
    for plain in [&[][..], b"x", &[0; 255], &[0x80; 4096], &noise(2, MAX), &vec![0; MAX], text.as_bytes(), &mixed] {
        let chunk = sealer.seal(plain).unwrap();
        assert!(chunk.stored.len() <= MAX_STORED);
        assert_eq!(open(&chunk).unwrap(), plain);
    }
    assert!(sealer.seal(text.as_bytes()).unwrap().stored.len() < text.len() / 100, "text is compressed");
    assert_eq!(sealer.seal(&noise(2, MAX)).unwrap().stored.len(), MAX_STORED, "noise is not");
    assert_eq!(sealer.seal(&vec![0; MAX + 1]), Err(SealError::TooLong));
}

#[test]
fn same_content_is_one_object_inside_an_epoch_and_unrelated_elsewhere() {
    let plain = noise(3, 300_000);
    let (here, elsewhere) = (sealer(1).seal(&plain).unwrap(), sealer(2).seal(&plain).unwrap());
    assert_eq!(sealer(1).seal(&plain).unwrap(), here);
    assert_ne!(elsewhere.id, here.id);
    assert_ne!(elsewhere.key, here.key);
    let same = here.stored.iter().zip(&elsewhere.stored).filter(|(one, other)| one == other).count();
    assert!(same < plain.len() / 100, "{same} bytes of the ciphertexts are the same");
    let fingerprint = |byte| ContentKey::of(&epoch(byte)).fingerprint(&plain);
    assert_eq!(fingerprint(1), fingerprint(1));
    assert_ne!(fingerprint(1), fingerprint(2));
}

#[test]
fn whose_fault_it_is() {
    let (one, other) = (sealer(1).seal(&noise(4, 5000)).unwrap(), sealer(1).seal(&noise(5, 5000)).unwrap());
    for at in (0..one.stored.len()).step_by(13) {
        let mut changed = one.clone();
        changed.stored[at] ^= 1;
        assert_eq!(open(&changed), Err(ChunkError::WrongObject), "byte {at}: whoever keeps it");
        changed.id = ObjectId::of(&changed.stored);
        let expected = if at == 0 { ChunkError::Malformed } else { ChunkError::WrongKey };
        assert_eq!(open(&changed), Err(expected), "byte {at} with a matching id: whoever wrote it");
        let cut = one.stored[..at].to_vec();
        assert_eq!(open(&Chunk { stored: cut.clone(), ..one.clone() }), Err(ChunkError::WrongObject), "{at} bytes");
        assert!(open(&Chunk { id: ObjectId::of(&cut), stored: cut, ..one.clone() }).is_err());
    }
    assert_eq!(open(&Chunk { stored: other.stored.clone(), ..one.clone() }), Err(ChunkError::WrongObject));
    assert_eq!(open(&Chunk { key: other.key.clone(), ..one.clone() }), Err(ChunkError::WrongKey));
    let later = [&[2], &one.stored[1..]].concat();
    assert_eq!(open(&Chunk { id: ObjectId::of(&later), stored: later, ..one.clone() }), Err(ChunkError::TooNew));
    let long = vec![1; MAX_STORED + 1];
    assert_eq!(open(&Chunk { id: ObjectId::of(&long), stored: long, ..one }), Err(ChunkError::WrongObject));
}

#[test]
fn forged_chunks_open_only_if_they_are_made_as_they_must_be() {
    assert_eq!(open(&forge_padded(b"abc\0")).unwrap(), b"abc");
    let frame = zstd::bulk::compress(&[7; 1000], 3).unwrap();
    let with_length = |length: u32| forge_padded(&[&*frame, &length.to_be_bytes(), &[1]].concat());
    assert_eq!(open(&with_length(1000)).unwrap(), [7; 1000]);
    let padded_longer = {
        let mut content = b"abc\0".to_vec();
        padding::pad(&mut content, 0);
        content.resize(272, 0);
        forge(&content)
    };
    let with_a_secret = {
        let mut content = b"abc\0".to_vec();
        padding::pad(&mut content, 0);
        content[200] = 1;
        forge(&content)
    };
    for (what, chunk) in [
        ("nothing at all", forge(b"")),
        ("no padding", forge(b"abc\0")),
        ("only zeros", forge(&[0; 256])),
        ("more padding than there must be", padded_longer),
        ("something in the padding", with_a_secret),
        ("no method", forge_padded(b"")),
        ("unknown method", forge_padded(b"abc\x02")),
        ("no frame and no length", forge_padded(&[1])),
        ("no frame", forge_padded(&[0, 0, 0, 5, 1])),
        ("shorter than it says", with_length(1001)),
        ("longer than it says", with_length(999)),
        ("longer than it says by far", with_length(0)),
        ("longer than a chunk may be", with_length(MAX as u32 + 1)),
        ("as long as can be said", with_length(u32::MAX)),
        ("a frame cut short", forge_padded(&[&frame[..frame.len() - 1], &1000_u32.to_be_bytes(), &[1]].concat())),
    ] {
        assert_eq!(open(&chunk), Err(ChunkError::Malformed), "{what}");
    }
}

#[test]
fn bomb_takes_no_more_memory_than_a_chunk() {
    let bomb = zstd::bulk::compress(&vec![0; 256 << 20], 3).unwrap();
    assert!(bomb.len() < 64 << 10);
    for length in [1000, MAX as u32, 256 << 20] {
        let chunk = forge_padded(&[&*bomb, &length.to_be_bytes(), &[1]].concat());
        assert_eq!(open(&chunk), Err(ChunkError::Malformed));
    }
    // Many frames, one after the other: none is too long, all together are.
    let frames = zstd::bulk::compress(&vec![0; MAX], 3).unwrap().repeat(2);
    assert_eq!(
        open(&forge_padded(&[&*frames, &(MAX as u32).to_be_bytes(), &[1]].concat())),
        Err(ChunkError::Malformed)
    );
}

#[test]
fn pieces_are_within_bounds_and_make_up_the_whole() {
    let content = noise(6, 24 << 20);
    let chunks = cut(1, &content);
    assert_eq!(chunks.concat(), content);
    let (last, others) = chunks.split_last().unwrap();
    assert!(!last.is_empty() && last.len() <= MAX);
    assert!(others.iter().all(|chunk| (MIN..=MAX).contains(&chunk.len())));
    let average = content.len() / chunks.len();
    assert!((AVERAGE / 2..AVERAGE * 2).contains(&average), "{average}");
}

#[test]
fn small_and_empty_files_are_whole() {
    assert!(cut(1, &[]).is_empty());
    for length in [1, 4096, MIN] {
        assert_eq!(cut(1, &noise(7, length)).len(), 1, "{length}");
    }
    let zeros = cut(1, &vec![0; 2 * MAX + 5]);
    assert_eq!(zeros.iter().map(Vec::len).collect::<Vec<_>>(), [MAX, MAX, 5], "content that never says where");
}

#[test]
fn insertion_in_the_middle_leaves_most_chunks_as_they_are() {
    let content = noise(8, 32 << 20);
    let before: HashSet<_> = cut(1, &content).into_iter().map(|chunk| blake3::hash(&chunk)).collect();
    for inserted in [1, 1024, 100_000] {
        let at = content.len() / 2;
        let changed = [&content[..at], &noise(9, inserted), &content[at..]].concat();
        let after = cut(1, &changed);
        let new = after.iter().filter(|chunk| !before.contains(&blake3::hash(chunk))).count();
        assert!(new <= 4, "{new} of {} chunks are new after {inserted} bytes", after.len());
    }
}

#[test]
fn lengths_of_chunks_depend_on_the_key() {
    let content = noise(10, 24 << 20);
    let borders = |byte| {
        let mut at = 0;
        let ends = cut(byte, &content).into_iter().map(|chunk| {
            at += chunk.len();
            at
        });
        ends.collect::<HashSet<_>>()
    };
    assert_eq!(borders(1), borders(1));
    assert_eq!(borders(1).intersection(&borders(2)).count(), 1, "all but the end differ");
}

/// Yields its bytes in pieces of odd lengths, and is interrupted now and then.
struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        if self.1.is_multiple_of(7) {
            return Err(ErrorKind::Interrupted.into());
        }
        let length = (self.1 * 7919 % 100_003).min(into.len()).min(self.0.len()).max(usize::from(!self.0.is_empty()));
        let (now, later) = self.0.split_at(length);
        into[..length].copy_from_slice(now);
        self.0 = later;
        Ok(length)
    }
}

#[test]
fn how_the_bytes_arrive_changes_nothing() {
    let content = noise(11, 20 << 20);
    let key = CutKey::of(&epoch(1));
    let mut chunker = Chunker::new(&key, Drip(&content, 0));
    let dripped: Vec<_> = std::iter::from_fn(|| chunker.next_chunk().unwrap().map(<[u8]>::to_vec)).collect();
    assert!(dripped == cut(1, &content));
}

#[test]
fn failing_disk_is_told_and_may_be_asked_again() {
    struct Fails<'a>(&'a [u8], bool);
    impl Read for Fails<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 { Err(io::Error::other("disk")) } else { self.0.read(into) }
        }
    }
    let content = noise(12, 9 << 20);
    let key = CutKey::of(&epoch(1));
    let mut chunker = Chunker::new(&key, Fails(&content, false));
    let mut read = Vec::new();
    let mut failures = 0;
    loop {
        match chunker.next_chunk() {
            Ok(Some(chunk)) => read.extend_from_slice(chunk),
            Ok(None) => break,
            Err(_) => failures += 1,
        }
    }
    assert!(read == content && failures > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sealed_chunks_survive(plain in proptest::collection::vec(any::<u8>(), 0..2000), times in 1..50_usize, flip: usize) {
        let mut chunk = sealer(1).seal(&plain.repeat(times)).unwrap();
        prop_assert_eq!(open(&chunk).unwrap(), plain.repeat(times));
        let at = flip % chunk.stored.len();
        chunk.stored[at] ^= 0x10;
        prop_assert_eq!(open(&chunk), Err(ChunkError::WrongObject));
        chunk.id = ObjectId::of(&chunk.stored);
        prop_assert!(open(&chunk).is_err());
    }

    #[test]
    fn forged_content_never_panics(content in proptest::collection::vec(any::<u8>(), 0..600), length: u32) {
        let _ = open(&forge(&content));
        let _ = open(&forge_padded(&content));
        let _ = open(&forge_padded(&[&*content, &length.to_be_bytes(), &[1]].concat()));
    }
}
