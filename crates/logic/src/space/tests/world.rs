//! Devices that change one tree, online and offline, and tell each other when they meet.

use crate::ledger::{CommitId, Frontier, RealmId};
use crate::space::{
    Change, Content, Event, Kind, MemoryRows, Node, NodeId, NodeKind, Origin, Tree, VersionId, Written,
};
use seal::{DeviceId, Timestamp};
use std::collections::BTreeMap;
use testkit::Dice;
use unicode_normalization::UnicodeNormalization;

use super::properties::of_tree;

/// A commit, and the commits that its maker had.
#[derive(Debug, Clone)]
pub struct Commit {
    pub origin: Origin,
    pub changes: Vec<Change>,
    pub knew: u128,
}

pub struct Device {
    pub id: DeviceId,
    pub tree: Tree<MemoryRows>,
    /// The commits it has, as bits.
    pub knows: u128,
    seq: u64,
    lamport: u64,
}

pub struct World {
    pub dice: Dice,
    pub commits: Vec<Commit>,
    pub devices: Vec<Device>,
    written: u64,
}

/// Names that meet each other: equal, equal but for case, equal but for normalisation, and hostile ones.
pub const NAMES: [&[u8]; 10] =
    [b"a", b"A", b"b", b"doc.txt", b"DOC.txt", "\u{e9}".as_bytes(), "e\u{301}".as_bytes(), b"\xff\xfe", b"CON", b"x."];

/// What names are compared by, said simply: enough for [`NAMES`].
pub fn without_case(name: &[u8]) -> Vec<u8> {
    let lower = |text: &str| text.nfc().collect::<String>().to_lowercase().into_bytes();
    str::from_utf8(name).map_or_else(|_| name.to_vec(), lower)
}

pub fn node(id: NodeId) -> Node {
    Node { realm: RealmId::ROOT, id }
}

pub fn put(node: NodeId, bases: Vec<VersionId>, content: u64) -> Change {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&content.to_be_bytes());
    let content = match node.kind() {
        Some(NodeKind::File) => Content::File { size: content, hash, manifest: Vec::new().into() },
        Some(NodeKind::Link) => Content::Link { target: content.to_string().into_bytes().into() },
        _ => Content::Nothing,
    };
    Change::Put { node, bases, written: Written { content, ..Written::default() } }
}

pub fn own(index: u32) -> VersionId {
    VersionId::own(index)
}

impl World {
    pub fn new(seed: u64, devices: usize) -> Self {
        let device = |number: usize| Device {
            id: DeviceId::from_bytes([u8::try_from(number).unwrap() + 1; 32]),
            tree: Tree::default(),
            knows: 0,
            seq: 0,
            lamport: 0,
        };
        Self { dice: Dice::new(seed), commits: Vec::new(), devices: (0..devices).map(device).collect(), written: 0 }
    }

    /// A history of so many commits, by devices that meet now and then. Some write what they cannot have seen.
    pub fn history(seed: u64, commits: usize) -> Self {
        Self::run(seed, commits, false)
    }

    /// A history in which everybody writes only to what they have.
    pub fn honest(seed: u64, commits: usize) -> Self {
        Self::run(seed, commits, true)
    }

    fn run(seed: u64, commits: usize, honest: bool) -> Self {
        let mut dice = Dice::new(seed ^ 0x5bd1_e995);
        let mut world = Self::new(seed, 2 + dice.below(4) as usize);
        let meetings = [50, 200, 500][dice.below(3) as usize];
        while world.commits.len() < commits {
            let device = world.pick(world.devices.len());
            if world.dice.permille(meetings) {
                let other = world.pick(world.devices.len());
                world.meet(device, other);
            } else {
                world.act(device, honest);
            }
        }
        world
    }

    pub fn pick(&mut self, count: usize) -> usize {
        self.dice.below(count as u64) as usize
    }

    /// The next node that the device makes, as change number `index` of its next commit.
    pub fn fresh(&self, device: usize, index: u32, kind: NodeKind) -> NodeId {
        NodeId::of(&self.devices[device].id, self.devices[device].seq, index, kind)
    }

    /// Commits; the device sees it at once. Hands out the commit.
    pub fn commit(&mut self, device: usize, changes: Vec<Change>) -> Commit {
        self.commit_in(device, RealmId::ROOT, changes)
    }

    pub fn commit_in(&mut self, device: usize, realm: RealmId, changes: Vec<Change>) -> Commit {
        let number = self.commits.len();
        let author = &mut self.devices[device];
        author.lamport += 1;
        let origin = Origin {
            commit: CommitId::from_bytes(
                *blake3::hash(&[&author.id.as_bytes()[..], &author.seq.to_be_bytes()].concat()).as_bytes(),
            ),
            device: author.id,
            seq: author.seq,
            lamport: author.lamport,
            time: Timestamp(1_790_000_000_000 + number as i64 * 1000),
            realm,
        };
        author.seq += 1;
        let commit = Commit { origin, changes, knew: author.knows };
        author.tree.apply(&commit.origin, &commit.changes).unwrap();
        author.knows |= 1 << number;
        self.commits.push(commit.clone());
        commit
    }

    /// Both know what either knew.
    pub fn meet(&mut self, a: usize, b: usize) {
        let all = self.devices[a].knows | self.devices[b].knows;
        for device in [a, b] {
            self.learn(device, all);
        }
    }

    pub fn meet_all(&mut self) {
        let all = self.devices.iter().fold(0, |all, device| all | device.knows);
        for device in 0..self.devices.len() {
            self.learn(device, all);
        }
    }

    fn learn(&mut self, device: usize, all: u128) {
        let device = &mut self.devices[device];
        for commit in chosen(&self.commits, all & !device.knows) {
            device.tree.apply(&commit.origin, &commit.changes).unwrap();
            device.lamport = device.lamport.max(commit.origin.lamport);
        }
        device.knows = all;
    }

    /// What those commits are as a frontier.
    pub fn frontier(&self, knows: u128) -> Frontier {
        let mut frontier = Frontier::default();
        for commit in chosen(&self.commits, knows) {
            let Origin { device, seq, commit, .. } = commit.origin;
            frontier.set(device, seq, commit);
        }
        frontier
    }

    /// Changes that make a file with content.
    pub fn file(&mut self, device: usize, index: u32, parent: NodeId, name: &[u8]) -> Vec<Change> {
        let node = self.fresh(device, index, NodeKind::File);
        self.written += 1;
        vec![
            Change::Make { node, kind: Kind::File, parent, name: name.to_vec().into() },
            put(node, Vec::new(), self.written),
        ]
    }

    pub fn dir(&self, device: usize, index: u32, parent: NodeId, name: &[u8]) -> Change {
        let node = self.fresh(device, index, NodeKind::Dir);
        Change::Make { node, kind: Kind::Dir, parent, name: name.to_vec().into() }
    }

    /// Makes a file a realm of its own, with the content that it has.
    fn share(&mut self, device: usize, id: NodeId) {
        let tree = &self.devices[device].tree;
        let entry = of_tree(tree).remove(&id).map(|(_, entry)| entry).expect("what is shared is shown");
        let (parent, gone) = (tree.parent(node(id)).unwrap().unwrap(), tree.deletion(node(id)).unwrap());
        let realm = RealmId::made_by(CommitId::from_bytes([self.commits.len() as u8 + 1; 32]));
        self.written += 1;
        self.commit_in(device, realm, vec![put(NodeId::FILE, Vec::new(), self.written)]);
        let mount = self.fresh(device, 1, NodeKind::FileRealm);
        let kind = Kind::FileRealm(realm);
        self.commit(device, vec![gone, Change::Make { node: mount, kind, parent, name: entry.given.into() }]);
    }

    /// An edit of a file in its own realm.
    fn edit_alone(&mut self, device: usize, file: Node) {
        self.written += 1;
        let change = put(file.id, self.devices[device].tree.heads(file).unwrap(), self.written);
        self.commit_in(device, file.realm, vec![change]);
    }

    /// An edit in the knowledge of everything that the device has.
    pub fn edit(&mut self, device: usize, id: NodeId) -> Change {
        self.written += 1;
        put(id, self.devices[device].tree.heads(node(id)).unwrap(), self.written)
    }

    /// The deletion of a node and everything in it.
    pub fn delete(&self, device: usize, id: NodeId) -> Vec<Change> {
        let tree = &self.devices[device].tree;
        let nodes = tree.subtree(node(id)).unwrap();
        nodes.into_iter().map(|node| tree.deletion(node).unwrap()).collect()
    }

    /// One thing that somebody does.
    fn act(&mut self, device: usize, honest: bool) {
        let shown: Vec<NodeId> =
            self.devices[device].tree.subtree(Node::ROOT).unwrap().into_iter().map(|node| node.id).collect();
        let dirs: Vec<NodeId> =
            shown.iter().copied().filter(|id| id.kind() == Some(NodeKind::Dir) && *id != NodeId::LOST).collect();
        let some: Vec<NodeId> = shown.iter().copied().filter(|id| !id.is_fixed()).collect();
        let parent = dirs[self.pick(dirs.len())];
        let name = NAMES[self.pick(NAMES.len())];
        let choice = if some.len() < 3 { self.dice.below(4) } else { self.dice.below(17) };
        let any = if some.is_empty() { NodeId::ROOT } else { some[self.pick(some.len())] };
        let changes = match choice {
            0 | 1 => self.file(device, 0, parent, name),
            2 => vec![self.dir(device, 0, parent, name)],
            3 => {
                let dir = self.dir(device, 0, parent, name);
                let inside = self.file(device, 1, dir.node(), NAMES[0]);
                [vec![dir], inside].concat()
            }
            4..=6 => match self.devices[device].tree.content(node(any)).unwrap() {
                file if file.realm != RealmId::ROOT => return self.edit_alone(device, file),
                _ => vec![self.edit(device, any)],
            },
            16 if any.kind() == Some(NodeKind::File) => return self.share(device, any),
            7 | 8 => {
                // Renamed where it is.
                let history = self.devices[device].tree.history(node(any)).unwrap();
                let placed = history.iter().find_map(|event| match event {
                    Event::Placed(place) => Some(place.parent),
                    Event::Written(_) => None,
                });
                vec![Change::Move { node: any, parent: placed.unwrap_or(parent), name: name.to_vec().into() }]
            }
            9..=11 => vec![Change::Move { node: any, parent, name: name.to_vec().into() }],
            12 | 13 => self.delete(device, any),
            14 => {
                // Edited and renamed at once.
                let edit = self.edit(device, any);
                vec![edit, Change::Move { node: any, parent, name: name.to_vec().into() }]
            }
            _ => {
                // Somebody brings back what was deleted, or writes without looking.
                let known = if honest { self.devices[device].knows } else { self.everything() };
                let all: Vec<NodeId> =
                    chosen(&self.commits, known).flat_map(|commit| &commit.changes).map(Change::node).collect();
                let any = if all.is_empty() { return } else { all[self.pick(all.len())] };
                vec![self.edit(device, any)]
            }
        };
        self.commit(device, changes);
    }

    /// The commits in an order that causality allows.
    pub fn order(&mut self, set: u128) -> Vec<Commit> {
        let mut done = 0u128;
        let mut order = Vec::new();
        while done & set != set {
            let ready: Vec<usize> = (0..self.commits.len())
                .filter(|number| set & !done & (1 << number) != 0)
                .filter(|number| self.commits[*number].knew & set & !done == 0)
                .collect();
            let next = ready[self.pick(ready.len())];
            done |= 1 << next;
            order.push(self.commits[next].clone());
        }
        order
    }

    pub fn everything(&self) -> u128 {
        (1 << self.commits.len()) - 1
    }
}

/// Those of the commits whose bits are set.
pub fn chosen(commits: &[Commit], set: u128) -> impl Iterator<Item = &Commit> {
    commits.iter().enumerate().filter(move |(number, _)| set & (1 << number) != 0).map(|(_, commit)| commit)
}

/// A tree of those commits, in their order.
pub fn tree_of<'a>(commits: impl IntoIterator<Item = &'a Commit>) -> Tree<MemoryRows> {
    let mut tree = Tree::default();
    for commit in commits {
        tree.apply(&commit.origin, &commit.changes).unwrap();
    }
    tree
}

/// Every path with what it shows.
pub fn paths(tree: &Tree<MemoryRows>) -> BTreeMap<String, (NodeId, Option<Written>)> {
    let mut found = BTreeMap::new();
    for node in tree.subtree(Node::ROOT).unwrap() {
        let path = tree.path(node).unwrap().expect("what a listing shows has a path");
        if node != Node::ROOT {
            let (dir, name) = tree.shown_at(node).unwrap().expect("and a place");
            assert!(path.ends_with(&name) && tree.entry(dir, &name).unwrap().is_some_and(|entry| entry.node == node));
        }
        // Of a file that is a realm, the content is in another tree.
        let version = tree.stat(node).unwrap().and_then(|stat| stat.version).and_then(|version| version.written);
        let old = found.insert(path.escape_ascii().to_string(), (node.id, version));
        assert_eq!(old, None, "two nodes under one path");
    }
    found
}
