//! One round: what happened in the folder is told, and what the space shows is done.

use std::collections::BTreeSet;

use logic::folder::{Base, LocalChange, local};
use logic::ledger::SpaceRole;
use logic::limits::REALM_DEPTH;
use logic::space::{Node, NodeId, NodeKind, Tree};
use logic::transfer::path::RelPath;
use store::folder::{Dirty, Folder, Look, Rules};
use store::space::Reader;

use super::super::base::{self, Rows};
use super::super::down::{Down, Passed};
use super::super::up::{Told, Up};
use super::super::{FolderFault, WARNINGS};
use super::{Keeper, Open, ROUNDS};
use crate::spaces::SpaceFault;

impl Keeper {
    /// Rounds until neither side has anything for the other; how many contents are still to come, and to where.
    pub(in crate::spaces::folder) fn rounds(
        &self,
        open: &mut Open,
        mut dirty: Dirty,
        mut touched: Option<BTreeSet<Node>>,
    ) -> Result<(u64, BTreeSet<Node>), FolderFault> {
        let mut warnings = Vec::new();
        let (mut waiting, mut later) = (0, BTreeSet::new());
        for round in 1.. {
            self.hands.go_on()?;
            open.folder.check()?;
            self.check_top()?;
            if dirty.all || dirty.dirs.contains(&None) {
                self.read_rules(open, &mut dirty, &mut touched)?;
            }
            warnings = open.bad_rules.clone();
            let told = self.tell(open, &dirty, &mut warnings)?;
            // What was just told is in step, unless it met something.
            let heard = open.listener.take().dirs;
            if let Some(touched) = &mut touched {
                touched.extend(heard);
            }
            let passed = self.do_there(open, touched)?;
            waiting += passed.waiting;
            later.extend(passed.later);
            self.standing_mut().done += told.done + passed.done;
            warnings.extend(passed.warnings);
            let Told { dirty: dirs, all, warnings: more, fresh, .. } = told;
            open.fresh.extend(fresh);
            warnings.extend(more);
            dirty = Dirty { dirs, all };
            dirty.dirs.extend(passed.dirty);
            let quiet = dirty.is_empty() && passed.again.is_empty();
            touched = Some(passed.again);
            if quiet || (touched.as_ref().is_some_and(BTreeSet::is_empty) && !self.may_write()?) {
                break;
            }
            if round == ROUNDS {
                // Somebody writes without a pause: later.
                waiting = waiting.max(1);
                later.extend(touched.into_iter().flatten());
                open.left.merge(dirty);
                break;
            }
        }
        warnings.truncate(WARNINGS);
        self.standing_mut().warnings = warnings;
        Ok((waiting, later))
    }

    fn check_top(&self) -> Result<(), FolderFault> {
        let shown = self.kept.space.tree(|tree| match tree.entered(self.top)? {
            Some(root) => Ok(tree.stat(root)?.is_some_and(|stat| stat.shown)),
            None => Ok(false),
        })?;
        if shown { Ok(()) } else { Err(FolderFault::NoTop) }
    }

    /// Takes on what the folder's own file says is left out. What is left out from now on is forgotten, not deleted.
    fn read_rules(
        &self,
        open: &mut Open,
        dirty: &mut Dirty,
        touched: &mut Option<BTreeSet<Node>>,
    ) -> Result<(), FolderFault> {
        let (rules, bad) = open.folder.rules()?;
        let changed = rules != open.rules;
        (open.rules, open.bad_rules) = (rules, bad);
        if changed {
            dirty.all = true;
            *touched = None;
        }
        if dirty.all {
            let mut leaving = Vec::new();
            self.left_out(self.top, None, &open.rules, &mut leaving)?;
            self.kept.space.jot(|store| leaving.iter().try_for_each(|node| base::remove_all(store, self.id, *node)))?;
        }
        Ok(())
    }

    fn left_out(
        &self,
        dir: Node,
        path: Option<&RelPath>,
        rules: &Rules,
        found: &mut Vec<Node>,
    ) -> Result<(), FolderFault> {
        for known in self.rows(|rows| rows.inside(dir))? {
            let Ok(path) = RelPath::child(path, &known.name) else { continue };
            let is_dir = known.print.kind == NodeKind::Dir;
            if rules.leave_out(&path, is_dir) {
                found.push(known.node);
            } else if is_dir {
                self.left_out(known.node, Some(&path), rules, found)?;
            }
        }
        Ok(())
    }

    fn rows<T>(&self, look: impl FnOnce(&Rows<'_>) -> Result<T, SpaceFault>) -> Result<T, SpaceFault> {
        self.kept.space.tree(|tree: &Tree<&Reader<'_>>| look(&Rows { store: tree.rows(), folder: self.id }))
    }

    fn may_write(&self) -> Result<bool, FolderFault> {
        let (device, realm) = (self.kept.space.device(), self.top.realm);
        let may = |ledger: &logic::ledger::Ledger, _: &Reader<'_>| {
            Ok(ledger.judgement().cap_for(device, realm, SpaceRole::Editor).is_some())
        };
        Ok(self.kept.space.look(may)?)
    }

    /// Tells the space what has happened in these directories.
    fn tell(&self, open: &Open, dirty: &Dirty, warnings: &mut Vec<String>) -> Result<Told, FolderFault> {
        if dirty.is_empty() {
            return Ok(Told::default());
        }
        let look = if dirty.all {
            open.folder.look_everywhere(&open.rules)?
        } else {
            let known = |path: &RelPath, print: &logic::folder::Print| self.knows(path, print).unwrap_or(false);
            let dirs = dirty.dirs.iter().map(|dir| self.known_around(dir.clone())).collect::<Result<_, _>>()?;
            open.folder.look(dirs, &open.rules, known)?
        };
        let Look { looked, left_out } = look;
        warnings.extend(left_out.into_iter().map(|left| format!("{} {}", left.path, left.why)));
        let hash = |path: &RelPath| Ok(self.hash(&open.folder, path));
        let changes: Vec<LocalChange> = self.rows(|rows| local(rows, self.top, &looked, hash))?;
        if changes.is_empty() {
            return Ok(Told::default());
        }
        let mut told = Up::new(&self.kept, &open.folder, self.id, &self.hands).run(&changes)?;
        if told.staying > 0 {
            let staying = told.staying;
            warnings.push(format!("{staying} changes here stay here: you may read them in this space, not write"));
        }
        told.fresh.extend(changes.iter().filter_map(|change| match change {
            LocalChange::Made(_, path, print) if print.kind == NodeKind::Dir => Some(Some(path.clone())),
            LocalChange::Moved(known, _, path) if known.print.kind == NodeKind::Dir => Some(Some(path.clone())),
            _ => None,
        }));
        Ok(told)
    }

    /// A directory, or the nearest one around it that is known: of those in between the system has not told.
    fn known_around(&self, dir: Option<RelPath>) -> Result<Option<RelPath>, SpaceFault> {
        let mut here = dir;
        while let Some(path) = here {
            let known = self.rows(|rows| {
                let mut dir = Some(self.top);
                for name in path.names() {
                    dir = match dir {
                        Some(dir) => rows.child(dir, name)?.map(|known| known.node),
                        None => None,
                    };
                }
                Ok(dir.is_some())
            })?;
            if known {
                return Ok(Some(path));
            }
            here = path.parent();
        }
        Ok(None)
    }

    fn knows(&self, path: &RelPath, print: &logic::folder::Print) -> Result<bool, SpaceFault> {
        self.rows(|rows| {
            let mut dir = self.top;
            let mut last = None;
            for name in path.names() {
                let Some(known) = rows.child(dir, name)? else { return Ok(false) };
                dir = known.node;
                last = Some(known);
            }
            Ok(last.is_some_and(|known| known.print.is_same(print)))
        })
    }

    fn hash(&self, folder: &Folder, path: &RelPath) -> Option<[u8; 32]> {
        let file = folder.open_file(path).ok()?;
        crate::spaces::contents::hash(&file, &self.hands.progress)
    }

    /// Does in the folder what the space shows; `None`: everywhere.
    pub(in crate::spaces::folder) fn do_there(
        &self,
        open: &Open,
        touched: Option<BTreeSet<Node>>,
    ) -> Result<Passed, FolderFault> {
        let dirs = match touched {
            Some(touched) => Some(self.dirs(touched)?),
            None => None,
        };
        if dirs.as_ref().is_some_and(BTreeSet::is_empty) {
            return Ok(Passed::default());
        }
        Down::new(&self.kept, &open.folder, self.id, self.top, &open.rules, &self.hands).run(dirs)
    }

    /// Directories as the base names them: what shows a realm stands for its root.
    fn dirs(&self, touched: BTreeSet<Node>) -> Result<BTreeSet<Node>, SpaceFault> {
        self.kept.space.tree(|tree| {
            let top = tree.entered(self.top)?;
            let mut dirs = BTreeSet::new();
            for dir in touched {
                dirs.extend(self.dir(tree, top, dir)?);
            }
            Ok(dirs)
        })
    }

    /// The same of one; of the root of a realm that is a file, the directory around.
    fn dir(&self, tree: &Tree<&Reader<'_>>, top: Option<Node>, mut dir: Node) -> Result<Option<Node>, SpaceFault> {
        for _ in 0..REALM_DEPTH {
            if Some(dir) == top {
                return Ok(Some(self.top));
            }
            if dir.id != NodeId::ROOT {
                return Ok(Some(dir));
            }
            let Some(mount) = tree.mounted_at(dir.realm)? else { return Ok(None) };
            if mount.id.kind() == Some(NodeKind::Realm) {
                return Ok(Some(mount));
            }
            let Some(parent) = tree.parent(mount)? else { return Ok(None) };
            dir = mount.beside(parent);
        }
        Ok(None)
    }
}
