//! Objects as chunks: real ones that were changed, and any content under a right tag and id.
#![no_main]

use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use libfuzzer_sys::fuzz_target;
use seal::chunk::{ChunkError, ChunkKey, ChunkOpener, ChunkSealer, ContentKey, MAX, Plain};
use seal::{EpochKey, ObjectId};
use warren_fuzz::{edit, rest};

/// As `docs/formats/chunk.md` has them.
const LABEL: &[u8] = b"warren/chunk/v1";
const KEY: [u8; 32] = [9; 32];

/// An object that is said to be a chunk.
#[derive(Clone)]
struct Chunk {
    id: ObjectId,
    key: ChunkKey,
    stored: Vec<u8>,
}

static REAL: LazyLock<[Chunk; 2]> = LazyLock::new(|| {
    let mut sealer = ChunkSealer::new(ContentKey::of(&EpochKey::from_bytes(&[6; 32])));
    ["words, words, words ".repeat(300), "short".to_owned()].map(|plain| {
        let seal::chunk::Chunk { object, key } = sealer.seal(&Plain::new(plain.into_bytes())).expect("a short chunk");
        Chunk { id: object.id(), key, stored: object.into_bytes() }
    })
});

fn open(chunk: &Chunk) -> std::result::Result<Vec<u8>, ChunkError> {
    let opened = ChunkOpener::new().open(&chunk.id, &chunk.key, &chunk.stored);
    if let Ok(plain) = &opened {
        assert!(plain.len() <= MAX);
    }
    opened
}

/// Content under a right tag and id.
fn forge(content: &[u8]) -> Chunk {
    let mut stored = [&[1], content].concat();
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEY).expect("32 bytes"));
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let tag = cipher.seal_in_place_separate_tag(nonce, Aad::from(LABEL), &mut stored[1..]).expect("short");
    stored.extend_from_slice(tag.as_ref());
    Chunk { id: ObjectId::of(&stored), key: ChunkKey::from_bytes(KEY), stored }
}

/// Pads as `docs/formats/body.md` has it.
fn padded(mut content: Vec<u8>) -> Vec<u8> {
    content.push(0x80);
    let length = content.len().max(256);
    let exponent = length.ilog2();
    let step = 1 << (exponent - exponent.ilog2() - 1);
    content.resize(length.next_multiple_of(step), 0);
    content
}

fn run(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    match u.int_in_range(0..=3)? {
        0 => {
            let real = u.choose(&*REAL)?;
            let stored = edit(&real.stored, &mut u)?;
            let same = stored == real.stored;
            assert_eq!(open(&Chunk { stored: stored.clone(), ..real.clone() }).is_ok(), same);
            let id = ObjectId::of(&stored);
            assert_eq!(open(&Chunk { id, stored, ..real.clone() }).is_ok(), same);
        }
        1 => drop(open(&forge(rest(&mut u)))),
        2 => {
            let plain = rest(&mut u).to_vec();
            let content = [&*plain, &[0]].concat();
            assert_eq!(open(&forge(&padded(content))), Ok(plain));
        }
        _ => {
            let length: u32 = u.arbitrary()?;
            let content = [rest(&mut u), &length.to_be_bytes(), &[1]].concat();
            if let Ok(plain) = open(&forge(&padded(content))) {
                assert_eq!(plain.len(), length as usize);
            }
        }
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
