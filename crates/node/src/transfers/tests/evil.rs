//! Peers that send nonsense where an honest transfer is under way.

use super::super::control::read_frame;
use super::super::serving::ENDED_KEPT;
use super::super::*;
use super::world::{Device, Link, portrait, until};
use logic::Misbehaved;
use logic::transfer::lane::{PARCEL_MAX, PARCEL_PIECES, Piece, PieceKind};
use logic::transfer::message::{decode, encode};
use logic::transfer::{FromReceiver, FromSender};
use std::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};

fn pipe() -> ((ReadHalf<DuplexStream>, WriteHalf<DuplexStream>), Stream) {
    let (near, far) = duplex(64 << 10);
    let (recv, send) = split(far);
    (split(near), Stream { send: Box::new(send), recv: Box::new(recv) })
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

const ID: TransferId = TransferId([9; 16]);

fn offer() -> Offer {
    Offer {
        version: VERSION,
        id: ID,
        names: vec![ByteBuf::from(b"evil".to_vec())],
        items: 1,
        text: None,
        found: Totals::default(),
        complete: false,
        created_at: 0,
    }
}

/// What the receiver says about an evil peer that writes `bytes` and ends its stream.
async fn offence_of(bytes: Vec<u8>) -> Vec<Misbehaved> {
    let b = Device::new(2);
    let to = b.start();
    let evil = Device::new(66).key.id();
    let ((mut recv, mut send), stream) = pipe();
    let service = to.clone();
    let serving = tokio::spawn(async move { service.serve_transfer(evil, ID, stream).await });
    send.write_all(&bytes).await.unwrap();
    send.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = recv.read_to_end(&mut answer).await;
    serving.await.unwrap();
    let landed = fs::read_dir(b.received_dir()).map_or(0, |dir| {
        dir.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name() != ".warren-partial")).count()
    });
    assert_eq!(landed, 0);
    b.offences()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_oversize_truncated_garbled_or_out_of_turn_are_named() {
    let good = framed(&encode(&FromSender::Offer(offer())));
    let then = |message: &FromSender| [good.clone(), framed(&encode(message))].concat();
    let huge = u32::MAX.to_be_bytes().to_vec();
    let climbing = Offer { names: vec![ByteBuf::from(b"../x".to_vec())], ..offer() };
    let other_id = Offer { id: TransferId([1; 16]), ..offer() };
    let end = FromSender::ListingEnd { totals: Totals { files: 1, bytes: 0, entries: 1 }, hash: [0; 32] };
    for (bytes, offence) in [
        (huge.clone(), Misbehaved::FrameTooLong),
        (good[..good.len() - 3].to_vec(), Misbehaved::FrameTruncated),
        (framed(&[0xff; 20]), Misbehaved::FrameGarbled),
        (framed(&[encode(&FromSender::Pause), vec![0]].concat()), Misbehaved::FrameTrailingBytes),
        (framed(&encode(&FromSender::Pause)), Misbehaved::FrameOutOfTurn),
        (framed(&encode(&FromSender::Offer(climbing))), Misbehaved::NameWithSeparator),
        (framed(&encode(&FromSender::Offer(other_id))), Misbehaved::FrameOutOfTurn),
        ([good.clone(), huge].concat(), Misbehaved::FrameTooLong),
        (then(&FromSender::Offer(offer())), Misbehaved::FrameOutOfTurn),
        (then(&end), Misbehaved::ListingTotalsWrong),
    ] {
        assert_eq!(offence_of(bytes).await, [offence]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_were_not_granted_and_parcels_that_are_nonsense_are_named() {
    let parcel = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    for (token_wrong, bytes, offence) in [
        (true, vec![], Misbehaved::LaneNotGranted),
        (false, ((PARCEL_MAX + 1) as u32).to_be_bytes().to_vec(), Misbehaved::FrameTooLong),
        (false, parcel(&[7; 46]), Misbehaved::PieceMalformed),
        (false, parcel(&[0; 10]), Misbehaved::PieceMalformed),
        (false, 9u32.to_be_bytes().to_vec(), Misbehaved::FrameTruncated),
    ] {
        let b = Device::new(2);
        let to = b.start();
        let evil = Device::new(66).key.id();
        let ((mut recv, mut send), stream) = pipe();
        let service = to.clone();
        let serving = tokio::spawn(async move { service.serve_transfer(evil, ID, stream).await });
        send.write_all(&framed(&encode(&FromSender::Offer(offer())))).await.unwrap();
        let mut frame = Vec::new();
        assert!(read_frame(&mut recv, &mut frame).await.unwrap());
        let Ok(FromReceiver::Accept { mut token, .. }) = decode(&frame) else { panic!("accepted by rule") };
        token[0] ^= u8::from(token_wrong);
        let ((_keep, mut lane), far) = pipe();
        to.serve_lane(evil, ID, far);
        lane.write_all(&token).await.unwrap();
        lane.write_all(&bytes).await.unwrap();
        lane.shutdown().await.unwrap();
        serving.await.unwrap();
        assert_eq!(b.offences(), [offence]);
    }
    let b = Device::new(2);
    b.start().serve_lane(Device::new(66).key.id(), ID, pipe().1);
    assert_eq!(b.offences(), [Misbehaved::LaneNotGranted]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_transfer_is_unharmed_by_an_evil_peer_that_knows_its_id() {
    let (a, b) = (Device::new(1), Device::new(2));
    let path = a.home.path().join("honest");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("file"), vec![7; 5 << 20]).unwrap();
    let (from, to) = (a.start(), b.start());
    from.link_up(Link::up(&a, &b, &to, i64::MAX));
    let request = SendRequest { paths: vec![path.clone()], limit: Some(20_000_000), ..SendRequest::default() };
    let id = from.send(&request, &[b.key.id()]).unwrap().remove(0).id;
    until(&to, &id, |view| view.state == TransferState::Running).await;
    let evil = Device::new(66).key.id();
    let known: TransferId = id.parse().unwrap();
    to.serve_lane(evil, known, pipe().1);
    let ((_keep, mut send), stream) = pipe();
    let stolen = Offer { id: known, ..offer() };
    send.write_all(&framed(&encode(&FromSender::Offer(stolen)))).await.unwrap();
    to.serve_transfer(evil, known, stream).await;
    assert_eq!(b.offences(), [Misbehaved::LaneNotGranted, Misbehaved::TransferForeign]);
    assert_eq!(until(&from, &id, |view| view.state.is_final()).await.state, TransferState::Done);
    assert_eq!(portrait(&path), portrait(&b.received_dir().join("honest")));
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_belongs_to_nothing_holds_no_transfer_and_can_be_cancelled() {
    let b = Device::new(2);
    let to = b.start();
    let evil = Device::new(66).key.id();
    let ((recv, mut send), stream) = pipe();
    let service = to.clone();
    let serving = tokio::spawn(async move { service.serve_transfer(evil, ID, stream).await });
    // All for an entry that is never listed, and so many bytes that they are taken only once all buffers are full.
    let piece = Piece { kind: PieceKind::Zero, generation: 0, entry: 5, block: 0, len: 1, value: [0; 32] };
    let parcel = framed(&encode(&FromSender::Parcel(ByteBuf::from(piece.encode().repeat(PARCEL_PIECES)))));
    let offered = Offer { complete: true, found: Totals { files: 9, bytes: 9, entries: 9 }, ..offer() };
    send.write_all(&framed(&encode(&FromSender::Offer(offered)))).await.unwrap();
    let mut answers = recv;
    let mut frame = Vec::new();
    assert!(read_frame(&mut answers, &mut frame).await.unwrap());
    for _ in 0..31 {
        send.write_all(&parcel).await.unwrap();
    }
    let answered = tokio::spawn(async move { answers.read_to_end(&mut Vec::new()).await });
    until(&to, &ID.to_string(), |view| view.state == TransferState::Running).await;
    to.cancel(&ID.to_string()).unwrap();
    tokio::time::timeout(Duration::from_secs(20), serving).await.expect("the run goes on").unwrap();
    assert_eq!(to.get(&ID.to_string()).unwrap().state, TransferState::Cancelled);
    assert!(answered.await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_without_end_do_not_fill_memory_and_shelf() {
    let b = Device::new(2);
    *b.decision.lock().unwrap() = Decision::Reject(Reason::Asked);
    let to = b.start();
    let (evil, honest) = (Device::new(66).key.id(), Device::new(67).key.id());
    let offer_from = async |peer: DeviceId, number: u64| {
        let id = TransferId([number.to_be_bytes(), [0; 8]].concat().try_into().unwrap());
        let ((mut recv, mut send), stream) = pipe();
        send.write_all(&framed(&encode(&FromSender::Offer(Offer { id, ..offer() })))).await.unwrap();
        to.serve_transfer(peer, id, stream).await;
        recv.read_to_end(&mut Vec::new()).await.unwrap();
    };
    offer_from(honest, u64::MAX).await;
    let many = ENDED_KEPT as u64 + 50;
    for number in 0..many {
        offer_from(evil, number).await;
    }
    let left = to.list();
    // The last one was still open when the oldest were forgotten.
    assert!(left.len() <= ENDED_KEPT + 2, "{}", left.len());
    let of = |peer: DeviceId| left.iter().filter(|view| view.device_id == peer.to_string()).count();
    assert_eq!((of(honest), of(evil) >= ENDED_KEPT), (1, true), "others lost what they had");
    assert!(b.all().unwrap().records.len() <= ENDED_KEPT + 2);
    assert_eq!(b.offences(), []);
}
