//! Parcels: pieces carry no more than there is, and what was read is a beginning of what was there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logic::transfer::lane::{PARCEL_PIECES, Pieces};

fuzz_target!(|parcel: &[u8]| {
    let (mut written, mut count, mut failed) = (Vec::new(), 0, false);
    for item in Pieces::of(parcel) {
        assert!(!failed, "pieces after a malformed one");
        match item {
            Ok((piece, bytes)) => {
                assert_eq!(bytes.len(), piece.carried());
                written.extend(piece.encode());
                written.extend(bytes);
                count += 1;
            }
            Err(_) => failed = true,
        }
    }
    assert!(parcel.starts_with(&written) && count <= PARCEL_PIECES);
    assert!(failed || written.len() == parcel.len());
});
