//! What is said of changes in a folder, and what is noted then.

use std::collections::HashMap;

use logic::folder::{Dir, Known, Print};
use logic::ledger::RealmId;
use logic::space::{Change, Content, Kind, Node, NodeId, NodeKind, Rows, Tree, Written};
use seal::DeviceId;
use serde_bytes::ByteBuf;

use crate::spaces::SpaceFault;

/// Something to be said and noted.
pub(super) enum Act {
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
pub(super) enum Noting {
    /// The version is the change of that number in the commit, if there is one.
    Set(Box<Known>, Option<u32>),
    /// The same; its place stays the one that is noted.
    Update(Box<Known>, Option<u32>),
    Forget(Node),
}

pub(super) fn hash(written: &Written) -> Option<[u8; 32]> {
    match &written.content {
        Content::File { hash, .. } => Some(*hash),
        _ => None,
    }
}

impl Act {
    /// Bytes that it takes in a commit, at most.
    pub(super) fn size(&self) -> usize {
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

    /// It says nothing.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self, Self::Note(_) | Self::Same(_) | Self::Forget(_))
    }

    pub(super) fn noting(&self) -> Option<Noting> {
        match self {
            Self::Note(known) => Some(Noting::Set(Box::new(known.clone()), None)),
            Self::Same(known) => Some(Noting::Update(Box::new(known.clone()), None)),
            Self::Forget(node) => Some(Noting::Forget(*node)),
            _ => None,
        }
    }
}

/// The changes of one commit.
pub(super) struct Writer<'m> {
    pub(super) device: DeviceId,
    pub(super) seq: u64,
    pub(super) realm: RealmId,
    pub(super) made: &'m mut HashMap<usize, Node>,
    pub(super) changes: Vec<Change>,
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

    pub(super) fn add<R: Rows>(&mut self, tree: &Tree<R>, act: &Act) -> Result<Option<Noting>, SpaceFault>
    where
        SpaceFault: From<logic::space::Fault<R::Error>>,
    {
        Ok(match act {
            Act::Note(_) | Act::Same(_) | Act::Forget(_) => act.noting(),
            Act::Make { number, dir, name, written, print } => {
                let Some((dir, parent)) = self.dir(tree, *dir)? else { return Ok(None) };
                let kind = print.kind.plain();
                let id = NodeId::of(&self.device, self.seq, self.next(), kind.into());
                self.changes.push(Change::Make { node: id, kind, parent, name: name.clone() });
                let node = Node { realm: self.realm, id };
                if kind == Kind::Dir {
                    self.made.insert(*number, node);
                }
                let name = name.clone();
                let known = Known { node, dir, name, version: None, hash: hash(written), print: print.clone() };
                let index = self.put(node, &known, written);
                Some(Noting::Set(Box::new(known), Some(index)))
            }
            Act::Join { known, written } => {
                let Some(content) = self.content(tree, known)? else { return Ok(None) };
                let index = self.put(content, known, written);
                Some(Noting::Set(Box::new(known.clone()), Some(index)))
            }
            Act::Put { known, written, print } => {
                let Some(content) = self.content(tree, known)? else { return Ok(None) };
                let known = Known { hash: hash(written), print: print.clone(), ..known.clone() };
                let index = self.put(content, &known, written);
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

    /// The node that has the versions; `None` if it is in another realm than this commit, whose key sealed the content.
    fn content<R: Rows>(&self, tree: &Tree<R>, known: &Known) -> Result<Option<Node>, SpaceFault>
    where
        SpaceFault: From<logic::space::Fault<R::Error>>,
    {
        Ok(Some(tree.content(known.node)?).filter(|content| content.realm == self.realm))
    }

    /// A version on top of what was in step.
    fn put(&mut self, content: Node, known: &Known, written: &Written) -> u32 {
        let index = self.next();
        let bases = known.version.into_iter().collect();
        self.changes.push(Change::Put { node: content.id, bases, written: written.clone() });
        index
    }
}
