//! Bytes: what must be refused before anything is believed.

use super::world::{NOW, World, blank, genesis, people};
use crate::Misbehaved;
use crate::ledger::*;
use crate::limits::{COMMIT_BODY_BYTES, COMMIT_BYTES, COMMIT_SEEN};
use proptest::prelude::*;
use serde_bytes::ByteBuf;

fn data() -> Commit {
    let header = Header { seq: 1, ..blank(people().keys[0].id(), Kind::Data) };
    Commit::make(&people().keys[0], header, b"sealed".to_vec()).unwrap()
}

#[test]
fn what_was_written_is_read() {
    for commit in [data(), genesis().clone()] {
        let read = Commit::read(&commit.to_bytes()).unwrap();
        assert_eq!((read.id(), read.header(), read.body()), (commit.id(), commit.header(), commit.body()));
        assert_eq!(read.to_bytes(), commit.to_bytes());
    }
}

/// The first bytes of a header never change by accident: other implementations sign the same.
#[test]
fn the_encoding_is_the_documented_one() {
    let bytes = postcard::to_stdvec(data().header()).unwrap();
    assert_eq!(bytes[0], VERSION);
    assert_eq!(bytes[1..33], [0; 32]);
    assert_eq!(bytes[33..65], *people().keys[0].id().as_bytes());
    assert_eq!(bytes[65], 1);
    assert_eq!(bytes[66..98], [0; 32]);
    assert_eq!(bytes[98], 0);
    assert_eq!(blake3::derive_key("warren 2026-11 commit id v1", &bytes), *data().id().as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_flipped_bit_is_noticed(at: prop::sample::Index, bit in 0u8..8) {
        let mut bytes = data().to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        prop_assert!(Commit::read(&bytes).is_err());
    }

    #[test]
    fn a_cut_commit_is_none(end: prop::sample::Index) {
        let bytes = data().to_bytes();
        prop_assert!(Commit::read(&bytes[..end.index(bytes.len())]).is_err());
    }

    #[test]
    fn rubbish_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Commit::read(&bytes).is_err());
        prop_assert!(HeadStatement::read(&bytes).is_err());
        let _ = sync::Message::read(&bytes);
    }
}

#[test]
fn too_much_is_refused_before_it_is_read() {
    assert_eq!(Commit::read(&vec![0; COMMIT_BYTES + 1]), Err(Misbehaved::CommitTooBig));
    let key = &people().keys[0];
    let header = blank(key.id(), Kind::Data);
    assert_eq!(Commit::make(key, header.clone(), vec![0; COMMIT_BODY_BYTES + 1]), Err(BadDraft::TooBig));
    let seen = Seen { device: key.id(), seq: 0, id: CommitId::ZERO };
    assert_eq!(
        Commit::make(key, Header { seen: vec![seen; COMMIT_SEEN + 1], ..header }, vec![]),
        Err(BadDraft::TooBig)
    );
}

#[test]
fn a_body_of_another_kind_is_refused() {
    let key = &people().keys[0];
    let grant = Control::Grant { member: people().members[1], role: SpaceRole::Reader };
    let made = Commit::make(key, blank(key.id(), Kind::Revoke), grant.to_bytes());
    assert_eq!(made, Err(BadDraft::Body));
    let trailing = [grant.to_bytes(), vec![0]].concat();
    assert_eq!(Commit::make(key, blank(key.id(), Kind::Grant), trailing), Err(BadDraft::Body));
}

#[test]
fn nobody_signs_for_somebody_else() {
    let header = blank(people().keys[1].id(), Kind::Data);
    assert_eq!(Commit::make(&people().keys[0], header, vec![]), Err(BadDraft::OtherKey));
}

#[test]
fn a_genesis_with_anything_before_it_is_none() {
    let key = &people().keys[0];
    for header in [
        Header { lamport: 2, ..blank(key.id(), Kind::Genesis) },
        Header { seq: 1, ..blank(key.id(), Kind::Genesis) },
        Header { ledger: genesis().id(), ..blank(key.id(), Kind::Genesis) },
    ] {
        let commit = Commit::make(key, header, genesis().body().to_vec()).unwrap();
        assert_eq!(Ledger::open(commit).err(), Some(Misbehaved::CommitFirstWrong));
    }
    let foreign =
        Commit::make(&people().keys[2], blank(people().keys[2].id(), Kind::Genesis), genesis().body().to_vec());
    assert_eq!(Ledger::open(foreign.unwrap()).err(), Some(Misbehaved::DeviceUncertified));
    let rubbish = Control::Genesis { root: ByteBuf::from(vec![1, 2]), entry: super::world::entry(0) };
    let rubbish = Commit::make(key, blank(key.id(), Kind::Genesis), rubbish.to_bytes()).unwrap();
    assert_eq!(Ledger::open(rubbish).err(), Some(Misbehaved::DeviceUncertified));
}

#[test]
fn a_statement_of_less_is_a_proof() {
    let mut world = World::new(1);
    let old = world.nodes[0].ledger.frontier();
    world.begin();
    let new = world.nodes[0].ledger.frontier();
    let key = &people().keys[0];
    let say = |counter, frontier: &Frontier| HeadStatement::make(key, genesis().id(), counter, NOW, frontier.clone());
    let (first, second, third) = (say(1, &old), say(2, &new), say(3, &old));
    let mut heads = Heads::default();
    assert_eq!(heads.hear(HeadStatement::read(second.as_bytes()).unwrap()), Heard::Newest);
    assert_eq!(heads.hear(first.clone()), Heard::Known, "an old statement is no offence");
    assert_eq!(heads.withheld(key.id(), &old), [key.id()]);
    assert!(heads.withheld(key.id(), &new).is_empty());
    let proof = Rollback { earlier: second.clone(), later: third.clone() };
    assert_eq!(heads.hear(third), Heard::Rollback(Box::new(proof)));
    assert_eq!(Rollback::proven(&second, &first), None);
    let twice = say(2, &old);
    assert!(Rollback::proven(&second, &twice).is_some(), "two statements with one counter");
    assert_eq!(Rollback::proven(&second, &second.clone()), None);
    let mut forged = second.as_bytes().to_vec();
    forged[40] ^= 1;
    assert_eq!(HeadStatement::read(&forged), Err(Misbehaved::HeadStatementInvalid));
}

#[test]
fn a_commit_has_one_encoding() {
    let commit = genesis().to_bytes();
    // The length of the header, a varint of two bytes, written with three.
    assert!(commit[0] & 0x80 != 0 && commit[1] & 0x80 == 0);
    let longer = [&[commit[0], commit[1] | 0x80, 0], &commit[2..]].concat();
    assert!(Commit::read(&commit).is_ok());
    assert_eq!(Commit::read(&longer).err(), Some(Misbehaved::CommitGarbled));
}

#[test]
fn what_is_not_ours_is_no_ledger() {
    let node = super::world::Node::new(rules::Rules::ALL);
    let bytes = node.ledger.to_bytes();
    assert_eq!(Ledger::from_bytes(&[], &node.shelf).err(), Some(BadState::Damaged));
    assert_eq!(Ledger::from_bytes(&[2, 0], &node.shelf).err(), Some(BadState::TooNew(2)));
    assert_eq!(Ledger::from_bytes(&bytes[..bytes.len() - 1], &node.shelf).err(), Some(BadState::Damaged));
    assert!(Ledger::from_bytes(&bytes, &node.shelf).is_ok());
    let empty = MemoryShelf::default();
    assert_eq!(Ledger::from_bytes(&bytes, &empty).err(), Some(BadState::Damaged), "without its commits");
}
