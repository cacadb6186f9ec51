//! Commits and what is said about a ledger: real ones that were changed, signed ones with any header and body, and noise.
//! What is read comes out as the same bytes.
#![no_main]

use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use logic::ledger::sync::Message;
use logic::ledger::{Commit, CommitId, Frontier, HeadStatement, Header, Kind, RealmId, Seen, VERSION};
use seal::{DeviceId, DeviceKey, Timestamp};
use warren_fuzz::{edit, rest};

static KEY: LazyLock<DeviceKey> = LazyLock::new(|| DeviceKey::from_seed(&[3; 32]));

fn header(kind: Kind, u: &mut Unstructured<'_>) -> Result<Header> {
    let seen = |u: &mut Unstructured<'_>| -> Result<Seen> {
        let (device, seq, id) = (DeviceId::from_bytes(u.arbitrary()?), u.arbitrary()?, u.arbitrary()?);
        Ok(Seen { device, seq, id: CommitId::from_bytes(id) })
    };
    let count = u.int_in_range(0..=3)?;
    Ok(Header {
        version: VERSION,
        ledger: CommitId::from_bytes(u.arbitrary()?),
        device: KEY.id(),
        seq: u.arbitrary()?,
        previous: CommitId::ZERO,
        seen: (0..count).map(|_| seen(u)).collect::<Result<_>>()?,
        frontier: Frontier::default().hash(),
        lamport: u.arbitrary()?,
        time: Timestamp(u.arbitrary()?),
        sure: u.arbitrary()?,
        cap: CommitId::ZERO,
        realm: RealmId::from_bytes(u.arbitrary()?),
        epoch: CommitId::ZERO,
        kind,
        body_len: 0,
        body_hash: [0; 32],
    })
}

fn read(bytes: &[u8]) {
    if let Ok(commit) = Commit::read(bytes) {
        assert_eq!(commit.to_bytes(), bytes, "one commit, two encodings");
    }
}

fn run(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    match u.int_in_range(0..=3)? {
        0 => {
            let kinds = [Kind::Genesis, Kind::Enter, Kind::Grant, Kind::Revoke, Kind::Realm, Kind::Rekey, Kind::Resolve];
            let kind = if u.arbitrary()? { Kind::Data } else { *u.choose(&kinds)? };
            let header = header(kind, &mut u)?;
            if let Ok(commit) = Commit::make(&KEY, header, rest(&mut u).to_vec()) {
                let again = Commit::read(&commit.to_bytes()).expect("what was made is read");
                assert_eq!(again.id(), commit.id());
            }
        }
        1 => {
            let header = header(Kind::Data, &mut u)?;
            let body: Vec<u8> = u.arbitrary()?;
            let real = Commit::make(&KEY, header, body).expect("a short commit").to_bytes();
            let changed = edit(&real, &mut u)?;
            assert!(changed == real || Commit::read(&changed).is_err(), "a changed commit is none");
        }
        2 => {
            let bytes = rest(&mut u);
            read(bytes);
            if let Ok(statement) = HeadStatement::read(bytes) {
                assert_eq!(statement.as_bytes(), bytes);
            }
        }
        _ => {
            if let Ok(message) = Message::read(rest(&mut u)) {
                let frame = message.frame().expect("what was read is within the limits");
                assert_eq!(Message::read(frame.body()), Ok(message));
            }
        }
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
