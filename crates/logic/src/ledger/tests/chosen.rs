//! Histories with a story: what random ones meet too seldom, and what each adversary must get.

use super::check::Case;
use super::random::newcomer;
use super::world::{Node, Plan, World, people};
use crate::ledger::rules::Rules;
use crate::ledger::*;
use testkit::Dice;

const ROOT: RealmId = RealmId::ROOT;

fn member(number: usize) -> Target {
    Target::Member(people().members[number])
}

/// A world where the founding member (0) made 1 and 2 owners and 3 an editor, and everybody knows it.
fn world() -> World {
    let mut world = World::new(7);
    world.evil.clear();
    world.begin();
    for device in 0..10 {
        world.enter(device);
    }
    meet(&mut world);
    world
}

/// Everybody tells everybody everything.
fn meet(world: &mut World) {
    for device in 1..10 {
        world.give(device, 0);
    }
    for device in 1..10 {
        world.give(0, device);
    }
}

/// What somebody thinks who sees everything, once all questions are answered well.
fn judged(world: &World) -> Node {
    let node = newcomer(&world.all, &mut Dice::new(1), Rules::ALL);
    Case::new(&world.all, &node).check().unwrap();
    node
}

#[track_caller]
fn assert_worth(world: &World, worth: &[(CommitId, bool)]) {
    let node = judged(world);
    for (id, counts) in worth {
        let said = node.said[id];
        assert_eq!(said == Verdict::Effective, *counts, "{:?} is {said:?}", world.all[id]);
    }
}

/// Two owners revoke each other at the same time: nobody wins, both stay.
pub(super) fn duel() -> (World, Vec<(CommitId, bool)>) {
    let mut world = world();
    let one = world.revoke(2, member(2), ROOT).unwrap();
    let other = world.revoke(4, member(1), ROOT).unwrap();
    let written = world.write(2, ROOT).unwrap();
    meet(&mut world);
    (world, vec![(one, true), (other, true), (written, true)])
}

/// Three owners hold grants from each other and from the founding member. In the name of what the one before it gave,
/// each revokes the next one, to whom it gave something itself. All act by two grants: nobody stands above anybody.
pub(super) fn three_in_a_ring() -> (World, Vec<(CommitId, bool)>) {
    let mut world = world();
    world.grant(0, 3, ROOT, SpaceRole::Owner).unwrap();
    meet(&mut world);
    let ring = [1, 2, 3];
    let caps = [2, 0, 1].map(|next| world.grant(2 * ring[next], ring[(next + 1) % 3], ROOT, SpaceRole::Owner).unwrap());
    meet(&mut world);
    let mut worth = Vec::new();
    for (at, cap) in caps.into_iter().enumerate() {
        let device = 2 * ring[at];
        let tip = world.nodes[device].ledger.frontier().of(people().keys[device].id()).unwrap().1;
        let plan = Plan { base: Some(tip), seen: Some(cap), realm: ROOT, cap, epoch: CommitId::ZERO };
        let target = member(ring[(at + 1) % 3]);
        let control = Control::Revoke { target, reason: RevokeReason::Cheated };
        let revoke = world.write_on(device, &plan, Some(control)).unwrap();
        worth.push((revoke, true));
    }
    meet(&mut world);
    (world, worth)
}

/// Both devices of a member revoke each other: the older one wins.
pub(super) fn siblings() -> (World, Vec<(CommitId, bool)>) {
    let mut world = world();
    let (old, young) = (world.own_lost(6).unwrap(), world.own_lost(7).unwrap());
    let (by_old, by_young) = (world.write(6, ROOT), world.write(7, ROOT));
    meet(&mut world);
    let rank = |device: usize| world.nodes[0].ledger.plane.chains.of(people().keys[device].id())[0].rank;
    let elder_first = rank(6) < rank(7);
    let mut worth = vec![(old, elder_first), (young, !elder_first)];
    worth.extend(by_old.map(|id| (id, elder_first)));
    worth.extend(by_young.map(|id| (id, !elder_first)));
    (world, worth)
}

/// A device is revoked; its member is granted more later. The member's other device may, the lost one may not.
pub(super) fn lost_device() -> (World, Vec<(CommitId, bool)>) {
    let mut world = world();
    let lost = world.revoke(0, Target::Device(people().keys[6].id()), ROOT).unwrap();
    let grant = world.grant(0, 3, ROOT, SpaceRole::Owner).unwrap();
    meet(&mut world);
    let honest = world.write(7, ROOT).unwrap();
    let tip = world.nodes[6].ledger.frontier().of(people().keys[6].id()).unwrap().1;
    let epoch = world.nodes[6].ledger.judgement().writers_epoch(ROOT).unwrap().id;
    let plan = Plan { base: Some(tip), seen: Some(grant), realm: ROOT, cap: grant, epoch };
    let thief = world.write_on(6, &plan, None).unwrap();
    meet(&mut world);
    (world, vec![(lost, true), (grant, true), (honest, true), (thief, false)])
}

/// A member is revoked, granted again, and writes.
pub(super) fn back_again() -> (World, Vec<(CommitId, bool)>) {
    let mut world = world();
    let revoke = world.revoke(0, member(3), ROOT).unwrap();
    let lost = world.write(6, ROOT).unwrap();
    meet(&mut world);
    assert_eq!(world.write(6, ROOT), None);
    world.grant(0, 3, ROOT, SpaceRole::Editor).unwrap();
    meet(&mut world);
    let written = world.write(6, ROOT).unwrap();
    meet(&mut world);
    (world, vec![(revoke, true), (lost, false), (written, true)])
}

/// An owner who is revoked grants an accomplice ownership before it hears of it: the accomplice gets nothing.
pub(super) fn accomplice() -> (World, Vec<(CommitId, bool)>) {
    let mut world = world();
    let revoke = world.revoke(0, member(1), ROOT).unwrap();
    let grant = world.grant(2, 4, ROOT, SpaceRole::Owner).unwrap();
    world.give(2, 8);
    let used = world.grant(8, 3, ROOT, SpaceRole::Owner).unwrap();
    meet(&mut world);
    (world, vec![(revoke, true), (grant, false), (used, false)])
}

/// A realm that keeps the roles around it out, and a revocation inside it.
pub(super) fn realms() -> (World, Vec<(CommitId, bool)>) {
    let mut world = world();
    let made = world.own(0, ROOT, Control::Realm { inherit: false, file: false }).unwrap();
    let realm = RealmId::made_by(made);
    let open = RealmId::made_by(world.own(0, ROOT, Control::Realm { inherit: true, file: false }).unwrap());
    for realm in [realm, open] {
        world.rekey(0, realm).unwrap();
    }
    meet(&mut world);
    let editors =
        world.nodes[6].ledger.judgement().grants().find(|(id, g)| g.member == people().members[3] && !id.is_zero());
    let cap = editors.unwrap().0;
    let write = |world: &mut World, realm| {
        let node = &world.nodes[6];
        let tip = node.ledger.frontier().of(people().keys[6].id()).unwrap().1;
        let epoch = node.ledger.judgement().writers_epoch(realm).unwrap().id;
        let seen = node.ledger.frontier().of(people().keys[0].id()).map(|(_, id)| id);
        world.write_on(6, &Plan { base: Some(tip), seen, realm, cap, epoch }, None).unwrap()
    };
    let (inside, inherited) = (write(&mut world, realm), write(&mut world, open));
    let revoke = world.revoke(2, member(3), open).unwrap();
    let (after, elsewhere) = (write(&mut world, open), write(&mut world, ROOT));
    meet(&mut world);
    // The revoking owner had not heard of what was written on the open realm.
    (world, vec![(inside, false), (inherited, false), (revoke, true), (after, false), (elsewhere, true)])
}

/// A fork: what comes before counts; what comes after, when the founding member settled it, on one branch.
fn forked() -> (World, [CommitId; 4]) {
    let mut world = world();
    let before = world.write(6, ROOT).unwrap();
    let epoch = world.nodes[6].ledger.judgement().writers_epoch(ROOT).unwrap().id;
    let cap = world.cap(6, ROOT, SpaceRole::Editor).unwrap();
    let plan = Plan { base: Some(before), seen: None, realm: ROOT, cap, epoch };
    let one = world.write_on(6, &plan, None).unwrap();
    let other = world.write_on(6, &plan, None).unwrap();
    let next = world.write_on(6, &Plan { base: Some(other), ..plan }, None).unwrap();
    (world, [before, one, other, next])
}

#[test]
fn nobody_wins_a_duel() {
    let (world, worth) = duel();
    assert_worth(&world, &worth);
}

#[test]
fn a_ring_of_owners_revokes_nobody() {
    let (world, worth) = three_in_a_ring();
    assert_worth(&world, &worth);
}

#[test]
fn the_older_of_two_devices_wins() {
    let (world, worth) = siblings();
    assert_worth(&world, &worth);
}

#[test]
fn a_lost_device_never_comes_back() {
    let (world, worth) = lost_device();
    assert_worth(&world, &worth);
}

#[test]
fn who_is_granted_again_writes_again() {
    let (world, worth) = back_again();
    assert_worth(&world, &worth);
}

#[test]
fn an_accomplice_of_a_revoked_owner_gets_nothing() {
    let (world, worth) = accomplice();
    assert_worth(&world, &worth);
}

#[test]
fn realms_keep_out_and_revocations_stay_inside() {
    let (world, worth) = realms();
    assert_worth(&world, &worth);
}

#[test]
fn a_fork_ends_what_counts_until_the_founding_member_settles_it() {
    let (mut world, [before, one, other, next]) = forked();
    world.give(6, 0);
    assert!(world.nodes[0].evidence.contains(&people().keys[6].id()));
    assert_worth(&world, &[(before, true), (one, false), (other, false), (next, false)]);
    let keep = Control::Resolve { device: people().keys[6].id(), keep: other };
    let by_another = world.own(2, ROOT, keep.clone()).unwrap();
    assert_worth(&world, &[(by_another, false), (other, false)]);
    let resolve = world.own(0, ROOT, keep).unwrap();
    assert_worth(&world, &[(resolve, true), (before, true), (one, false), (other, true), (next, true)]);
    // The device goes on where it was allowed to, and others follow it there.
    meet(&mut world);
    let on = world.write(6, ROOT).unwrap();
    meet(&mut world);
    let after = world.write(7, ROOT).unwrap();
    let seen = &world.all[&after].header().seen;
    assert!(seen.iter().any(|seen| seen.id == on));
    assert_worth(&world, &[(on, true), (after, true)]);
}

#[test]
fn whom_the_founding_member_revoked_cannot_undo_its_own_past() {
    let (mut world, _) = (world(), ());
    let granted = world.grant(2, 4, ROOT, SpaceRole::Editor).unwrap();
    meet(&mut world);
    let written = world.write(8, ROOT).unwrap();
    let revoke = world.revoke(0, member(1), ROOT).unwrap();
    meet(&mut world);
    assert_worth(&world, &[(granted, true), (written, true), (revoke, true)]);
    // It forks its chain before the grant that it once made.
    let before = world.all[&granted].header().previous;
    let cap = world.all[&granted].header().cap;
    let plan = Plan { base: Some(before), seen: None, realm: ROOT, cap, epoch: CommitId::ZERO };
    let grant = Control::Grant { member: people().members[3], role: SpaceRole::Owner };
    let fork = world.write_on(2, &plan, Some(grant)).unwrap();
    assert_worth(&world, &[(granted, true), (written, true), (revoke, true), (fork, false)]);
}

#[test]
fn a_device_whose_backup_was_restored_cannot_write_on() {
    let (world, _) = forked();
    let draft = Draft {
        kind: Kind::Data,
        realm: ROOT,
        cap: CommitId::ZERO,
        epoch: CommitId::ZERO,
        time: super::world::NOW,
        sure: true,
    };
    let header = world.nodes[6].ledger.next_header(people().keys[6].id(), &draft);
    assert_eq!(header, Err(CannotWrite::Forked));
}

#[test]
fn keys_that_a_revoked_reader_has_are_not_clean() {
    let mut world = world();
    world.rekey(0, ROOT).unwrap();
    let clean = |world: &World| world.nodes[0].ledger.judgement().writers_epoch(ROOT).unwrap().clean;
    assert!(clean(&world));
    world.revoke(0, member(3), ROOT).unwrap();
    assert!(!world.nodes[0].ledger.judgement().epochs(ROOT).last().unwrap().clean);
    world.rekey(0, ROOT).unwrap();
    assert!(clean(&world));
    let readers = world.nodes[0].ledger.judgement().readers(ROOT);
    assert!(!readers.contains(&people().keys[6].id()) && readers.contains(&people().keys[2].id()));
}

#[test]
fn a_key_that_a_revoked_reader_can_follow_the_links_to_is_not_clean() {
    let mut world = world();
    let device = |number: usize| people().keys[number].id();
    // The first key is for the founder alone; the second, for everybody, leads back to it.
    let first = world.rekey_for(0, ROOT, &[device(0)], [None; 2]).unwrap();
    let second = world.rekey_for(0, ROOT, &[device(0), device(6)], [Some(first), None]).unwrap();
    // A key of a realm inside lies under the second one.
    let inside = RealmId::made_by(world.own(0, ROOT, Control::Realm { inherit: true, file: false }).unwrap());
    let third = world.rekey_for(0, inside, &[device(0)], [None, Some(second)]).unwrap();
    world.revoke(0, member(3), ROOT).unwrap();
    let clean = |realm, id| {
        let epochs = world.nodes[0].ledger.judgement().epochs(realm);
        epochs.iter().find(|epoch| epoch.id == id).unwrap().clean
    };
    assert_eq!([clean(ROOT, first), clean(ROOT, second), clean(inside, third)], [false; 3]);
    let fourth = world.rekey_for(0, ROOT, &[device(0)], [Some(second), None]).unwrap();
    let writers = world.nodes[0].ledger.judgement().writers_epoch(ROOT).unwrap();
    assert_eq!((writers.id, writers.clean), (fourth, true));
}
