//! Announcements: only what the circle's key sealed opens, and to the same content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seal::beacon::{BeaconKey, CAPACITY, SIZE};
use warren_fuzz::edit;

fuzz_target!(|input: ([u8; 24], Vec<u8>, Vec<u8>)| {
    let (nonce, content, edits) = input;
    let key = BeaconKey::from_bytes([9; 32]);
    assert!(key.open(&content).is_err(), "a stranger's datagram opened");
    let Ok(datagram) = key.seal(&content, nonce) else { return assert!(content.len() > CAPACITY) };
    assert_eq!(datagram.len(), SIZE);
    assert_eq!(key.open(&datagram).as_ref(), Ok(&content));
    let Ok(changed) = edit(&datagram, &mut arbitrary::Unstructured::new(&edits)) else { return };
    assert_eq!(key.open(&changed).is_ok(), changed == datagram);
});
