//! What people should look at, and settling it.
//!
//! Nothing is lost whatever is chosen: a choice is a commit on top, and what was not chosen stays in the history.

use std::sync::Arc;

use api::types::{Conflict as ApiConflict, ConflictQuery, ConflictResolve, ConflictSide, PlanDone, TreePath};
use api::{ApiError, ApiResult, ErrorCode};
use logic::ledger::{CommitId, RealmId, SpaceRole};
use logic::space::{Conflict, Node, NodeKind, Place, Rows, Tree, Version, Written};
use seal::{DeviceId, Timestamp};

use super::people::People;
use super::scene::{Scene, join};
use super::settle::Settling;
use super::{Calls, Steps, at, info};
use crate::clock;
use crate::spaces::pen::Pen;
use crate::spaces::{Kept, SpaceFault};

/// Separates ids of conflicts from every other hash.
const CONTEXT: &str = "warren 2026-11 conflict id v1";
/// Digits of an id.
const DIGITS: usize = 12;

/// A conflict with what identifies it.
pub(super) struct Found {
    id: String,
    realm: RealmId,
    pub(super) conflict: Conflict,
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
                    let stat = self.tree.stat(entry.content())?;
                    let made = stat.as_ref().and_then(|stat| stat.made.clone());
                    let side = made.map(|made: Place| self.side(made.stamp.device, made.time, Some(at.clone())));
                    let version = stat.and_then(|stat| stat.version);
                    let of_version =
                        version.as_ref().map(|version| self.version(entry.content(), version)).transpose()?;
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
pub(super) fn ordered(heads: &[Version]) -> Vec<&Version> {
    let (alive, gone): (Vec<_>, Vec<_>) = heads.iter().partition(|head| head.written.is_some());
    alive.into_iter().chain(gone).collect()
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
