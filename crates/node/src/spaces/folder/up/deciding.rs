//! What a change in the folder is to the space.

use std::collections::{BTreeMap, BTreeSet};

use logic::folder::{Base, Dir, Known, Print};
use logic::ledger::RealmId;
use logic::space::{Change, Content, Entry, Event, Meta, Node, NodeKind, Tree, Version, VersionId, Written};
use logic::transfer::path::RelPath;
use serde_bytes::ByteBuf;
use store::space::Reader;

use super::super::FolderFault;
use super::super::base;
use super::Up;
use super::act::{Act, hash};
use crate::spaces::SpaceFault;
use crate::spaces::contents::{self, Single};

impl Up<'_> {
    /// What a version of something as it is now would show.
    pub(super) fn lies(&mut self, path: &RelPath, print: &Print) -> Result<Option<Written>, FolderFault> {
        if print.kind != NodeKind::File {
            return Ok(self.written(path, print, None)?.map(|(written, _)| written));
        }
        let shape = self.folder.open_file(path).ok().and_then(|file| contents::shape(&file, &self.hands.progress));
        let same = self.folder.print(path)?.as_ref() == Some(print);
        Ok(shape.filter(|_| same).map(|(content, meta)| Written { content, meta, restored: None }))
    }

    /// What is to be written of something that was made or changed.
    pub(super) fn written(
        &mut self,
        path: &RelPath,
        print: &Print,
        taken: Option<Single>,
    ) -> Result<Option<(Written, Print)>, FolderFault> {
        let meta = Meta { mode: Some(print.mode), ..Meta::default() };
        let written = |content, meta| Written { content, meta, restored: None };
        Ok(match (print.kind, taken) {
            (kind, _) if kind.is_dir() => Some((written(Content::Nothing, meta), print.clone())),
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
            (_, Some(Single::Content(content, meta))) => Some((written(content, meta), print.clone())),
            (_, Some(Single::Unreadable(why))) => {
                self.warn(format!("{path}: {why}"));
                None
            }
            (_, Some(Single::Changed) | None) => {
                self.told.dirty.insert(path.parent());
                None
            }
        })
    }

    fn known_of(&self, node: Node) -> Result<Option<Known>, SpaceFault> {
        self.kept.space.tree(|tree| base::Rows { store: tree.rows(), folder: self.id }.of(node))
    }

    /// What the space shows under the name of something new, if it is of that kind and nowhere else in the folder.
    pub(super) fn shown_as(
        &self,
        dir: Dir,
        path: &RelPath,
        print: &Print,
    ) -> Result<Option<(Node, Entry)>, SpaceFault> {
        let around = match dir {
            Dir::Known(node) => Some(node),
            Dir::Made(number) => self.made.get(&number).copied(),
        };
        let Some(around) = around else { return Ok(None) };
        let there = self.kept.space.tree(|tree| Ok(tree.meant(around, path.name())?))?;
        let is_like = |entry: &Entry| entry.kind == print.kind || entry.kind.is_dir() && print.kind.is_dir();
        let Some(entry) = there.filter(is_like) else { return Ok(None) };
        let free = !self.adopted.contains(&entry.node) && self.known_of(entry.node)?.is_none();
        Ok(free.then_some((around, entry)))
    }

    /// Something new; if the space shows the like under this name, and it is nowhere else in the folder, that is it.
    pub(super) fn make(
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
        Ok(vec![self.take_on(number, (around, name), &entry, written, print)?])
    }

    /// Something that the folder had not known and the space shows. If it is a version that the space has or had, nobody
    /// has changed it here.
    pub(super) fn take_on(
        &mut self,
        number: usize,
        (dir, name): (Node, ByteBuf),
        entry: &Entry,
        written: Written,
        print: Print,
    ) -> Result<Act, SpaceFault> {
        self.adopted.insert(entry.node);
        let is_dir = print.kind == NodeKind::Dir;
        if is_dir {
            self.made.insert(number, entry.node);
        }
        let shown = entry.brief.as_ref().map(|brief| brief.version.id());
        let same = if is_dir { shown } else { self.same(entry.content(), shown, None, &written)? };
        let known = Known { node: entry.node, dir, name, version: same, hash: hash(&written), print };
        // Else it came from nowhere, so it knows none of what the space shows.
        Ok(if is_dir || same.is_some() { Act::Note(known) } else { Act::Join { known, written } })
    }

    pub(super) fn write(&self, known: &Known, written: Written, print: Print) -> Result<Act, SpaceFault> {
        let (content, shown) = self.kept.space.tree(|tree| {
            let content = tree.content(known.node)?;
            Ok((content, tree.stat(content)?.filter(|stat| stat.shown)))
        })?;
        let shown = shown.and_then(|stat| stat.version).map(|version| version.stamp.id());
        Ok(match self.same(content, shown, known.version, &written)? {
            Some(same) => Act::Same(Known { version: Some(same), hash: hash(&written), print, ..known.clone() }),
            None => Act::Put { known: known.clone(), written, print },
        })
    }

    /// The version that is the same to a reader, times left aside: the one that is shown, or else the one that was in
    /// step, or else one that was written in the knowledge of that one; any if none was, and then what a version does not
    /// say is no difference.
    fn same(
        &self,
        node: Node,
        shown: Option<VersionId>,
        base: Option<VersionId>,
        written: &Written,
    ) -> Result<Option<VersionId>, SpaceFault> {
        let history = self.kept.space.tree(|tree| Ok(tree.history(node)?))?;
        let versions = history.into_iter().filter_map(|event| match event {
            Event::Written(version) => Some((version.stamp.id(), *version)),
            Event::Placed(_) => None,
        });
        let versions: BTreeMap<VersionId, Version> = versions.collect();
        let is_same = |version: &Version| {
            let is_it = |there| is_same(there, written) || base.is_none() && is_bare(there, written);
            version.written.as_ref().is_some_and(is_it)
        };
        let first = shown.into_iter().chain(base).find(|id| versions.get(id).is_some_and(is_same));
        let later = |id: &VersionId| {
            let (mut open, mut seen) = (vec![*id], BTreeSet::new());
            while let Some(id) = open.pop() {
                if Some(id) == base {
                    return true;
                }
                if seen.insert(id) {
                    open.extend(versions.get(&id).into_iter().flat_map(|version| &version.bases));
                }
            }
            base.is_none()
        };
        let other = || versions.iter().find(|(id, version)| is_same(version) && later(id)).map(|(id, _)| *id);
        Ok(first.or_else(other))
    }

    pub(super) fn relocate(
        &mut self,
        realm: RealmId,
        known: &Known,
        dir: Dir,
        path: &RelPath,
    ) -> Result<Vec<Act>, SpaceFault> {
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
            if self.kept.space.tree(|tree| is_there(tree, &moved))? {
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
    pub(super) fn delete(&self, known: &Known) -> Result<Act, SpaceFault> {
        let change = self.kept.space.tree(|tree| {
            let content = tree.content(known.node)?;
            let Some(stat) = tree.stat(known.node)?.filter(|stat| stat.shown) else {
                // Forgotten while the tree is damaged, it would come back when that is mended.
                base::check_gone(tree, known)?;
                return Ok(None);
            };
            let Change::Delete { node, place, .. } = tree.deletion(known.node)? else { return Ok(None) };
            let alone = content != known.node;
            let stat = if alone { tree.stat(content)? } else { Some(stat) };
            let here = stat.and_then(|stat| stat.version).map(|version| version.stamp.id()) == known.version;
            if alone && !here {
                // The edit is in another realm, where a delete of what shows it is not seen.
                return Ok(None);
            }
            let seen = if here { tree.heads(known.node)? } else { known.version.into_iter().collect() };
            let there = is_there(tree, known)?;
            Ok(Some(Change::Delete { node, seen, place: place.filter(|_| there) }))
        })?;
        Ok(match change {
            Some(change) => Act::Delete { known: known.clone(), change },
            None => Act::Forget(known.node),
        })
    }
}

/// Whether the space shows it where the folder had it.
fn is_there(tree: &Tree<&Reader<'_>>, known: &Known) -> Result<bool, SpaceFault> {
    let Some((dir, name)) = tree.shown_at(known.node)? else { return Ok(false) };
    Ok(tree.entered(known.dir)? == Some(dir) && known.name == name)
}

/// The same to a reader, times left aside.
fn is_same(one: &Written, other: &Written) -> bool {
    has_content(one, other) && one.meta.mode == other.meta.mode && one.meta.xattrs == other.meta.xattrs
}

/// The same content, of which nothing else was said: it came from a pipe.
fn is_bare(there: &Written, written: &Written) -> bool {
    has_content(there, written) && there.meta.mode.is_none() && there.meta.xattrs.is_empty()
}

fn has_content(one: &Written, other: &Written) -> bool {
    match (&one.content, &other.content) {
        (Content::File { hash: one, .. }, Content::File { hash: other, .. }) => one == other,
        (one, other) => one == other,
    }
}
