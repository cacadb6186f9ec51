//! Making directories, and deleting.

use api::ApiResult;
use api::types::{PlanDone, TreeMakeDir, TreePath, TreeRemove};
use api::{ApiError, ErrorCode};
use logic::ledger::{RealmId, SpaceRole};
use logic::space::{Entry, Kind, Node, NodeId, Tree};
use store::space::Transaction;

use super::paths::Meant;
use super::scene::{Eye, Scene, is_dir, join};
use super::{Calls, Steps, paths};
use crate::clock;
use crate::spaces::SpaceFault;
use crate::spaces::contents::check_own;
use crate::spaces::pen::Pen;

/// A place where something can be put: a directory, and a name that is free in it.
pub(super) struct Spot {
    pub(super) dir: Node,
    pub(super) name: Vec<u8>,
    /// From the root.
    pub(super) path: Vec<u8>,
}

impl Calls {
    /// Answers `tree_make_dir`.
    pub(super) fn make_dirs(&self, request: &TreeMakeDir) -> ApiResult<PlanDone> {
        let (kept, _) = self.find(&request.space)?;
        let people = self.people()?;
        let done = self.change(&kept, |work, scene| {
            let (mut steps, mut commits) = (Steps::default(), Vec::new());
            for path in &request.paths {
                let names = paths::names(path)?;
                let Some((mut dir, missing)) = way(&Tree::new(work.store), scene, &names, request.parents)? else {
                    continue;
                };
                people.check_role(work.ledger, dir.realm, SpaceRole::Editor, "to write there")?;
                let mut pen = Pen::open(&kept.space, work, dir.realm, clock::now())?;
                for depth in missing..names.len() {
                    check_depth(names.len())?;
                    check_own(&names[depth])?;
                    dir.id = pen.make(Kind::Dir, dir.id, &names[depth])?;
                    steps.add("make", None, Some(names[..=depth].join(&b'/')));
                }
                commits.extend(pen.finish()?);
            }
            Ok(steps.committed(commits))
        })?;
        Ok(done)
    }

    /// Answers `tree_remove`.
    pub(super) fn remove(&self, request: &TreeRemove) -> ApiResult<PlanDone> {
        let (kept, _) = self.find(&request.space)?;
        let people = self.people()?;
        if request.preview {
            let scene = Scene::of(&kept.space)?;
            return Ok(kept.space.tree(|tree| {
                let mut steps = Steps::default();
                let eye = Eye::new(tree, None, &scene);
                for target in targets(&eye, &scene, &request.paths, request.recursive)? {
                    for node in tree.subtree(target.entry.node)? {
                        steps.add("delete", scene.path(tree, node)?, None);
                    }
                }
                Ok(steps.preview())
            })?);
        }
        let done = self.change(&kept, |work, scene| {
            let tree = Tree::new(work.store);
            let found = targets(&Eye::new(&tree, None, scene), scene, &request.paths, request.recursive)?;
            let (mut steps, mut commits) = (Steps::default(), Vec::new());
            for (realm, nodes) in by_realm(found) {
                people.check_role(work.ledger, realm, SpaceRole::Editor, "to delete there")?;
                let mut pen = Pen::open(&kept.space, work, realm, clock::now())?;
                for node in nodes {
                    delete_below(&mut pen, node, |tree, node| {
                        steps.add("delete", scene.path(tree, node)?, None);
                        Ok(())
                    })?;
                }
                commits.extend(pen.finish()?);
            }
            Ok(steps.committed(commits))
        })?;
        Ok(done)
    }
}

/// Deletes a node and all that is shown below it in its realm.
pub(super) fn delete_below<'t>(
    pen: &mut Pen<'_, '_, 't>,
    node: Node,
    mut each: impl FnMut(&Tree<&Transaction<'t>>, Node) -> Result<(), SpaceFault>,
) -> Result<(), SpaceFault> {
    for node in pen.tree().subtree(node)? {
        let gone = pen.tree().deletion(node)?;
        each(&pen.tree(), node)?;
        pen.push(gone)?;
    }
    Ok(())
}

/// What is to be deleted, without what lies below something that is.
fn targets<R: logic::space::Rows>(
    eye: &Eye<'_, R>,
    scene: &Scene,
    wanted: &[TreePath],
    recursive: bool,
) -> Result<Vec<Meant>, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let mut found = Vec::new();
    for path in wanted {
        found.extend(paths::expand(eye, path)?);
    }
    let found = outermost(found);
    for meant in &found {
        check_movable(scene, meant, "deleted")?;
        if is_dir(&meant.entry) && !recursive && !eye.list(meant.entry.node)?.is_empty() {
            let shown = TreePath(meant.path.clone()).shown();
            return Err(ApiError::new(ErrorCode::BadRequest, format!("{shown} is a directory with something in it"))
                .hint("-r deletes it with what is in it; all of it can be restored")
                .into());
        }
    }
    Ok(found)
}

/// Without what lies below others of them.
pub(super) fn outermost(mut found: Vec<Meant>) -> Vec<Meant> {
    let names = |meant: &Meant| meant.path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
    found.sort_by_cached_key(names);
    let mut kept: Vec<Meant> = Vec::new();
    for meant in found {
        let below = kept.last().is_some_and(|last| last.path.is_empty() || names(&meant).starts_with(&names(last)));
        if !below {
            kept.push(meant);
        }
    }
    kept
}

/// The root, lost+found and parts whose surroundings are not readable stay where they are.
pub(super) fn check_movable(scene: &Scene, meant: &Meant, what: &str) -> Result<(), ApiError> {
    let shown = TreePath(meant.path.clone()).shown();
    if meant.path.is_empty() {
        return Err(ApiError::new(ErrorCode::BadRequest, format!("the root of a space cannot be {what}"))
            .hint("name what is in it: `SPACE:*`"));
    }
    if scene.parts.iter().any(|part| part.node == meant.entry.node) {
        let message = format!("{shown} is a part of a space of which nothing else is shared with you");
        return Err(ApiError::new(ErrorCode::NotAllowed, message).hint("only what is in it can be changed"));
    }
    if meant.entry.node.id.is_fixed() {
        return Err(ApiError::new(ErrorCode::BadRequest, format!("{shown} cannot be {what}")));
    }
    Ok(())
}

/// The nodes of each realm.
pub(super) fn by_realm(found: Vec<Meant>) -> Vec<(RealmId, Vec<Node>)> {
    let mut realms: Vec<(RealmId, Vec<Node>)> = Vec::new();
    for node in found.into_iter().map(|meant| meant.entry.node) {
        match realms.iter_mut().find(|(realm, _)| *realm == node.realm) {
            Some((_, nodes)) => nodes.push(node),
            None => realms.push((node.realm, vec![node])),
        }
    }
    realms
}

/// The deepest directory of a path that is there, and how many names lead to it; `None` if all of it is there and may be.
fn way(
    tree: &Tree<&Transaction<'_>>,
    scene: &Scene,
    names: &[Vec<u8>],
    parents: bool,
) -> Result<Option<(Node, usize)>, SpaceFault> {
    let eye = Eye::new(tree, None, scene);
    let mut here = paths::root();
    for (depth, name) in names.iter().enumerate() {
        match eye.entry(here.entry.node, name)? {
            Some(entry) if is_dir(&entry) && (parents || depth + 1 < names.len()) => {
                here = Meant { path: join(&here.path, name), entry };
            }
            Some(_) => return Err(exists(&names[..=depth].join(&b'/')).into()),
            None if depth + 1 < names.len() && !parents => {
                let shown = TreePath(names[..=depth].join(&b'/')).shown();
                return Err(ApiError::new(ErrorCode::NotFound, format!("there is no {shown} in the space"))
                    .hint("-p makes the directories above as well")
                    .into());
            }
            None => {
                let spot = free(tree, scene, &here, name)?;
                return Ok(Some((spot.dir, depth)));
            }
        }
    }
    match (parents, names.is_empty()) {
        (true, _) => Ok(None),
        (false, true) => Err(exists(b"").into()),
        (false, false) => Err(exists(&names.join(&b'/')).into()),
    }
}

/// Checks that a directory can take something of that name.
pub(super) fn free(tree: &Tree<&Transaction<'_>>, scene: &Scene, dir: &Meant, name: &[u8]) -> Result<Spot, SpaceFault> {
    let path = join(&dir.path, name);
    let node = dir.entry.inside();
    if node.id == NodeId::LOST {
        let message = "nothing can be put into lost+found";
        return Err(ApiError::new(ErrorCode::BadRequest, message).into());
    }
    let part = |part: &Entry| dir.path.is_empty() && logic::space::fold(&part.name) == logic::space::fold(name);
    if tree.entry(node, name)?.is_some() || scene.parts.iter().any(part) {
        return Err(exists(&path).into());
    }
    if let Some(twin) = tree.alike(node, name)?.first() {
        let (shown, twin) = (TreePath(path).shown(), TreePath(twin.name.clone()).shown());
        let message = format!("{shown} cannot be beside {twin}: many systems take the two names for one");
        return Err(ApiError::new(ErrorCode::Exists, message).hint("choose another name").into());
    }
    Ok(Spot { dir: node, name: name.to_vec(), path })
}

pub(super) fn exists(path: &[u8]) -> ApiError {
    let shown = if path.is_empty() { "the root".into() } else { TreePath(path.to_vec()).shown() };
    ApiError::new(ErrorCode::Exists, format!("{shown} is there already"))
}

/// Refuses what would lie deeper than anything may.
pub(super) fn check_depth(depth: usize) -> Result<(), ApiError> {
    use logic::transfer::path::DEPTH_MAX;
    if depth <= DEPTH_MAX {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::BadRequest, format!("a path can have {DEPTH_MAX} names at most")))
}
