//! Names that file systems mistake or cannot hold, changes that cannot count, realms, and what a change costs.

use std::cell::Cell;
use std::convert::Infallible;

use crate::Misbehaved;
use crate::ledger::{CommitId, RealmId};
use crate::space::{
    BASES_MAX, BODY_MAX, BadBody, Change, Content, Effect, Key, Kind, MemoryRows, Meta, Node, NodeId, NodeKind, Origin,
    Refused, Rows, Stamp, Table, Tree, VersionId, Written,
};
use crate::transfer::listing::Mtime;
use crate::transfer::path::RelPath;
use proptest::prelude::*;
use seal::{DeviceId, Timestamp};

use super::world::{World, node, own, put};

fn make(world: &World, index: u32, parent: NodeId, name: &[u8]) -> Change {
    let id = world.fresh(0, index, NodeKind::File);
    Change::Make { node: id, kind: Kind::File, parent, name: name.to_vec().into() }
}

fn shown(world: &World) -> Vec<Vec<u8>> {
    world.devices[0].tree.list(Node::ROOT).unwrap().into_iter().map(|entry| entry.name).collect()
}

#[test]
fn odd_names_are_shown_as_they_are() {
    let mut world = World::new(1, 1);
    let long = vec![b'n'; 255];
    let mut names: Vec<&[u8]> = vec![
        b"CON",
        b"nul.txt",
        b"dot.",
        b"blank ",
        b" ",
        b"...",
        b"a;b\nc",
        b"-rf",
        b"C:",
        b"a\\b",
        b"\xff\xfe\x80",
        &long,
        "\u{202e}txt.exe".as_bytes(),
        "\u{5d0}\u{5d1}".as_bytes(),
        "\u{1f600}".as_bytes(),
        "a\u{300}\u{301}".as_bytes(),
        b" (conflict ",
        b"x (conflict ).y",
        b"(conflict )",
    ];
    let changes = (0..).zip(&names).map(|(index, name)| make(&world, index, NodeId::ROOT, name)).collect();
    world.commit(0, changes);
    names.sort();
    assert_eq!(shown(&world), names);
    for name in names {
        let path = RelPath::parse(name).unwrap();
        assert_eq!(world.devices[0].tree.lookup(&path).unwrap().unwrap().name, name);
    }
}

#[test]
fn what_no_disk_can_hold_is_refused_and_the_rest_of_the_commit_counts() {
    let mut world = World::new(1, 1);
    let long = vec![b'n'; 256];
    let cases: [(&[u8], Misbehaved); 6] = [
        (b"", Misbehaved::NameEmpty),
        (b".", Misbehaved::NameTraversal),
        (b"..", Misbehaved::NameTraversal),
        (b"a/b", Misbehaved::NameWithSeparator),
        (b"a\0", Misbehaved::NameWithNul),
        (&long, Misbehaved::NameTooLong),
    ];
    let mut changes: Vec<_> =
        (0..).zip(&cases).map(|(index, (name, _))| make(&world, index, NodeId::ROOT, name)).collect();
    changes.push(make(&world, 6, NodeId::ROOT, b"good"));
    let commit = world.commit(0, changes);
    assert_eq!(shown(&world), [b"good"]);
    let effects = Tree::new(MemoryRows::default()).apply(&commit.origin, &commit.changes).unwrap();
    for (index, (_, why)) in (0..).zip(cases) {
        assert!(effects.contains(&Effect::Refused { index, why: Refused::Bad(why) }));
    }
}

#[test]
fn twins_of_every_kind_are_told_apart() {
    for (a, b) in [
        ("doc.txt", "DOC.TXT"),
        ("\u{e9}", "e\u{301}"),
        ("STRASSE", "stra\u{df}e"),
        ("same", "same"),
        (&"x".repeat(255)[..], &"X".repeat(255)[..]),
    ] {
        let mut world = World::new(1, 1);
        world.commit(0, vec![make(&world, 0, NodeId::ROOT, a.as_bytes())]);
        world.commit(0, vec![make(&world, 0, NodeId::ROOT, b.as_bytes())]);
        let names = shown(&world);
        assert!(names.contains(&a.as_bytes().to_vec()), "who came first keeps the name");
        assert_eq!(names.iter().filter(|name| name.windows(10).any(|part| part == b"(conflict ")).count(), 1);
        assert!(names.iter().all(|name| name.len() <= 255));
    }
}

/// Somebody gives another file the very name that a twin is shown by: also when names are so long that they are cut.
#[test]
pub fn the_name_of_a_twin_is_never_taken_by_another() {
    for name in [b"doc.txt".to_vec(), vec![b'x'; 255], [vec![b'y'; 250], b".gz".to_vec()].concat()] {
        let mut world = World::new(1, 1);
        world.commit(0, vec![make(&world, 0, NodeId::ROOT, &name)]);
        world.commit(0, vec![make(&world, 0, NodeId::ROOT, &name)]);
        let twin = shown(&world).into_iter().find(|shown| *shown != name).unwrap();
        let thief = world.commit(0, vec![make(&world, 0, NodeId::ROOT, &twin)]);
        let names = shown(&world);
        assert_eq!(names.len(), 3);
        assert!(names.contains(&twin) && names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        for name in &names {
            let path = RelPath::parse(name).unwrap();
            assert_eq!(&world.devices[0].tree.lookup(&path).unwrap().unwrap().name, name);
        }
        // Both changes of name are told.
        let effects = world.devices[0].tree.retract(&thief.origin, &thief.changes).unwrap();
        assert_eq!(effects.iter().filter(|effect| matches!(effect, Effect::Shown { .. })).count(), 2, "{effects:?}");
    }
}

#[test]
pub fn changes_that_cannot_count_are_refused() {
    let world = World::new(1, 2);
    let origin = origin(&world, RealmId::ROOT);
    let dir = world.fresh(0, 0, NodeKind::Dir);
    let file = world.fresh(0, 0, NodeKind::File);
    let link = world.fresh(0, 0, NodeKind::Link);
    let realm = world.fresh(0, 0, NodeKind::Realm);
    let name = || b"n".to_vec().into();
    let written =
        |content| Change::Put { node: file, bases: Vec::new(), written: Written { content, ..Written::default() } };
    let meta = |meta| Change::Put { node: file, bases: Vec::new(), written: Written { meta, ..Written::default() } };
    let later = VersionId::own(0);
    let target = |target: &[u8]| Change::Put {
        node: link,
        bases: Vec::new(),
        written: Written { content: Content::Link { target: target.to_vec().into() }, ..Written::default() },
    };
    let foreign = world.fresh(1, 0, NodeKind::File);
    for (change, why) in [
        (Change::Make { node: foreign, kind: Kind::File, parent: NodeId::ROOT, name: name() }, Refused::ForeignId),
        (Change::Make { node: file, kind: Kind::Dir, parent: NodeId::ROOT, name: name() }, Refused::ForeignId),
        (Change::Make { node: file, kind: Kind::File, parent: file, name: name() }, Refused::NoDirectory),
        (
            Change::Make { node: realm, kind: Kind::Realm(RealmId::ROOT), parent: dir, name: name() },
            Refused::RealmInItself,
        ),
        (Change::Move { node: dir, parent: dir, name: name() }, Refused::NoDirectory),
        (Change::Move { node: dir, parent: foreign, name: name() }, Refused::NoDirectory),
        (Change::Move { node: dir, parent: NodeId::LOST, name: name() }, Refused::NoDirectory),
        (Change::Move { node: dir, parent: realm, name: name() }, Refused::NoDirectory),
        (Change::Move { node: NodeId::ROOT, parent: dir, name: name() }, Refused::Fixed),
        (Change::Delete { node: NodeId::LOST, seen: Vec::new(), place: None }, Refused::Fixed),
        (Change::Delete { node: NodeId([9; 16]), seen: Vec::new(), place: None }, Refused::NoNode),
        (Change::Delete { node: file, seen: vec![later], place: None }, Refused::BaseNotBefore),
        (Change::Delete { node: file, seen: Vec::new(), place: Some(Stamp::FIRST) }, Refused::BaseNotBefore),
        (Change::Put { node: file, bases: vec![own(0); BASES_MAX + 1], written: Written::default() }, Refused::TooMuch),
        (put(file, vec![own(7)], 1), Refused::BaseNotBefore),
        (written(Content::Link { target: name() }), Refused::WrongContent),
        (written(Content::File { size: 0, hash: [0; 32], manifest: vec![0; 65_537].into() }), Refused::TooMuch),
        (target(b""), Refused::Bad(Misbehaved::LinkTargetInvalid)),
        (target(b"a\0"), Refused::Bad(Misbehaved::LinkTargetInvalid)),
        (target(&[b'x'; 4096]), Refused::Bad(Misbehaved::LinkTargetInvalid)),
        (meta(Meta { mode: Some(0o4755), ..Meta::default() }), Refused::WrongContent),
        (
            meta(Meta { mtime: Some(Mtime { secs: 0, nanos: u32::MAX }), ..Meta::default() }),
            Refused::Bad(Misbehaved::TimeInvalid),
        ),
        (meta(Meta { xattrs: vec![(name(), name()), (name(), name())], ..Meta::default() }), Refused::TooMuch),
    ] {
        assert_eq!(change.check(&origin, 0), Err(why), "{change:?}");
    }
}

fn origin(world: &World, realm: RealmId) -> Origin {
    let device = world.devices[0].id;
    Origin { commit: CommitId::from_bytes([1; 32]), device, seq: 0, lamport: 1, time: Timestamp(0), realm }
}

/// A file can be made, written twice and moved in one commit, which cannot know its own id.
#[test]
fn a_commit_can_build_on_itself() {
    let mut world = World::new(1, 1);
    let first = make(&world, 0, NodeId::ROOT, b"a");
    let id = first.node();
    world.commit(0, vec![first, put(id, Vec::new(), 1), put(id, vec![own(1)], 2)]);
    let entries = world.devices[0].tree.list(Node::ROOT).unwrap();
    assert_eq!(entries[0].brief.as_ref().map(|brief| brief.size), Some(2));
    assert!(world.devices[0].tree.conflicts(RealmId::ROOT).unwrap().is_empty());
    let place = Some(Stamp { index: 0, ..Stamp::FIRST });
    let other = make(&world, 0, NodeId::ROOT, b"b");
    let delete = Change::Delete { node: other.node(), seen: vec![own(1)], place };
    world.commit(0, vec![other.clone(), put(other.node(), Vec::new(), 1), delete]);
    assert_eq!(shown(&world), [b"a"]);
}

#[test]
pub fn a_realm_is_shown_once_and_nobody_reaches_out_of_it() {
    let inner = RealmId::from_bytes([7; 16]);
    let mut world = World::new(1, 1);
    let mount = |world: &World, index, name: &[u8]| {
        let node = world.fresh(0, index, NodeKind::Realm);
        Change::Make { node, kind: Kind::Realm(inner), parent: NodeId::ROOT, name: name.to_vec().into() }
    };
    let victim = make(&world, 2, NodeId::ROOT, b"victim");
    world.commit(0, vec![mount(&world, 0, b"secret"), mount(&world, 1, b"again"), victim.clone()]);
    let file = make(&world, 0, NodeId::ROOT, b"in");
    let reach = put(victim.node(), Vec::new(), 66);
    let steal = Change::Move { node: victim.node(), parent: NodeId::ROOT, name: b"stolen".to_vec().into() };
    world.commit_in(0, inner, vec![file.clone(), steal, reach]);
    let tree = &world.devices[0].tree;
    let found = tree.lookup(&RelPath::parse(b"secret/in").unwrap()).unwrap().unwrap();
    assert_eq!(found.node, Node { realm: inner, id: file.node() });
    assert_eq!(tree.path(found.node).unwrap().unwrap(), b"secret/in");
    assert_eq!(tree.lookup(&RelPath::parse(b"again/in").unwrap()).unwrap(), None);
    let victim = tree.lookup(&RelPath::parse(b"victim").unwrap()).unwrap().unwrap();
    assert_eq!((victim.node.realm, victim.brief), (RealmId::ROOT, None), "another realm cannot write to it");
    // Two realms that show each other are shown nowhere, and nothing hangs.
    let other = RealmId::from_bytes([8; 16]);
    let ring = |world: &World, shows| {
        let node = world.fresh(0, 0, NodeKind::Realm);
        Change::Make { node, kind: Kind::Realm(shows), parent: NodeId::ROOT, name: b"ring".to_vec().into() }
    };
    let third = RealmId::from_bytes([9; 16]);
    world.commit_in(0, third, vec![ring(&world, other)]);
    world.commit_in(0, other, vec![ring(&world, third)]);
    assert_eq!(world.devices[0].tree.path(Node::root_of(other)).unwrap(), None);
}

#[test]
fn bodies_are_read_as_they_were_written_and_no_others() {
    let world = World::new(1, 1);
    let first = make(&world, 0, NodeId::ROOT, b"a");
    let changes = vec![first.clone(), put(first.node(), vec![own(0)], 1)];
    let body = Change::write_all(&changes).unwrap();
    assert_eq!(Change::read_all(&body).unwrap(), changes);
    for end in 0..body.len() {
        assert_eq!(Change::read_all(&body[..end]), Err(BadBody::Garbled));
    }
    assert_eq!(Change::read_all(&[&body[..], &[0]].concat()), Err(BadBody::Garbled));
    assert_eq!(Change::read_all(&[&[2], &body[1..]].concat()), Err(BadBody::TooNew(2)));
    assert_eq!(Change::read_all(&vec![1; BODY_MAX + 1]), Err(BadBody::TooLong));
    // As docs/formats/space.md has it: version, one change, Delete, node, nothing seen, no place.
    let delete = Change::Delete { node: NodeId([2; 16]), seen: Vec::new(), place: None };
    assert_eq!(Change::write_all(&[delete]).unwrap(), [&[1, 1, 3][..], &[2; 16], &[0, 0]].concat());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(mut body in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(first) = body.first_mut() {
            *first = 1;
        }
        if let Ok(changes) = Change::read_all(&body) {
            let device = DeviceId::from_bytes([1; 32]);
            let origin = Origin { commit: CommitId::from_bytes([1; 32]), device, seq: 0, lamport: 1, time: Timestamp(0), realm: RealmId::ROOT };
            let mut tree = Tree::new(MemoryRows::default());
            tree.apply(&origin, &changes).unwrap();
            tree.retract(&origin, &changes).unwrap();
            prop_assert!(tree.rows().is_empty());
        }
    }
}

/// Rows that count what is asked of them.
#[derive(Default)]
struct Counting {
    rows: MemoryRows,
    asked: Cell<usize>,
}

impl Rows for Counting {
    type Error = Infallible;

    fn get(&self, table: Table, key: &Key) -> Result<Option<Vec<u8>>, Infallible> {
        self.asked.set(self.asked.get() + 1);
        self.rows.get(table, key)
    }

    fn put(&mut self, table: Table, key: &Key, row: &[u8]) -> Result<(), Infallible> {
        self.asked.set(self.asked.get() + 1 + row.len() / 1024);
        self.rows.put(table, key, row)
    }

    fn delete(&mut self, table: Table, key: &Key) -> Result<(), Infallible> {
        self.asked.set(self.asked.get() + 1);
        self.rows.delete(table, key)
    }

    fn scan(&self, table: Table, group: &[u8], part: Option<&[u8]>) -> Result<Vec<Vec<u8>>, Infallible> {
        let rows = self.rows.scan(table, group, part)?;
        self.asked.set(self.asked.get() + 1 + rows.len());
        Ok(rows)
    }
}

#[test]
fn a_change_costs_the_same_in_a_large_space() {
    let mut world = World::new(1, 1);
    let mut tree = Tree::new(Counting::default());
    let mut costs = Vec::new();
    let mut number = 0u32;
    for size in [20, 1600] {
        let mut last = NodeId::ROOT;
        while number < size {
            let batch: Vec<Change> = (0..20u32)
                .flat_map(|at| {
                    let name = format!("file {}", number + at);
                    let change = make(&world, 2 * at, NodeId::ROOT, name.as_bytes());
                    last = change.node();
                    [change, put(last, Vec::new(), u64::from(at))]
                })
                .collect();
            let commit = world.commit(0, batch);
            tree.apply(&commit.origin, &commit.changes).unwrap();
            number += 20;
        }
        let mut cost = |world: &mut World, changes: Vec<Change>| {
            let commit = world.commit(0, changes);
            let before = tree.rows().asked.get();
            tree.apply(&commit.origin, &commit.changes).unwrap();
            tree.rows().asked.get() - before
        };
        let fresh = make(&world, 0, NodeId::ROOT, format!("new {size}").as_bytes());
        let id = fresh.node();
        let edit = world.edit(0, last);
        let step = [
            cost(&mut world, vec![fresh, put(id, Vec::new(), 1)]),
            cost(&mut world, vec![edit]),
            cost(
                &mut world,
                vec![Change::Move { node: last, parent: NodeId::ROOT, name: size.to_string().into_bytes().into() }],
            ),
        ];
        let delete = world.delete(0, id);
        let delete = cost(&mut world, delete);
        let before = tree.rows().asked.get();
        tree.lookup(&RelPath::parse(b"file 3").unwrap()).unwrap().unwrap();
        tree.path(node(last)).unwrap();
        costs.push((step, delete, tree.rows().asked.get() - before));
    }
    assert_eq!(costs[0], costs[1]);
}
