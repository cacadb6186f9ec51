//! Random changes of a tree by devices that meet now and then.

use logic::space::{Change, Content, Event, Kind, MemoryRows, Node, NodeId, NodeKind, Origin, Tree, Written};
use seal::{DeviceId, Timestamp};
use testkit::Dice;

/// A commit as the tree sees it.
#[derive(Debug, Clone)]
pub struct Planted {
    pub origin: Origin,
    pub changes: Vec<Change>,
}

struct Gardener {
    id: DeviceId,
    tree: Tree<MemoryRows>,
    /// Commits that it has.
    knows: Vec<bool>,
    seq: u64,
    lamport: u64,
}

const NAMES: [&[u8]; 8] =
    [b"a", b"A", b"b", b"doc.txt", "\u{e9}".as_bytes(), "e\u{301}".as_bytes(), b"\xff\xfe", b"CON"];

/// Commits of a random history; any order that keeps those of a device apart is one in which they may come.
pub fn history(seed: u64, length: usize) -> Vec<Planted> {
    let mut dice = Dice::new(seed);
    let gardener = |n: u8| Gardener {
        id: DeviceId::from_bytes([n; 32]),
        tree: Tree::default(),
        knows: Vec::new(),
        seq: 0,
        lamport: 0,
    };
    let mut gardeners: Vec<_> = (1..=3).map(gardener).collect();
    let mut all: Vec<Planted> = Vec::new();
    while all.len() < length {
        let who = dice.below(3) as usize;
        if dice.permille(250) {
            learn(&mut gardeners[who], &all);
            continue;
        }
        let gardener = &mut gardeners[who];
        let changes = act(gardener, &mut dice);
        gardener.lamport += 1;
        let id = blake3::hash(&[gardener.id.as_bytes().as_slice(), &gardener.seq.to_be_bytes()].concat());
        let origin = Origin {
            // Whatever type an id is, it is 32 bytes.
            commit: postcard::from_bytes(id.as_bytes()).unwrap(),
            device: gardener.id,
            seq: gardener.seq,
            lamport: gardener.lamport,
            time: Timestamp(1_790_000_000_000 + all.len() as i64 * 1000),
            realm: Node::ROOT.realm,
        };
        gardener.seq += 1;
        gardener.tree.apply(&origin, &changes).unwrap();
        gardener.knows.resize(all.len(), false);
        gardener.knows.push(true);
        all.push(Planted { origin, changes });
    }
    all
}

fn learn(gardener: &mut Gardener, all: &[Planted]) {
    gardener.knows.resize(all.len(), false);
    for (knows, commit) in gardener.knows.iter_mut().zip(all).filter(|(knows, _)| !**knows) {
        gardener.tree.apply(&commit.origin, &commit.changes).unwrap();
        gardener.lamport = gardener.lamport.max(commit.origin.lamport);
        *knows = true;
    }
}

fn at(id: NodeId) -> Node {
    Node { id, ..Node::ROOT }
}

fn put(tree: &Tree<MemoryRows>, node: NodeId, content: u64) -> Change {
    let content = match node.kind() {
        Some(NodeKind::File) => Content::File { size: content, hash: [7; 32], manifest: vec![1; 70].into() },
        _ => Content::Nothing,
    };
    Change::Put { node, bases: tree.heads(at(node)).unwrap(), written: Written { content, ..Written::default() } }
}

fn act(gardener: &Gardener, dice: &mut Dice) -> Vec<Change> {
    let tree = &gardener.tree;
    let mut pick = |count: usize| dice.below(count as u64) as usize;
    let shown: Vec<NodeId> = tree.subtree(Node::ROOT).unwrap().into_iter().map(|node| node.id).collect();
    let dirs: Vec<_> =
        shown.iter().copied().filter(|id| id.kind() == Some(NodeKind::Dir) && *id != NodeId::LOST).collect();
    let some: Vec<_> = shown.into_iter().filter(|id| !id.is_fixed()).collect();
    let parent = dirs[pick(dirs.len())];
    let name = NAMES[pick(NAMES.len())].to_vec().into();
    let choice = if some.len() < 3 { pick(3) } else { pick(12) };
    let any = if some.is_empty() { NodeId::ROOT } else { some[pick(some.len())] };
    let fresh = |kind| NodeId::of(&gardener.id, gardener.seq, 0, kind);
    match choice {
        0 | 1 => {
            let node = fresh(NodeKind::File);
            vec![Change::Make { node, kind: Kind::File, parent, name }, put(tree, node, gardener.seq)]
        }
        2 => vec![Change::Make { node: fresh(NodeKind::Dir), kind: Kind::Dir, parent, name }],
        3..=5 => vec![put(tree, any, gardener.seq)],
        6 => {
            // Renamed where it is.
            let placed = tree.history(at(any)).unwrap().into_iter().find_map(|event| match event {
                Event::Placed(place) => Some(place.parent),
                Event::Written(_) => None,
            });
            vec![Change::Move { node: any, parent: placed.unwrap_or(parent), name }]
        }
        7..=9 => vec![Change::Move { node: any, parent, name }],
        _ => tree.subtree(at(any)).unwrap().into_iter().map(|node| tree.deletion(node).unwrap()).collect(),
    }
}
