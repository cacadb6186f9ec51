//! What people should look at, and settling it.
//!
//! Nothing is lost whatever is chosen: a choice is a commit on top, and what was not chosen stays in the history.

use std::sync::Arc;

use api::types::{Conflict as ApiConflict, ConflictQuery, ConflictResolve, ConflictSide, PlanDone, TreePath};
use api::{ApiError, ApiResult, ErrorCode};
use jiff::tz::TimeZone;
use logic::ledger::{CommitId, RealmId, SpaceRole};
use logic::space::{Change, Conflict, Entry, Kind, Node, NodeKind, Place, Rows, Tree, Version, Written};
use logic::transfer::path::NAME_MAX;
use seal::{DeviceId, Timestamp};
use serde_bytes::ByteBuf;
use store::space::Transaction;

use super::people::People;
use super::scene::{Scene, join};
use super::{Calls, Steps, at, info, making};
use crate::clock;
use crate::spaces::pen::Pen;
use crate::spaces::{Kept, SpaceFault};

/// Separates ids of conflicts from every other hash.
const CONTEXT: &str = "warren 2026-11 conflict id v1";
/// Digits of an id.
const DIGITS: usize = 12;

/// A conflict with what identifies it.
struct Found {
    id: String,
    realm: RealmId,
    conflict: Conflict,
}

impl Calls {
    /// Answers `conflicts`.
    pub(super) fn conflicts(&self, request: &ConflictQuery) -> ApiResult<Vec<ApiConflict>> {
        let people = self.people()?;
        let spaces = match &request.space {
            Some(name) => vec![self.find(name)?],
            None => self.named()?.iter().map(|(kept, name)| (kept.clone(), name.to_owned())).collect(),
        };
        let mut all = Vec::new();
        for (kept, name) in spaces {
            let shown = kept.space.look(|ledger, reader| {
                let scene = Scene::read(ledger, reader, people.device)?;
                let tree = Tree::new(reader);
                let mut shown = Vec::new();
                for found in found(&kept, &tree, &info::realms(ledger))? {
                    let texts = texts(&found.conflict);
                    shown.push((Sides { tree: &tree, scene: &scene, people: &people }.shown(&name, &found)?, texts));
                }
                Ok(shown)
            })?;
            for (mut conflict, texts) in shown {
                if let Some((one, other)) = texts {
                    // What is not here is no reason not to tell of the conflict.
                    conflict.diff = self.text_diff(&kept, Some(&one), Some(&other), &conflict.path).ok().flatten();
                }
                all.push(conflict);
            }
        }
        Ok(all)
    }

    /// Answers `conflict_resolve`.
    pub(super) fn resolve(&self, request: &ConflictResolve) -> ApiResult<PlanDone> {
        let people = self.people()?;
        let (kept, id) = self.conflict_called(&request.id)?;
        let done = self.change_or_not(&kept, request.preview, |work, scene| {
            let tree = Tree::new(work.store);
            let realms = info::realms(work.ledger);
            let found = found(&kept, &tree, &realms)?.into_iter().find(|found| found.id == id);
            let found = found.ok_or_else(|| unknown(&request.id))?;
            people.check_role(work.ledger, found.realm, SpaceRole::Editor, "to settle that")?;
            let mut steps = Steps::default();
            let mut pen = Pen::open(&kept.space, work, found.realm, clock::now())?;
            let mut settling = Settling { tree, scene, people: &people, pen: &mut pen, steps: &mut steps };
            settling.settle(&found, &request.keep)?;
            Ok((steps, pen.finish()?))
        })?;
        Ok(done)
    }

    /// The space with that conflict, and the whole id.
    fn conflict_called(&self, id: &str) -> ApiResult<(Arc<Kept>, String)> {
        let mut hits = Vec::new();
        for kept in self.spaces.all() {
            let ids: Vec<String> = kept.space.look(|ledger, reader| {
                let found = found(&kept, &Tree::new(reader), &info::realms(ledger))?;
                Ok(found.into_iter().map(|found| found.id).collect())
            })?;
            hits.extend(ids.into_iter().filter(|found| found.starts_with(id)).map(|id| (kept.clone(), id)));
        }
        match hits.len() {
            1 => Ok(hits.remove(0)),
            0 => Err(unknown(id)),
            _ => Err(ApiError::new(ErrorCode::BadRequest, format!("more than one conflict begins with {id}"))
                .hint("write more of it")),
        }
    }
}

fn unknown(id: &str) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("there is no conflict {id}, or not any more"))
        .hint("`warren conflicts` lists them")
}

/// All conflicts of a space; each has an id that stays while it does.
fn found<R: Rows>(kept: &Kept, tree: &Tree<R>, realms: &[RealmId]) -> Result<Vec<Found>, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let mut all = Vec::new();
    for realm in realms {
        for conflict in tree.conflicts(*realm)? {
            let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
            hasher.update(kept.space.id().as_bytes()).update(realm.as_bytes());
            match &conflict {
                Conflict::Versions { node, .. } => hasher.update(&[0]).update(&node.id.0),
                Conflict::Kept { node, .. } => hasher.update(&[1]).update(&node.id.0),
                Conflict::Aside { node, .. } => hasher.update(&[2]).update(&node.id.0),
                Conflict::Names { dir, entries } => {
                    let first = entries.first().map(|entry| logic::space::fold(&entry.given)).unwrap_or_default();
                    hasher.update(&[3]).update(&dir.id.0).update(&first)
                }
            };
            let id = hasher.finalize().to_hex()[..DIGITS].to_owned();
            all.push(Found { id, realm: *realm, conflict });
        }
    }
    Ok(all)
}

/// The two newest versions of a file that is not deleted.
fn texts(conflict: &Conflict) -> Option<(Version, Version)> {
    let Conflict::Versions { node, heads } = conflict else { return None };
    if node.id.kind() != Some(NodeKind::File) {
        return None;
    }
    let mut alive = heads.iter().filter(|head| head.written.is_some());
    Some((alive.next()?.clone(), alive.next()?.clone()))
}

/// Makes conflicts what the API shows.
struct Sides<'a, R: Rows> {
    tree: &'a Tree<R>,
    scene: &'a Scene,
    people: &'a People,
}

impl<R: Rows> Sides<'_, R>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    fn shown(&self, space: &str, found: &Found) -> Result<ApiConflict, SpaceFault> {
        let path = |node| -> Result<TreePath, SpaceFault> {
            Ok(TreePath(self.scene.path(self.tree, node)?.unwrap_or_default()))
        };
        let (at, kind, sides) = match &found.conflict {
            Conflict::Versions { node, heads } => {
                let deleted = heads.iter().any(|head| head.written.is_none());
                let kind = if deleted { "edited_and_deleted" } else { "versions" };
                let sides = ordered(heads).into_iter().map(|head| self.version(*node, head));
                (path(*node)?, kind, sides.collect::<Result<Vec<_>, _>>()?)
            }
            Conflict::Kept { node, deletes } => {
                let sides = deletes.iter().map(|head| self.version(*node, head));
                (path(*node)?, "kept", sides.collect::<Result<Vec<_>, _>>()?)
            }
            Conflict::Aside { node, moves } => {
                let mut sides = Vec::new();
                for place in moves {
                    let dir = self.scene.path(self.tree, Node { id: place.parent, ..*node })?;
                    let to = dir.map(|dir| TreePath(join(&dir, &place.name)));
                    sides.push(self.side(place.stamp.device, place.time, to));
                }
                (path(*node)?, "moved", sides)
            }
            Conflict::Names { dir, entries } => {
                let (dir, mut sides) = (path(*dir)?, Vec::new());
                for entry in entries {
                    let at = TreePath(join(&dir.0, &entry.name));
                    let stat = self.tree.stat(entry.node)?;
                    let made = stat.as_ref().and_then(|stat| stat.made.clone());
                    let side = made.map(|made: Place| self.side(made.stamp.device, made.time, Some(at.clone())));
                    let version = stat.and_then(|stat| stat.version);
                    let of_version = version.as_ref().map(|version| self.version(entry.node, version)).transpose()?;
                    sides.extend(of_version.or(side).map(|side| ConflictSide { path: Some(at), ..side }));
                }
                let first = entries.first().map(|entry| entry.name.clone()).unwrap_or_default();
                (TreePath(join(&dir.0, &first)), "names", sides)
            }
        };
        let (id, space) = (found.id.clone(), space.to_owned());
        Ok(ApiConflict { id, space, path: at, kind: kind.into(), sides, diff: None })
    }

    fn version(&self, node: Node, version: &Version) -> Result<ConflictSide, SpaceFault> {
        let path = self.scene.path(self.tree, node)?.map(TreePath);
        Ok(ConflictSide {
            version: Some(at::version_text(&version.stamp.id())),
            deleted: version.written.is_none(),
            size: version.written.as_ref().map(Written::size),
            ..self.side(version.stamp.device, version.time, path)
        })
    }

    fn side(&self, device: DeviceId, time: Timestamp, path: Option<TreePath>) -> ConflictSide {
        let member = self.scene.owners.get(&device).copied();
        let change = self.people.change(device, member, time);
        let mine = member == Some(self.people.member);
        ConflictSide { version: None, path, change, mine, deleted: false, size: None }
    }
}

/// The one that is shown first.
fn ordered(heads: &[Version]) -> Vec<&Version> {
    let (alive, gone): (Vec<_>, Vec<_>) = heads.iter().partition(|head| head.written.is_some());
    alive.into_iter().chain(gone).collect()
}

/// A choice on its way into a commit.
struct Settling<'a, 'p, 'w, 't> {
    tree: Tree<&'a Transaction<'t>>,
    scene: &'a Scene,
    people: &'a People,
    pen: &'a mut Pen<'p, 'w, 't>,
    steps: &'a mut Steps,
}

impl Settling<'_, '_, '_, '_> {
    fn settle(&mut self, found: &Found, keep: &str) -> Result<(), SpaceFault> {
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
        let mine = |head: &&&Version| self.scene.owners.get(&head.stamp.device) == Some(&self.people.member);
        let chosen = match keep {
            "shown" => heads.first(),
            "mine" => heads.iter().find(mine),
            "theirs" => heads.iter().find(|head| !mine(head)),
            id => heads.iter().find(|head| {
                let text = at::version_text(&head.stamp.id());
                id.len() >= 8 && text.starts_with(id)
            }),
        };
        chosen.copied().ok_or_else(|| no_side(keep).into())
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
        let mut sides = Vec::new();
        for entry in entries {
            sides.extend(self.tree.stat(entry.node)?.and_then(|stat| stat.version).map(|version| (version, entry)));
        }
        let versions: Vec<&Version> = sides.iter().map(|(version, _)| version).collect();
        let stamp = self.chosen(&versions, keep)?.stamp;
        for entry in entries {
            let stays = sides.iter().any(|(version, of)| version.stamp == stamp && of.node == entry.node);
            if !stays {
                self.delete(entry.node)?;
            }
        }
        Ok(())
    }
}

fn no_side(keep: &str) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, format!("no side of the conflict is {keep:?}"))
        .hint("mine, theirs, both, shown, or the version as `warren conflicts` shows it")
}

impl Calls {
    /// Changes a space, or with `preview` says what the change would be: it is made, and taken back before anybody sees it.
    fn change_or_not(
        &self,
        kept: &Kept,
        preview: bool,
        work: impl FnOnce(&mut crate::spaces::space::Work<'_, '_>, &Scene) -> Result<(Steps, Vec<CommitId>), SpaceFault>,
    ) -> Result<PlanDone, SpaceFault> {
        let mut shown = None;
        let done = self.change(kept, |inner, scene| {
            let (steps, commits) = work(inner, scene)?;
            if preview {
                shown = Some(steps.preview());
                // Leaving with an error takes everything back.
                return Err(SpaceFault::Unfinished);
            }
            Ok(steps.committed(commits))
        });
        match shown {
            Some(preview) => Ok(preview),
            None => done,
        }
    }
}
