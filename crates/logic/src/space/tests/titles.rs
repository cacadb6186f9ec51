//! Names of realms: the latest counts, in every order, also after some were taken out again, and as it was then.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::properties::{Checked, config, properties, seeds};
use super::world::World;
use crate::ledger::{Frontier, RealmId};
use crate::space::{Change, Effect, MemoryRows, Origin, Plan, Refused, Tree, What};

const OTHER: RealmId = RealmId::from_bytes([9; 16]);

fn name(name: &str) -> Vec<Change> {
    vec![Change::Name { name: name.as_bytes().to_vec().into() }]
}

fn text(found: Option<Vec<u8>>) -> Option<String> {
    found.map(|name| String::from_utf8(name).unwrap())
}

/// Devices name two realms without hearing of each other, or after they met.
fn named(seed: u64) -> World {
    let mut world = World::new(seed, 3);
    for number in 0..20 {
        let device = world.pick(3);
        if world.dice.permille(400) {
            let other = world.pick(3);
            world.meet(device, other);
        }
        let realm = if world.dice.permille(500) { RealmId::ROOT } else { OTHER };
        let given = if world.dice.permille(100) { String::new() } else { format!("name {number}") };
        world.commit_in(device, realm, name(&given));
    }
    world
}

fn the_latest_name_counts_in_every_order(seed: u64) -> Checked {
    let mut world = named(seed);
    let mut all: Vec<_> = world.commits.clone();
    let mut left: Vec<_> = all.iter().filter(|_| world.dice.permille(700)).cloned().collect();
    let latest = |commits: &[super::world::Commit], realm| {
        let of = commits.iter().filter(|commit| commit.origin.realm == realm);
        let last = of.max_by_key(|commit| commit.origin.stamp(0)).map(|commit| match &commit.changes[0] {
            Change::Name { name } => String::from_utf8(name.to_vec()).unwrap(),
            _ => unreachable!("only names"),
        });
        last.filter(|name| !name.is_empty())
    };
    for _ in 0..5 {
        world.dice.shuffle(&mut all);
        let mut tree = Tree::<MemoryRows>::default();
        for commit in &all {
            tree.apply(&commit.origin, &commit.changes).unwrap();
            tree.apply(&commit.origin, &commit.changes).unwrap();
        }
        for realm in [RealmId::ROOT, OTHER] {
            prop_assert_eq!(text(tree.realm_name(realm).unwrap()), latest(&all, realm));
        }
        let kept: BTreeSet<_> = left.iter().map(|commit| commit.origin.commit).collect();
        for commit in all.iter().filter(|commit| !kept.contains(&commit.origin.commit)) {
            tree.retract(&commit.origin, &commit.changes).unwrap();
        }
        let mut only = Tree::<MemoryRows>::default();
        world.dice.shuffle(&mut left);
        for commit in &left {
            only.apply(&commit.origin, &commit.changes).unwrap();
        }
        prop_assert_eq!(&tree, &only, "taking out leaves no trace");
        for realm in [RealmId::ROOT, OTHER] {
            prop_assert_eq!(text(tree.realm_name(realm).unwrap()), latest(&left, realm));
        }
    }
    Ok(())
}

fn a_view_knows_the_name_of_its_time(seed: u64) -> Checked {
    let world = named(seed);
    let mut all = Tree::<MemoryRows>::default();
    for commit in &world.commits {
        all.apply(&commit.origin, &commit.changes).unwrap();
    }
    for device in &world.devices {
        let mut frontier = Frontier::default();
        for commit in world.commits.iter().enumerate().filter(|(number, _)| device.knows & (1 << number) != 0) {
            let origin = &commit.1.origin;
            frontier.set(origin.device, origin.seq.max(frontier.of(origin.device).map_or(0, |of| of.0)), origin.commit);
        }
        for realm in [RealmId::ROOT, OTHER] {
            prop_assert_eq!(all.at(&frontier).realm_name(realm).unwrap(), device.tree.realm_name(realm).unwrap());
        }
    }
    Ok(())
}

properties! {
    of_names_the_latest_counts: the_latest_name_counts_in_every_order,
    the_name_of_then_is_found: a_view_knows_the_name_of_its_time,
}

#[test]
fn a_name_that_cannot_be_is_refused_and_the_rest_of_its_commit_counts() {
    let mut world = World::new(1, 1);
    let commit = world.commit(0, name("good"));
    for bad in ["a/b", ".", "..", "a\0b"] {
        let mut changes = name(bad);
        changes.push(world.dir(0, 1, crate::space::NodeId::ROOT, b"dir"));
        let origin =
            Origin { seq: 1, lamport: 9, commit: crate::ledger::CommitId::from_bytes([8; 32]), ..commit.origin };
        let mut tree = world.devices[0].tree.clone();
        let effects = tree.apply(&origin, &changes).unwrap();
        assert!(matches!(effects[0], Effect::Refused { index: 0, why: Refused::Bad(_) }), "{bad:?}");
        assert_eq!(tree.list(crate::space::Node::ROOT).unwrap().len(), 1);
        assert_eq!(text(tree.realm_name(RealmId::ROOT).unwrap()).as_deref(), Some("good"));
    }
}

#[test]
fn undoing_what_somebody_did_brings_the_name_back_too() {
    let mut world = World::new(1, 2);
    world.commit(0, name("ours"));
    world.meet(0, 1);
    let since = {
        let first = &world.commits[0].origin;
        let mut since = Frontier::default();
        since.set(first.device, first.seq, first.commit);
        since
    };
    world.commit(1, name("mine"));
    let tree = world.devices[1].tree.clone();
    let plans = tree.undo(&[world.devices[1].id].into(), &since).unwrap();
    let [Plan { changes, steps, .. }] = &plans[..] else { panic!("one plan") };
    assert_eq!(changes, &name("ours"));
    assert_eq!(steps[0].what, What::Name(b"ours".to_vec().into()));
    world.commit(1, changes.clone());
    assert_eq!(text(world.devices[1].tree.realm_name(RealmId::ROOT).unwrap()).as_deref(), Some("ours"));
}
