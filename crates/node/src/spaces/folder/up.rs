//! What happened in the folder, told to the space.
//!
//! Each change names the version that was in step. If the space shows a later one by now, both are heads: a conflict that
//! is shown, not an edit that is lost. What the space shows already is only noted, so that after a crash between telling
//! and noting the same may be done again.

use std::collections::{BTreeSet, HashMap, HashSet};

use logic::folder::{Base, Dir, Known, LocalChange, Print};
use logic::ledger::RealmId;
use logic::space::{
    BODY_MAX, Change, Content, Entry, Kind, Meta, Node, NodeId, NodeKind, Rows, Tree, VersionId, Written,
};
use logic::transfer::path::RelPath;
use seal::DeviceId;
use serde_bytes::ByteBuf;
use store::folder::Folder;
use store::space::Reader;

use super::base::{self, FolderId};
use super::{FolderFault, Hands};
use crate::clock;
use crate::spaces::contents::Single;
use crate::spaces::{Kept, SpaceFault};

/// Changes that are told in one commit.
const AT_ONCE: usize = 1000;
/// Bytes of content that are read for one commit.
const CONTENT: u64 = 64 << 20;
/// Bytes of changes in one commit; the largest one takes less than the rest.
const BODY: usize = BODY_MAX / 2;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Changes that were told.
    pub(super) done: u64,
    /// Directories to look at once more: something in them changed while it was read.
    pub(super) dirty: BTreeSet<Option<RelPath>>,
    /// Everything has to be looked at once more: something went to where other permissions hold.
    pub(super) all: bool,
    /// Directories that are new: the system watches them only some time after they are there.
    pub(super) fresh: BTreeSet<Option<RelPath>>,
    /// What could not be told, with the reason.
    pub(super) warnings: Vec<String>,
}

/// See the module.
pub(super) struct Up<'a> {
    kept: &'a Kept,
    folder: &'a Folder,
    id: FolderId,
    hands: &'a Hands,
    told: Told,
    /// What became of changes that make a directory, by their numbers.
    made: HashMap<usize, Node>,
    /// Of directories that the next commit makes, the realm.
    making: HashMap<usize, RealmId>,
    /// What the space showed already and is this now: nothing else is.
    adopted: HashSet<Node>,
}

/// Something to be said and noted.
enum Act {
    /// The space shows it already.
    Note(Known),
    /// The same, of something that is where it was or where an earlier act says.
    Same(Known),
    /// It is nowhere any more.
    Forget(Node),
    Make {
        number: usize,
        dir: Dir,
        name: ByteBuf,
        written: Written,
        print: Print,
    },
    /// Another version of something that is where it was or where an earlier act says.
    Put {
        known: Known,
        written: Written,
        print: Print,
    },
    /// A version of something that the space shows and the folder did not know.
    Join {
        known: Known,
        written: Written,
    },
    Move {
        known: Known,
        dir: Dir,
        name: ByteBuf,
    },
    Delete {
        known: Known,
        change: Change,
    },
}

/// What is to be noted once a commit is signed.
enum Noting {
    /// The version is the change of that number in the commit, if there is one.
    Set(Box<Known>, Option<u32>),
    /// The same; its place stays the one that is noted.
    Update(Box<Known>, Option<u32>),
    Forget(Node),
}

impl<'a> Up<'a> {
    pub(super) fn new(kept: &'a Kept, folder: &'a Folder, id: FolderId, hands: &'a Hands) -> Self {
        let (made, making, adopted) = Default::default();
        Self { kept, folder, id, hands, told: Told::default(), made, making, adopted }
    }

    /// Tells these changes, in their order.
    pub(super) fn run(mut self, changes: &[LocalChange]) -> Result<Told, FolderFault> {
        let mut numbered = changes.iter().enumerate().peekable();
        while numbered.peek().is_some() {
            self.hands.go_on()?;
            let (mut step, mut realm, mut bytes) = (Vec::new(), None, 0);
            while let Some((number, change)) = numbered.peek() {
                let Some(own) = self.realm(change)? else {
                    self.told.all = true;
                    numbered.next();
                    continue;
                };
                if step.len() >= AT_ONCE || bytes >= CONTENT || realm.is_some_and(|realm| realm != own) {
                    break;
                }
                realm = Some(own);
                self.begin(*number, change, own)?;
                bytes += match change {
                    LocalChange::Made(_, _, print) | LocalChange::Written(_, _, print) => print.size,
                    _ => 0,
                };
                step.extend(numbered.next());
            }
            if let Some(realm) = realm {
                self.step(realm, &step)?;
            }
        }
        Ok(self.told)
    }

    /// A directory, so that one knows where what is in it belongs: the space may show it already.
    fn begin(&mut self, number: usize, change: &LocalChange, realm: RealmId) -> Result<(), SpaceFault> {
        if let LocalChange::Made(dir, path, print) = change
            && print.kind == NodeKind::Dir
        {
            match self.shown_as(*dir, path, print)? {
                Some((_, entry)) => drop(self.made.insert(number, entry.node)),
                None => drop(self.making.insert(number, realm)),
            }
        }
        Ok(())
    }

    /// To which realm a change belongs; `None`: to none, what is around it was not told.
    fn realm(&self, change: &LocalChange) -> Result<Option<RealmId>, SpaceFault> {
        Ok(match change {
            LocalChange::Made(dir, ..) => match (self.inside(*dir)?, dir) {
                (Some(dir), _) => Some(dir.realm),
                (None, Dir::Made(number)) => self.making.get(number).copied(),
                (None, Dir::Known(_)) => None,
            },
            LocalChange::Moved(known, ..) | LocalChange::Written(known, ..) | LocalChange::Deleted(known) => {
                Some(known.node.realm)
            }
        })
    }

    /// The directory that one puts something into: of a realm that is shown, its root.
    fn inside(&self, dir: Dir) -> Result<Option<Node>, SpaceFault> {
        let node = match dir {
            Dir::Known(node) => Some(node),
            Dir::Made(number) => self.made.get(&number).copied(),
        };
        let Some(node) = node else { return Ok(None) };
        self.kept.space.tree(|tree| Ok(tree.entered(node)?))
    }

    /// Reads what has to be read of changes of one realm, and commits them.
    fn step(&mut self, realm: RealmId, changes: &[(usize, &LocalChange)]) -> Result<(), FolderFault> {
        let read = changes.iter().filter_map(|(number, change)| match change {
            LocalChange::Made(_, path, print) | LocalChange::Written(_, path, print)
                if print.kind == NodeKind::File =>
            {
                Some((*number, path, print))
            }
            _ => None,
        });
        let (numbers, files): (Vec<usize>, Vec<_>) = read.map(|(number, path, print)| (number, (path, print))).unzip();
        let taken = self.hands.take(self.kept, self.folder, realm, &files)?;
        let mut taken: HashMap<usize, Single> = numbers.into_iter().zip(taken).collect();
        let mut acts = Vec::new();
        for (number, change) in changes {
            acts.extend(self.decide(realm, *number, change, taken.remove(number))?);
        }
        let mut rest = acts.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let count = rest.iter().take_while(|act| {
                bytes += act.size();
                bytes <= BODY
            });
            let (now, later) = rest.split_at(count.count().max(1));
            self.commit(realm, now)?;
            rest = later;
        }
        Ok(())
    }

    fn decide(
        &mut self,
        realm: RealmId,
        number: usize,
        change: &LocalChange,
        taken: Option<Single>,
    ) -> Result<Vec<Act>, FolderFault> {
        Ok(match change {
            LocalChange::Made(dir, path, print) => {
                let Some((written, print)) = self.written(path, print, taken)? else { return Ok(Vec::new()) };
                self.make(number, *dir, path, written, print)?
            }
            LocalChange::Written(known, path, print) => {
                let Some((written, print)) = self.written(path, print, taken)? else { return Ok(Vec::new()) };
                vec![self.write(known, written, print)?]
            }
            LocalChange::Moved(known, dir, path) => self.relocate(realm, known, *dir, path)?,
            LocalChange::Deleted(known) => vec![self.delete(known)?],
        })
    }

    /// What is to be written of something that was made or changed.
    fn written(
        &mut self,
        path: &RelPath,
        print: &Print,
        taken: Option<Single>,
    ) -> Result<Option<(Written, Print)>, FolderFault> {
        let meta = Meta { mode: Some(print.mode), ..Meta::default() };
        let written = |content, meta| Written { content, meta, restored: None };
        Ok(match (print.kind, taken) {
            (NodeKind::Dir | NodeKind::Realm, _) => Some((written(Content::Nothing, meta), print.clone())),
            (NodeKind::Link, _) => match self.folder.link_target(path) {
                Ok(target) => {
                    let content = Content::Link { target: ByteBuf::from(target) };
                    Some((written(content, Meta::default()), print.clone()))
                }
                Err(_) => {
                    self.told.dirty.insert(path.parent());
                    None
                }
            },
            (NodeKind::File, Some(Single::Content(content, meta))) => Some((written(content, meta), print.clone())),
            (NodeKind::File, Some(Single::Unreadable(why))) => {
                self.warn(format!("{path}: {why}"));
                None
            }
            (NodeKind::File, Some(Single::Changed) | None) => {
                self.told.dirty.insert(path.parent());
                None
            }
        })
    }

    fn known_of(&self, node: Node) -> Result<Option<Known>, SpaceFault> {
        self.kept.space.tree(|tree| base::Rows { store: tree.rows(), folder: self.id }.of(node))
    }

    /// What the space shows under the name of something new, if it is of that kind and nowhere else in the folder.
    fn shown_as(&self, dir: Dir, path: &RelPath, print: &Print) -> Result<Option<(Node, Entry)>, SpaceFault> {
        let around = match dir {
            Dir::Known(node) => Some(node),
            Dir::Made(number) => self.made.get(&number).copied(),
        };
        let Some(around) = around else { return Ok(None) };
        let plain = |kind| if kind == NodeKind::Realm { NodeKind::Dir } else { kind };
        let there = self.kept.space.tree(|tree| Ok(tree.meant(around, path.name())?))?;
        let Some(entry) = there.filter(|entry| plain(entry.kind) == print.kind) else { return Ok(None) };
        let free = !self.adopted.contains(&entry.node) && self.known_of(entry.node)?.is_none();
        Ok(free.then_some((around, entry)))
    }

    /// Something new; if the space shows the like under this name, and it is nowhere else in the folder, that is it.
    fn make(
        &mut self,
        number: usize,
        dir: Dir,
        path: &RelPath,
        written: Written,
        print: Print,
    ) -> Result<Vec<Act>, SpaceFault> {
        let name = ByteBuf::from(path.name());
        let Some((around, entry)) = self.shown_as(dir, path, &print)? else {
            return Ok(vec![Act::Make { number, dir, name, written, print }]);
        };
        self.adopted.insert(entry.node);
        if print.kind == NodeKind::Dir {
            self.made.insert(number, entry.node);
        }
        let shown = entry.brief.as_ref().map(|brief| brief.version.id());
        let known = Known { node: entry.node, dir: around, name, version: shown, hash: hash(&written), print };
        if known.print.kind == NodeKind::Dir || self.shows(known.node, shown, &written)? {
            return Ok(vec![Act::Note(known)]);
        }
        // It came from nowhere, so it knows none of what the space shows.
        Ok(vec![Act::Join { known: Known { version: None, ..known }, written }])
    }

    fn write(&self, known: &Known, written: Written, print: Print) -> Result<Act, SpaceFault> {
        let shown = self.kept.space.tree(|tree| Ok(tree.stat(known.node)?))?.filter(|stat| stat.shown);
        let shown = shown.and_then(|stat| stat.version).map(|version| version.stamp.id());
        for same in [known.version, shown] {
            if self.shows(known.node, same, &written)? {
                return Ok(Act::Same(Known { version: same, hash: hash(&written), print, ..known.clone() }));
            }
        }
        Ok(Act::Put { known: known.clone(), written, print })
    }

    /// Whether that version is the same to a reader, times left aside.
    fn shows(&self, node: Node, version: Option<VersionId>, written: &Written) -> Result<bool, SpaceFault> {
        let Some(version) = version else { return Ok(false) };
        let shown = self.kept.space.tree(|tree| Ok(tree.version(node, version)?))?;
        Ok(shown.and_then(|version| version.written).is_some_and(|shown| {
            let same = match (&shown.content, &written.content) {
                (Content::File { hash: one, .. }, Content::File { hash: other, .. }) => one == other,
                (one, other) => one == other,
            };
            same && shown.meta.mode == written.meta.mode && shown.meta.xattrs == written.meta.xattrs
        }))
    }

    fn relocate(&mut self, realm: RealmId, known: &Known, dir: Dir, path: &RelPath) -> Result<Vec<Act>, SpaceFault> {
        if let Some(target) = self.inside(dir)?
            && target.realm != realm
        {
            // Who may read is another question there: it is made anew, and deleted here.
            self.told.all = true;
            return self.leave(known);
        }
        let name = ByteBuf::from(path.name());
        if let Dir::Known(dir) = dir {
            let moved = Known { dir, name: name.clone(), ..known.clone() };
            if self.kept.space.tree(|tree| Ok(self.is_there(tree, &moved)))? {
                return Ok(vec![Act::Note(moved)]);
            }
        }
        Ok(vec![Act::Move { known: known.clone(), dir, name }])
    }

    /// Something that goes to another realm, with everything below it. Realms inside stay what they are.
    fn leave(&self, known: &Known) -> Result<Vec<Act>, SpaceFault> {
        let realm = known.node.realm;
        let mut leaving = vec![known.clone()];
        let mut at = 0;
        while let Some(node) = leaving.get(at).map(|known| known.node) {
            at += 1;
            let rows = |tree: &Tree<&Reader<'_>>| base::Rows { store: tree.rows(), folder: self.id }.inside(node);
            leaving.extend(self.kept.space.tree(rows)?.into_iter().filter(|inner| inner.node.realm == realm));
        }
        leaving.iter().rev().map(|known| self.delete(known)).collect()
    }

    /// A delete that has seen what was in step. A later edit, or a move elsewhere, wins.
    fn delete(&self, known: &Known) -> Result<Act, SpaceFault> {
        let change = self.kept.space.tree(|tree| {
            let Some(stat) = tree.stat(known.node)?.filter(|stat| stat.shown) else { return Ok(None) };
            let Change::Delete { node, place, .. } = tree.deletion(known.node)? else { return Ok(None) };
            let here = stat.version.as_ref().map(|version| version.stamp.id()) == known.version;
            let seen = if here { tree.heads(known.node)? } else { known.version.into_iter().collect() };
            Ok(Some(Change::Delete { node, seen, place: place.filter(|_| self.is_there(tree, known)) }))
        })?;
        Ok(match change {
            Some(change) => Act::Delete { known: known.clone(), change },
            None => Act::Forget(known.node),
        })
    }

    /// Whether the space shows it where the folder had it.
    fn is_there<R: Rows>(&self, tree: &Tree<R>, known: &Known) -> bool {
        let named = tree.list(known.dir).unwrap_or_default();
        named.iter().any(|entry| entry.node == known.node && known.name == entry.name)
    }

    fn commit(&mut self, realm: RealmId, acts: &[Act]) -> Result<(), FolderFault> {
        let quiet = acts.iter().all(|act| matches!(act, Act::Note(_) | Act::Same(_) | Act::Forget(_)));
        let notings = if quiet {
            acts.iter().filter_map(Act::noting).collect()
        } else {
            let mut made = std::mem::take(&mut self.made);
            let (id, notings, _) = self.kept.space.write(realm, clock::now(), |tree, device, seq| {
                let mut writer = Writer { device, seq, realm, made: &mut made, changes: Vec::new() };
                let notings = acts.iter().map(|act| writer.add(tree, act)).collect::<Result<Vec<_>, _>>()?;
                Ok((writer.changes, notings))
            })?;
            self.made = made;
            self.told.done += notings.len() as u64;
            // What is around it was not told as it was thought.
            self.told.all |= notings.iter().any(Option::is_none);
            let signed = |noting| match noting {
                Noting::Set(known, Some(index)) => {
                    Noting::Set(Box::new(Known { version: Some(VersionId { commit: id, index }), ..*known }), None)
                }
                Noting::Update(known, Some(index)) => {
                    Noting::Update(Box::new(Known { version: Some(VersionId { commit: id, index }), ..*known }), None)
                }
                other => other,
            };
            notings.into_iter().flatten().map(signed).collect::<Vec<_>>()
        };
        self.kept.space.jot(|store| {
            notings.iter().try_for_each(|noting| match noting {
                Noting::Set(known, _) => base::set(store, self.id, known),
                Noting::Update(known, _) => base::update(store, self.id, known),
                Noting::Forget(node) => base::remove(store, self.id, *node),
            })
        })?;
        Ok(())
    }

    fn warn(&mut self, what: String) {
        if self.told.warnings.len() < super::WARNINGS {
            self.told.warnings.push(what);
        }
    }
}

fn hash(written: &Written) -> Option<[u8; 32]> {
    match &written.content {
        Content::File { hash, .. } => Some(*hash),
        _ => None,
    }
}

impl Act {
    /// Bytes that it takes in a commit, at most.
    fn size(&self) -> usize {
        let written = match self {
            Self::Make { written, .. } | Self::Put { written, .. } | Self::Join { written, .. } => written,
            _ => return 512,
        };
        let content = match &written.content {
            Content::Nothing => 0,
            Content::File { manifest, .. } => manifest.len(),
            Content::Link { target } => target.len(),
        };
        let xattrs: usize = written.meta.xattrs.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        768 + content + xattrs
    }

    fn noting(&self) -> Option<Noting> {
        match self {
            Self::Note(known) => Some(Noting::Set(Box::new(known.clone()), None)),
            Self::Same(known) => Some(Noting::Update(Box::new(known.clone()), None)),
            Self::Forget(node) => Some(Noting::Forget(*node)),
            _ => None,
        }
    }
}

/// The changes of one commit.
struct Writer<'m> {
    device: DeviceId,
    seq: u64,
    realm: RealmId,
    made: &'m mut HashMap<usize, Node>,
    changes: Vec<Change>,
}

impl Writer<'_> {
    fn next(&self) -> u32 {
        u32::try_from(self.changes.len()).expect("a body of 1 MiB holds fewer changes")
    }

    /// The directory as the base names it, and what is put something into.
    fn dir<R: Rows>(&self, tree: &Tree<R>, dir: Dir) -> Result<Option<(Node, NodeId)>, SpaceFault>
    where
        SpaceFault: From<logic::space::Fault<R::Error>>,
    {
        let node = match dir {
            Dir::Known(node) => node,
            // Made by this commit or an earlier one: no realm.
            Dir::Made(number) => match self.made.get(&number) {
                Some(node) if node.id.kind() == Some(NodeKind::Dir) => return Ok(Some((*node, node.id))),
                Some(node) => *node,
                None => return Ok(None),
            },
        };
        let inside = tree.entered(node)?.filter(|inside| inside.realm == self.realm);
        Ok(inside.map(|inside| (node, inside.id)))
    }

    fn add<R: Rows>(&mut self, tree: &Tree<R>, act: &Act) -> Result<Option<Noting>, SpaceFault>
    where
        SpaceFault: From<logic::space::Fault<R::Error>>,
    {
        Ok(match act {
            Act::Note(_) | Act::Same(_) | Act::Forget(_) => act.noting(),
            Act::Make { number, dir, name, written, print } => {
                let Some((dir, parent)) = self.dir(tree, *dir)? else { return Ok(None) };
                let kind = match print.kind {
                    NodeKind::Dir | NodeKind::Realm => Kind::Dir,
                    NodeKind::File => Kind::File,
                    NodeKind::Link => Kind::Link,
                };
                let id = NodeId::of(&self.device, self.seq, self.next(), kind.into());
                self.changes.push(Change::Make { node: id, kind, parent, name: name.clone() });
                let node = Node { realm: self.realm, id };
                if kind == Kind::Dir {
                    self.made.insert(*number, node);
                }
                let name = name.clone();
                let known = Known { node, dir, name, version: None, hash: hash(written), print: print.clone() };
                let index = self.put(&known, written);
                Some(Noting::Set(Box::new(known), Some(index)))
            }
            Act::Join { known, written } => {
                let index = self.put(known, written);
                Some(Noting::Set(Box::new(known.clone()), Some(index)))
            }
            Act::Put { known, written, print } => {
                let known = Known { hash: hash(written), print: print.clone(), ..known.clone() };
                let index = self.put(&known, written);
                Some(Noting::Update(Box::new(known), Some(index)))
            }
            Act::Move { known, dir, name } => {
                let Some((dir, parent)) = self.dir(tree, *dir)? else { return Ok(None) };
                self.changes.push(Change::Move { node: known.node.id, parent, name: name.clone() });
                Some(Noting::Set(Box::new(Known { dir, name: name.clone(), ..known.clone() }), None))
            }
            Act::Delete { known, change } => {
                self.changes.push(change.clone());
                Some(Noting::Forget(known.node))
            }
        })
    }

    /// A version on top of what was in step.
    fn put(&mut self, known: &Known, written: &Written) -> u32 {
        let index = self.next();
        let bases = known.version.into_iter().collect();
        self.changes.push(Change::Put { node: known.node.id, bases, written: written.clone() });
        index
    }
}
