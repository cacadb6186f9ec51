//! Manifests: what is read is the file and nothing else, whatever the bytes.

use crate::space::manifest::{
    BadManifest, CHUNK_MAX, Chunk, INLINE_MAX, LISTED_MAX, Manifest, Part, covering, read_index, write_index,
};
use proptest::prelude::*;
use serde_bytes::ByteBuf;

fn chunk(len: u32) -> Part {
    Part::Data(Chunk { id: [1; 32], key: [2; 32], len })
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![(1..50_u32).prop_map(chunk), (1..50_u64).prop_map(Part::Hole)]
}

fn size(parts: &[Part]) -> u64 {
    parts.iter().map(Part::len).sum()
}

proptest! {
    #[test]
    fn a_range_is_covered_exactly(parts in proptest::collection::vec(part(), 0..20), from in 0..600_u64, len in 0..600_u64) {
        // Objects that can be told apart, with bytes that can be.
        let number = |(n, part): (usize, Part)| match part {
            Part::Data(chunk) => Part::Data(Chunk { id: [n as u8; 32], ..chunk }),
            hole => hole,
        };
        let parts: Vec<_> = parts.into_iter().enumerate().map(number).collect();
        let bytes = |part: &Part| -> Vec<u16> {
            let data = |at: u64| match part {
                Part::Data(chunk) => 1 + 100 * u16::from(chunk.id[0]) + at as u16,
                Part::Hole(_) => 0,
            };
            (0..part.len()).map(data).collect()
        };
        let file: Vec<_> = parts.iter().flat_map(bytes).collect();
        let (first, last) = ((from as usize).min(file.len()), ((from + len) as usize).min(file.len()));
        let got: Vec<_> = covering(&parts, from..from + len)
            .flat_map(|(part, range)| bytes(&part)[range.start as usize..range.end as usize].to_vec())
            .collect();
        prop_assert_eq!(got, &file[first..last]);
    }

    #[test]
    fn what_was_written_is_read_and_only_under_its_size(parts in proptest::collection::vec(part(), 0..40), off in 1..9_u64) {
        let whole = size(&parts);
        let manifest = Manifest::Parts(parts.clone());
        let bytes = manifest.to_bytes().unwrap();
        prop_assert_eq!(Manifest::read(&bytes, whole), Ok(manifest));
        prop_assert_eq!(Manifest::read(&bytes, whole + off), Err(BadManifest::WrongSize));
        prop_assert_eq!(read_index(&write_index(&parts), whole), Ok(parts));
        prop_assert!(Manifest::read(&bytes[..bytes.len() - 1], whole).is_err());
        prop_assert!(Manifest::read(&[&bytes[..], &[0]].concat(), whole).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), claimed in 0..300_u64) {
        if let Ok(Manifest::Inline(inline)) = Manifest::read(&bytes, claimed) {
            prop_assert_eq!(inline.len() as u64, claimed);
        }
        if let Ok(parts) = read_index(&bytes, claimed) {
            prop_assert_eq!(size(&parts), claimed);
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let read = |manifest: &Manifest, size| Manifest::read(&postcard::to_stdvec(manifest).unwrap(), size);
    let inline = |len| Manifest::Inline(ByteBuf::from(vec![0; len]));
    assert!(read(&inline(INLINE_MAX), INLINE_MAX as u64).is_ok());
    assert_eq!(read(&inline(INLINE_MAX + 1), INLINE_MAX as u64 + 1), Err(BadManifest::TooMuch));
    assert_eq!(read(&inline(3), 4), Err(BadManifest::WrongSize));
    for bad in [chunk(0), chunk(CHUNK_MAX + 1), Part::Hole(0)] {
        assert_eq!(read(&Manifest::Parts(vec![bad]), bad.len()), Err(BadManifest::Garbled));
    }
    let endless = Manifest::Parts(vec![Part::Hole(u64::MAX), Part::Hole(2)]);
    assert_eq!(read(&endless, 1), Err(BadManifest::WrongSize));
    // A list that is too long for the commit goes into an index.
    let long = vec![chunk(1); LISTED_MAX / 60];
    assert_eq!(Manifest::Parts(long.clone()).to_bytes(), Err(BadManifest::TooMuch));
    assert_eq!(read_index(&write_index(&long), long.len() as u64), Ok(long));
    assert_eq!(read(&Manifest::Index(vec![chunk(CHUNK_MAX); 17]), 9), Err(BadManifest::TooMuch));
    assert!(read(&Manifest::Index(vec![chunk(CHUNK_MAX); 16]), 9).is_ok());
}
