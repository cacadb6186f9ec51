//! Messages of a transfer: what can be read is written and read back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logic::transfer::message::{decode, encode};
use logic::transfer::{FromReceiver, FromSender};
use seal::DeviceId;

fuzz_target!(|frame: &[u8]| {
    if let Ok(message) = decode::<FromSender>(frame) {
        assert_eq!(decode::<FromSender>(&encode(&message)).as_ref(), Ok(&message));
        if let FromSender::Offer(offer) = message {
            let _ = offer.check();
        }
    }
    if let Ok(message) = decode::<FromReceiver>(frame) {
        assert_eq!(decode::<FromReceiver>(&encode(&message)).as_ref(), Ok(&message));
        if let FromReceiver::Receipt(receipt) = message {
            assert!(!receipt.is_from(&DeviceId::from_bytes([7; 32])), "a receipt from nowhere");
        }
    }
});
