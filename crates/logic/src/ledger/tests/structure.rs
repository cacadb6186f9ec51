//! Structural acceptance: every rule of it broken once, by name; waiting; floods.

use super::world::{NOW, Node, World, blank, entry, genesis, people};
use crate::Misbehaved;
use crate::ledger::rules::Rules;
use crate::ledger::*;
use crate::limits::{WAITING_BYTES, WAITING_COMMITS};
use seal::Timestamp;
use std::time::Duration;

/// A world where the devices 1 and 2 entered, and the next header of device 2 (an owner).
fn scene() -> (World, Header, Control) {
    let mut world = World::new(3);
    world.begin();
    for device in [1, 2] {
        world.enter(device);
    }
    world.give(1, 2);
    world.give(2, 0);
    let control = Control::Grant { member: people().members[4], role: SpaceRole::Reader };
    let cap = world.cap(2, RealmId::ROOT, SpaceRole::Owner).unwrap();
    let draft = Draft { kind: Kind::Grant, realm: RealmId::ROOT, cap, epoch: CommitId::ZERO, time: NOW, sure: true };
    let header = world.nodes[2].ledger.next_header(people().keys[2].id(), &draft).unwrap();
    (world, header, control)
}

/// The changed header is refused by that name, and leaves no trace.
#[track_caller]
fn refused(offence: Misbehaved, change: impl FnOnce(&mut Header)) {
    let (mut world, mut header, control) = scene();
    change(&mut header);
    let commit = Commit::make(&people().keys[2], header, control.to_bytes()).unwrap();
    let node = &mut world.nodes[2];
    let before = (node.ledger.to_bytes(), node.ledger.waiting());
    assert_eq!(node.take(&commit), Err(offence));
    node.perform();
    assert_eq!((node.ledger.to_bytes(), node.ledger.waiting()), before);
}

#[test]
fn the_unchanged_header_is_accepted() {
    let (mut world, header, control) = scene();
    assert!(!header.seen.is_empty());
    let commit = Commit::make(&people().keys[2], header, control.to_bytes()).unwrap();
    assert_eq!(world.nodes[2].take(&commit), Ok(Taken::Accepted));
    assert_eq!(world.nodes[0].take(&commit), Ok(Taken::Accepted));
}

#[test]
fn another_ledgers_commit_is_refused() {
    refused(Misbehaved::CommitForeign, |header| header.ledger = CommitId::from_bytes([1; 32]));
}

#[test]
fn a_gap_in_the_numbers_is_refused() {
    refused(Misbehaved::CommitPreviousWrong, |header| header.seq += 1);
}

#[test]
fn beginning_twice_is_refused() {
    refused(Misbehaved::CommitFirstWrong, |header| header.seq = 0);
}

#[test]
fn somebody_elses_predecessor_is_refused() {
    refused(Misbehaved::CommitPreviousWrong, |header| header.previous = genesis().id());
}

#[test]
fn a_wrong_number_in_what_was_seen_is_refused() {
    refused(Misbehaved::CommitSeenWrong, |header| header.seen[0].seq += 1);
}

#[test]
fn seeing_a_commit_twice_is_refused() {
    refused(Misbehaved::CommitSeenWrong, |header| {
        let first = header.seen[0];
        header.seen.push(first);
    });
}

#[test]
fn seeing_itself_is_refused() {
    refused(Misbehaved::CommitSeenWrong, |header| header.seen[0].device = header.device);
}

#[test]
fn leaving_out_what_was_seen_is_refused() {
    refused(Misbehaved::CommitFrontierWrong, |header| header.frontier = Frontier::default().hash());
}

#[test]
fn logical_time_must_follow() {
    refused(Misbehaved::CommitLamportWrong, |header| header.lamport += 1);
    refused(Misbehaved::CommitLamportWrong, |header| header.lamport = u64::MAX);
    refused(Misbehaved::CommitLamportWrong, |header| header.lamport = 0);
}

#[test]
fn a_cap_must_be_ones_own_grant() {
    refused(Misbehaved::CommitCapInvalid, |header| header.cap = CommitId::ZERO);
    refused(Misbehaved::CommitCapInvalid, |header| header.cap = genesis().id());
    refused(Misbehaved::CommitCapInvalid, |header| header.cap = CommitId::from_bytes([9; 32]));
}

#[test]
fn a_realm_must_be_known() {
    refused(Misbehaved::CommitRealmUnknown, |header| header.realm = RealmId::from_bytes([9; 16]));
}

#[test]
fn control_is_never_sealed() {
    refused(Misbehaved::CommitEpochInvalid, |header| header.epoch = genesis().id());
}

#[test]
fn data_without_a_key_of_its_realm_is_refused() {
    let (mut world, header, _) = scene();
    let commit = Commit::make(&people().keys[2], Header { kind: Kind::Data, ..header }, vec![1]).unwrap();
    assert_eq!(world.nodes[2].take(&commit), Err(Misbehaved::CommitEpochInvalid));
}

#[test]
fn entering_with_somebody_elses_certificates_is_refused() {
    let (mut world, ..) = scene();
    let draft = Draft {
        kind: Kind::Enter,
        realm: RealmId::ROOT,
        cap: CommitId::ZERO,
        epoch: CommitId::ZERO,
        time: NOW,
        sure: true,
    };
    let header = world.nodes[2].ledger.next_header(people().keys[4].id(), &draft).unwrap();
    let foreign = Commit::make(&people().keys[4], header.clone(), Control::Enter(entry(5)).to_bytes()).unwrap();
    assert_eq!(world.nodes[2].take(&foreign), Err(Misbehaved::DeviceUncertified));
    let own = Commit::make(&people().keys[4], header, Control::Enter(entry(4)).to_bytes()).unwrap();
    assert_eq!(world.nodes[2].take(&own), Ok(Taken::Accepted));
}

#[test]
fn what_names_a_refused_commit_does_not_wait_for_it() {
    let (mut world, mut header, control) = scene();
    header.lamport += 1;
    let bad = Commit::make(&people().keys[2], header.clone(), control.to_bytes()).unwrap();
    let next = Header { seq: header.seq + 1, previous: bad.id(), seen: Vec::new(), ..header };
    let next = Commit::make(&people().keys[2], next, control.to_bytes()).unwrap();
    let node = &mut world.nodes[0];
    assert_eq!(node.take(&next), Ok(Taken::Waiting));
    assert_eq!(node.ledger.gaps().next().unwrap().wanted.id, bad.id());
    assert_eq!(node.take(&bad), Err(Misbehaved::CommitLamportWrong));
    assert_eq!(node.ledger.waiting(), (0, 0));
    assert_eq!(node.ledger.gaps().count(), 0);
}

/// Commits of a stranger whose predecessors nobody has.
fn orphan(device: usize, number: u64, body: usize) -> Commit {
    let header = Header {
        ledger: genesis().id(),
        seq: number + 1,
        previous: CommitId::from_bytes([5; 32]),
        ..blank(people().keys[device].id(), Kind::Data)
    };
    Commit::make(&people().keys[device], header, vec![0; body]).unwrap()
}

#[test]
fn floods_stay_within_their_authors_room() {
    let mut node = Node::new(Rules::ALL);
    let flood = |node: &mut Node, device: usize, count: u64, body: usize| {
        let from = Some(people().keys[device].id());
        let mut take = |number| node.ledger.handle(orphan(device, number, body), from, NOW, &node.shelf).unwrap();
        (0..count).filter(|number| take(*number) == Taken::Waiting).count()
    };
    assert_eq!(flood(&mut node, 3, 1_100, 10), WAITING_COMMITS);
    assert!(flood(&mut node, 4, 12, 1024 * 1024) < 8);
    assert!(node.ledger.waiting().1 <= WAITING_BYTES + WAITING_COMMITS * 1024);
    // Somebody else still has room.
    assert_eq!(flood(&mut node, 5, 10, 10), 10);
    node.perform();
    node.ledger.forget_waiting(NOW.plus(Duration::from_secs(1)));
    assert_eq!(node.ledger.waiting(), (0, 0));
    assert_eq!(node.ledger.gaps().count(), 0);
}

#[test]
fn a_clock_that_is_ahead_is_reported_and_decides_nothing() {
    let (mut world, mut header, control) = scene();
    header.time = Timestamp(NOW.0 + 1_000_000_000_000);
    let commit = Commit::make(&people().keys[2], header, control.to_bytes()).unwrap();
    let node = &mut world.nodes[0];
    assert_eq!(node.take(&commit), Ok(Taken::Accepted));
    let mut ahead = 0;
    while let Some(action) = node.ledger.poll(&node.shelf) {
        match action {
            Action::ClockAhead(id) => ahead += usize::from(id == commit.id()),
            Action::Store(shelved) => node.shelf.store(*shelved),
            Action::Effective(id) => assert_eq!(id, commit.id()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ahead, 1);
}
