//! Making spaces, naming them, and giving roles on them and on parts of them.

use api::types::{Access, Space as ApiSpace, SpaceCreate, SpaceRename, SpaceShare, TreePath};
use api::{ApiError, ApiResult, ErrorCode};
use logic::ledger::{Control, Kind as CommitKind, RealmId, SpaceRole};
use logic::space::{Change, Kind, Node, NodeId, NodeKind, Tree, Written};
use seal::{MemberId, Timestamp};
use serde_bytes::ByteBuf;

use super::carry::{Carry, make_anew};
use super::making::Spot;
use super::paths::Meant;
use super::people::{People, role_meant};
use super::scene::{Eye, Scene, join};
use super::{Calls, access, named, paths};
use crate::clock;
use crate::spaces::pen::Pen;
use crate::spaces::space::Work;
use crate::spaces::{Kept, SpaceFault};

impl Calls {
    /// Answers `space_create`.
    pub(super) fn create(&self, request: &SpaceCreate) -> ApiResult<ApiSpace> {
        named::check(&request.name)?;
        let key = seal::pki::name_key(&request.name);
        if self.named()?.iter().any(|(_, name)| seal::pki::name_key(name) == key) {
            let message = format!("there is a space called {} here already", request.name);
            return Err(ApiError::new(ErrorCode::Exists, message).hint("choose another name"));
        }
        let kept = self.spaces.found(&request.name)?;
        self.space(&kept.space.id().to_string())
    }

    /// Answers `space_rename`.
    pub(super) fn rename(&self, request: &SpaceRename) -> ApiResult<ApiSpace> {
        named::check(&request.name)?;
        let (kept, _) = self.find(&request.space)?;
        let people = self.people()?;
        self.change(&kept, |work, _| {
            people.check_role(work.ledger, RealmId::ROOT, SpaceRole::Owner, "to name the space")?;
            let mut pen = Pen::open(&kept.space, work, RealmId::ROOT, clock::now())?;
            pen.push(Change::Name { name: ByteBuf::from(request.name.as_bytes()) })?;
            pen.finish()
        })?;
        self.space(&kept.space.id().to_string())
    }

    /// Answers `space_share`.
    pub(super) fn share(&self, request: &SpaceShare) -> ApiResult<Vec<Access>> {
        let (kept, _) = self.find(&request.space)?;
        let people = self.people()?;
        let (member, role) = (people.active_meant(&request.member)?, role_meant(&request.role)?);
        if member == people.member {
            return Err(ApiError::new(ErrorCode::BadRequest, "nobody gives a role to itself")
                .hint("all devices of a member have its roles"));
        }
        let now = clock::now();
        let realm = self.change(&kept, |work, scene| {
            let tree = Tree::new(work.store);
            let meant = paths::find(&Eye::new(&tree, None, scene), &request.path)?;
            let around = meant.entry.inside().realm;
            people.check_role(work.ledger, around, SpaceRole::Owner, "to share it")?;
            let limit = request.quota.filter(|_| role == SpaceRole::Storage);
            let has = work.ledger.judgement().role_of(member, around);
            let only_limit = limit.is_some() && has == Some(SpaceRole::Storage);
            if !only_limit {
                check_grant(work, &people, member, role, around, &meant)?;
            }
            let is_realm = meant.entry.inside().id.is_top();
            let realm = if is_realm { around } else { make_realm(&kept, work, &meant, now)? };
            let control = Control::Grant { member, role };
            if !only_limit {
                kept.space.rule(work, realm, CommitKind::Grant, &control, now)?;
            }
            if let Some(bytes) = limit {
                let control = Control::Limit { member, bytes: Some(bytes).filter(|bytes| *bytes > 0) };
                kept.space.rule(work, realm, CommitKind::Limit, &control, now)?;
            }
            kept.space.rekey_due(work, now)?;
            Ok(realm)
        })?;
        self.access_on(&kept, &people, realm)
    }

    /// Whoever may do something on a realm.
    pub(super) fn access_on(&self, kept: &Kept, people: &People, realm: RealmId) -> ApiResult<Vec<Access>> {
        Ok(kept.space.look(|ledger, reader| {
            let scene = Scene::read(ledger, reader, people.device)?;
            access::on_realm(ledger, &Tree::new(reader), &scene, people, realm)
        })?)
    }
}

/// A grant that would change nothing, or that would not count, is none.
fn check_grant(
    work: &Work<'_, '_>,
    people: &People,
    member: MemberId,
    role: SpaceRole,
    realm: RealmId,
    meant: &Meant,
) -> Result<(), ApiError> {
    let name = people.name(member);
    let at = if meant.path.is_empty() { "the space".to_owned() } else { TreePath(meant.path.clone()).shown() };
    match work.ledger.judgement().role_of(member, realm) {
        Some(has) if has >= role => {
            let has = super::people::role_name(has);
            let message = format!("{name} has the role {has} on {at} already");
            let hint = "a smaller role: take the greater one away first, `warren unshare`";
            Err(ApiError::new(ErrorCode::Exists, message).hint(hint))
        }
        _ => Ok(()),
    }
}

/// Makes a directory, file or link a realm of its own: it is made anew there with the contents that it has, and what
/// shows the realm takes its place. Who may read around may read inside, by the grants of the realm around.
fn make_realm(kept: &Kept, work: &mut Work<'_, '_>, meant: &Meant, now: Timestamp) -> Result<RealmId, SpaceFault> {
    let (around, node) = (meant.entry.node.realm, meant.entry.node);
    if node.id.is_fixed() {
        return Err(ApiError::new(ErrorCode::BadRequest, "lost+found cannot be shared").into());
    }
    let file = !meant.entry.kind.is_dir();
    let control = Control::Realm { inherit: true, file };
    let made = kept.space.rule(work, around, CommitKind::Realm, &control, now)?;
    let realm = RealmId::made_by(made);
    let shows = match meant.entry.kind {
        NodeKind::File => Kind::FileRealm(realm),
        NodeKind::Link => Kind::LinkRealm(realm),
        _ => Kind::Realm(realm),
    };
    match NodeKind::from(shows).top() {
        Some(id) if file => move_alone(kept, work, meant, Node { realm, id }, now)?,
        _ => move_inside(kept, work, meant, realm, now)?,
    }
    let parent = Tree::new(work.store).parent(node)?.unwrap_or(NodeId::ROOT);
    let mut pen = Pen::open(&kept.space, work, around, now)?;
    for node in pen.tree().subtree(node)? {
        let gone = pen.tree().deletion(node)?;
        pen.push(gone)?;
    }
    pen.make(shows, parent, &meant.entry.name)?;
    pen.finish()?;
    Ok(realm)
}

/// Writes what a file or link shows into an empty realm, which becomes it.
fn move_alone(
    kept: &Kept,
    work: &mut Work<'_, '_>,
    meant: &Meant,
    alone: Node,
    now: Timestamp,
) -> Result<(), SpaceFault> {
    let mut pen = Pen::open(&kept.space, work, alone.realm, now)?;
    pen.push(Change::Name { name: ByteBuf::from(meant.entry.name.clone()) })?;
    let version = pen.tree().stat(meant.entry.node)?.and_then(|stat| stat.version);
    let written = version.and_then(|version| version.written).unwrap_or_default();
    pen.push(Change::Put { node: alone.id, bases: Vec::new(), written: Written { restored: None, ..written } })?;
    pen.finish().map(drop)
}

/// Makes everything below a directory anew in an empty realm.
fn move_inside(
    kept: &Kept,
    work: &mut Work<'_, '_>,
    meant: &Meant,
    realm: RealmId,
    now: Timestamp,
) -> Result<(), SpaceFault> {
    let mut pen = Pen::open(&kept.space, work, realm, now)?;
    pen.push(Change::Name { name: ByteBuf::from(meant.entry.name.clone()) })?;
    let tree = pen.tree();
    let scene = Scene::default();
    let eye = Eye::new(&tree, None, &scene);
    for entry in eye.list(meant.entry.node)? {
        let name = entry.name.clone();
        let path = join(&meant.path, &name);
        let spot = Spot { dir: Node::root_of(realm), name, path: path.clone() };
        make_anew(&eye, &Meant { path, entry }, &mut pen, &spot, &Carry::default(), |_, _| {})?;
    }
    pen.finish().map(drop)
}
