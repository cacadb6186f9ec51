//! What a member writes into a space: bodies of commits, manifests and indexes of files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logic::space::Change;
use logic::space::manifest::{Manifest, Part, covering, read_index, write_index};

fuzz_target!(|data: &[u8]| {
    if let Ok(changes) = Change::read_all(data) {
        let again = Change::write_all(&changes).map(|bytes| Change::read_all(&bytes));
        assert!(matches!(again, Ok(Ok(same)) if same == changes));
    }
    let Some((size, rest)) = data.split_first_chunk() else { return };
    // Sizes that can be met, and any.
    for size in [u64::from_le_bytes(*size) % 100_000, u64::from_le_bytes(*size)] {
        if let Ok(manifest) = Manifest::read(rest, size) {
            let again = manifest.to_bytes().map(|bytes| Manifest::read(&bytes, size));
            assert_eq!(again, Ok(Ok(manifest)));
        }
        if let Ok(parts) = read_index(rest, size) {
            assert_eq!(parts.iter().map(Part::len).sum::<u64>(), size);
            assert_eq!(covering(&parts, 0..size).count(), parts.len());
            assert_eq!(read_index(&write_index(&parts), size), Ok(parts));
        }
    }
});
