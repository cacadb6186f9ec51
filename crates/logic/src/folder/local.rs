//! From what lies in a folder to what has happened in it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Base, FileId, Known, Print};
use crate::space::{Node, NodeKind};
use crate::transfer::path::RelPath;

/// The directories that were looked at (`None`: the folder itself), with everything in them. What is in a directory that
/// the base does not know, or knows as another file, has to be there as well, all the way down.
pub type Looked = BTreeMap<Option<RelPath>, Names>;

/// What is in a directory, by name.
pub type Names = Vec<(Vec<u8>, Print)>;

/// A directory in which something is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dir {
    /// One that the base knows.
    Known(Node),
    /// The one that this change makes, by its number in the list.
    Made(usize),
}

/// Something that the space has to be told. The path is where it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalChange {
    /// A directory, file or link that was not there.
    Made(Dir, RelPath, Print),
    /// It has another place; if its content may be another as well, [`Self::Written`] follows.
    Moved(Known, Dir, RelPath),
    /// Its content or what is kept beside it may be another.
    Written(Known, RelPath, Print),
    /// It is nowhere any more.
    Deleted(Known),
}

/// What has happened in the folder of `root`, in an order in which it can be done: directories before what is in them,
/// deletes last and from the bottom up. `hash` is asked for the content of new files, if one of that size is gone.
///
/// # Errors
/// Those of the base and of `hash`.
pub fn local<B: Base>(
    base: &B,
    root: Node,
    looked: &Looked,
    mut hash: impl FnMut(&RelPath) -> Result<Option<[u8; 32]>, B::Error>,
) -> Result<Vec<LocalChange>, B::Error> {
    let mut found = Found::new(base, root);
    for (dir, entries) in looked {
        found.compare(dir.as_ref(), entries)?;
    }
    found.expand()?;
    let mut changes = Vec::new();
    for (path, print) in std::mem::take(&mut found.new) {
        // Without its directory it was not looked at as a whole.
        let Some(dir) = found.dir(path.parent().as_ref())? else { continue };
        let known = match found.same(dir, &path, &print)? {
            Some(known) => Some(known),
            None => found.renamed(&path, &print, &mut hash)?,
        };
        if print.kind == NodeKind::Dir {
            let made = Dir::Made(changes.len());
            found.dirs.insert(path.clone(), known.as_ref().map_or(made, |known| Dir::Known(known.node)));
        }
        let Some(known) = known else {
            changes.push(LocalChange::Made(dir, path, print));
            continue;
        };
        if Dir::Known(known.dir) != dir || known.name != path.name() {
            changes.push(LocalChange::Moved(known.clone(), dir, path.clone()));
        }
        if print.kind != NodeKind::Dir && !known.print.is_same(&print) {
            found.written.push((known, path, print));
        }
    }
    changes.extend(found.written.into_iter().map(|(known, path, print)| LocalChange::Written(known, path, print)));
    let deleted = found.order.iter().rev().filter_map(|node| found.gone.remove(node));
    changes.extend(deleted.map(LocalChange::Deleted));
    Ok(changes)
}

struct Found<'a, B> {
    base: &'a B,
    root: Node,
    /// What is not where it was.
    gone: HashMap<Node, Known>,
    /// The same, directories before what was in them.
    order: Vec<Node>,
    by_id: HashMap<FileId, Node>,
    /// Files, by length.
    by_size: HashMap<u64, Vec<Node>>,
    /// What is where nothing was; parents first.
    new: BTreeMap<RelPath, Print>,
    /// Files in `new`.
    here: HashSet<FileId>,
    /// What may have another content.
    written: Vec<(Known, RelPath, Print)>,
    /// Directories by where they are, as far as that is known.
    dirs: HashMap<RelPath, Dir>,
}

impl<'a, B: Base> Found<'a, B> {
    fn new(base: &'a B, root: Node) -> Self {
        Self {
            base,
            root,
            gone: HashMap::new(),
            order: Vec::new(),
            by_id: HashMap::new(),
            by_size: HashMap::new(),
            new: BTreeMap::new(),
            here: HashSet::new(),
            written: Vec::new(),
            dirs: HashMap::new(),
        }
    }

    fn compare(&mut self, path: Option<&RelPath>, entries: &[(Vec<u8>, Print)]) -> Result<(), B::Error> {
        let known = match self.was(path)? {
            Some(dir) => self.base.inside(dir)?,
            None => Vec::new(),
        };
        let mut known: HashMap<_, _> = known.into_iter().map(|known| (known.name.to_vec(), known)).collect();
        for (name, print) in entries {
            // What has no name that a space could keep was left out by whoever looked.
            let Ok(path) = RelPath::child(path, name) else { continue };
            match known.remove(name) {
                Some(known) if known.print.is_same(print) => {}
                Some(known) if known.print.kind == print.kind && print.kind != NodeKind::Dir => {
                    self.written.push((known, path, print.clone()));
                }
                was => {
                    was.into_iter().for_each(|was| self.lose(was));
                    self.here.insert(print.id);
                    self.new.insert(path, print.clone());
                }
            }
        }
        known.into_values().for_each(|known| self.lose(known));
        Ok(())
    }

    /// The directory that was at a path.
    fn was(&self, path: Option<&RelPath>) -> Result<Option<Node>, B::Error> {
        let mut dir = self.root;
        for name in path.into_iter().flat_map(RelPath::names) {
            match self.base.child(dir, name)? {
                // What was another file then is compared as a whole, wherever it is now.
                Some(known) if !self.gone.contains_key(&known.node) => dir = known.node,
                _ => return Ok(None),
            }
        }
        Ok(Some(dir))
    }

    fn lose(&mut self, known: Known) {
        self.by_id.insert(known.print.id, known.node);
        if known.print.kind == NodeKind::File {
            self.by_size.entry(known.print.size).or_default().push(known.node);
        }
        self.order.push(known.node);
        self.gone.insert(known.node, known);
    }

    /// With a directory everything in it is gone.
    fn expand(&mut self) -> Result<(), B::Error> {
        let mut at = 0;
        while let Some(node) = self.order.get(at).copied() {
            at += 1;
            if self.gone.get(&node).is_some_and(|known| known.print.kind == NodeKind::Dir) {
                self.base.inside(node)?.into_iter().for_each(|known| self.lose(known));
            }
        }
        Ok(())
    }

    /// The directory that is at a path: of what is new its parents are known by now, the others are where they were.
    fn dir(&self, path: Option<&RelPath>) -> Result<Option<Dir>, B::Error> {
        match path.and_then(|path| self.dirs.get(path)) {
            Some(dir) => Ok(Some(*dir)),
            None => Ok(self.was(path)?.map(Dir::Known)),
        }
    }

    /// What had this name in this directory already, wherever the directory is now.
    fn same(&mut self, dir: Dir, path: &RelPath, print: &Print) -> Result<Option<Known>, B::Error> {
        let Dir::Known(dir) = dir else { return Ok(None) };
        let Some(was) = self.base.child(dir, path.name())? else { return Ok(None) };
        let is_it = was.print.kind == print.kind && (print.kind != NodeKind::Dir || self.is_that_dir(&was, print));
        Ok(if is_it { self.gone.remove(&was.node) } else { None })
    }

    /// Whether it is that directory, or took its place while that one is nowhere else and it was none of those that moved.
    fn is_that_dir(&self, was: &Known, print: &Print) -> bool {
        let moved = || self.here.contains(&was.print.id) || self.by_id.contains_key(&print.id);
        was.print.id == print.id || !moved()
    }

    /// What was gone and is here under another name.
    fn renamed(
        &mut self,
        path: &RelPath,
        print: &Print,
        hash: &mut impl FnMut(&RelPath) -> Result<Option<[u8; 32]>, B::Error>,
    ) -> Result<Option<Known>, B::Error> {
        let known = self.by_id.get(&print.id).and_then(|node| self.gone.get(node));
        if let Some(node) = known.filter(|known| known.print.is_file(print)).map(|known| known.node) {
            return Ok(self.gone.remove(&node));
        }
        let sized = self.by_size.get_mut(&print.size).filter(|_| print.kind == NodeKind::File && print.size > 0);
        let Some(sized) = sized else { return Ok(None) };
        sized.retain(|node| self.gone.contains_key(node));
        if sized.is_empty() {
            return Ok(None);
        }
        let Some(content) = hash(path)? else { return Ok(None) };
        let found = sized.iter().find(|node| self.gone.get(*node).is_some_and(|known| known.hash == Some(content)));
        Ok(found.and_then(|node| self.gone.remove(node)))
    }
}
