//! Evidence as a file: what proves a cheat, and all that does not.

use seal::Timestamp;
use serde_bytes::ByteBuf;

use super::world::{blank, entry, genesis, people};
use crate::ledger::evidence::{NoProof, Piece, Signed, What, check, write};
use crate::ledger::{Commit, Control, Frontier, HeadStatement, Header, Kind};

/// The first commit of a device other than the founder's.
fn enters(device: usize, time: i64) -> Commit {
    let key = &people().keys[device];
    let seen = vec![crate::ledger::Seen { device: people().keys[0].id(), seq: 0, id: genesis().id() }];
    let header =
        Header { ledger: genesis().id(), seen, lamport: 2, time: Timestamp(time), ..blank(key.id(), Kind::Enter) };
    Commit::make(key, header, Control::Enter(entry(device)).to_bytes()).unwrap()
}

/// A data commit; nobody looks into its body.
fn data(device: usize, body: &[u8]) -> Commit {
    let key = &people().keys[device];
    let header = Header { ledger: genesis().id(), seq: 1, lamport: 3, ..blank(key.id(), Kind::Data) };
    Commit::make(key, header, body.to_vec()).unwrap()
}

fn bytes(commit: &Commit) -> ByteBuf {
    ByteBuf::from(commit.to_bytes())
}

fn fork(entry: &Commit, one: &Commit, other: &Commit) -> Piece {
    Piece { entry: bytes(entry), signed: Signed::Fork { one: bytes(one), other: bytes(other) } }
}

fn held(device: usize, counter: u64, seq: Option<u64>) -> ByteBuf {
    let key = &people().keys[device];
    let mut frontier = Frontier::default();
    if let Some(seq) = seq {
        frontier.set(key.id(), seq, genesis().id());
    }
    let statement = HeadStatement::make(key, genesis().id(), counter, Timestamp(1), frontier);
    ByteBuf::from(statement.as_bytes())
}

fn rollback(entry: &Commit, earlier: ByteBuf, later: ByteBuf) -> Piece {
    Piece { entry: bytes(entry), signed: Signed::Rollback { earlier, later } }
}

#[test]
fn two_commits_or_two_statements_prove_who_cheated() {
    let entered = enters(2, 1);
    let pieces = vec![
        fork(&entered, &data(2, b"one"), &data(2, b"other")),
        rollback(&entered, held(2, 7, Some(5)), held(2, 8, Some(3))),
        rollback(genesis(), held(0, 7, Some(5)), held(0, 7, None)),
    ];
    let file = write(genesis(), pieces).unwrap();
    let proof = check(&file).unwrap();
    assert_eq!(proof.ledger, genesis().id());
    let who: Vec<_> =
        proof.cheats.iter().map(|cheat| (cheat.member_name.as_str(), cheat.device_name.as_str())).collect();
    assert_eq!(who, [("Bob", "desk"), ("Bob", "desk"), ("Ada", "desk")]);
    assert!(matches!(proof.cheats[0].what, What::Fork { seq: 1, .. }));
    assert!(matches!(proof.cheats[1].what, What::Rollback { counters: (7, 8), .. }));
    for words in proof.words() {
        assert!(words.contains("signed") && words.contains(&proof.circle), "{words}");
    }
}

#[test]
fn what_proves_nothing_is_no_evidence() {
    let (entered, other) = (enters(2, 1), enters(4, 1));
    let (one, two) = (data(2, b"one"), data(2, b"other"));
    for (piece, why) in [
        (fork(&entered, &one, &one), NoProof::Nothing(1)),
        (fork(&entered, &one, &data(4, b"x")), NoProof::Nothing(1)),
        (fork(&entered, &one, &entered), NoProof::Nothing(1)),
        (fork(&other, &one, &two), NoProof::Nobody(1)),
        (fork(&one, &one, &two), NoProof::Nobody(1)),
        (fork(genesis(), &one, &two), NoProof::Nobody(1)),
        (rollback(&entered, held(2, 7, Some(3)), held(2, 8, Some(3))), NoProof::Nothing(1)),
        (rollback(&entered, held(2, 7, Some(3)), held(2, 8, Some(5))), NoProof::Nothing(1)),
        (rollback(&entered, held(2, 7, Some(3)), held(4, 8, None)), NoProof::Nothing(1)),
    ] {
        assert_eq!(write(genesis(), vec![piece]), Err(why));
    }
    assert_eq!(write(genesis(), Vec::new()), Err(NoProof::Empty));
    assert_eq!(write(&entered, vec![fork(&entered, &one, &two)]), Err(NoProof::NoLedger));
    // A good piece does not vouch for a bad one.
    let pieces = vec![fork(&entered, &one, &two), fork(&entered, &one, &one)];
    assert_eq!(write(genesis(), pieces), Err(NoProof::Nothing(2)));
}

#[test]
fn every_byte_that_is_changed_ends_the_proof_or_changes_nothing() {
    let entered = enters(2, 1);
    let file = write(genesis(), vec![fork(&entered, &data(2, b"one"), &data(2, b"other"))]).unwrap();
    let proof = check(&file).unwrap();
    for at in 0..file.len() {
        let mut forged = file.clone();
        forged[at] ^= 1;
        assert!(
            check(&forged).is_err_and(|why| why != NoProof::Empty) || check(&forged).as_ref() == Ok(&proof),
            "{at}"
        );
    }
    for len in 0..file.len() {
        assert!(check(&file[..len]).is_err());
    }
    assert_eq!(check(b"nothing of the kind"), Err(NoProof::NotEvidence));
    let mut newer = file.clone();
    newer[7] = 9;
    assert_eq!(check(&newer), Err(NoProof::TooNew(9)));
    let longer = [&file[..], b"x"].concat();
    assert_eq!(check(&longer), Err(NoProof::Garbled));
}
