//! What happened in the folder, told to the space.
//!
//! Each change names the version that was in step. If the space shows a later one by now, both are heads: a conflict that
//! is shown, not an edit that is lost. What the space shows already is only noted, so that after a crash between telling
//! and noting the same may be done again.

mod act;
mod deciding;

use std::collections::{BTreeSet, HashMap, HashSet};

use logic::folder::{Dir, Known, LocalChange, Print};
use logic::ledger::{RealmId, SpaceRole};
use logic::space::{BODY_MAX, Node, NodeKind, VersionId};
use logic::transfer::path::RelPath;
use serde_bytes::ByteBuf;
use store::folder::Folder;

use act::{Act, Noting, Writer};

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
    /// Changes that stay here: this device may not write where they belong.
    pub(super) staying: u64,
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
    /// Whether this device may write to a realm.
    may: HashMap<RealmId, bool>,
    /// Directories that stay here, by the numbers of the changes that make them.
    staying: HashSet<usize>,
    /// There are files that are realms.
    has_alone: bool,
}

impl<'a> Up<'a> {
    pub(super) fn new(kept: &'a Kept, folder: &'a Folder, id: FolderId, hands: &'a Hands) -> Self {
        let (made, making, adopted, may, staying) = Default::default();
        let told = Told::default();
        Self { kept, folder, id, hands, told, made, making, adopted, may, staying, has_alone: false }
    }

    /// Tells these changes, in their order.
    pub(super) fn run(mut self, changes: &[LocalChange]) -> Result<Told, FolderFault> {
        self.has_alone =
            self.kept.space.look(|ledger, _| Ok(ledger.judgement().realms().any(|(_, facts)| facts.file)))?;
        let mut numbered = changes.iter().enumerate().peekable();
        while numbered.peek().is_some() {
            self.hands.go_on()?;
            let (mut step, mut realm, mut bytes) = (Vec::new(), None, 0);
            while let Some((number, change)) = numbered.peek() {
                if self.stays(change)? {
                    if !step.is_empty() {
                        break;
                    }
                    self.note(*number, change)?;
                    numbered.next();
                    continue;
                }
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

    /// Whether a change stays here, because this device may not write where it belongs.
    fn stays(&mut self, change: &LocalChange) -> Result<bool, SpaceFault> {
        if let LocalChange::Made(Dir::Made(number), ..) | LocalChange::Moved(_, Dir::Made(number), _) = change
            && self.staying.contains(number)
        {
            return Ok(true);
        }
        let to = match change {
            LocalChange::Moved(_, dir, _) => self.inside(*dir)?.map(|dir| dir.realm),
            _ => None,
        };
        for realm in self.realm(change)?.into_iter().chain(to) {
            if !self.may_write(realm)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn may_write(&mut self, realm: RealmId) -> Result<bool, SpaceFault> {
        if let Some(may) = self.may.get(&realm) {
            return Ok(*may);
        }
        let device = self.kept.space.device();
        let may = self
            .kept
            .space
            .look(|ledger, _| Ok(ledger.judgement().cap_for(device, realm, SpaceRole::Editor).is_some()))?;
        self.may.insert(realm, may);
        Ok(may)
    }

    /// Notes what the space shows already, and tells nothing.
    fn note(&mut self, number: usize, change: &LocalChange) -> Result<(), FolderFault> {
        self.hands.go_on()?;
        let acts = match change {
            LocalChange::Made(dir, path, print) => match (self.shown_as(*dir, path, print)?, self.lies(path, print)?) {
                (Some((around, entry)), Some(written)) => {
                    let place = (around, ByteBuf::from(path.name()));
                    vec![self.take_on(number, place, &entry, written, print.clone())?]
                }
                _ => Vec::new(),
            },
            LocalChange::Written(known, path, print) => match self.lies(path, print)? {
                Some(written) => vec![self.write(known, written, print.clone())?],
                None => Vec::new(),
            },
            LocalChange::Moved(known, dir, path) => self.relocate(known.node.realm, known, *dir, path)?,
            LocalChange::Deleted(known) => vec![self.delete(known)?],
        };
        if !acts.is_empty() && acts.iter().all(Act::is_quiet) {
            self.commit(RealmId::ROOT, &acts)?;
        } else {
            self.staying.insert(number);
            self.told.staying += 1;
        }
        Ok(())
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
            LocalChange::Made(dir, path, print) => match (self.alone(*dir, path, print)?, self.inside(*dir)?, dir) {
                (Some(realm), ..) => Some(realm),
                (_, Some(dir), _) => Some(dir.realm),
                (_, None, Dir::Made(number)) => self.making.get(number).copied(),
                (_, None, Dir::Known(_)) => None,
            },
            LocalChange::Moved(known, ..) | LocalChange::Deleted(known) => Some(known.node.realm),
            LocalChange::Written(known, ..) => Some(self.kept.space.tree(|tree| Ok(tree.content(known.node)?))?.realm),
        })
    }

    /// The realm that something new is, because the space shows it already.
    fn alone(&self, dir: Dir, path: &RelPath, print: &Print) -> Result<Option<RealmId>, SpaceFault> {
        if !self.has_alone || print.kind.is_dir() {
            return Ok(None);
        }
        Ok(self.shown_as(dir, path, print)?.and_then(|(_, entry)| entry.realm))
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
            self.hands.go_on()?;
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

    fn commit(&mut self, realm: RealmId, acts: &[Act]) -> Result<(), FolderFault> {
        let quiet = acts.iter().all(Act::is_quiet);
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
            self.entitle(acts)?;
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

    /// Files that are realms know their names by themselves.
    fn entitle(&self, acts: &[Act]) -> Result<(), SpaceFault> {
        let alone = |act: &Act| match act {
            Act::Move { known, .. } if known.node.id.kind().is_some_and(|kind| kind.shown() != kind) => {
                Some(known.node)
            }
            _ => None,
        };
        for node in acts.iter().filter_map(alone) {
            self.kept.space.change(|work| self.kept.space.entitle(work, node, clock::now()).map(drop))?;
        }
        Ok(())
    }

    fn warn(&mut self, what: String) {
        if self.told.warnings.len() < super::WARNINGS {
            self.told.warnings.push(what);
        }
    }
}
