//! Frames: however the bytes are cut, the deframer gives the same bodies as a plain reading of the stream.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use logic::limits::FrameLimit;
use logic::wire::{Deframer, FRAME_PREFIX, Frame};

const LIMIT: FrameLimit = FrameLimit::new(300);

/// The frames of a whole stream, and whether it goes on behind them, is cut, or breaks the limit.
fn plainly(mut bytes: &[u8]) -> (Vec<Vec<u8>>, Result<bool, ()>) {
    let mut bodies = Vec::new();
    loop {
        let Some((prefix, rest)) = bytes.split_first_chunk::<FRAME_PREFIX>() else {
            return (bodies, Ok(bytes.is_empty()));
        };
        let len = u32::from_be_bytes(*prefix) as usize;
        if len > LIMIT.bytes() {
            return (bodies, Err(()));
        }
        let Some((body, rest)) = rest.split_at_checked(len) else { return (bodies, Ok(false)) };
        bodies.push(body.to_vec());
        bytes = rest;
    }
}

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    let cuts: Vec<u8> = u.arbitrary().unwrap_or_default();
    let stream = warren_fuzz::rest(&mut u);
    let (expected, end) = plainly(stream);
    let (mut deframer, mut bodies, mut failed) = (Deframer::new(LIMIT), Vec::new(), false);
    let mut left = stream;
    for cut in cuts.into_iter().map(usize::from).chain([usize::MAX]) {
        let (now, later) = left.split_at(cut.min(left.len()));
        left = later;
        deframer.push(now);
        loop {
            match deframer.next_body() {
                Ok(Some(body)) => bodies.push(body),
                Ok(None) => break,
                Err(_) => {
                    failed = true;
                    break;
                }
            }
        }
    }
    assert_eq!(bodies, expected);
    assert_eq!(failed, end.is_err());
    if let Ok(whole) = end {
        assert_eq!(deframer.finish().is_ok(), whole);
    }
    for body in bodies {
        assert_eq!(Frame::around(&body, LIMIT).expect("it came in one").body(), body);
    }
});
