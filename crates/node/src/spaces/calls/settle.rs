//! Settling a conflict: one side is written on top of all others, or both stay as two files.

use api::{ApiError, ErrorCode};
use jiff::tz::TimeZone;
use logic::space::{Change, Conflict, Entry, Kind, Node, NodeKind, Tree, Version, VersionId, Written};
use logic::transfer::path::NAME_MAX;
use seal::{DeviceId, Timestamp};
use serde_bytes::ByteBuf;
use store::space::Transaction;

use super::conflicts::{Found, ordered};
use super::people::People;
use super::scene::{Scene, join};
use super::{Steps, making};
use crate::spaces::SpaceFault;
use crate::spaces::pen::Pen;

/// A choice on its way into a commit.
pub(super) struct Settling<'a, 'p, 'w, 't> {
    pub(super) tree: Tree<&'a Transaction<'t>>,
    pub(super) scene: &'a Scene,
    pub(super) people: &'a People,
    pub(super) pen: &'a mut Pen<'p, 'w, 't>,
    pub(super) steps: &'a mut Steps,
}

impl Settling<'_, '_, '_, '_> {
    pub(super) fn settle(&mut self, found: &Found, keep: &str) -> Result<(), SpaceFault> {
        match &found.conflict {
            Conflict::Versions { node, heads } => self.versions(*node, &ordered(heads), keep),
            Conflict::Kept { node, deletes } => match keep {
                "shown" | "both" => self.keep(*node, None),
                _ => {
                    self.chosen(&deletes.iter().collect::<Vec<_>>(), keep).map(|_| ()).and_then(|()| self.delete(*node))
                }
            },
            Conflict::Aside { node, .. } => match keep {
                "shown" => self.stay(*node),
                _ => Err(ApiError::new(ErrorCode::BadRequest, "two moves into each other cannot both count")
                    .hint("keep what is shown (--keep shown), then move it where you want it: `warren mv`")
                    .into()),
            },
            Conflict::Names { dir, entries } => self.names(*dir, entries, keep),
        }
    }

    /// One version supersedes all others; with `both` the others become files of their own.
    fn versions(&mut self, node: Node, heads: &[&Version], keep: &str) -> Result<(), SpaceFault> {
        if keep == "both" && node.id.is_alone() {
            return Err(ApiError::new(ErrorCode::BadRequest, "beside this file other permissions hold")
                .hint("keep one of them; the other stays in the history: `warren cat --at VERSION` shows it")
                .into());
        }
        let chosen = if keep == "both" { heads.first().copied() } else { Some(self.chosen(heads, keep)?) };
        if keep == "both" {
            for other in heads.iter().skip(1).filter(|head| head.written.is_some()) {
                self.beside(node, other)?;
            }
        }
        match chosen {
            Some(version) if version.written.is_none() => self.delete(node),
            chosen => self.keep(node, chosen),
        }
    }

    /// The side that somebody means.
    fn chosen<'v>(&self, heads: &[&'v Version], keep: &str) -> Result<&'v Version, SpaceFault> {
        let sides: Vec<_> = heads.iter().map(|head| (head.stamp.device, Some(head.stamp.id()))).collect();
        heads.get(self.side(&sides, keep)?).copied().ok_or_else(|| no_side(keep).into())
    }

    /// The number of the side that somebody means, of sides by whom and with which version.
    fn side(&self, sides: &[(DeviceId, Option<VersionId>)], keep: &str) -> Result<usize, SpaceFault> {
        let mine = |side: &&(DeviceId, _)| self.scene.owners.get(&side.0) == Some(&self.people.member);
        let is_it = |side: &&(DeviceId, Option<VersionId>)| match keep {
            "shown" => true,
            "mine" => mine(side),
            "theirs" => !mine(side),
            id => side.1.as_ref().is_some_and(|version| is_called(version, id)),
        };
        let found: Vec<usize> =
            sides.iter().enumerate().filter(|(_, side)| is_it(side)).map(|(number, _)| number).collect();
        match found.as_slice() {
            [] => Err(no_side(keep).into()),
            [_, _, ..] if !matches!(keep, "shown" | "mine" | "theirs") => Err(many_sides(keep).into()),
            [first, ..] => Ok(*first),
        }
    }

    /// Writes a version on top of everything; `None`: the one that is shown.
    fn keep(&mut self, node: Node, version: Option<&Version>) -> Result<(), SpaceFault> {
        let shown = self.tree.stat(node)?.and_then(|stat| stat.version);
        let is_shown = version.is_none() || shown.as_ref().map(|shown| shown.stamp) == version.map(|v| v.stamp);
        let restored = version.filter(|_| !is_shown).map(|version| version.stamp.id());
        let written = version.cloned().or(shown).and_then(|version| version.written).unwrap_or_default();
        let bases = self.tree.heads(node)?;
        let path = self.scene.path(&self.tree, node)?;
        self.steps.add(if is_shown { "stay" } else { "rewrite" }, path, None);
        self.pen.push(Change::Put { node: node.id, bases, written: Written { restored, ..written } })
    }

    fn delete(&mut self, node: Node) -> Result<(), SpaceFault> {
        let (scene, steps) = (self.scene, &mut *self.steps);
        making::delete_below(self.pen, node, |tree, node| {
            steps.add("delete", scene.path(tree, node)?, None);
            Ok(())
        })
    }

    /// A version becomes a file beside the one that it is of.
    fn beside(&mut self, node: Node, version: &Version) -> Result<(), SpaceFault> {
        let kind = match node.id.kind() {
            Some(NodeKind::File) => Kind::File,
            Some(NodeKind::Link) => Kind::Link,
            _ => return Ok(()),
        };
        let (Some(parent), Some(path)) = (self.tree.parent(node)?, self.scene.path(&self.tree, node)?) else {
            return Ok(());
        };
        let cut = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let member = self.scene.owners.get(&version.stamp.device).map(|member| self.people.name(*member));
        let dir = Node { id: parent, ..node };
        let name = self.free_name(dir, &path[cut..], &member.unwrap_or_default(), version.time)?;
        self.steps.add("make", None, Some([&path[..cut], &name].concat()));
        let made = self.pen.make(kind, parent, &name)?;
        let written = version.written.clone().unwrap_or_default();
        let written = Written { restored: Some(version.stamp.id()), ..written };
        self.pen.push(Change::Put { node: made, bases: Vec::new(), written })
    }

    /// `name (member, date).ext`, with a number if that is taken.
    fn free_name(&self, dir: Node, name: &[u8], member: &str, time: Timestamp) -> Result<Vec<u8>, SpaceFault> {
        let day = jiff::Timestamp::from_millisecond(time.0)
            .map_or_else(|_| String::new(), |time| time.to_zoned(TimeZone::UTC).date().to_string());
        let (stem, extension) = match name.iter().rposition(|byte| *byte == b'.') {
            Some(dot) if dot > 0 && name.len() - dot <= 16 && !name[dot..].contains(&b' ') => name.split_at(dot),
            _ => (name, &b""[..]),
        };
        for number in 1_u32.. {
            let again = if number == 1 { String::new() } else { format!(" {number}") };
            let suffix = format!(" ({member}, {day}{again})");
            let mut room = NAME_MAX.saturating_sub(suffix.len() + extension.len()).min(stem.len());
            while room > 0 && room < stem.len() && stem[room] & 0xc0 == 0x80 {
                room -= 1;
            }
            let free = [&stem[..room], suffix.as_bytes(), extension].concat();
            if self.tree.alike(dir, &free)?.is_empty() {
                return Ok(free);
            }
        }
        Ok(name.to_vec())
    }

    /// What was moved is where it is shown, and the moves that were set aside are older than that.
    fn stay(&mut self, node: Node) -> Result<(), SpaceFault> {
        let path = self.scene.path(&self.tree, node)?;
        let parent = self.tree.parent(node)?;
        let (Some(path), Some(parent)) = (path, parent) else { return Err(no_side("shown").into()) };
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
        self.steps.add("stay", Some(path), None);
        self.pen.push(Change::Move { node: node.id, parent, name: ByteBuf::from(name) })
    }

    /// Twins get the names that they are shown by; or one stays, and the others are deleted.
    fn names(&mut self, dir: Node, entries: &[Entry], keep: &str) -> Result<(), SpaceFault> {
        let path = self.scene.path(&self.tree, dir)?.unwrap_or_default();
        if matches!(keep, "shown" | "both") {
            for entry in entries.iter().filter(|entry| entry.name != entry.given && !entry.node.id.is_fixed()) {
                let name = ByteBuf::from(entry.name.clone());
                self.steps.add("move", Some(join(&path, &entry.name)), Some(join(&path, &entry.name)));
                self.pen.push(Change::Move { node: entry.node.id, parent: dir.id, name })?;
            }
            return Ok(());
        }
        let stays =
            match entries.iter().position(|entry| [&entry.name, &join(&path, &entry.name)].contains(&&keep.into())) {
                Some(named) => named,
                None => {
                    let (mut sides, mut numbers) = (Vec::new(), Vec::new());
                    for (number, entry) in entries.iter().enumerate() {
                        let Some(stat) = self.tree.stat(entry.content())? else { continue };
                        let version = stat.version.map(|version| version.stamp);
                        let Some(stamp) = version.or(stat.made.map(|made| made.stamp)) else { continue };
                        sides.push((stamp.device, version.map(|version| version.id())));
                        numbers.push(number);
                    }
                    *numbers.get(self.side(&sides, keep)?).ok_or_else(|| no_side(keep))?
                }
            };
        for (_, entry) in entries.iter().enumerate().filter(|(number, _)| *number != stays) {
            self.delete(entry.node)?;
        }
        Ok(())
    }
}

/// Whether somebody means this version: the beginning of the commit, and where that is not enough which of its changes.
fn is_called(version: &VersionId, text: &str) -> bool {
    let (commit, index) = text.split_once('.').map_or((text, None), |(commit, index)| (commit, Some(index)));
    let is_index = index.is_none_or(|index| index == version.index.to_string());
    commit.len() >= 8 && version.commit.to_string().starts_with(commit) && is_index
}

fn many_sides(keep: &str) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, format!("more than one side of the conflict is {keep:?}"))
        .hint("with which of its changes, as `warren conflicts` shows it: 3f9c2a71.4")
}

fn no_side(keep: &str) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, format!("no side of the conflict is {keep:?}"))
        .hint("mine, theirs, both, shown, or the version as `warren conflicts` shows it; of two things of one name also what it is \
               shown as")
}
