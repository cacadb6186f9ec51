//! Who may do what at a path, and why.

use std::collections::BTreeSet;

use api::ApiResult;
use api::types::{Access, AccessQuery, TreePath};
use logic::ledger::{Ledger, RealmId, SpaceRole};
use logic::space::{Node, Rows, Tree};
use seal::MemberId;

use super::people::{People, role_name};
use super::scene::{Eye, Scene};
use super::{Calls, paths};
use crate::spaces::SpaceFault;

/// Everybody who was ever given a role.
pub(super) fn members(ledger: &Ledger) -> BTreeSet<MemberId> {
    ledger.judgement().grants().map(|(_, grant)| grant.member).collect()
}

/// The realms inside on which a member was given a role of its own that still counts.
pub(super) fn parts_of(ledger: &Ledger, member: MemberId) -> Vec<(RealmId, SpaceRole)> {
    let judgement = ledger.judgement();
    let given: BTreeSet<RealmId> = judgement
        .grants()
        .filter(|(_, grant)| grant.member == member && grant.effective && grant.realm != RealmId::ROOT)
        .map(|(_, grant)| grant.realm)
        .collect();
    given.into_iter().filter_map(|realm| Some((realm, judgement.role_of(member, realm)?))).collect()
}

/// Whoever may do something on a realm, the strongest first.
pub(super) fn on_realm<R: Rows>(
    ledger: &Ledger,
    tree: &Tree<R>,
    scene: &Scene,
    people: &People,
    realm: RealmId,
) -> Result<Vec<Access>, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let judgement = ledger.judgement();
    let mut found = Vec::new();
    for member in members(ledger) {
        let Some((cap, grant)) = judgement.standing(member, realm) else { continue };
        let by = ledger.control(&cap).map(|commit| commit.header());
        let granter = by.and_then(|header| scene.owners.get(&header.device).copied());
        let from = scene.path(tree, Node::root_of(grant.realm))?.unwrap_or_default();
        let access = Access {
            member: people.name(member),
            role: role_name(grant.role).into(),
            from: TreePath(from),
            granted_by: granter.map(|member| people.name(member)).unwrap_or_default(),
            granted_at: by.map(|header| header.time.0),
        };
        found.push((std::cmp::Reverse(grant.role), access));
    }
    found.sort_by(|a, b| (a.0, &a.1.member).cmp(&(b.0, &b.1.member)));
    Ok(found.into_iter().map(|(_, access)| access).collect())
}

impl Calls {
    /// Answers `space_access`.
    pub(super) fn access(&self, request: &AccessQuery) -> ApiResult<Vec<Access>> {
        let (kept, _) = self.find(&request.space)?;
        let people = self.people()?;
        Ok(kept.space.look(|ledger, reader| {
            let scene = Scene::read(ledger, reader, people.device)?;
            let tree = Tree::new(reader);
            let meant = paths::find(&Eye::new(&tree, None, &scene), &request.path)?;
            on_realm(ledger, &tree, &scene, &people, meant.entry.inside().realm)
        })?)
    }
}
