//! Bringing back what was, and undoing what somebody did.

use std::collections::BTreeSet;

use api::types::{PlanDone, TreePath, TreeRestore, TreeUndo};
use api::{ApiError, ApiResult, ErrorCode};
use logic::ledger::{Frontier, Ledger, RealmId, Shelf, SpaceRole};
use logic::space::{Change, Event, Node, Plan, Rows, Tree, View, What};
use seal::DeviceId;
use store::space::Reader;

use super::people::People;
use super::scene::{Eye, Scene, join};
use super::{Calls, Steps, at, list, paths};
use crate::clock;
use crate::spaces::pen::Pen;
use crate::spaces::{Kept, SpaceFault};

impl Calls {
    /// Answers `tree_restore`.
    pub(super) fn restore(&self, request: &TreeRestore) -> ApiResult<PlanDone> {
        let (kept, _) = self.find(&request.space)?;
        let plans = |_: &Ledger, reader: &Reader<'_>, scene: &Scene| {
            let tree = Tree::new(reader);
            let then = match &request.at {
                Some(point) => at::frontier(reader, point, clock::now())?,
                None => before_it_went(reader, &tree, scene, &request.path)?,
            };
            let view = tree.at(&then);
            let (target, stays) = target(&tree, scene, &then, &request.path)?;
            let mut plans = restored(&tree, &view, target)?;
            if stays && let Some(plan) = plans.first_mut() {
                plan.changes.retain(|change| !matches!(change, Change::Move { node, .. } if *node == target.id));
                plan.steps.retain(|step| step.node != target || !matches!(step.what, What::Move(..)));
            }
            Ok(plans)
        };
        self.bring_about(&kept, request.preview, plans, "to restore that")
    }

    /// Answers `tree_undo`.
    pub(super) fn undo(&self, request: &TreeUndo) -> ApiResult<PlanDone> {
        let (kept, _) = self.find(&request.space)?;
        let people = self.people()?;
        let plans = |ledger: &Ledger, reader: &Reader<'_>, _: &Scene| {
            let devices = undone(ledger, &people, request)?;
            let since = at::frontier(reader, &request.since, clock::now())?;
            Ok(Tree::new(reader).undo(&devices, &since)?)
        };
        self.bring_about(&kept, request.preview, plans, "to undo that")
    }

    /// Shows plans, or makes and commits them in one step.
    pub(super) fn bring_about(
        &self,
        kept: &Kept,
        preview: bool,
        plans: impl FnOnce(&Ledger, &Reader<'_>, &Scene) -> Result<Vec<Plan>, SpaceFault>,
        what: &str,
    ) -> ApiResult<PlanDone> {
        let people = self.people()?;
        if preview {
            return Ok(kept.space.look(|ledger, reader| {
                let scene = Scene::read(ledger, reader, people.device)?;
                let mut steps = Steps::default();
                for plan in plans(ledger, reader, &scene)? {
                    describe(&Tree::new(reader), &scene, &plan, &mut steps)?;
                }
                Ok(steps.preview())
            })?);
        }
        Ok(self.change(kept, |work, scene| {
            let (mut steps, mut commits) = (Steps::default(), Vec::new());
            for plan in plans(work.ledger, work.store, scene)? {
                if plan.changes.is_empty() {
                    continue;
                }
                people.check_role(work.ledger, plan.realm, SpaceRole::Editor, what)?;
                describe(&Tree::new(work.store), scene, &plan, &mut steps)?;
                let mut pen = Pen::open(&kept.space, work, plan.realm, clock::now())?;
                pen.push_plan(plan.changes)?;
                commits.extend(pen.finish()?);
                for step in plan.steps.iter().filter(|step| matches!(step.what, What::Move(..))) {
                    commits.extend(kept.space.entitle(work, step.node, clock::now())?);
                }
            }
            Ok(steps.committed(commits))
        })?)
    }
}

/// What a point showed at a path; true: at another one, and it stays where it is today.
fn target<R: Rows>(tree: &Tree<R>, scene: &Scene, then: &Frontier, path: &TreePath) -> Result<(Node, bool), SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let eye = Eye::new(tree, Some(tree.at(then)), scene);
    match paths::find(&eye, path) {
        Ok(meant) => {
            let stays = paths::moved(&eye, &paths::names(path)?)?.is_some();
            Ok((meant.entry.node, stays))
        }
        Err(SpaceFault::Asked(mut error)) if error.code == ErrorCode::NotFound => {
            error.message.push_str(" as it was then");
            error.hint = Some("`warren log` shows what happened when".into());
            Err(SpaceFault::Asked(error))
        }
        Err(error) => Err(error),
    }
}

/// What its deleter saw just before something was deleted.
fn before_it_went(
    reader: &Reader<'_>,
    tree: &Tree<&Reader<'_>>,
    scene: &Scene,
    path: &TreePath,
) -> Result<Frontier, SpaceFault> {
    let eye = Eye::new(tree, None, scene);
    if paths::lookup(&eye, &paths::names(path)?)?.is_some() {
        let shown = if path.is_root() { "the space".into() } else { path.shown() };
        return Err(ApiError::new(ErrorCode::BadRequest, format!("{shown} is not deleted: to which point?"))
            .hint("--at TIME or VERSION says as what it comes back; `warren log` shows what there was")
            .into());
    }
    let gone = list::gone(&eye, path)?;
    let Some(gone) = gone else { return Err(paths::find(&eye, path).err().unwrap_or(SpaceFault::Unfinished)) };
    let deleted = tree.history(gone.entry.node)?.into_iter().find_map(|event| match event {
        Event::Written(version) if version.written.is_none() => Some(version.stamp),
        _ => None,
    });
    let Some(stamp) = deleted else {
        // It is not deleted itself, but nothing is left in it.
        let message = format!("{} was never deleted by itself", path.shown());
        return Err(ApiError::new(ErrorCode::BadRequest, message).hint("say to which point: --at TIME").into());
    };
    let header = reader.stored(&stamp.commit).ok_or(SpaceFault::Lost(stamp.commit))?.header;
    let mut before = at::at_commit(reader, header.previous)?;
    header.seen.iter().for_each(|seen| before.set(seen.device, seen.seq, seen.id));
    Ok(before)
}

/// The plans for a node, and for the parts with permissions of their own that were in it.
fn restored<R: Rows>(tree: &Tree<R>, view: &View<'_, R>, target: Node) -> Result<Vec<Plan>, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let (mut plans, mut open, mut passed) = (Vec::new(), vec![target], BTreeSet::new());
    while let Some(target) = open.pop() {
        plans.push(tree.restore(view, target)?);
        for node in view.subtree(target)? {
            if let Some(top) = tree.top(node)?
                && passed.insert(top.realm)
            {
                open.push(top);
            }
        }
    }
    Ok(plans)
}

/// Whose changes are to be undone.
fn undone(ledger: &Ledger, people: &People, request: &TreeUndo) -> Result<BTreeSet<DeviceId>, SpaceFault> {
    let mut devices = BTreeSet::new();
    if let Some(name) = &request.device {
        devices.insert(people.device_meant(name)?.0);
    }
    if let Some(name) = &request.member {
        let member = people.member_meant(name)?;
        devices.extend(people.devices_of(member));
        devices.extend(ledger.judgement().devices().filter(|(_, state)| state.member == member).map(|(id, _)| id));
    }
    if devices.is_empty() {
        return Err(ApiError::new(ErrorCode::BadRequest, "whose changes?")
            .hint("--member NAME, or --device NAME/DEVICE")
            .into());
    }
    Ok(devices)
}

/// A plan for people.
pub(super) fn describe<R: Rows>(tree: &Tree<R>, scene: &Scene, plan: &Plan, steps: &mut Steps) -> Result<(), SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    // Several steps may be about one node: where it goes is said by the one that moves it.
    for step in &plan.steps {
        let path = scene.path(tree, step.node)?.filter(|_| step.path.is_some());
        let placed = |node| -> Result<_, SpaceFault> {
            tree.place_path(node)?.and_then(|path| shown_from(tree, scene, plan.realm, path).transpose()).transpose()
        };
        match &step.what {
            What::Revive => {
                let to = placed(step.node)?;
                steps.add("revive", None, to);
            }
            What::Rewrite => steps.add("rewrite", path, None),
            What::Delete => steps.add("delete", path, None),
            What::Stay => steps.add("stay", path, None),
            What::Name(name) => steps.add("name", None, Some(name.to_vec())),
            What::Move(parent, name) => {
                let dir = placed(Node { id: *parent, ..step.node })?;
                let to = dir.map(|dir| join(&dir, name)).or_else(|| Some(name.to_vec()));
                let from = path.or(placed(step.node)?);
                steps.add("move", from, to);
            }
        }
    }
    Ok(())
}

/// A path in a realm as it is shown from the root.
pub(super) fn shown_from<R: Rows>(
    tree: &Tree<R>,
    scene: &Scene,
    realm: RealmId,
    path: Vec<u8>,
) -> Result<Option<Vec<u8>>, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    Ok(scene.path(tree, Node::root_of(realm))?.map(|root| join(&root, &path)))
}
