//! Bringing things back: files, directories, the whole space; and undoing what somebody did.

use std::collections::{BTreeMap, BTreeSet};

use crate::space::{Change, Flag, MemoryRows, Node, NodeId, Tree, Version, What, Written};
use proptest::prelude::*;

use super::properties::{Checked, config, of_tree, of_view, properties, seeds};
use super::world::{World, chosen, node, paths, tree_of};

/// What a reader sees: paths with contents. Directories that were never written look like those written with nothing.
fn look(tree: &Tree<MemoryRows>, below: Node) -> BTreeMap<String, (NodeId, Written)> {
    let inside: BTreeSet<NodeId> = tree.subtree(below).unwrap().into_iter().map(|node| node.id).collect();
    let all = paths(tree).into_iter().filter(|(_, (id, _))| inside.contains(id));
    let plain = |written: Option<Written>| Written { restored: None, ..written.unwrap_or_default() };
    all.map(|(path, (id, written))| (path, (id, plain(written)))).collect()
}

/// The directories that a node is in.
fn above(tree: &Tree<MemoryRows>, id: NodeId) -> impl Iterator<Item = NodeId> {
    let listing = of_tree(tree);
    let parent = move |id: &NodeId| Some(listing.get(id)?.0).filter(|id| !id.is_fixed());
    std::iter::successors(Some(id), parent).skip(1)
}

/// A name, without who made it if it has a suffix: somebody whose commits do not count has made nothing.
fn without_maker(name: &[u8]) -> &[u8] {
    const MARK: &[u8] = b" (conflict ";
    let at = name.windows(MARK.len()).position(|window| window == MARK);
    at.map_or(name, |at| &name[..at + MARK.len()])
}

/// Parent, name and content of what is below a node.
type Inside = BTreeMap<NodeId, (NodeId, Vec<u8>, Written)>;

/// I14: the whole space as it was at any point somebody knew.
pub fn restored_space(seed: u64) -> Checked {
    let mut world = World::honest(seed, 30);
    world.meet_all();
    let points: Vec<u128> = world.commits.iter().map(|commit| commit.knew).collect();
    for _ in 0..3 {
        let knows = points[world.pick(points.len())];
        let frontier = world.frontier(knows);
        let then = tree_of(chosen(&world.commits, knows));
        let tree = &world.devices[0].tree;
        let plan = tree.restore(&tree.at(&frontier), Node::ROOT).unwrap();
        prop_assert_eq!(plan.changes.len(), plan.steps.len());
        world.commit(0, plan.changes);
        let tree = &world.devices[0].tree;
        prop_assert_eq!(look(tree, Node::ROOT), look(&then, Node::ROOT));
        // And there is nothing left to do.
        prop_assert_eq!(tree.restore(&tree.at(&frontier), Node::ROOT).unwrap().changes, Vec::new());
    }
    Ok(())
}

/// I14 for one directory or file: what was in it, under the names of then.
pub fn restored_directory(seed: u64) -> Checked {
    let mut world = World::honest(seed, 30);
    world.meet_all();
    let points: Vec<u128> = world.commits.iter().map(|commit| commit.knew).filter(|knew| *knew != 0).collect();
    for _ in 0..3 {
        let knows = points[world.pick(points.len())];
        let frontier = world.frontier(knows);
        let then = tree_of(chosen(&world.commits, knows));
        let nodes: Vec<Node> =
            then.subtree(Node::ROOT).unwrap().into_iter().filter(|node| !node.id.is_fixed()).collect();
        if nodes.is_empty() {
            continue;
        }
        let target = nodes[world.pick(nodes.len())];
        let tree = &world.devices[0].tree;
        let gone_above: Vec<NodeId> =
            above(&then, target.id).filter(|id| !tree.stat(node(*id)).unwrap().unwrap().shown).collect();
        let plan = tree.restore(&tree.at(&frontier), target).unwrap();
        world.commit(0, plan.changes);
        let tree = &world.devices[0].tree;
        for id in gone_above {
            let kept = |tree: &Tree<MemoryRows>| tree.stat(node(id)).unwrap().unwrap().flags.contains(&Flag::Kept(id));
            prop_assert_eq!(kept(tree), kept(&then), "a directory above came back, as it was");
        }
        let view = tree.at(&frontier);
        prop_assert_eq!(of_view(&view), of_tree(&then));
        let inside: [Inside; 2] = [&then, tree].map(|tree| {
            let nodes = tree.subtree(target).unwrap();
            nodes
                .into_iter()
                .map(|node| {
                    let path = tree.path(node).unwrap().unwrap();
                    let name = path.rsplit(|byte| *byte == b'/').next().unwrap().to_vec();
                    // Beside the target there may be others of its name now.
                    let name = if node == target { Vec::new() } else { name };
                    let version = tree.stat(node).unwrap().unwrap().version.and_then(|version| version.written);
                    let written = Written { restored: None, ..version.unwrap_or_default() };
                    let parent = of_tree(tree)[&node.id].0;
                    (node.id, (parent, name, written))
                })
                .collect()
        });
        prop_assert_eq!(&inside[0], &inside[1]);
    }
    Ok(())
}

/// Undo of one device: what is shown is what the others made, as if that device had done nothing since then. What
/// then would have no known place, because that device made it and others wrote it, stays where it is.
pub fn undone(seed: u64) -> Checked {
    let mut world = World::honest(seed, 30);
    world.meet_all();
    let knows = world.commits[world.dice.clone().below(30) as usize].knew;
    let since = world.frontier(knows);
    let bad = world.devices[1].id;
    let undo = |tree: &Tree<MemoryRows>| tree.undo(&BTreeSet::from([bad]), &since).unwrap();
    let plans = undo(&world.devices[0].tree);
    let own: Vec<_> =
        plans.into_iter().map(|plan| world.commit_in(0, plan.realm, plan.changes).origin.commit).collect();
    let tree = &world.devices[0].tree;
    let view = tree.only(|stamp| !own.contains(&stamp.commit) && (stamp.device != bad || since.covers(bad, stamp.seq)));
    let (goal, after) = (of_view(&view), of_tree(tree));
    let plain = |version: Option<Version>| Written {
        restored: None,
        ..version.and_then(|version| version.written).unwrap_or_default()
    };
    // A view lists in lost+found only what is there now.
    let all: BTreeSet<NodeId> =
        world.commits.iter().flat_map(|commit| &commit.changes).map(|change| change.node()).collect();
    let at_home = |id: &NodeId| goal.get(id).is_some_and(|(parent, _)| *parent != NodeId::LOST);
    let shown: BTreeSet<NodeId> = all.into_iter().filter(|id| view.shows(node(*id)).unwrap()).collect();
    // What stays because it is homeless, or holds what is, may have the name of somebody else.
    let with_homeless: BTreeSet<NodeId> =
        after.iter().filter(|(id, _)| !at_home(id)).map(|(_, (parent, _))| *parent).collect();
    for id in &shown {
        prop_assert!(after.contains_key(id), "{id:?} should be there");
        let version = tree.stat(node(*id)).unwrap().unwrap().version;
        prop_assert_eq!(plain(version), plain(view.version(node(*id)).unwrap()));
    }
    for (id, (parent, entry)) in goal.iter().filter(|(id, _)| at_home(id) && !id.is_fixed()) {
        let (parent_now, now) = &after[id];
        prop_assert_eq!(parent_now, parent);
        // Of a file that is a realm there is always some content: what nobody else wrote stays.
        if entry.content() != entry.node && entry.brief.is_some() {
            let version = tree.stat(entry.content()).unwrap().unwrap().version;
            prop_assert_eq!(plain(version), plain(view.version(entry.content()).unwrap()));
        }
        let same = without_maker(&now.name) == without_maker(&entry.name);
        prop_assert!(same || with_homeless.contains(parent), "{:?} {:?}", now, entry);
    }
    for (id, (_, entry)) in after.iter().filter(|(id, _)| !shown.contains(id) && !id.is_fixed()) {
        prop_assert!(after.values().any(|(parent, _)| parent == id), "{entry:?} should not be there");
    }
    prop_assert!(undo(tree).iter().all(|plan| plan.changes.is_empty()), "{:?}", undo(tree));
    Ok(())
}

/// Who deletes a file that somebody else has edited has deleted the file: it does not come back when the edit is undone.
#[test]
pub fn undo_leaves_what_others_deleted_later() {
    let mut world = World::new(1, 2);
    let file = world.file(0, 0, NodeId::ROOT, b"a");
    let id = file[0].node();
    world.commit(0, file);
    world.meet_all();
    let since = world.frontier(world.everything());
    let edit = world.edit(1, id);
    world.commit(1, vec![edit]);
    world.meet_all();
    let delete = world.delete(0, id);
    world.commit(0, delete);
    let plans = world.devices[0].tree.undo(&BTreeSet::from([world.devices[1].id]), &since).unwrap();
    assert!(plans.iter().all(|plan| plan.changes.is_empty()), "{plans:?}");
}

/// Somebody makes a directory and others put a file into it, delete what they should not, move things into each other.
/// The preview of its undo says in words what happens, and the file stays where it is.
#[test]
fn undo_says_what_it_does_and_keeps_what_others_made() {
    let mut world = World::new(1, 2);
    let mine = [world.file(0, 0, NodeId::ROOT, b"deleted"), world.file(0, 2, NodeId::ROOT, b"moved")].concat();
    let (deleted, moved) = (mine[0].node(), mine[2].node());
    world.commit(0, mine);
    world.meet_all();
    let since = world.frontier(world.everything());
    let (dir, other) = (world.dir(1, 0, NodeId::ROOT, b"dir"), world.dir(1, 1, NodeId::ROOT, b"other"));
    let (dir_id, other_id) = (dir.node(), other.node());
    world.commit(1, vec![dir, other, Change::Move { node: moved, parent: dir_id, name: b"here".to_vec().into() }]);
    let delete = world.delete(1, deleted);
    world.commit(1, delete);
    world.meet_all();
    let kept = world.file(0, 0, dir_id, b"kept");
    let kept_id = kept[0].node();
    world.commit(0, kept);
    let mut plans = world.devices[0].tree.undo(&BTreeSet::from([world.devices[1].id]), &since).unwrap();
    let plan = plans.remove(0);
    let did: BTreeMap<NodeId, What> = plan.steps.iter().map(|step| (step.node.id, step.what.clone())).collect();
    let back = What::Move(NodeId::ROOT, b"moved".to_vec().into());
    let expected = [(deleted, What::Revive), (moved, back), (dir_id, What::Delete), (other_id, What::Delete)];
    assert_eq!(did, BTreeMap::from(expected));
    world.commit(0, plan.changes);
    let seen = paths(&world.devices[0].tree);
    let names: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(names, ["", "deleted", "dir", "dir/kept", "moved"]);
    assert_eq!(seen["dir/kept"].0, kept_id);
}

fn into(node: NodeId, parent: NodeId, name: &[u8]) -> Change {
    Change::Move { node, parent, name: name.to_vec().into() }
}

/// A world in which the first device made these directories in the root and all know of them.
fn with_dirs<const N: usize>(devices: usize, names: [&[u8]; N]) -> (World, [NodeId; N]) {
    let mut world = World::new(1, devices);
    let dirs = (0..).zip(names).map(|(index, name)| world.dir(0, index, NodeId::ROOT, name)).collect::<Vec<_>>();
    let ids = std::array::from_fn(|number| dirs[number].node());
    world.commit(0, dirs);
    world.meet_all();
    (world, ids)
}

fn dirs_of(tree: &Tree<MemoryRows>) -> Vec<String> {
    paths(tree).into_keys().filter(|path| !path.is_empty()).collect()
}

/// What comes back goes to where it was, and so does what is in it and was not.
#[test]
fn what_was_inside_and_around_is_so_again() {
    let (mut world, [q, p, t, c]) = with_dirs(1, [b"q", b"p", b"t", b"c"]);
    world.commit(0, vec![into(p, q, b"p"), into(t, p, b"t"), into(c, t, b"c")]);
    let then = world.frontier(world.everything());
    world.commit(0, vec![into(c, NodeId::ROOT, b"c"), into(t, NodeId::ROOT, b"t"), into(q, c, b"q")]);
    let tree = &world.devices[0].tree;
    assert_eq!(dirs_of(tree), ["c", "c/q", "c/q/p", "t"]);
    let plan = tree.restore(&tree.at(&then), node(t)).unwrap();
    world.commit(0, plan.changes);
    assert_eq!(dirs_of(&world.devices[0].tree), ["q", "q/p", "q/p/t", "q/p/t/c"]);
}

/// What goes back to where it was would be put into itself, because what it was in is in it now: that goes back too.
#[test]
pub fn what_was_around_does_not_stay_inside() {
    let (mut world, [t, s, r]) = with_dirs(1, [b"t", b"s", b"r"]);
    world.commit(0, vec![into(r, s, b"r")]);
    let then = world.frontier(world.everything());
    world.commit(0, vec![into(r, t, b"r"), into(s, r, b"s")]);
    let tree = &world.devices[0].tree;
    assert_eq!(dirs_of(tree), ["t", "t/r", "t/r/s"]);
    let plan = tree.restore(&tree.at(&then), node(t)).unwrap();
    world.commit(0, plan.changes);
    assert_eq!(dirs_of(&world.devices[0].tree), ["s", "s/r", "t"]);
}

/// What is in lost+found because its only move is set aside must not slip into what the plan frees.
#[test]
pub fn what_a_plan_frees_from_lost_and_found_goes_to_the_root() {
    let (mut world, [c]) = with_dirs(3, [b"c"]);
    let dir = world.dir(1, 0, NodeId::ROOT, b"d");
    let d = dir.node();
    let void = world.commit(1, vec![dir]);
    world.meet_all();
    let then = world.frontier(world.everything());
    let edit = world.edit(0, d);
    world.commit(0, vec![edit, into(c, d, b"c")]);
    world.commit(2, vec![into(d, c, b"d")]);
    world.meet_all();
    let tree = &mut world.devices[0].tree;
    tree.retract(&void.origin, &void.changes).unwrap();
    assert_eq!(dirs_of(tree), ["lost+found", &format!("lost+found/{}", d.hex()), &format!("lost+found/{}/c", d.hex())]);
    let plan = tree.restore(&tree.at(&then), node(c)).unwrap();
    world.commit(0, plan.changes);
    assert!(world.devices[0].tree.list(node(c)).unwrap().is_empty(), "it was empty then");
    assert_eq!(dirs_of(&world.devices[0].tree), ["c", "d"]);
}

/// Somebody makes a directory; others put theirs into it; the same somebody turns them inside out. Undone, the directory
/// is still needed, and has no other place than the root.
#[test]
fn what_holds_something_and_cannot_stay_goes_to_the_root() {
    let (mut world, [c]) = with_dirs(2, [b"c"]);
    let since = world.frontier(world.everything());
    let dir = world.dir(1, 0, NodeId::ROOT, b"d");
    let d = dir.node();
    world.commit(1, vec![dir]);
    world.meet_all();
    world.commit(0, vec![into(c, d, b"c")]);
    world.meet_all();
    world.commit(1, vec![into(c, NodeId::ROOT, b"c"), into(d, c, b"d")]);
    world.meet_all();
    assert_eq!(dirs_of(&world.devices[0].tree), ["c", "c/d"]);
    let plans = world.devices[0].tree.undo(&BTreeSet::from([world.devices[1].id]), &since).unwrap();
    for plan in plans {
        world.commit(0, plan.changes);
    }
    assert_eq!(dirs_of(&world.devices[0].tree), ["d", "d/c"]);
}

/// Two put their directories into each other. Restoring one does not let the other slip into it.
#[test]
pub fn what_hangs_together_is_held_where_it_is() {
    let (mut world, [a, b]) = with_dirs(3, [b"a", b"b"]);
    let then = world.frontier(world.everything());
    world.commit(1, vec![into(a, b, b"a")]);
    world.commit(2, vec![into(b, a, b"b")]);
    world.meet_all();
    let tree = &world.devices[0].tree;
    let plan = tree.restore(&tree.at(&then), node(a)).unwrap();
    world.commit(0, plan.changes);
    assert_eq!(dirs_of(&world.devices[0].tree), ["a", "b"]);
}

/// The same where the other was deleted: the move that its delete has not seen is set aside, and is freed.
#[test]
pub fn what_is_deleted_does_not_come_back_by_a_move_that_is_freed() {
    let (mut world, [a, b]) = with_dirs(3, [b"a", b"b"]);
    let then = world.frontier(world.everything());
    world.commit(1, vec![into(a, b, b"a")]);
    world.meet(0, 1);
    let delete = world.delete(0, b);
    world.commit(0, delete);
    world.commit(2, Vec::new());
    world.commit(2, vec![into(b, a, b"b")]);
    world.meet_all();
    assert!(dirs_of(&world.devices[0].tree).is_empty());
    let tree = &world.devices[0].tree;
    let plan = tree.restore(&tree.at(&then), node(a)).unwrap();
    world.commit(0, plan.changes);
    assert_eq!(dirs_of(&world.devices[0].tree), ["a"]);
}

/// Two put their directories into each other. What was set aside counts again when the other move is undone.
#[test]
pub fn undo_lets_count_what_was_set_aside() {
    let (mut world, [a, b]) = with_dirs(3, [b"a", b"b"]);
    let since = world.frontier(world.everything());
    world.commit(1, vec![into(a, b, b"a")]);
    world.commit(2, vec![into(b, a, b"b")]);
    world.meet_all();
    assert_eq!(dirs_of(&world.devices[0].tree), ["b", "b/a"]);
    let plans = world.devices[0].tree.undo(&BTreeSet::from([world.devices[1].id]), &since).unwrap();
    for plan in plans {
        world.commit(0, plan.changes);
    }
    assert_eq!(dirs_of(&world.devices[0].tree), ["a", "a/b"]);
}

/// Without the move that is undone there are two rings, one after the other, and the second does not show any more that
/// the first was there: what it set aside must be set aside again.
#[test]
pub fn undo_finds_rings_that_left_no_trace() {
    let (mut world, [t, x, y, e]) = with_dirs(4, [b"t", b"x", b"y", b"e"]);
    world.commit(0, vec![into(x, y, b"x")]);
    world.commit(0, vec![into(y, t, b"y")]);
    for (device, change) in [(2, into(t, x, b"t")), (3, into(x, t, b"x"))] {
        // Later than what it does not know of.
        world.commit(device, Vec::new());
        world.commit(device, Vec::new());
        world.commit(device, vec![change]);
    }
    world.meet_all();
    let before = dirs_of(&world.devices[0].tree);
    assert_eq!(before, ["e", "t", "t/y", "t/y/x"]);
    let since = world.frontier(world.everything());
    world.commit(1, vec![into(t, e, b"t")]);
    world.meet_all();
    assert_eq!(dirs_of(&world.devices[0].tree), ["e", "e/t", "e/t/x", "e/t/y"]);
    let plans = world.devices[0].tree.undo(&BTreeSet::from([world.devices[1].id]), &since).unwrap();
    for plan in plans {
        world.commit(0, plan.changes);
    }
    assert_eq!(dirs_of(&world.devices[0].tree), before);
}

properties! {
    a_restored_space_is_as_it_was: restored_space,
    a_restored_directory_is_as_it_was: restored_directory,
    undo_takes_back_one_device_and_no_other: undone,
}
