//! Where things are in the folder, and where they belong.

use logic::folder::Known;
use logic::space::{Entry, Node, NodeId, NodeKind};
use logic::transfer::path::RelPath;
use serde_bytes::ByteBuf;
use store::folder::STAGING;

use super::super::{FolderFault, base};
use super::Down;
use crate::spaces::SpaceFault;

/// Where a directory lies in the folder.
pub(super) enum Place {
    /// Here; `None`: it is the folder.
    At(Option<RelPath>),
    /// Nowhere.
    Nowhere,
}

impl Down<'_> {
    /// Where a directory is in the folder.
    pub(super) fn place(&self, dir: Node) -> Result<Place, SpaceFault> {
        let mut names: Vec<ByteBuf> = Vec::new();
        let mut here = dir;
        while here != self.top {
            let Some(known) = self.known(here)? else { return Ok(Place::Nowhere) };
            names.push(known.name);
            here = known.dir;
        }
        names.reverse();
        let joined: Vec<&[u8]> = names.iter().map(|name| &name[..]).collect();
        if joined.is_empty() {
            return Ok(Place::At(None));
        }
        Ok(RelPath::parse(&joined.join(&b'/')).map_or(Place::Nowhere, |path| Place::At(Some(path))))
    }

    pub(super) fn known_place(&self, known: &Known) -> Result<Option<RelPath>, SpaceFault> {
        let Place::At(dir) = self.place(known.dir)? else { return Ok(None) };
        Ok(RelPath::child(dir.as_ref(), &known.name).ok())
    }

    /// The place of an entry, unless it is left out here.
    pub(super) fn allowed(&mut self, dir: Option<&RelPath>, entry: &Entry) -> Option<RelPath> {
        let is_dir = entry.kind.is_dir();
        let Ok(path) = RelPath::child(dir, &entry.name) else {
            self.warn(format!("{} is too deep for this disk", String::from_utf8_lossy(&entry.name)));
            return None;
        };
        if dir.is_none() && entry.name == STAGING.as_bytes() {
            self.warn(format!("{STAGING} in the space has the name of Warren's own directory, and is not put here"));
        }
        if self.rules.leave_out(&path, is_dir) { None } else { Some(path) }
    }

    /// The directory of the folder in which the space shows something by now.
    pub(super) fn belongs(&self, node: Node) -> Result<Option<Node>, FolderFault> {
        let around = self.kept.space.tree(|tree| {
            let (mut around, mut names, mut here) = (None, Vec::new(), node);
            while here != self.top {
                if !tree.stat(here)?.is_some_and(|stat| stat.shown) {
                    return Ok(None);
                }
                let shown = tree.shown_at(here)?;
                let (parent, name) =
                    shown.ok_or_else(|| SpaceFault::Tree("a directory does not list what is in it".into()))?;
                names.push(name);
                let shown = if Some(parent) == tree.entered(self.top)? {
                    Some(self.top)
                } else if parent.id == NodeId::ROOT {
                    tree.mounted_at(parent.realm)?
                } else {
                    Some(parent)
                };
                let Some(shown) = shown else { return Ok(None) };
                around = around.or(Some(shown));
                here = shown;
            }
            names.reverse();
            Ok(around.map(|around| (around, names)))
        })?;
        let Some((around, names)) = around else { return Ok(None) };
        let Ok(path) = RelPath::parse(&names.join(&b'/')) else { return Ok(None) };
        let is_dir = node.id.kind().is_some_and(NodeKind::is_dir);
        Ok((!self.rules.leave_out(&path, is_dir)).then_some(around))
    }

    /// That something is not shown any more must follow from the changes. A tree that has lost rows shows nothing either, and
    /// then what is in the folder may be the last that there is.
    pub(super) fn check_gone(&self, known: &Known) -> Result<(), FolderFault> {
        Ok(self.kept.space.tree(|tree| base::check_gone(tree, known))?)
    }
}
