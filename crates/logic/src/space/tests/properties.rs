//! Random histories: the same tree for every order, nothing lost, the past as it was.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::RealmId;
use crate::space::{Conflict, Effect, Entry, Event, Flag, MemoryRows, Node, NodeId, Tree, View};
use crate::transfer::path::check_name;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::model::Model;
use super::world::{Commit, World, chosen, node, tree_of, without_case};

/// So many histories unless `PROPTEST_CASES` says otherwise.
pub fn config(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Seeds of histories. A failure prints its seed; `SPACE_SEED=...` runs that one alone.
pub fn seeds() -> BoxedStrategy<u64> {
    match std::env::var("SPACE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => Just(seed).boxed(),
        None => any::<u64>().no_shrink().boxed(),
    }
}

/// In so many orders each history is played.
pub const ORDERS: usize = 7;

/// What a property says of one history.
pub type Checked = Result<(), TestCaseError>;

/// Tests of properties: random histories, more with `PROPTEST_CASES`.
macro_rules! properties {
    ($($name:ident: $holds:ident,)*) => {
        proptest! {
            #![proptest_config(config(8))]
            $(
                #[test]
                fn $name(seed in seeds()) {
                    $holds(seed)?;
                }
            )*
        }
    };
}
pub(super) use properties;

/// What each directory lists.
pub type Listing = BTreeMap<NodeId, (NodeId, Entry)>;

fn listing(list: impl Fn(Node) -> Vec<Entry>) -> Listing {
    let mut found = Listing::new();
    let mut open = vec![Node::ROOT];
    while let Some(dir) = open.pop() {
        let mut folds = BTreeSet::new();
        for entry in list(dir) {
            check_name(&entry.name).unwrap();
            assert!(folds.insert(without_case(&entry.name)), "two entries that a disk may take for one: {entry:?}");
            open.push(entry.node);
            assert!(found.insert(entry.node.id, (dir.id, entry)).is_none(), "a node in two places");
        }
    }
    found
}

pub fn of_tree(tree: &Tree<MemoryRows>) -> Listing {
    listing(|dir| tree.list(dir).unwrap())
}

pub fn of_view(view: &View<'_, MemoryRows>) -> Listing {
    listing(|dir| view.list(dir).unwrap())
}

/// The listing is what the model says. Reading the listing from the root proves that all of it can be reached (I15).
fn agree(listing: &Listing, model: &Model) -> Checked {
    let ids: Vec<_> = listing.keys().collect();
    prop_assert_eq!(ids, model.shown.keys().collect::<Vec<_>>());
    for (id, shown) in &model.shown {
        let (parent, entry) = &listing[id];
        prop_assert_eq!(*parent, shown.parent);
        prop_assert_eq!(entry.name == shown.name, shown.plain, "{:?} {:?}", entry, shown);
        let size = shown.written.as_ref().map(crate::space::Written::size);
        prop_assert_eq!(entry.brief.as_ref().map(|brief| brief.size), size);
    }
    Ok(())
}

/// Applies in that order, with commits taken out and put in again on the way.
fn restless(world: &mut World, order: &[Commit]) -> Tree<MemoryRows> {
    let mut tree = Tree::default();
    for (done, commit) in order.iter().enumerate() {
        tree.apply(&commit.origin, &commit.changes).unwrap();
        if world.dice.permille(150) {
            let again: Vec<_> = (0..3).map(|_| order[world.pick(done + 1)].clone()).collect();
            for commit in &again {
                tree.retract(&commit.origin, &commit.changes).unwrap();
            }
            for commit in again.iter().rev() {
                tree.apply(&commit.origin, &commit.changes).unwrap();
            }
        }
        if world.dice.permille(100) {
            let again = order[world.pick(done + 1)].clone();
            assert_eq!(tree.apply(&again.origin, &again.changes).unwrap(), Vec::new());
        }
    }
    tree
}

/// I1, I2: whatever the order, whatever came twice, was taken out and came again: the same rows, byte for byte; and
/// they show what the model says.
pub fn orders(seed: u64) -> Checked {
    orders_of(World::history(seed, 30))
}

pub fn orders_of(mut world: World) -> Checked {
    let all = world.everything();
    let expected = tree_of(&world.commits);
    agree(&of_tree(&expected), &Model::of(&world.commits))?;
    for _ in 1..ORDERS {
        let order = world.order(all);
        let tree = restless(&mut world, &order);
        prop_assert_eq!(tree.rows(), expected.rows());
    }
    let mut any = world.commits.clone();
    world.dice.shuffle(&mut any);
    let tree = restless(&mut world, &any);
    prop_assert_eq!(tree.rows(), expected.rows());
    Ok(())
}

/// Whatever set of commits turns out not to count: taking them out leaves the tree of the others, and taking out
/// everything leaves nothing.
pub fn retraction(seed: u64) -> Checked {
    retraction_of(World::history(seed, 30))
}

pub fn retraction_of(mut world: World) -> Checked {
    let all = world.everything();
    let void = u128::from(world.dice.roll()) & u128::from(world.dice.roll()) & all;
    let rest = tree_of(chosen(&world.commits, all & !void));
    agree(&of_tree(&rest), &Model::of(chosen(&world.commits, all & !void)))?;
    let mut tree = tree_of(&world.commits);
    let mut out: Vec<_> = chosen(&world.commits, void).cloned().collect();
    world.dice.shuffle(&mut out);
    for commit in &out {
        tree.retract(&commit.origin, &commit.changes).unwrap();
    }
    prop_assert_eq!(tree.rows(), rest.rows());
    let mut out: Vec<_> = chosen(&world.commits, all & !void).cloned().collect();
    world.dice.shuffle(&mut out);
    for commit in &out {
        tree.retract(&commit.origin, &commit.changes).unwrap();
    }
    prop_assert!(tree.rows().is_empty());
    Ok(())
}

/// Whoever only follows the effects sees what a reader of the whole tree sees, and knows of every flag.
pub fn effects(seed: u64) -> Checked {
    let mut world = World::history(seed, 30);
    let order = world.order(world.everything());
    let mut tree = Tree::<MemoryRows>::default();
    let mut seen = BTreeMap::new();
    let (mut flags, mut realms) = (BTreeSet::new(), BTreeSet::new());
    let steps: Vec<(bool, Commit)> = order.into_iter().map(|commit| (true, commit)).collect();
    let mut all: Vec<(bool, Commit)> = Vec::new();
    for step in steps {
        all.push(step);
        if world.dice.permille(200) {
            let commit = all[world.pick(all.len())].1.clone();
            all.push((false, commit.clone()));
            all.push((true, commit));
        }
    }
    for (on, commit) in &all {
        let effects = if *on {
            tree.apply(&commit.origin, &commit.changes)
        } else {
            tree.retract(&commit.origin, &commit.changes)
        };
        for effect in effects.unwrap() {
            match effect {
                Effect::Shown { node, before, after } => {
                    prop_assert_eq!(seen.get(&node), before.as_ref());
                    match after {
                        Some(after) => seen.insert(node, after),
                        None => seen.remove(&node),
                    };
                }
                Effect::Flag { realm, flag, on: true } => {
                    realms.insert(realm);
                    flags.insert((realm, flag));
                }
                Effect::Flag { realm, flag, on: false } => prop_assert!(flags.remove(&(realm, flag))),
                Effect::Refused { .. } => {}
            }
        }
        let version = |node| {
            let version = tree.stat(node).unwrap().and_then(|stat| stat.version);
            version.map(|version| version.stamp.id())
        };
        let mut is = BTreeMap::new();
        for (parent, entry) in of_tree(&tree).into_values() {
            let shown = crate::space::Seen { parent, name: entry.name.clone(), version: version(entry.node) };
            is.insert(entry.node, shown);
        }
        // Files that are realms are told of as if they were in the roots of these.
        for commit in all.iter().map(|(_, commit)| commit).filter(|commit| commit.origin.realm != RealmId::ROOT) {
            let file = Node { realm: commit.origin.realm, id: NodeId::FILE };
            if let Some(version) = version(file) {
                let (parent, name) = (NodeId::ROOT, Vec::new());
                is.insert(file, crate::space::Seen { parent, name, version: Some(version) });
            }
        }
        prop_assert_eq!(&seen, &is);
    }
    let conflicts = realms.into_iter().map(|realm| tree.conflicts(realm).unwrap().len());
    prop_assert_eq!(flags.len(), conflicts.sum::<usize>());
    Ok(())
}

/// No lost update: every version that somebody wrote can be read, and it is shown, or listed as a conflict, or
/// somebody who had it wrote or deleted over it.
pub fn nothing_lost(seed: u64) -> Checked {
    let mut world = World::history(seed, 40);
    world.meet_all();
    let tree = &world.devices[0].tree;
    let model = Model::of(&world.commits);
    let realms: BTreeSet<RealmId> = model.versions.keys().map(|node| node.realm).collect();
    let conflicts: Vec<Conflict> = realms.iter().flat_map(|realm| tree.conflicts(*realm).unwrap()).collect();
    let files =
        realms.iter().filter(|realm| **realm != RealmId::ROOT).map(|realm| Node { realm: *realm, id: NodeId::FILE });
    let flags: BTreeSet<(Node, Flag)> = tree
        .subtree(Node::ROOT)
        .unwrap()
        .into_iter()
        .chain(files)
        .filter_map(|node| Some((node, tree.stat(node).unwrap()?)))
        .flat_map(|(node, stat)| stat.flags.into_iter().map(move |flag| (node, flag)))
        .collect();
    let shown = of_tree(tree);
    for (id, versions) in &model.versions {
        let history = tree.history(*id).unwrap();
        let heads: BTreeSet<_> = model.heads(*id).into_iter().map(|head| head.stamp).collect();
        let live = model.heads(*id).iter().any(|head| head.written.is_some());
        let is_alone = id.id.is_alone();
        // What shows a file that is a realm may be deleted; its content stays as it is.
        prop_assert!(!live || is_alone || shown.contains_key(&id.id), "a file with unseen content is hidden");
        for version in versions {
            let found = history.iter().find_map(|event| match event {
                Event::Written(found) if found.stamp == version.stamp => Some(found.written.clone()),
                _ => None,
            });
            prop_assert_eq!(found.as_ref(), Some(&version.written), "not in the history");
            if version.written.is_none() || !heads.contains(&version.stamp) {
                let over = versions.iter().any(|over| over.bases.contains(&version.stamp.id()));
                prop_assert!(over || version.written.is_none());
                continue;
            }
            let on_top = tree.stat(*id).unwrap().unwrap().version.map(|version| version.stamp) == Some(version.stamp);
            let listed = conflicts.iter().any(|conflict| {
                matches!(conflict, Conflict::Versions { node, heads }
                if node == id && heads.iter().any(|head| head.stamp == version.stamp))
            });
            prop_assert!(on_top || listed, "neither shown nor announced");
        }
        // A delete that lost against an edit, or a node that is there all the same, is announced.
        if live && heads.len() > 1 {
            prop_assert!(flags.contains(&(*id, Flag::Versions(id.id))));
        }
        if !live && !heads.is_empty() && shown.contains_key(&id.id) {
            prop_assert!(flags.contains(&(*id, Flag::Kept(id.id))));
        }
    }
    for id in model.aside.keys().filter(|id| shown.contains_key(id)) {
        prop_assert!(flags.contains(&(node(*id), Flag::Aside(*id))));
    }
    Ok(())
}

/// The view of a frontier is the tree that a device with just those commits had.
pub fn the_past(seed: u64) -> Checked {
    let mut world = World::honest(seed, 30);
    let points: Vec<u128> =
        world.commits.iter().map(|commit| commit.knew).chain(world.devices.iter().map(|device| device.knows)).collect();
    let tree = tree_of(&world.commits);
    for _ in 0..6 {
        let knows = points[world.pick(points.len())];
        let frontier = world.frontier(knows);
        let then = tree_of(chosen(&world.commits, knows));
        let view = tree.at(&frontier);
        prop_assert_eq!(of_view(&view), of_tree(&then));
        for (id, (_, entry)) in of_tree(&then) {
            let path = then.path(node(id)).unwrap().unwrap();
            let path = crate::transfer::path::RelPath::parse(&path).unwrap();
            prop_assert_eq!(view.lookup(&path).unwrap().map(|found| found.node), Some(entry.node));
            prop_assert_eq!(then.lookup(&path).unwrap(), Some(entry));
        }
    }
    Ok(())
}

properties! {
    every_order_gives_the_same_tree: orders,
    a_commit_taken_out_leaves_no_trace: retraction,
    effects_tell_everything: effects,
    no_written_version_is_lost: nothing_lost,
    the_past_is_as_it_was: the_past,
}
