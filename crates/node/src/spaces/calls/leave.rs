//! Taking roles away, and what this device keeps.

use std::collections::BTreeSet;

use api::types::{Keep, Space as ApiSpace, SpaceForget, SpaceKeep, SpaceQuota, SpaceUnshare, Unshared};
use api::{ApiError, ApiResult, ErrorCode};
use logic::ledger::{Control, Kind as CommitKind, Ledger, RealmId, RevokeReason, SpaceRole, Target};
use logic::space::{Event, Node, NodeId, NodeKind, Rows, Tree, Written};
use seal::MemberId;

use super::people::{People, role_name};
use super::scene::{Eye, Scene};
use super::{Calls, info, paths};
use crate::clock;
use crate::spaces::list::Wish;
use crate::spaces::{Kept, SpaceFault};

/// What somebody could have read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CouldRead {
    pub(super) files: u64,
    pub(super) versions: u64,
    pub(super) bytes: u64,
}

impl Calls {
    /// Answers `space_unshare`.
    pub(super) fn unshare(&self, request: &SpaceUnshare) -> ApiResult<Unshared> {
        let (kept, _) = self.find(&request.space)?;
        let people = self.people()?;
        let member = people.member_meant(&request.member)?;
        let (realm, could, devices) = kept.space.look(|ledger, reader| {
            let (scene, tree) = (Scene::read(ledger, reader, people.device)?, Tree::new(reader));
            let meant = paths::find(&Eye::new(&tree, None, &scene), &request.path)?;
            let at = meant.entry.inside();
            if !meant.path.is_empty() && !at.id.is_top() {
                let message = format!("{} has no permissions of its own", request.path.shown());
                return Err(ApiError::new(ErrorCode::BadRequest, message)
                    .hint("`warren access` shows from where the role comes: take it away there")
                    .into());
            }
            check(ledger, &people, member, at.realm)?;
            let could = could_read(&tree, ledger, member, at.realm)?;
            let devices = ledger.judgement().devices().filter(|(_, state)| state.member == member);
            let names: Vec<_> = devices.map(|(device, _)| people.device_name(device, Some(member))).collect();
            Ok((at.realm, could, names))
        })?;
        if !request.preview {
            self.revoke(&kept, &people, member, realm)?;
        }
        let rekeyed = kept
            .space
            .look(|ledger, _| Ok(ledger.judgement().writers_epoch(realm).is_some_and(|epoch| epoch.clean)))?;
        Ok(Unshared {
            member: people.name(member),
            preview: request.preview,
            could_read_files: could.files,
            could_read_versions: could.versions,
            could_read_bytes: could.bytes,
            devices,
            rekeyed: rekeyed && !request.preview,
            access: self.access_on(&kept, &people, realm)?,
        })
    }

    /// Takes a member's role away, and the keys; or nothing, if the role would stay.
    fn revoke(&self, kept: &Kept, people: &People, member: MemberId, realm: RealmId) -> Result<(), SpaceFault> {
        let now = clock::now();
        self.change(kept, |work, _| {
            let control = Control::Revoke { target: Target::Member(member), reason: RevokeReason::Withdrawn };
            kept.space.rule(work, realm, CommitKind::Revoke, &control, now)?;
            let judgement = work.ledger.judgement();
            if let Some((cap, grant)) = judgement.standing(member, realm) {
                let (name, role) = (people.name(member), role_name(grant.role));
                let by = work.ledger.control(&cap).and_then(|commit| {
                    let device = commit.device();
                    judgement.devices().find(|(id, _)| *id == device).map(|(_, state)| people.name(state.member))
                });
                let by = by.unwrap_or_else(|| "the founder".into());
                let message =
                    format!("{name} stays {role}: it has that role from {by}, who stands above you or beside you");
                return Err(ApiError::new(ErrorCode::NotAllowed, message)
                    .hint(format!("ask {by}: whoever gave a role, or stands above, can take it away"))
                    .into());
            }
            kept.space.rekey_due(work, now)
        })
    }

    /// Answers `space_keep`.
    pub(super) fn keep(&self, request: &SpaceKeep) -> ApiResult<ApiSpace> {
        let (kept, _) = self.find(&request.space)?;
        let wish = Wish { on_demand: request.keep == Keep::OnDemand, ..kept.wish() };
        self.spaces.set_wish(&kept, wish)?;
        self.space(&kept.space.id().to_string())
    }

    /// Answers `space_quota`.
    pub(super) fn quota(&self, request: &SpaceQuota) -> ApiResult<ApiSpace> {
        let (kept, name) = self.find(&request.space)?;
        if self.reads(&kept)? && request.limit.is_some() {
            let message = format!("this device reads {name}: a limit is for spaces that it stores without reading");
            return Err(ApiError::new(ErrorCode::BadRequest, message)
                .hint("`warren space keep` and `warren space history` say what is kept of spaces that it reads"));
        }
        self.spaces.set_wish(&kept, Wish { quota: request.limit, ..kept.wish() })?;
        self.space(&kept.space.id().to_string())
    }

    /// Answers `space_trust`.
    pub(super) fn trust(&self, name: &str) -> ApiResult<ApiSpace> {
        let (kept, name) = self.find(name)?;
        let between = self.spaces.between();
        let vouched = between.map(|between| between.trust(&kept)).transpose()?;
        if vouched == Some(false) {
            let message = format!("this device signed changes of {name} that are not here");
            return Err(ApiError::new(ErrorCode::Refused, message)
                .hint("if it went on without them it would look like a cheat: bring a device online that has them"));
        }
        self.space(&kept.space.id().to_string())
    }

    /// Answers `space_forget`.
    pub(super) fn forget(&self, request: &SpaceForget) -> ApiResult<()> {
        let (kept, name) = self.find(&request.space)?;
        let people = self.people()?;
        let others = kept.space.look(|ledger, _| {
            let judgement = ledger.judgement();
            let holds = |device| {
                info::realms(ledger)
                    .into_iter()
                    .any(|realm| judgement.cap_for(device, realm, SpaceRole::Storage).is_some())
            };
            Ok(judgement.devices().filter(|(device, _)| *device != people.device && holds(*device)).count())
        })?;
        if others == 0 && !request.force {
            return Err(ApiError::new(
                ErrorCode::Refused,
                format!("{name} is on no other device: it would be gone for good"),
            )
            .hint("--force forgets it all the same"));
        }
        let known = self.spaces.between().map(|between| between.standing(&kept)).transpose()?;
        let whole = |standing: &crate::spaces::between::Standing| {
            standing.devices.values().any(|device| device.current == Some(true))
        };
        if known.is_some_and(|standing| !whole(&standing)) && !request.force {
            let message = format!("no other device is known to have every change of {name}");
            return Err(ApiError::new(ErrorCode::Refused, message)
                .hint("wait until one of them was online, or --force: what only this device has is gone then"));
        }
        self.spaces.forget(&kept)?;
        Ok(())
    }
}

/// Refuses what cannot count, with the reason.
fn check(ledger: &Ledger, people: &People, member: MemberId, realm: RealmId) -> Result<(), SpaceFault> {
    let judgement = ledger.judgement();
    people.check_role(ledger, realm, SpaceRole::Owner, "to take a role away")?;
    let name = people.name(member);
    if member == judgement.founder() {
        let message = format!("{name} made the space: that role cannot be taken away");
        return Err(ApiError::new(ErrorCode::NotAllowed, message).into());
    }
    if member == people.member {
        return Err(ApiError::new(ErrorCode::NotAllowed, "nobody takes its own role away")
            .hint("an owner above you can; `warren space forget` ends keeping the space on this device")
            .into());
    }
    if judgement.role_of(member, realm).is_none() {
        let message = format!("{name} has no role there");
        return Err(ApiError::new(ErrorCode::NotFound, message).hint("`warren access` shows who has").into());
    }
    Ok(())
}

/// What a member could have read until now: all versions of all files in the realms that it may read, deleted ones too.
pub(super) fn could_read<R: Rows>(
    tree: &Tree<R>,
    ledger: &Ledger,
    member: MemberId,
    scope: RealmId,
) -> Result<CouldRead, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let judgement = ledger.judgement();
    let mut could = CouldRead::default();
    for realm in info::realms(ledger) {
        let reads = judgement.role_of(member, realm).is_some_and(|role| role >= SpaceRole::Reader);
        if !reads || !is_within(ledger, realm, scope) {
            continue;
        }
        could.add(tree, Node { realm, id: NodeId::FILE })?;
        let (mut open, mut passed) = (vec![Node::root_of(realm)], BTreeSet::new());
        while let Some(dir) = open.pop() {
            let shown = tree.list(dir)?.into_iter().chain(tree.deleted_in(dir)?);
            for node in shown.map(|entry| entry.node).filter(|node| node.realm == realm) {
                if !passed.insert(node.id) {
                    continue;
                }
                match node.id.kind() {
                    Some(NodeKind::Dir) => open.push(node),
                    Some(NodeKind::File) => could.add(tree, node)?,
                    _ => {}
                }
            }
        }
    }
    Ok(could)
}

impl CouldRead {
    /// A file, unless nothing is known of it.
    fn add<R: Rows>(&mut self, tree: &Tree<R>, file: Node) -> Result<(), SpaceFault>
    where
        SpaceFault: From<logic::space::Fault<R::Error>>,
    {
        let history = tree.history(file)?;
        self.files += u64::from(!history.is_empty());
        for event in history {
            let Event::Written(version) = event else { continue };
            self.versions += u64::from(version.written.is_some());
            self.bytes += version.written.as_ref().map_or(0, Written::size);
        }
        Ok(())
    }
}

/// True if a realm is another one or lies in it.
fn is_within(ledger: &Ledger, realm: RealmId, outer: RealmId) -> bool {
    let up = std::iter::successors(Some(realm), |at| ledger.judgement().realm(*at).map(|facts| facts.parent));
    up.into_iter().any(|at| at == outer)
}
