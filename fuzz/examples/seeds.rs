//! Writes the seeds: real values for the targets that read them as they are. `cargo run --example seeds` in `fuzz/`.

use std::fs;

use logic::hello::{Context, Dialer, Responder};
use logic::pair::invitation::{InvitationId, Link, LinkSecret};
use logic::transfer::lane::{Piece, PieceKind};
use logic::transfer::listing::{Entry, Kind, Mtime};
use logic::transfer::message::Held;
use logic::transfer::receipt::{Receipt, SignedReceipt};
use logic::transfer::{FromReceiver, FromSender, Offer, Reason, Totals, TransferId};
use logic::wire::{Address, Bye, Control, GuestHeader, LinkToken, StreamHeader, encode};
use seal::{CircleId, Purpose};
use serde::Serialize;
use serde_bytes::ByteBuf;
use testkit::forge::bytes;
use warren_fuzz::world::{NOW, PEM, SEALED, WORLD, device_key};

fn write(target: &str, seeds: &[Vec<u8>]) {
    let folder = format!("seeds/{target}");
    fs::create_dir_all(&folder).expect("a folder");
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(format!("{folder}/{number:02}"), seed).expect("a file");
    }
}

fn prefixed(first: u8, seed: &[u8]) -> Vec<u8> {
    [&[first], seed].concat()
}

fn control() -> Vec<Vec<u8>> {
    let (id, token) = (TransferId([7; 16]), Some(LinkToken([8; 16])));
    let roster = WORLD.roster();
    let update = logic::roster::RosterUpdate::of([&WORLD.devices[0]], [&WORLD.crls[0]], [WORLD.address(0, 3)]);
    vec![
        bytes(&Control::Ping(300)),
        bytes(&Control::RosterDigest(roster.digest())),
        bytes(&Control::RosterSummary(Box::new(roster.summary()))),
        bytes(&Control::RosterUpdate(Box::new(update))),
        bytes(&Control::Bye(Bye::Duplicate)),
        bytes(&StreamHeader::Lane { id, number: 3, token }),
        bytes(&GuestHeader::Transfer { id }),
    ]
}

fn transfer() -> Vec<Vec<u8>> {
    let (id, mtime) = (TransferId([7; 16]), Mtime { secs: 1_767_225_600, nanos: 5 });
    let found = Totals { files: 2, bytes: 2_097_153, entries: 4 };
    let offer = Offer {
        version: 1,
        id,
        names: vec![ByteBuf::from("photos")],
        items: 1,
        text: Some("for you".into()),
        found,
        complete: true,
        created_at: NOW.0,
    };
    let entry = |depth, name: &str, kind| Entry { depth, name: ByteBuf::from(name), kind };
    let entries = vec![
        entry(0, "photos", Kind::Dir { mtime }),
        entry(1, "a.jpg", Kind::File { size: 2_097_152, mtime, exec: false }),
        entry(1, "b;\n", Kind::File { size: 1, mtime, exec: true }),
        entry(1, "l", Kind::Link { target: ByteBuf::from("../a.jpg"), mtime }),
    ];
    let receipt = Receipt { id, sender: [5; 32], root: [6; 32], done: found, at: NOW.0 };
    let signature = device_key(1).sign(Purpose::TransferReceipt, &receipt.to_bytes());
    let held = Held { entry: 1, generation: 0, first: 0, values: vec![[9; 32]], end: true };
    vec![
        bytes(&FromSender::Offer(offer)),
        bytes(&FromSender::Entries { first: 0, entries }),
        bytes(&FromSender::ListingEnd { totals: found, hash: [4; 32] }),
        bytes(&FromSender::FileHash { entry: 1, generation: 0, hash: [4; 32] }),
        bytes(&FromSender::Changed { entry: 1, generation: 1, size: 9, mtime }),
        bytes(&FromSender::Failed { entry: 2, reason: Reason::Other("gone".into()) }),
        bytes(&FromSender::Parcel(ByteBuf::from(parcel()))),
        bytes(&FromReceiver::Accept { resume: true, token: [1; 16] }),
        bytes(&FromReceiver::Held(vec![held])),
        bytes(&FromReceiver::Skipped { entry: 2, reason: Reason::DiskFull(9) }),
        bytes(&FromReceiver::Progress { done_below: 2, done: found }),
        bytes(&FromReceiver::Receipt(SignedReceipt { receipt, signature })),
        bytes(&FromReceiver::Limit(Some(1_000_000))),
    ]
}

fn parcel() -> Vec<u8> {
    let piece = |kind, len| Piece { kind, generation: 1, entry: 2, block: 0, len, value: [4; 32] }.encode();
    let pieces = [&piece(PieceKind::Data, 3)[..], b"abc", &piece(PieceKind::Zero, 9), &piece(PieceKind::Same, 1 << 20)];
    pieces.concat()
}

fn link() -> Link {
    let addresses = vec![Address::Direct(([192, 0, 2, 1], 4000).into()), Address::Relay("https://r.example".into())];
    let circle = Some(CircleId::of_root_key(&WORLD.root.facts().public_key));
    let (invitation, secret) = (InvitationId([3; 8]), LinkSecret([8; 16]));
    Link { invitation, device: device_key(0).id(), addresses, secret, circle }
}

fn frames(messages: &[impl Serialize]) -> Vec<u8> {
    let limit = logic::limits::HEADER_FRAME;
    let frames = messages.iter().map(|message| encode(message, limit).expect("a short message"));
    // First the cuts, as `arbitrary` reads them: pairs of "one more" and a length.
    let cuts = [1, 3, 1, 7, 0];
    cuts.into_iter().chain(frames.flat_map(|frame| frame.as_bytes().to_vec())).collect()
}

fn main() {
    // On another channel than the target's: what was said there must not hold here.
    let elsewhere = |who| Context { exporter: [7; 32], ..WORLD.context(who) };
    let (_, hello) = Dialer::start(&device_key(1), &WORLD.credentials(1), elsewhere(1)).expect("own credentials");
    let answer = Responder::new(elsewhere(0)).answer(hello.body(), &device_key(0), &WORLD.credentials(0), NOW);
    let reply = answer.expect("an honest hello").1;
    write("hello", &[prefixed(0, hello.body()), prefixed(1, reply.body()), vec![2], vec![3, 1], vec![4]]);
    write("messages", &control());
    write("frames", &[frames(&[Control::Ping(1), Control::Bye(Bye::Leaving)])]);
    write("transfer_messages", &transfer());
    write("parcel", &[parcel()]);
    write("certificate", &[prefixed(0, WORLD.members[0].der()), prefixed(0, WORLD.crls[1].der()), vec![1, 0]]);
    write("pem", &[PEM.as_bytes()[..2000].to_vec(), WORLD.crls[0].to_pem().into_bytes()]);
    write("age_file", &[prefixed(2, SEALED), vec![0], vec![1]]);
    let keyring = seal::Keyring {
        member: Some(warren_fuzz::world::member_key(0)),
        device: device_key(0),
        seal: warren_fuzz::world::identity(),
        root: None,
        records: seal::RecordKey::from_bytes(&[2; 32]),
        read: seal::ReadSeed::from_bytes(&[3; 32]),
    };
    let cost = seal::vault::Cost::worthless_for_tests();
    let locked = seal::vault::lock(b"secrets", &"y".into(), cost).expect("memory");
    let keyring = keyring.to_bytes();
    // Version 1 had no read seed.
    let version_1 = [&[1], &keyring[1..140], &keyring[172..]].concat();
    let locked = prefixed(1, &locked[..locked.len() - 16]);
    write("keys", &[prefixed(0, &keyring), locked, vec![2], prefixed(0, &version_1)]);
    write("paths", &[b"photos/2026/a.jpg".to_vec(), b"con/..".to_vec(), b"a//b".to_vec()]);
    let defaults = store::settings::Settings::default().list();
    let lines: String = defaults.iter().map(|setting| format!("{} = {:?}\n", setting.key, setting.value)).collect();
    write("settings", &[lines.into_bytes(), b"rate_limit = \"20MB\"\nlan = false\nport = 4100".to_vec()]);
    let texts = [link().to_string(), "acid-brave-zoo-able".into(), device_key(0).id().to_string(), "admin".into()];
    let mut text: Vec<_> = texts.into_iter().map(String::into_bytes).collect();
    text.push(bytes(&link()));
    write("text", &text);
}
