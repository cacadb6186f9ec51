//! What two people do to one tree at the same time, one test per case. Where other systems were seen to lose an edit
//! (it was renamed, or its directory was, by the other side), the edit must follow.
//!
//! Every case is played twice with the roles exchanged, since who is "later" is decided by ids.

use std::collections::BTreeMap;

use crate::ledger::RealmId;
use crate::space::{Change, Conflict, Content, Event, Kind, Node, NodeId, NodeKind, Stat};

use super::world::{World, node, paths, put};

/// `doc.txt` and `dir/in.txt`, known to both.
struct Case {
    world: World,
    doc: NodeId,
    dir: NodeId,
    inside: NodeId,
    a: usize,
    b: usize,
}

const BASE: u64 = 1;
const FROM_A: u64 = 100;
const FROM_B: u64 = 200;

impl Case {
    fn new(a: usize, b: usize) -> Self {
        let mut world = World::new(1, 2);
        let doc = world.fresh(0, 0, NodeKind::File);
        let dir = world.fresh(0, 2, NodeKind::Dir);
        let inside = world.fresh(0, 3, NodeKind::File);
        let make = |node, kind, parent, name: &[u8]| Change::Make { node, kind, parent, name: name.to_vec().into() };
        let changes = vec![
            make(doc, Kind::File, NodeId::ROOT, b"doc.txt"),
            put(doc, Vec::new(), BASE),
            make(dir, Kind::Dir, NodeId::ROOT, b"dir"),
            make(inside, Kind::File, dir, b"in.txt"),
            put(inside, Vec::new(), BASE),
        ];
        world.commit(0, changes);
        world.meet_all();
        Self { world, doc, dir, inside, a, b }
    }

    fn edit(&mut self, who: usize, id: NodeId, content: u64) {
        let bases = self.world.devices[who].tree.heads(node(id)).unwrap();
        self.world.commit(who, vec![put(id, bases, content)]);
    }

    fn rename(&mut self, who: usize, id: NodeId, name: &str) {
        self.relocate(who, id, NodeId::ROOT, name);
    }

    fn relocate(&mut self, who: usize, id: NodeId, parent: NodeId, name: &str) {
        let name = name.as_bytes().to_vec().into();
        self.world.commit(who, vec![Change::Move { node: id, parent, name }]);
    }

    fn delete(&mut self, who: usize, id: NodeId) {
        let changes = self.world.delete(who, id);
        self.world.commit(who, changes);
    }

    /// Both meet and must see the same; what they see.
    fn meet(&mut self) -> BTreeMap<String, u64> {
        self.world.meet_all();
        assert_eq!(self.world.devices[0].tree.rows(), self.world.devices[1].tree.rows());
        let size = |content: Option<Content>| match content {
            Some(Content::File { size, .. }) => size,
            _ => 0,
        };
        let all = paths(&self.world.devices[0].tree).into_iter();
        let plain = all.filter(|(_, (id, _))| id.kind() == Some(NodeKind::File));
        plain.map(|(path, (_, written))| (path, size(written.map(|written| written.content)))).collect()
    }

    fn conflicts(&self) -> Vec<Conflict> {
        self.world.devices[0].tree.conflicts(RealmId::ROOT).unwrap()
    }

    fn stat(&self, id: NodeId) -> Stat {
        self.world.devices[0].tree.stat(node(id)).unwrap().unwrap()
    }
}

fn both_ways(play: impl Fn(Case)) {
    play(Case::new(0, 1));
    play(Case::new(1, 0));
}

fn files(expected: &[(&str, u64)]) -> BTreeMap<String, u64> {
    expected.iter().map(|(path, size)| ((*path).to_owned(), *size)).collect()
}

/// Who wrote the heads of the only conflict, and what.
fn heads_of(conflicts: &[Conflict], id: NodeId) -> Vec<(seal::DeviceId, Option<u64>)> {
    let [Conflict::Versions { node, heads }] = conflicts else {
        panic!("one conflict of versions expected: {conflicts:?}");
    };
    assert_eq!(node.id, id);
    let mut heads: Vec<_> =
        heads.iter().map(|head| (head.stamp.device, head.written.as_ref().map(|written| written.size()))).collect();
    heads.sort();
    heads
}

#[test]
fn edit_and_edit() {
    both_ways(|mut case| {
        let (a, b, doc) = (case.a, case.b, case.doc);
        case.edit(a, doc, FROM_A);
        case.edit(b, doc, FROM_B);
        let seen = case.meet();
        assert_eq!(seen.len(), 2);
        let winner = seen["doc.txt"];
        assert!(winner == FROM_A || winner == FROM_B);
        let mut expected = vec![(case.world.devices[a].id, Some(FROM_A)), (case.world.devices[b].id, Some(FROM_B))];
        expected.sort();
        assert_eq!(heads_of(&case.conflicts(), doc), expected);
        // Whoever writes next has seen both, and the conflict is over.
        case.edit(b, doc, 300);
        assert_eq!(case.meet()["doc.txt"], 300);
        assert_eq!(case.conflicts(), Vec::new());
    });
}

#[test]
fn edit_and_delete() {
    both_ways(|mut case| {
        let (a, b, doc) = (case.a, case.b, case.doc);
        case.edit(a, doc, FROM_A);
        case.delete(b, doc);
        assert_eq!(case.meet(), files(&[("doc.txt", FROM_A), ("dir/in.txt", BASE)]));
        let heads = heads_of(&case.conflicts(), doc);
        assert!(heads.contains(&(case.world.devices[b].id, None)), "the delete is announced");
        // A delete that has seen the edit counts.
        case.delete(b, doc);
        assert_eq!(case.meet(), files(&[("dir/in.txt", BASE)]));
        assert_eq!(case.conflicts(), Vec::new());
    });
}

#[test]
fn rename_and_rename() {
    both_ways(|mut case| {
        let (a, b, doc) = (case.a, case.b, case.doc);
        case.rename(a, doc, "docA.txt");
        case.rename(b, doc, "docB.txt");
        let seen = case.meet();
        assert_eq!(seen.len(), 2, "one file has one name: {seen:?}");
        assert_eq!(seen.get("docA.txt").or(seen.get("docB.txt")), Some(&BASE));
    });
}

#[test]
fn create_and_create() {
    both_ways(|mut case| {
        for (who, content) in [(case.a, FROM_A), (case.b, FROM_B)] {
            let id = case.world.fresh(who, 0, NodeKind::File);
            let name = b"x".to_vec().into();
            let make = Change::Make { node: id, kind: Kind::File, parent: case.dir, name };
            case.world.commit(who, vec![make, put(id, Vec::new(), content)]);
        }
        let seen = case.meet();
        let twins: Vec<_> = seen.iter().filter(|(path, _)| path.starts_with("dir/x")).collect();
        assert_eq!(twins.len(), 2);
        assert!(seen.contains_key("dir/x"), "one keeps the name");
        assert!(twins.iter().any(|(path, _)| path.starts_with("dir/x (conflict ")));
        assert!(twins.iter().any(|(_, content)| **content == FROM_A));
        assert!(twins.iter().any(|(_, content)| **content == FROM_B));
        assert!(matches!(&case.conflicts()[..], [Conflict::Names { entries, .. }] if entries.len() == 2));
    });
}

#[test]
fn edit_and_rename() {
    both_ways(|mut case| {
        let (a, b, doc) = (case.a, case.b, case.doc);
        case.edit(a, doc, FROM_A);
        case.rename(b, doc, "doc2.txt");
        assert_eq!(case.meet(), files(&[("doc2.txt", FROM_A), ("dir/in.txt", BASE)]));
        assert_eq!(case.conflicts(), Vec::new());
    });
}

#[test]
fn edit_and_edit_with_rename() {
    both_ways(|mut case| {
        let (a, b, doc) = (case.a, case.b, case.doc);
        case.edit(a, doc, FROM_A);
        case.edit(b, doc, FROM_B);
        case.rename(b, doc, "doc2.txt");
        let seen = case.meet();
        assert_eq!(seen.len(), 2);
        assert!([FROM_A, FROM_B].contains(&seen["doc2.txt"]));
        assert_eq!(heads_of(&case.conflicts(), doc).len(), 2, "both edits are there");
    });
}

#[test]
fn edit_inside_and_rename_of_the_directory() {
    both_ways(|mut case| {
        let (a, b, dir, inside) = (case.a, case.b, case.dir, case.inside);
        case.edit(a, inside, FROM_A);
        case.rename(b, dir, "dir2");
        assert_eq!(case.meet(), files(&[("doc.txt", BASE), ("dir2/in.txt", FROM_A)]));
        assert_eq!(case.conflicts(), Vec::new());
    });
}

#[test]
fn edit_inside_and_delete_of_the_directory() {
    both_ways(|mut case| {
        let (a, b, dir, inside) = (case.a, case.b, case.dir, case.inside);
        case.edit(a, inside, FROM_A);
        case.delete(b, dir);
        assert_eq!(case.meet(), files(&[("doc.txt", BASE), ("dir/in.txt", FROM_A)]));
        let conflicts = case.conflicts();
        assert!(conflicts.iter().any(|c| matches!(c, Conflict::Versions { node, .. } if node.id == inside)));
        assert!(conflicts.iter().any(|c| matches!(c, Conflict::Kept { node, .. } if node.id == dir)));
    });
}

#[test]
fn create_inside_and_delete_of_the_directory() {
    both_ways(|mut case| {
        let (a, b, dir) = (case.a, case.b, case.dir);
        let id = case.world.fresh(a, 0, NodeKind::File);
        let make = Change::Make { node: id, kind: Kind::File, parent: dir, name: b"new".to_vec().into() };
        case.world.commit(a, vec![make, put(id, Vec::new(), FROM_A)]);
        case.delete(b, dir);
        assert_eq!(case.meet(), files(&[("doc.txt", BASE), ("dir/new", FROM_A)]));
        assert!(matches!(&case.conflicts()[..], [Conflict::Kept { node, .. }] if node.id == dir));
        // Once that is gone too, so is the directory.
        case.delete(a, id);
        case.meet();
        assert!(!case.stat(dir).shown);
        assert_eq!(case.conflicts(), Vec::new());
    });
}

#[test]
fn rename_and_delete() {
    both_ways(|mut case| {
        let (a, b, doc) = (case.a, case.b, case.doc);
        case.rename(a, doc, "keep.txt");
        case.delete(b, doc);
        assert_eq!(case.meet(), files(&[("keep.txt", BASE), ("dir/in.txt", BASE)]));
        assert!(matches!(&case.conflicts()[..], [Conflict::Kept { node, .. }] if node.id == doc));
    });
}

#[test]
fn move_out_and_delete_of_the_directory() {
    both_ways(|mut case| {
        let (a, b, dir, inside) = (case.a, case.b, case.dir, case.inside);
        case.rename(a, inside, "saved.txt");
        case.delete(b, dir);
        assert_eq!(case.meet(), files(&[("doc.txt", BASE), ("saved.txt", BASE)]));
        assert!(!case.stat(dir).shown);
    });
}

#[test]
fn move_into_a_deleted_directory() {
    both_ways(|mut case| {
        let (a, b, dir, doc) = (case.a, case.b, case.dir, case.doc);
        case.relocate(a, doc, dir, "doc.txt");
        case.delete(b, dir);
        assert_eq!(case.meet(), files(&[("dir/doc.txt", BASE)]));
    });
}

#[test]
fn two_directories_into_each_other() {
    both_ways(|mut case| {
        let (a, b, dir, inside) = (case.a, case.b, case.dir, case.inside);
        let other = case.world.dir(a, 0, NodeId::ROOT, b"other");
        let other_id = other.node();
        case.world.commit(a, vec![other]);
        case.meet();
        case.relocate(a, dir, other_id, "dir");
        case.relocate(b, other_id, dir, "other");
        let seen = case.meet();
        assert!(
            seen.len() == 2 && (seen.contains_key("dir/in.txt") || seen.contains_key("other/dir/in.txt")),
            "{seen:?}"
        );
        assert!(matches!(&case.conflicts()[..], [Conflict::Aside { moves, .. }] if moves.len() == 1));
        // The ring is gone when one of them goes elsewhere, and what was set aside counts again.
        let stays = if seen.contains_key("dir/in.txt") { dir } else { other_id };
        let third = case.world.dir(b, 0, NodeId::ROOT, b"third");
        let third_id = third.node();
        case.world.commit(b, vec![third]);
        case.meet();
        let goes = if stays == dir { other_id } else { dir };
        case.relocate(b, goes, third_id, "gone");
        let seen = case.meet();
        let expected = if stays == dir { "third/gone/dir/in.txt" } else { "third/gone/in.txt" };
        assert!(seen.contains_key(expected), "{seen:?}");
        assert_eq!(case.conflicts(), Vec::new());
        assert_eq!(case.stat(inside).flags.len(), 0);
    });
}

#[test]
fn an_honest_edit_of_a_file_whose_maker_does_not_count_is_found() {
    let mut case = Case::new(0, 1);
    let evil = case.world.fresh(0, 0, NodeKind::File);
    let make = Change::Make { node: evil, kind: Kind::File, parent: NodeId::ROOT, name: b"bait".to_vec().into() };
    let void = case.world.commit(0, vec![make, put(evil, Vec::new(), FROM_A)]);
    case.world.meet_all();
    case.edit(1, evil, FROM_B);
    case.meet();
    let tree = &mut case.world.devices[0].tree;
    tree.retract(&void.origin, &void.changes).unwrap();
    let lost = format!("lost+found/{}", evil.hex());
    assert_eq!(paths(tree)[&lost].1.as_ref().map(|written| written.size()), Some(FROM_B));
    tree.apply(&void.origin, &void.changes).unwrap();
    assert!(paths(tree).contains_key("bait"));
    assert!(!paths(tree).contains_key("lost+found"));
}

#[test]
fn what_was_deleted_is_found_by_its_path_and_comes_back() {
    let mut case = Case::new(0, 1);
    let (doc, dir) = (case.doc, case.dir);
    case.edit(0, doc, FROM_A);
    case.delete(0, doc);
    assert_eq!(case.meet(), files(&[("dir/in.txt", BASE)]));
    let tree = &case.world.devices[0].tree;
    assert_eq!(tree.ever_named(Node::ROOT, b"DOC.txt").unwrap(), [node(doc)]);
    let history = tree.history(node(doc)).unwrap();
    let contents: Vec<_> = history
        .iter()
        .filter_map(|event| match event {
            Event::Written(version) => Some(version.written.as_ref().map(|written| written.size())),
            Event::Placed(_) => None,
        })
        .collect();
    assert_eq!(contents, [None, Some(FROM_A), Some(BASE)]);
    case.edit(1, doc, FROM_A);
    assert_eq!(case.meet()["doc.txt"], FROM_A);
    assert_eq!(case.conflicts(), Vec::new());
    // A directory comes back the same way.
    case.delete(0, dir);
    case.meet();
    assert!(!case.stat(dir).shown);
    case.edit(1, dir, 0);
    case.meet();
    assert!(case.stat(dir).shown);
}
