//! Control messages and headers of streams: what can be read is written and read back as the same.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use logic::limits::ROSTER_FRAME;
use logic::wire::{Control, GuestHeader, StreamHeader, decode, encode};
use serde::{Serialize, de::DeserializeOwned};

fn back<M: Serialize + DeserializeOwned + PartialEq + Debug>(body: &[u8]) {
    if let Ok(message) = decode::<M>(body) {
        let frame = encode(&message, ROSTER_FRAME).expect("not longer than what it came from");
        assert_eq!(decode::<M>(frame.body()), Ok(message));
    }
}

fuzz_target!(|body: &[u8]| {
    back::<Control>(body);
    back::<StreamHeader>(body);
    back::<GuestHeader>(body);
    back::<logic::audit::Event>(body);
});
