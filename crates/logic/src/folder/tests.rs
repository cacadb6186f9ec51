//! A simulated file system in which everything that programs do happens at random; the changes that are found, done to
//! the base, must make what lies there.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::convert::Infallible;

use proptest::prelude::*;
use serde_bytes::ByteBuf;

use super::{Base, Dir, FileId, Known, LocalChange, Looked, Print, local};
use crate::ledger::RealmId;
use crate::space::{Node, NodeId, NodeKind};
use crate::transfer::path::RelPath;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    inode: u64,
    /// `None`: a directory.
    content: Option<Vec<u8>>,
    touched: i64,
}

/// Paths to items; parents are there.
#[derive(Debug, Clone, Default)]
struct Disk {
    items: BTreeMap<Vec<u8>, Item>,
    clock: i64,
    inodes: u64,
    /// Renaming gives a file another number, as some network file systems do.
    forgetful: bool,
}

fn parent(path: &[u8]) -> Option<Vec<u8>> {
    path.iter().rposition(|byte| *byte == b'/').map(|cut| path[..cut].to_vec())
}

fn is_below(path: &[u8], dir: &[u8]) -> bool {
    path.len() > dir.len() && path.starts_with(dir) && path[dir.len()] == b'/'
}

impl Disk {
    fn has_dir(&self, path: &[u8]) -> bool {
        parent(path).is_none_or(|dir| self.items.get(&dir).is_some_and(|item| item.content.is_none()))
    }

    fn write(&mut self, path: &[u8], content: &[u8]) {
        self.clock += 1;
        if !self.has_dir(path) || self.items.get(path).is_some_and(|item| item.content.is_none()) {
            return;
        }
        self.inodes += 1;
        let fresh = Item { inode: self.inodes, content: None, touched: 0 };
        let item = self.items.entry(path.to_vec()).or_insert(fresh);
        (item.content, item.touched) = (Some(content.to_vec()), self.clock);
    }

    fn make_dir(&mut self, path: &[u8]) {
        if self.has_dir(path) && !self.items.contains_key(path) {
            self.inodes += 1;
            self.items.insert(path.to_vec(), Item { inode: self.inodes, content: None, touched: 0 });
        }
    }

    fn remove(&mut self, path: &[u8]) {
        self.items.retain(|other, _| other != path && !is_below(other, path));
    }

    /// As rename(2): over a file of the same kind, or to where nothing is.
    fn rename(&mut self, from: &[u8], to: &[u8]) {
        let Some(item) = self.items.get(from).cloned() else { return };
        let over = self.items.get(to);
        let fits = over.is_none_or(|over| over.content.is_some() && item.content.is_some());
        if !self.has_dir(to) || from == to || is_below(to, from) || !fits {
            return;
        }
        let below: Vec<_> = self.items.keys().filter(|path| is_below(path, from)).cloned().collect();
        for path in below {
            let mut item = self.items.remove(&path).unwrap();
            self.renumber(&mut item);
            self.items.insert([to, &path[from.len()..]].concat(), item);
        }
        let mut item = self.items.remove(from).unwrap();
        self.renumber(&mut item);
        self.items.insert(to.to_vec(), item);
    }

    fn renumber(&mut self, item: &mut Item) {
        if self.forgetful {
            self.inodes += 1;
            item.inode = self.inodes;
        }
    }

    fn print(&self, path: &[u8]) -> Print {
        let item = &self.items[path];
        Print {
            kind: if item.content.is_some() { NodeKind::File } else { NodeKind::Dir },
            id: FileId { device: 1, inode: item.inode },
            size: item.content.as_ref().map_or(0, Vec::len) as u64,
            modified: (item.touched, 0),
            changed: (item.touched, 0),
            mode: 0o644,
        }
    }

    /// Directories in which something looks otherwise; and what is new all the way down.
    fn looked(&self, base: &InStep) -> Looked {
        let dirs = self.items.iter().filter(|(_, item)| item.content.is_none()).map(|(path, _)| Some(path.clone()));
        let mut looked = Looked::new();
        let mut fresh: Vec<Vec<u8>> = Vec::new();
        for dir in [None].into_iter().chain(dirs) {
            let entries: Vec<_> = self.items.keys().filter(|path| parent(path) == dir).collect();
            let shown = base.shown();
            let known: BTreeMap<_, _> = shown.iter().filter(|(path, _)| parent(path) == dir).collect();
            let same = |path: &Vec<u8>| known.get(path).is_some_and(|known| known.print.is_same(&self.print(path)));
            let is_dir = |path: &Vec<u8>| self.items[path].content.is_none();
            fresh.extend(entries.iter().filter(|path| is_dir(path) && !same(path)).map(|path| path.to_vec()));
            let below = |dir: &Vec<u8>| fresh.iter().any(|top| dir == top || is_below(dir, top));
            let changed = entries.len() != known.len() || !entries.iter().all(|path| same(path));
            if dir.as_ref().is_some_and(below) || changed {
                let named = |path: &Vec<u8>| (at(path).name().to_vec(), self.print(path));
                looked.insert(dir.as_deref().map(at), entries.into_iter().map(named).collect());
            }
        }
        looked
    }

    fn hash(&self, path: &[u8]) -> Option<[u8; 32]> {
        self.items[path].content.as_ref().map(|content| *blake3::hash(content).as_bytes())
    }
}

fn at(path: &[u8]) -> RelPath {
    RelPath::parse(path).unwrap()
}

/// The base, by node.
#[derive(Debug, Clone, Default)]
struct InStep {
    known: BTreeMap<Node, Known>,
    made: u64,
}

impl Base for InStep {
    type Error = Infallible;

    fn child(&self, dir: Node, name: &[u8]) -> Result<Option<Known>, Infallible> {
        Ok(self.known.values().find(|known| known.dir == dir && known.name == name).cloned())
    }

    fn inside(&self, dir: Node) -> Result<Vec<Known>, Infallible> {
        Ok(self.known.values().filter(|known| known.dir == dir).cloned().collect())
    }
}

impl InStep {
    fn path(&self, node: Node) -> Vec<u8> {
        let known = &self.known[&node];
        match known.dir == Node::ROOT {
            true => known.name.to_vec(),
            false => [&self.path(known.dir)[..], b"/", &known.name].concat(),
        }
    }

    fn shown(&self) -> BTreeMap<Vec<u8>, &Known> {
        self.known.values().map(|known| (self.path(known.node), known)).collect()
    }

    fn make(&mut self, dir: Node, name: &[u8], print: Print) -> Node {
        self.made += 1;
        let mut id = [0; 16];
        id[0] = if print.kind == NodeKind::Dir { 1 } else { 2 };
        id[8..].copy_from_slice(&self.made.to_be_bytes());
        let node = Node { realm: RealmId::ROOT, id: NodeId(id) };
        let name = ByteBuf::from(name);
        self.known.insert(node, Known { node, dir, name, version: None, hash: None, print });
        node
    }

    /// Does the changes as the space would; says how many made or deleted something.
    fn perform(&mut self, changes: &[LocalChange], disk: &Disk) -> usize {
        let mut made = BTreeMap::new();
        let node = |dir: Dir, made: &BTreeMap<usize, Node>| match dir {
            Dir::Known(node) => node,
            Dir::Made(number) => made[&number],
        };
        let mut count = 0;
        for (number, change) in changes.iter().enumerate() {
            match change {
                LocalChange::Made(dir, path, print) => {
                    let dir = node(*dir, &made);
                    made.insert(number, self.make(dir, path.name(), print.clone()));
                    count += 1;
                }
                LocalChange::Moved(known, dir, path) => {
                    let known = self.known.get_mut(&known.node).unwrap();
                    (known.dir, known.name) = (node(*dir, &made), ByteBuf::from(path.name()));
                }
                LocalChange::Written(known, path, print) => {
                    assert_eq!(
                        (self.path(known.node), print),
                        (path.as_bytes().to_vec(), &disk.print(path.as_bytes()))
                    );
                }
                LocalChange::Deleted(known) => {
                    assert!(self.inside(known.node).unwrap().is_empty(), "deleted with something in it");
                    self.known.remove(&known.node).unwrap();
                    count += 1;
                }
            }
        }
        let touched = changes.iter().filter_map(|change| match change {
            LocalChange::Made(_, path, _) | LocalChange::Moved(_, _, path) | LocalChange::Written(_, path, _) => {
                Some(path)
            }
            LocalChange::Deleted(_) => None,
        });
        for path in touched {
            let node = self.shown().get(path.as_bytes()).unwrap().node;
            // A moved file that was not written as well is one whose content was seen to be the same.
            let (print, hash) = (disk.print(path.as_bytes()), disk.hash(path.as_bytes()));
            let known = self.known.get_mut(&node).unwrap();
            (known.print, known.hash) = (print, hash);
        }
        count
    }

    fn shows(&self) -> BTreeMap<Vec<u8>, Option<[u8; 32]>> {
        self.shown().into_iter().map(|(path, known)| (path, known.hash)).collect()
    }

    /// Takes what is there as in step.
    fn settle(&mut self, disk: &Disk) {
        let nodes: Vec<_> = self.known.keys().copied().collect();
        for node in nodes {
            let print = disk.print(&self.path(node));
            self.known.get_mut(&node).unwrap().print = print;
        }
    }
}

fn shows(disk: &Disk) -> BTreeMap<Vec<u8>, Option<[u8; 32]>> {
    disk.items.keys().map(|path| (path.clone(), disk.hash(path))).collect()
}

#[derive(Debug, Clone)]
enum Deed {
    Write(Vec<u8>, Vec<u8>),
    MakeDir(Vec<u8>),
    Remove(Vec<u8>),
    Rename(Vec<u8>, Vec<u8>),
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![Just("a"), Just("b"), Just("a-b"), Just("d")];
    proptest::collection::vec(name, 1..4).prop_map(|names| names.join("/").into_bytes())
}

fn deed() -> impl Strategy<Value = Deed> {
    let content = proptest::collection::vec(0_u8..3, 0..4);
    prop_oneof![
        3 => (path(), content).prop_map(|(path, content)| Deed::Write(path, content)),
        2 => path().prop_map(Deed::MakeDir),
        1 => path().prop_map(Deed::Remove),
        4 => (path(), path()).prop_map(|(from, to)| Deed::Rename(from, to)),
    ]
}

fn act(disk: &mut Disk, deed: &Deed) {
    match deed {
        Deed::Write(path, content) => disk.write(path, content),
        Deed::MakeDir(path) => disk.make_dir(path),
        Deed::Remove(path) => disk.remove(path),
        Deed::Rename(from, to) => disk.rename(from, to),
    }
}

fn found(base: &InStep, disk: &Disk) -> Vec<LocalChange> {
    local(base, Node::ROOT, &disk.looked(base), |path| Ok(disk.hash(path.as_bytes()))).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_makes_what_is_there(
        rounds in proptest::collection::vec(proptest::collection::vec(deed(), 0..12), 1..5),
        forgetful in any::<bool>(),
    ) {
        let mut disk = Disk { forgetful, ..Disk::default() };
        let mut base = InStep::default();
        for round in rounds {
            round.iter().for_each(|deed| act(&mut disk, deed));
            let changes = found(&base, &disk);
            base.perform(&changes, &disk);
            prop_assert_eq!(base.shows(), shows(&disk));
            base.settle(&disk);
            prop_assert_eq!(found(&base, &disk), Vec::new());
        }
    }

    /// Nothing was deleted or made anew, so whoever edits elsewhere meanwhile edits the same files.
    #[test]
    fn renames_are_seen_as_renames(
        files in proptest::collection::vec(path(), 1..8),
        renames in proptest::collection::vec((path(), path()), 0..8),
    ) {
        let (mut disk, mut base) = (Disk::default(), InStep::default());
        for path in [&b"a"[..], b"d", b"a/b", b"d/a"] {
            disk.make_dir(path);
        }
        files.iter().for_each(|path| disk.write(path, path));
        base.perform(&found(&base, &disk), &disk);
        for (from, to) in &renames {
            if !disk.items.contains_key(to) {
                disk.rename(from, to);
            }
        }
        let before: Vec<_> = base.known.keys().copied().collect();
        let changes = found(&base, &disk);
        // Where a file took the name that another one had, it is written instead.
        let written = changes.iter().any(|change| matches!(change, LocalChange::Written(..)));
        base.perform(&changes, &disk);
        prop_assert_eq!(base.shows(), shows(&disk));
        prop_assert!(written || before.into_iter().eq(base.known.keys().copied()), "{changes:?}");
    }
}

#[test]
fn a_file_that_a_program_saves_by_renaming_keeps_its_history() {
    let (mut disk, mut base) = (Disk::default(), InStep::default());
    disk.write(b"letter", b"one");
    base.perform(&found(&base, &disk), &disk);
    disk.write(b"letter.tmp", b"two");
    disk.rename(b"letter.tmp", b"letter");
    let changes = found(&base, &disk);
    assert!(matches!(&changes[..], [LocalChange::Written(..)]), "{changes:?}");
}

/// The space is told once, and whoever writes into it elsewhere goes on writing into the same directory.
#[test]
fn a_large_directory_that_is_renamed_is_one_change() {
    let (mut disk, mut base) = (Disk::default(), InStep::default());
    disk.make_dir(b"a");
    (0..500).for_each(|n: u32| disk.write(format!("a/{n}").as_bytes(), &n.to_be_bytes()));
    base.perform(&found(&base, &disk), &disk);
    disk.rename(b"a", b"b");
    let changes = found(&base, &disk);
    assert!(matches!(&changes[..], [LocalChange::Moved(..)]), "{changes:?}");
}

#[test]
fn what_was_not_looked_at_does_not_change() {
    let (mut disk, mut base) = (Disk::default(), InStep::default());
    disk.make_dir(b"a");
    disk.write(b"a/b", b"one");
    base.perform(&found(&base, &disk), &disk);
    disk.remove(b"a/b");
    assert_eq!(local(&base, Node::ROOT, &Looked::new(), |_| Ok(None)).unwrap(), Vec::new());
}
