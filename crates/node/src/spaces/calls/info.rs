//! What a space is, for people.

use std::collections::BTreeMap;

use api::ApiResult;
use api::types::{Change, Keep, Space as ApiSpace, SpaceDevice, SpaceMember, SpacePart, SpaceState, TreePath};
use logic::ledger::{Ledger, RealmId, SpaceRole};
use logic::space::{Node, NodeKind, Rows, Tree};
use seal::MemberId;
use store::space::{Reader, Standing};

use super::people::{People, role_name};
use super::scene::{Eye, Scene, is_dir};
use super::{Calls, access};
use crate::spaces::between::allowance::asked;
use crate::spaces::between::{self, evidence};
use crate::spaces::{Kept, SpaceFault, epochs};

/// Commits among which the latest one that counts is looked for.
const LATEST: usize = 64;

/// How much of a tree is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::spaces) struct Shown {
    pub(in crate::spaces) files: u64,
    pub(in crate::spaces) bytes: u64,
}

impl Calls {
    /// Every space of this home.
    pub(super) fn all_spaces(&self) -> ApiResult<Vec<ApiSpace>> {
        let (named, people) = (self.named()?, self.people()?);
        let shown = named.iter().map(|(kept, name)| self.shown(kept, name, &people));
        Ok(shown.collect::<Result<_, SpaceFault>>()?)
    }

    /// One of them.
    pub(super) fn space(&self, name: &str) -> ApiResult<ApiSpace> {
        let (kept, name) = self.find(name)?;
        Ok(self.shown(&kept, &name, &self.people()?)?)
    }

    /// A space as the API shows it.
    fn shown(&self, kept: &Kept, name: &str, people: &People) -> Result<ApiSpace, SpaceFault> {
        let usage = self.spaces.objects.usage(&kept.namespace())?;
        let (standing, taken) = (kept.space.standing()?, self.spaces.taken(kept)?);
        let counted = self.count(kept)?;
        let between = self.spaces.between().map(|between| between.standing(kept)).transpose()?;
        let evidence = evidence::all(&kept.space)?.len() as u64;
        kept.space.look(|ledger, reader| {
            let tree = Tree::new(reader);
            let scene = Scene::read(ledger, reader, people.device)?;
            let role = ledger.judgement().role_of(people.member, RealmId::ROOT);
            let parts = access::parts_of(ledger, people.member);
            let conflicts = realms(ledger).into_iter().map(|realm| Ok(tree.conflicts(realm)?.len() as u64));
            Ok(ApiSpace {
                name: name.to_owned(),
                id: kept.space.id().to_string(),
                role: match role {
                    Some(role) => role_name(role).into(),
                    None if !parts.is_empty() => "partial".into(),
                    None => String::new(),
                },
                state: match (state(ledger, reader, people, standing)?, &between) {
                    (SpaceState::Alone, Some(between)) => between.state,
                    (state, _) => state,
                },
                keep: if kept.wish().on_demand { Keep::OnDemand } else { Keep::Everything },
                history: kept.wish().history.into(),
                files: counted.files,
                bytes: counted.bytes,
                stored_bytes: usage.bytes,
                taken_bytes: taken,
                limit: between.as_ref().and_then(|between| between.allowance).map(|allowance| allowance.limit),
                full: between.as_ref().and_then(|between| between.full.clone()),
                missing_objects: between.as_ref().map_or(0, |between| between.missing_objects),
                last_change: last_change(reader, &scene, people)?,
                conflicts: conflicts.sum::<Result<u64, SpaceFault>>()?,
                alerts: evidence.max(ledger.judgement().forked().count() as u64),
                members: members(ledger, &tree, &scene, people, between.as_ref())?,
            })
        })
    }

    /// What is shown, counted once per state of the space.
    pub(super) fn count(&self, kept: &Kept) -> Result<Shown, SpaceFault> {
        let state = *kept.space.watch().borrow();
        if let Some(shown) = kept.counted(state) {
            return Ok(shown);
        }
        let scene = Scene::of(&kept.space)?;
        let shown = kept.space.tree(|tree| count_below(&Eye::new(tree, None, &scene), Node::ROOT))?;
        kept.set_counted(state, shown);
        Ok(shown)
    }
}

/// Files that are shown below a directory.
pub(super) fn count_below<R: Rows>(eye: &Eye<'_, R>, dir: Node) -> Result<Shown, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let mut shown = Shown::default();
    let mut open = vec![dir];
    while let Some(dir) = open.pop() {
        for entry in eye.list(dir)? {
            if is_dir(&entry) {
                open.push(entry.node);
            } else if entry.kind == NodeKind::File {
                shown.files += 1;
                shown.bytes += entry.brief.map_or(0, |brief| brief.size);
            }
        }
    }
    Ok(shown)
}

/// The root and every realm inside.
pub(super) fn realms(ledger: &Ledger) -> Vec<RealmId> {
    std::iter::once(RealmId::ROOT).chain(ledger.judgement().realms().map(|(realm, _)| realm)).collect()
}

fn state(ledger: &Ledger, reader: &Reader<'_>, people: &People, standing: Standing) -> Result<SpaceState, SpaceFault> {
    let judgement = ledger.judgement();
    let best = |realm| ledger.role_of(people.device, realm);
    let roles: Vec<(RealmId, SpaceRole)> =
        realms(ledger).into_iter().filter_map(|realm| Some((realm, best(realm)?))).collect();
    if matches!(standing, Standing::RolledBack { .. } | Standing::Unknown) {
        return Ok(SpaceState::Behind);
    }
    if roles.is_empty() {
        let entered = ledger.knows(people.device);
        return Ok(if entered { SpaceState::Revoked } else { SpaceState::WaitsForKey });
    }
    if roles.iter().all(|(_, role)| *role == SpaceRole::Storage) {
        return Ok(SpaceState::Storage);
    }
    for (realm, _) in roles.iter().filter(|(_, role)| *role >= SpaceRole::Reader) {
        let Some(epoch) = judgement.writers_epoch(*realm) else { return Ok(SpaceState::WaitsForKey) };
        if epochs::key(reader, &epoch.id)?.is_none() {
            return Ok(SpaceState::WaitsForKey);
        }
    }
    Ok(SpaceState::Alone)
}

/// The latest change that counts.
fn last_change(reader: &Reader<'_>, scene: &Scene, people: &People) -> Result<Option<Change>, SpaceFault> {
    let latest = reader.log(None, LATEST)?.into_iter().find(|logged| logged.note.worth.counts());
    Ok(latest.map(|logged| {
        let device = logged.header.device;
        people.change(device, scene.owners.get(&device).copied(), logged.header.time)
    }))
}

fn members<R: Rows>(
    ledger: &Ledger,
    tree: &Tree<R>,
    scene: &Scene,
    people: &People,
    between: Option<&between::Standing>,
) -> Result<Vec<SpaceMember>, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let judgement = ledger.judgement();
    let forked: Vec<_> = judgement.forked().collect();
    let mut devices: BTreeMap<MemberId, Vec<SpaceDevice>> = BTreeMap::new();
    for (device, state) in judgement.devices() {
        if realms(ledger).into_iter().any(|realm| ledger.role_of(device, realm).is_some()) {
            let own = device == people.device;
            let roles = realms(ledger).into_iter().filter_map(|realm| ledger.role_of(device, realm));
            let stores = roles.max() == Some(SpaceRole::Storage);
            let stands = between.and_then(|between| between.devices.get(&device)).copied().unwrap_or_default();
            devices.entry(state.member).or_default().push(SpaceDevice {
                name: people.device_name(device, Some(state.member)),
                online: own || stands.online,
                current: if own {
                    Some(between.is_none_or(|between| between.missing_objects == 0))
                } else {
                    stands.current
                },
                told_at: stands.told_at.map(|at| at.0),
                forked: forked.contains(&device),
                full: stands.full,
                limit: asked(ledger, state.member).filter(|_| stores),
            });
        }
    }
    let mut members = Vec::new();
    for member in access::members(ledger) {
        let role = judgement.role_of(member, RealmId::ROOT);
        let mut parts = Vec::new();
        for (realm, role) in access::parts_of(ledger, member) {
            let path = scene.path(tree, Node::root_of(realm))?.map(TreePath);
            parts.push(SpacePart { path, role: role_name(role).into() });
        }
        if role.is_none() && parts.is_empty() {
            continue;
        }
        members.push(SpaceMember {
            name: people.name(member),
            role: role.map(role_name).unwrap_or_default().into(),
            parts,
            devices: devices.remove(&member).unwrap_or_default(),
        });
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(members)
}
