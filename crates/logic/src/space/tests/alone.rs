//! Files and links that are realms of their own.

use crate::ledger::{CommitId, RealmId};
use crate::space::{Change, Conflict, Content, Kind, Node, NodeId, NodeKind, Refused};
use crate::transfer::path::RelPath;

use super::world::{World, node, put};

fn realm(number: u8) -> RealmId {
    RealmId::made_by(CommitId::from_bytes([number; 32]))
}

fn file() -> Node {
    Node { realm: realm(7), id: NodeId::FILE }
}

/// `dir/doc`, which shows the file that the first realm is, with a content of that size.
fn shared(devices: usize, size: u64) -> (World, NodeId, NodeId) {
    let mut world = World::new(1, devices);
    world.commit_in(0, realm(7), vec![put(NodeId::FILE, Vec::new(), size)]);
    let (dir, mount) = (world.dir(0, 0, NodeId::ROOT, b"dir"), world.fresh(0, 1, NodeKind::FileRealm));
    let parent = dir.node();
    let make = Change::Make { node: mount, kind: Kind::FileRealm(realm(7)), parent, name: b"doc".to_vec().into() };
    world.commit(0, vec![dir, make]);
    world.meet_all();
    (world, parent, mount)
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}

#[test]
fn it_is_shown_as_a_file_by_what_names_it() {
    let (mut world, dir, mount) = shared(1, 5);
    let tree = &world.devices[0].tree;
    let entry = tree.lookup(&path("dir/doc")).unwrap().unwrap();
    assert_eq!((entry.node, entry.kind, entry.realm), (node(mount), NodeKind::File, Some(realm(7))));
    assert_eq!((entry.content(), entry.inside(), tree.content(node(mount)).unwrap()), (file(), file(), file()));
    assert_eq!(entry.brief.unwrap().size, 5);
    for node in [node(mount), file(), Node::root_of(realm(7))] {
        assert_eq!(tree.path(node).unwrap().unwrap(), b"dir/doc");
    }
    assert!(tree.list(node(mount)).unwrap().is_empty() && tree.stat(file()).unwrap().unwrap().shown);
    assert_eq!(tree.entered(node(mount)).unwrap(), None, "nothing can be in it");
    // Moved and written at once: place and content have nothing to do with each other.
    let before = world.frontier(world.everything());
    let name = b"plan".to_vec().into();
    world.commit(0, vec![Change::Move { node: mount, parent: NodeId::ROOT, name }]);
    let heads = world.devices[0].tree.heads(file()).unwrap();
    world.commit_in(0, realm(7), vec![put(NodeId::FILE, heads, 9)]);
    let tree = &world.devices[0].tree;
    let size = |entry: crate::space::Entry| entry.brief.unwrap().size;
    assert_eq!(tree.lookup(&path("plan")).unwrap().map(size), Some(9));
    assert_eq!(tree.at(&before).lookup(&path("dir/doc")).unwrap().map(size), Some(5));
    assert_eq!(tree.alike(Node::ROOT, b"PLAN").unwrap().remove(0).brief.unwrap().size, 9);
    // Back to what it was: place and content are two plans.
    let [place, content] = [node(mount), file()].map(|node| tree.restore(&tree.at(&before), node).unwrap());
    assert_eq!(
        (place.realm, place.changes.len(), content.realm, content.changes.len()),
        (RealmId::ROOT, 1, realm(7), 1)
    );
    world.commit(0, place.changes);
    world.commit_in(0, realm(7), content.changes);
    let tree = &world.devices[0].tree;
    assert_eq!(tree.lookup(&path("dir/doc")).unwrap().map(size), Some(5));
    // Deleted, its content is still there for who brings it back.
    let delete = world.delete(0, dir);
    world.commit(0, delete);
    let tree = &world.devices[0].tree;
    assert_eq!(tree.path(file()).unwrap(), None);
    let gone = tree.deleted_in(node(dir)).unwrap().remove(0);
    assert_eq!((gone.kind, gone.content(), size(gone)), (NodeKind::File, file(), 5));
}

#[test]
fn two_that_write_it_apart_are_both_kept() {
    let (mut world, _, _) = shared(2, 5);
    for (device, size) in [(0, 6), (1, 7)] {
        let heads = world.devices[device].tree.heads(file()).unwrap();
        world.commit_in(device, realm(7), vec![put(NodeId::FILE, heads, size)]);
    }
    world.meet_all();
    let tree = &world.devices[1].tree;
    let conflicts = tree.conflicts(realm(7)).unwrap();
    assert!(matches!(&conflicts[..], [Conflict::Versions { node, heads }] if *node == file() && heads.len() == 2));
    assert_eq!(tree.conflicts(RealmId::ROOT).unwrap(), Vec::new());
}

#[test]
fn what_cannot_be_said_of_it_is_refused() {
    let (mut world, dir, mount) = shared(1, 5);
    let name = || b"x".to_vec().into();
    let id = NodeId::FILE;
    let link = Content::Link { target: b"to".to_vec().into() };
    let in_realm = [
        Change::Move { node: id, parent: NodeId::ROOT, name: name() },
        Change::Delete { node: id, seen: Vec::new(), place: None },
        Change::Make { node: id, kind: Kind::File, parent: NodeId::ROOT, name: name() },
    ];
    let origin = world.commit_in(0, realm(7), Vec::new()).origin;
    for change in in_realm {
        assert_eq!(change.check(&origin, 0), Err(Refused::Fixed), "{change:?}");
    }
    let wrong = Change::Put {
        node: id,
        bases: Vec::new(),
        written: crate::space::Written { content: link, ..Default::default() },
    };
    assert_eq!(wrong.check(&origin, 0), Err(Refused::WrongContent));
    let root = world.commit(0, Vec::new()).origin;
    assert_eq!(put(id, Vec::new(), 1).check(&root, 0), Err(Refused::Fixed), "a space is no file");
    assert_eq!(put(NodeId::LINK, Vec::new(), 1).check(&origin, 0), Ok(()));
    // Content is not written to what shows it, and nothing is put into it.
    let content = Content::File { size: 1, hash: [0; 32], manifest: Vec::new().into() };
    let written = crate::space::Written { content, ..Default::default() };
    let there = Change::Put { node: mount, bases: Vec::new(), written };
    assert_eq!(there.check(&root, 0), Err(Refused::WrongContent));
    for parent in [mount, id] {
        let into = Change::Move { node: dir, parent, name: name() };
        assert_eq!(into.check(&root, 0), Err(Refused::NoDirectory));
    }
    let itself = Change::Make {
        node: world.fresh(0, 0, NodeKind::FileRealm),
        kind: Kind::FileRealm(realm(7)),
        parent: NodeId::ROOT,
        name: name(),
    };
    let origin = crate::space::Origin { realm: realm(7), seq: root.seq + 1, ..root };
    assert_eq!(itself.check(&origin, 0), Err(Refused::RealmInItself));
}

#[test]
fn it_is_shown_once_and_only_as_what_it_is() {
    let (mut world, _, _) = shared(1, 5);
    let second = world.fresh(0, 0, NodeKind::FileRealm);
    let make = |node, kind, name: &[u8]| Change::Make { node, kind, parent: NodeId::ROOT, name: name.to_vec().into() };
    world.commit(0, vec![make(second, Kind::FileRealm(realm(7)), b"again")]);
    let tree = &world.devices[0].tree;
    let again = tree.lookup(&path("again")).unwrap().unwrap();
    assert_eq!((again.kind, again.brief), (NodeKind::File, None), "only where it was put first");
    // Somebody writes a file into a realm that is shown as a directory: it is shown nowhere, and what is in there is.
    let other = realm(8);
    let mount = world.fresh(0, 0, NodeKind::Realm);
    world.commit(0, vec![make(mount, Kind::Realm(other), b"part")]);
    let inside = world.file(0, 0, NodeId::ROOT, b"inside");
    world.commit_in(0, other, inside);
    world.commit_in(0, other, vec![put(NodeId::FILE, Vec::new(), 3)]);
    let tree = &world.devices[0].tree;
    assert_eq!(tree.list(node(mount)).unwrap().len(), 1);
    assert_eq!(tree.path(Node { realm: other, id: NodeId::FILE }).unwrap(), None);
    // And files in a realm that is shown as a file are not seen there.
    let inside = world.file(0, 0, NodeId::ROOT, b"hidden");
    world.commit_in(0, realm(7), inside);
    assert_eq!(world.devices[0].tree.lookup(&path("dir/doc/hidden")).unwrap(), None);
}
