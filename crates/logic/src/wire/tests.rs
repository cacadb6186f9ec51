//! Frames against hostile bytes.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Deframer, StreamHeader, TransferId, body_len, decode, encode};
use crate::Misbehaved;
use crate::limits::{FrameLimit, HEADER_FRAME};

const LIMIT: FrameLimit = FrameLimit::new(1000);

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note(String);

#[test]
fn an_oversize_length_is_refused_before_its_body_arrives() {
    assert_eq!(body_len(1001u32.to_be_bytes(), LIMIT), Err(Misbehaved::FrameTooLong));
    assert_eq!(body_len(1000u32.to_be_bytes(), LIMIT), Ok(1000));
    let mut deframer = Deframer::new(LIMIT);
    deframer.push(&u32::MAX.to_be_bytes());
    assert_eq!(deframer.next_body(), Err(Misbehaved::FrameTooLong));
    deframer.push(encode(&Note("late".into()), LIMIT).unwrap().as_bytes());
    assert_eq!(deframer.next_body(), Err(Misbehaved::FrameTooLong), "a broken stream stays broken");
}

#[test]
fn a_cut_frame_is_noticed_at_the_end_of_the_stream() {
    let frame = encode(&Note("whole".into()), LIMIT).unwrap().as_bytes().to_vec();
    for cut in 1..frame.len() {
        let mut deframer = Deframer::new(LIMIT);
        deframer.push(&frame[..cut]);
        assert_eq!(deframer.next_body(), Ok(None));
        assert_eq!(deframer.finish(), Err(Misbehaved::FrameTruncated), "cut after {cut} bytes");
    }
}

#[test]
fn our_own_oversize_message_is_our_fault() {
    let error = encode(&Note("x".repeat(1000)), LIMIT).unwrap_err();
    assert_eq!((error.bytes, error.limit), (1002, 1000));
}

#[test]
fn garbage_and_trailing_bytes_have_their_own_names() {
    assert_eq!(decode::<Note>(&[200, 1]), Err(Misbehaved::FrameGarbled));
    assert_eq!(decode::<Note>(&[]), Err(Misbehaved::FrameGarbled));
    let frame = encode(&Note("a".into()), LIMIT).unwrap();
    assert_eq!(decode::<Note>(&[frame.body(), &[0]].concat()), Err(Misbehaved::FrameTrailingBytes));
}

#[test]
fn stream_headers_keep_their_bytes() {
    let id = TransferId([7; 16]);
    assert_eq!(encode(&StreamHeader::Control, HEADER_FRAME).unwrap().as_bytes(), [0, 0, 0, 1, 0]);
    assert_eq!(
        encode(&StreamHeader::Transfer { id }, HEADER_FRAME).unwrap().as_bytes(),
        [&[0, 0, 0, 17, 1][..], &[7; 16]].concat()
    );
    let lane = StreamHeader::Lane { id, number: 300, token: None };
    assert_eq!(
        encode(&lane, HEADER_FRAME).unwrap().as_bytes(),
        [&[0, 0, 0, 20, 2][..], &[7; 16], &[0xac, 2, 0]].concat()
    );
}

proptest! {
    /// However a stream is cut into portions, the same messages come out.
    #[test]
    fn portions_do_not_matter(texts in prop::collection::vec(".{0,50}", 0..10), cuts in prop::collection::vec(1usize..40, 1..60)) {
        let stream: Vec<u8> = texts.iter().flat_map(|text| encode(&Note(text.clone()), LIMIT).unwrap().as_bytes().to_vec()).collect();
        let mut deframer = Deframer::new(LIMIT);
        let (mut rest, mut cuts, mut seen) = (stream.as_slice(), cuts.into_iter().cycle(), Vec::new());
        while !rest.is_empty() {
            let (portion, tail) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            deframer.push(portion);
            rest = tail;
            while let Some(body) = deframer.next_body().unwrap() { seen.push(decode::<Note>(&body).unwrap().0); }
        }
        prop_assert_eq!(deframer.finish(), Ok(()));
        prop_assert_eq!(seen, texts);
    }

    /// Arbitrary bytes never panic and never make a deframer hold more than it was given.
    #[test]
    fn noise_is_survived(noise in prop::collection::vec(any::<u8>(), 0..3000)) {
        let mut deframer = Deframer::new(LIMIT);
        deframer.push(&noise);
        while let Ok(Some(body)) = deframer.next_body() {
            prop_assert!(body.len() <= LIMIT.bytes());
            let _ = decode::<StreamHeader>(&body);
        }
    }
}
