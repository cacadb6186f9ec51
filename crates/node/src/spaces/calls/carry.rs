//! Moving and copying: inside a realm things are moved; into another realm or space they are made anew with the contents
//! that they have, and what was moved is deleted where it was.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use api::types::{PlanDone, TreeCopy, TreeMove, TreePath};
use api::{ApiError, ApiResult, ErrorCode};
use logic::ledger::{Frontier, SpaceRole};
use logic::space::{Change, Content, Entry, NodeId, NodeKind, Rows, Tree, Written, fold};
use serde_bytes::ByteBuf;
use store::space::Transaction;

use super::making::{Spot, by_realm, check_depth, check_movable, delete_below, exists, free, outermost};
use super::paths::Meant;
use super::scene::{Eye, Scene, is_dir, join};
use super::{Calls, Steps, at, paths};
use crate::clock;
use crate::spaces::contents::{PATIENCE, Patient, check_own, copy_content};
use crate::spaces::pen::Pen;
use crate::spaces::{Kept, SpaceFault};

/// Something, and where it goes.
struct Journey {
    what: Meant,
    to: Spot,
}

/// A tree inside a transaction.
type Inner<'a, 't> = Tree<&'a Transaction<'t>>;

impl Calls {
    /// Answers `tree_move`.
    pub(super) fn move_to(&self, request: &TreeMove) -> ApiResult<PlanDone> {
        let (kept, _) = self.find(&request.space)?;
        let people = self.people()?;
        let done = self.change(&kept, |work, scene| {
            let tree = Tree::new(work.store);
            let eye = Eye::new(&tree, None, scene);
            let found = sources(&eye, &request.from)?;
            found.iter().try_for_each(|meant| check_movable(scene, meant, "moved"))?;
            let journeys = journeys(&tree, scene, found, &request.to, (true, true))?;
            let (mut steps, mut commits) = (Steps::default(), Vec::new());
            let (near, far): (Vec<_>, Vec<_>) =
                journeys.into_iter().partition(|journey| journey.what.entry.node.realm == journey.to.dir.realm);
            for journey in near.iter().chain(&far) {
                for realm in [journey.what.entry.node.realm, journey.to.dir.realm] {
                    people.check_role(work.ledger, realm, SpaceRole::Editor, "to move that")?;
                }
                steps.add("move", Some(journey.what.path.clone()), Some(journey.to.path.clone()));
            }
            for (realm, _) in by_realm(near.iter().map(|journey| journey.what.clone()).collect()) {
                let mut pen = Pen::open(&kept.space, work, realm, clock::now())?;
                for Journey { what, to } in near.iter().filter(|journey| journey.to.dir.realm == realm) {
                    let (node, name) = (what.entry.node.id, ByteBuf::from(to.name.clone()));
                    pen.push(Change::Move { node, parent: to.dir.id, name })?;
                }
                commits.extend(pen.finish()?);
            }
            for Journey { what, .. } in &near {
                commits.extend(kept.space.entitle(work, what.entry.node, clock::now())?);
            }
            for Journey { what, to } in &far {
                let mut pen = Pen::open(&kept.space, work, to.dir.realm, clock::now())?;
                kept.space.tree(|before| {
                    let eye = Eye::new(before, None, scene);
                    make_anew(&eye, what, &mut pen, to, &Carry::default(), |_, _| {})
                })?;
                commits.extend(pen.finish()?);
                let mut pen = Pen::open(&kept.space, work, what.entry.node.realm, clock::now())?;
                delete_below(&mut pen, what.entry.node, |_, _| Ok(()))?;
                commits.extend(pen.finish()?);
            }
            Ok(steps.committed(commits))
        })?;
        Ok(done)
    }

    /// Answers `tree_copy`.
    pub(super) fn copy(&self, request: &TreeCopy) -> ApiResult<PlanDone> {
        let (from, _) = self.find(&request.space)?;
        let to = request.to_space.as_ref().map_or(Ok(from.clone()), |name| self.find(name).map(|(kept, _)| kept))?;
        let people = self.people()?;
        let frontier = at::frontier_of(&from, request.at.as_deref())?;
        let before = Scene::of(&from.space)?;
        let contents = match from.space.id() == to.space.id() {
            true => None,
            // The objects have to be durable and held there before anything names them.
            false => Some(self.contents_for(&from, &to, frontier.as_ref(), &before, request)?),
        };
        let itself = contents.is_none() && frontier.is_none();
        let done = self.change(&to, |work, scene| {
            from.space.tree(|tree| {
                let eye = Eye::new(tree, frontier.as_ref().map(|frontier| tree.at(frontier)), &before);
                let found = sources(&eye, &request.from)?;
                let into = Tree::new(work.store);
                let journeys = journeys(&into, scene, found, &request.to, (false, itself))?;
                let (mut steps, mut commits) = (Steps::default(), Vec::new());
                for Journey { what, to: spot } in journeys {
                    people.check_role(work.ledger, spot.dir.realm, SpaceRole::Editor, "to write there")?;
                    let mut pen = Pen::open(&to.space, work, spot.dir.realm, clock::now())?;
                    let carry = Carry { allowed: true, contents: contents.as_ref() };
                    make_anew(&eye, &what, &mut pen, &spot, &carry, |from, to| {
                        steps.add("copy", Some(from.to_vec()), Some(to.to_vec()));
                    })?;
                    commits.extend(pen.finish()?);
                }
                Ok(steps.committed(commits))
            })
        })?;
        Ok(done)
    }

    /// What is copied into another space, sealed anew for the part of it that it goes to: by the hashes of the files.
    fn contents_for(
        &self,
        from: &Arc<Kept>,
        to: &Kept,
        frontier: Option<&Frontier>,
        before: &Scene,
        request: &TreeCopy,
    ) -> Result<Contents, SpaceFault> {
        let scene = Scene::of(&to.space)?;
        let names = paths::names(&request.to)?;
        let realm = to.space.tree(|tree| {
            let eye = Eye::new(tree, None, &scene);
            let dir = match paths::lookup(&eye, &names)?.filter(|into| is_dir(&into.entry)) {
                Some(dir) => dir,
                None => directory(&eye, names.split_last().map_or(&names[..], |(_, above)| above))?,
            };
            Ok(dir.entry.inside().realm)
        })?;
        let files = from.space.tree(|tree| {
            let eye = Eye::new(tree, frontier.map(|frontier| tree.at(frontier)), before);
            let mut open: Vec<Entry> = sources(&eye, &request.from)?.into_iter().map(|meant| meant.entry).collect();
            let mut files = HashMap::new();
            while let Some(entry) = open.pop() {
                if is_dir(&entry) {
                    open.extend(eye.list(entry.node)?);
                }
                let written = eye.version(&entry)?.and_then(|version| version.written);
                if let Some(content @ Content::File { hash, .. }) = written.map(|written| written.content) {
                    files.insert(hash, content);
                }
            }
            Ok(files)
        })?;
        let access = self.reading(from.clone(), Some(PATIENCE));
        let copied = files.into_iter().map(|(hash, content)| {
            let copied = copy_content(&access, &content, to, realm, &Patient).map_err(ApiError::from)?;
            Ok((hash, copied))
        });
        copied.collect()
    }
}

/// Contents in the space that something goes to, by the hashes of the files.
type Contents = HashMap<[u8; 32], Content>;

/// How something is made anew.
#[derive(Default)]
pub(super) struct Carry<'a> {
    /// Parts with permissions of their own become plain directories; else there may be none.
    allowed: bool,
    /// What the contents become; `None`: they stay as they are, in the same space.
    contents: Option<&'a Contents>,
}

/// Everything that is meant, without what lies below something that is.
fn sources<R: Rows>(eye: &Eye<'_, R>, wanted: &[TreePath]) -> Result<Vec<Meant>, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let mut found = Vec::new();
    for path in wanted {
        found.extend(paths::expand(eye, path)?);
    }
    if found.is_empty() {
        return Err(ApiError::new(ErrorCode::BadRequest, "what? no path was given").into());
    }
    Ok(outermost(found))
}

/// Where each of them goes. `itself`: it is there now, so it cannot go into itself.
fn journeys(
    tree: &Inner<'_, '_>,
    scene: &Scene,
    found: Vec<Meant>,
    to: &TreePath,
    (moving, itself): (bool, bool),
) -> Result<Vec<Journey>, SpaceFault> {
    let eye = Eye::new(tree, None, scene);
    let names = paths::names(to)?;
    let into = paths::lookup(&eye, &names)?;
    let mut taken = BTreeSet::new();
    let mut journeys = Vec::new();
    let one = found.len() == 1;
    for what in found {
        let (dir, name) = match (&into, names.split_last()) {
            // Another way to write the name of what is moved.
            (Some(same), Some((name, above))) if moving && one && same.entry.node == what.entry.node => {
                (directory(&eye, above)?, name.clone())
            }
            (Some(dir), _) if is_dir(&dir.entry) => (dir.clone(), what.entry.name.clone()),
            (Some(_), _) => return Err(exists(&names.join(&b'/')).into()),
            (None, Some((name, above))) if one => (directory(&eye, above)?, name.clone()),
            (None, _) => {
                let message = format!("{} is no directory, and several things cannot have one name", to.shown());
                return Err(ApiError::new(ErrorCode::BadRequest, message).hint("`warren mkdir` makes it").into());
            }
        };
        if name.is_empty() {
            let message = "the root of a space is copied into a directory: name one that is not there yet";
            return Err(ApiError::new(ErrorCode::BadRequest, message).into());
        }
        let spot = spot(tree, scene, &dir, &name, &what, moving)?;
        check_depth(spot.path.split(|byte| *byte == b'/').count())?;
        check_own(&spot.name)?;
        let inside = if what.path.is_empty() { Vec::new() } else { [&what.path[..], b"/"].concat() };
        if itself && (spot.path.starts_with(&inside) || dir.entry.node == what.entry.node) {
            let shown = if what.path.is_empty() { "the root".into() } else { TreePath(what.path).shown() };
            let done = if moving { "moved" } else { "copied" };
            return Err(ApiError::new(ErrorCode::BadRequest, format!("{shown} cannot be {done} into itself"))
                .hint("name a place outside of it")
                .into());
        }
        if !taken.insert((spot.dir, fold(&spot.name))) {
            return Err(exists(&spot.path).into());
        }
        journeys.push(Journey { what, to: spot });
    }
    Ok(journeys)
}

/// A free place; what is moved does not stand in its own way.
fn spot(
    tree: &Inner<'_, '_>,
    scene: &Scene,
    dir: &Meant,
    name: &[u8],
    what: &Meant,
    moving: bool,
) -> Result<Spot, SpaceFault> {
    let node = dir.entry.inside();
    let alike = tree.alike(node, name)?;
    let only_itself = moving && !alike.is_empty() && alike.iter().all(|entry| entry.node == what.entry.node);
    if only_itself && what.entry.name != name {
        return Ok(Spot { dir: node, name: name.to_vec(), path: join(&dir.path, name) });
    }
    free(tree, scene, dir, name)
}

/// The directory of those names.
fn directory<R: Rows>(eye: &Eye<'_, R>, names: &[Vec<u8>]) -> Result<Meant, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let meant = paths::find(eye, &TreePath(names.join(&b'/')))?;
    if is_dir(&meant.entry) {
        return Ok(meant);
    }
    let shown = TreePath(meant.path).shown();
    Err(ApiError::new(ErrorCode::BadRequest, format!("{shown} is no directory")).into())
}

/// Makes something, and all that is in it, again at another place.
pub(super) fn make_anew<R: Rows>(
    eye: &Eye<'_, R>,
    what: &Meant,
    pen: &mut Pen<'_, '_, '_>,
    to: &Spot,
    carry: &Carry<'_>,
    mut each: impl FnMut(&[u8], &[u8]),
) -> Result<(), SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let mut open = vec![(what.clone(), to.dir.id, to.name.clone(), to.path.clone())];
    while let Some((from, parent, name, path)) = open.pop() {
        if from.entry.realm.is_some() && !carry.allowed {
            return Err(holds_parts(&from.path).into());
        }
        each(&from.path, &path);
        let node = pen.make(from.entry.kind.plain(), parent, &name)?;
        if let Some(written) = eye.version(&from.entry)?.and_then(|version| version.written) {
            write(pen, node, carry.written(written)?)?;
        }
        if is_dir(&from.entry) {
            for entry in eye.list(from.entry.node)? {
                let (name, below) = (entry.name.clone(), join(&path, &entry.name));
                let from = Meant { path: join(&from.path, &entry.name), entry };
                open.push((from, node, name, below));
            }
        }
    }
    Ok(())
}

impl Carry<'_> {
    fn written(&self, written: Written) -> Result<Written, SpaceFault> {
        let (Some(contents), Content::File { hash, .. }) = (self.contents, &written.content) else {
            return Ok(written);
        };
        let Some(content) = contents.get(hash) else {
            let changed = ApiError::new(ErrorCode::Exists, "what is copied was changed meanwhile");
            return Err(changed.hint("try again").into());
        };
        Ok(Written { content: content.clone(), ..written })
    }
}

/// The first version of a node that was made anew.
fn write(pen: &mut Pen<'_, '_, '_>, node: NodeId, written: Written) -> Result<(), SpaceFault> {
    let fits = matches!(
        (&written.content, node.kind()),
        (Content::Nothing, _)
            | (Content::File { .. }, Some(NodeKind::File))
            | (Content::Link { .. }, Some(NodeKind::Link))
    );
    if fits && written != Written::default() {
        pen.push(Change::Put { node, bases: Vec::new(), written: Written { restored: None, ..written } })?;
    }
    Ok(())
}

pub(super) fn holds_parts(path: &[u8]) -> ApiError {
    let shown = TreePath(path.to_vec()).shown();
    let message = format!("{shown} has permissions of its own, which cannot be taken to another part");
    ApiError::new(ErrorCode::BadRequest, message).hint("copy it, share the copy, then delete it here")
}
