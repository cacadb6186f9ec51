//! What happened: to a file, below a directory, or to the space with its permissions.

use api::ApiResult;
use api::types::{TreeLogQuery, TreePath, TreeVersion};
use logic::ledger::{Control, Ledger, Target, Why};
use logic::space::{Entry, Event, Kind, Node, NodeId, NodeKind, Origin, Place, Rows, Stamp, Tree, Version, Written};
use seal::DeviceId;
use store::objects::ObjectStore;
use store::space::{Logged, Moment, Reader, Worth};

use super::paths::Meant;
use super::people::{People, role_name};
use super::scene::{Eye, Scene, is_dir, join};
use super::{Calls, at, list, paths};
use crate::spaces::SpaceFault;

/// Lines, unless the request says otherwise.
const LIMIT: usize = 1000;
/// Commits that are looked at at a time.
const BATCH: usize = 256;

/// Makes lines of a history.
struct Log<'a, R: Rows> {
    ledger: &'a Ledger,
    tree: &'a Tree<R>,
    scene: &'a Scene,
    people: &'a People,
    objects: &'a ObjectStore,
}

impl Calls {
    /// Answers `tree_log`.
    pub(super) fn log(&self, request: &TreeLogQuery) -> ApiResult<Vec<TreeVersion>> {
        let (kept, _) = self.find(&request.space)?;
        let people = self.people()?;
        let limit = request.limit.map_or(LIMIT, |limit| limit as usize);
        Ok(kept.space.look(|ledger, reader| {
            let scene = Scene::read(ledger, reader, people.device)?;
            let tree = Tree::new(reader);
            let eye = Eye::new(&tree, None, &scene);
            let log = Log { ledger, tree: &tree, scene: &scene, people: &people, objects: &self.spaces.objects };
            let meant = match paths::find(&eye, &request.path) {
                Ok(meant) => meant,
                Err(missing) => list::gone(&eye, &request.path)?.ok_or(missing)?,
            };
            if is_dir(&meant.entry) { log.below(reader, &meant, limit) } else { log.of(&meant.entry, limit) }
        })?)
    }
}

impl<R: Rows> Log<'_, R>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    /// Everything that ever happened to a file, latest first.
    fn of(&self, entry: &Entry, limit: usize) -> Result<Vec<TreeVersion>, SpaceFault> {
        let mut lines = self.lines(entry.node, |_| true)?;
        if entry.content() != entry.node {
            lines.extend(self.lines(entry.content(), |_| true)?);
            lines.sort_by_key(|(stamp, _)| std::cmp::Reverse(*stamp));
        }
        lines.truncate(limit);
        Ok(lines.into_iter().map(|(_, line)| line).collect())
    }

    /// Everything that happened below a directory, latest first; for the root also who may do what. Reads the commits
    /// from the newest one on, until there are lines enough.
    fn below(&self, reader: &Reader<'_>, dir: &Meant, limit: usize) -> Result<Vec<TreeVersion>, SpaceFault> {
        let mut lines: Vec<TreeVersion> = Vec::new();
        let mut before: Option<Moment> = None;
        while lines.len() < limit {
            let batch = reader.log(before, BATCH)?;
            let Some(last) = batch.last() else { break };
            before = Some(last.moment);
            for logged in &batch {
                if logged.header.kind.is_control() {
                    if dir.path.is_empty() {
                        lines.extend(self.ruling(logged));
                    }
                    continue;
                }
                self.written(logged, dir, &mut lines)?;
            }
        }
        lines.truncate(limit);
        Ok(lines)
    }

    /// What a data commit did below a directory.
    fn written(&self, logged: &Logged, dir: &Meant, lines: &mut Vec<TreeVersion>) -> Result<(), SpaceFault> {
        if let Worth::Void(why) = logged.note.worth {
            if dir.path.is_empty() {
                lines.push(TreeVersion { void: Some(why_void(why).into()), ..self.line(logged, "written") });
            }
            return Ok(());
        }
        let origin = Origin::of(logged.id, &logged.header);
        let mut nodes = self.tree.touched(&origin)?;
        // Names of realms are about their roots; those of files follow their places.
        let is_file = self.ledger.judgement().realm(origin.realm).is_some_and(|facts| facts.file);
        if !is_file && nodes.iter().any(|node| node.id == NodeId::ROOT) && dir.path.is_empty() {
            let named = self.tree.namings(origin.realm)?;
            for naming in named.iter().filter(|naming| naming.stamp.commit == origin.commit) {
                let name = String::from_utf8_lossy(&naming.name).into_owned();
                let path = self.scene.path(self.tree, Node::root_of(origin.realm))?.map(TreePath);
                lines.push(TreeVersion { path, detail: Some(name), ..self.line(logged, "named") });
            }
        }
        nodes.retain(|node| !node.id.is_fixed());
        for node in nodes {
            if self.is_below(node, dir)? {
                let found = self.lines(node, |stamp| stamp.commit == logged.id)?;
                lines.extend(found.into_iter().map(|(_, line)| line));
            }
        }
        Ok(())
    }

    fn is_below(&self, node: Node, dir: &Meant) -> Result<bool, SpaceFault> {
        if dir.path.is_empty() {
            return Ok(true);
        }
        let path = self.path(node)?;
        Ok(path.is_some_and(|path| path == dir.path || path.starts_with(&[&dir.path[..], b"/"].concat())))
    }

    /// Where a node is shown, or was.
    fn path(&self, node: Node) -> Result<Option<Vec<u8>>, SpaceFault> {
        if let Some(path) = self.scene.path(self.tree, node)? {
            return Ok(Some(path));
        }
        let placed = self.tree.place_path(node)?;
        let root = self.scene.path(self.tree, Node::root_of(node.realm))?;
        Ok(placed.and_then(|path| root.map(|root| join(&root, &path))))
    }

    /// The lines about a node that are wanted, latest first.
    fn lines(&self, node: Node, wanted: impl Fn(&Stamp) -> bool) -> Result<Vec<(Stamp, TreeVersion)>, SpaceFault> {
        let history = self.tree.history(node)?;
        let stat = self.tree.stat(node)?;
        let shown = stat.as_ref().filter(|stat| stat.shown).and_then(|stat| Some(stat.version.as_ref()?.stamp));
        let path = self.path(node)?;
        let mut lines = Vec::new();
        for (at, event) in history.iter().enumerate().filter(|(_, event)| wanted(&event.stamp())) {
            let stamp = event.stamp();
            let (what, detail, version) = match event {
                Event::Written(version) => {
                    (self.what(version, &history[at..], node.id.is_alone()), None, Some(version))
                }
                // What is made and written by one commit is one thing that happened.
                // What shows a file that is a realm is made with it.
                Event::Placed(Place { made: Some(Kind::FileRealm(_) | Kind::LinkRealm(_)), .. }) => continue,
                Event::Placed(place) if place.made.is_some() => {
                    let written =
                        |event: &&Event| matches!(event, Event::Written(_)) && event.stamp().commit == stamp.commit;
                    if history.iter().any(|event| written(&event)) {
                        continue;
                    }
                    ("made", None, None)
                }
                Event::Placed(_) => ("moved", self.moved(node, &history[at..])?, None),
            };
            let written = version.and_then(|version| version.written.as_ref());
            let line = TreeVersion {
                id: at::version_text(&stamp.id()),
                path: path.clone().map(TreePath),
                what: what.into(),
                detail,
                change: self.people.change(stamp.device, self.member(stamp.device), event.time()),
                size: written.filter(|_| node.id.kind() == Some(NodeKind::File)).map(Written::size),
                shown: shown == Some(stamp),
                void: None,
                local: self.is_local(written)?,
            };
            lines.push((stamp, line));
        }
        Ok(lines)
    }

    /// `is_first`: what was written first was made then.
    fn what(&self, version: &Version, older: &[Event], is_first: bool) -> &'static str {
        let made = |event: &Event| {
            matches!(event, Event::Placed(place) if place.made.is_some())
                && event.stamp().commit == version.stamp.commit
        };
        match &version.written {
            None => "deleted",
            Some(written) if written.restored.is_some() => "restored",
            Some(_) if older.iter().any(made) || is_first && older.len() == 1 => "made",
            Some(_) => "written",
        }
    }

    /// Where it came from.
    fn moved(&self, node: Node, from: &[Event]) -> Result<Option<String>, SpaceFault> {
        let place = |event: &Event| if let Event::Placed(place) = event { Some(place.clone()) } else { None };
        let Some(before) = from.iter().skip(1).find_map(place) else { return Ok(None) };
        let dir = self.path(Node { id: before.parent, ..node })?;
        let path = dir.map_or(before.name.to_vec(), |dir| join(&dir, &before.name));
        Ok(Some(format!("from {}", TreePath(path).shown())))
    }

    fn is_local(&self, written: Option<&Written>) -> Result<bool, SpaceFault> {
        list::is_local(self.objects, written)
    }

    fn member(&self, device: DeviceId) -> Option<seal::MemberId> {
        self.scene.owners.get(&device).copied()
    }

    /// A line that is about no node.
    fn line(&self, logged: &Logged, what: &str) -> TreeVersion {
        let device = logged.header.device;
        TreeVersion {
            id: logged.id.to_string(),
            path: None,
            what: what.into(),
            detail: None,
            change: self.people.change(device, self.member(device), logged.header.time),
            size: None,
            shown: false,
            void: None,
            local: true,
        }
    }

    /// What a control commit says.
    fn ruling(&self, logged: &Logged) -> Option<TreeVersion> {
        let void = match logged.note.worth {
            Worth::Void(why) => Some(why_void(why).to_owned()),
            _ => None,
        };
        let part = self.scene.path(self.tree, Node::root_of(logged.header.realm)).ok().flatten();
        let (what, detail) = match self.ledger.control(&logged.id)?.control()? {
            Control::Genesis { .. } => ("made", None),
            Control::Enter(_) => ("entered", Some(self.device(logged.header.device))),
            Control::Grant { member, role } => {
                ("shared", Some(format!("with {} as {}", self.people.name(*member), role_name(*role))))
            }
            Control::Revoke { target, .. } => ("unshared", Some(format!("with {}", self.target(*target)))),
            Control::Realm { .. } => return None,
            Control::Rekey(_) => ("rekeyed", None),
            Control::Resolve { device, .. } => ("resolved", Some(self.device(*device))),
            Control::Limit { member, bytes } => {
                let most = bytes.map_or("no limit".to_owned(), |bytes| format!("at most {bytes} bytes"));
                ("limited", Some(format!("{} keeps {most}", self.people.name(*member))))
            }
        };
        Some(TreeVersion { path: part.map(TreePath), detail, void, ..self.line(logged, what) })
    }

    fn device(&self, device: DeviceId) -> String {
        self.people.device_name(device, self.member(device))
    }

    fn target(&self, target: Target) -> String {
        match target {
            Target::Member(member) => self.people.name(member),
            Target::Device(device) | Target::OwnDevice(device) => self.device(device),
        }
    }
}

/// Why a commit counts for nothing, in words.
pub(super) fn why_void(why: Why) -> &'static str {
    match why {
        Why::Forked => "its device signed two different changes with one number",
        Why::CapVoid => "the grant that it was made under does not count",
        Why::RoleTooLow => "the role of its maker does not allow it",
        Why::OutsideRealm => "its maker has no role there",
        Why::Revoked(_) => "its maker had been revoked",
        Why::Circular => "it grants something to whom its maker has its own role from",
        Why::NotFounder => "only the founder of the space can settle that",
    }
}
