//! Devices of one circle, each with a home of its own; what their spaces say goes from hand to hand.

use std::collections::VecDeque;
use std::sync::Arc;

use api::types::*;
use api::{ApiError, EventHub, Reply, Request};
use logic::ledger::session::{Begin, Newcomer, Session};
use logic::ledger::sync::Message;
use logic::roster::{Roster, RosterUpdate};
use logic::space::{Change as TreeChange, Content, Kind, Node, NodeId, Written};
use seal::pki::Role;
use seal::{Keyring, MemberKey, RootKey};
use serde_bytes::ByteBuf;
use store::database::Database;

use super::super::Calls;
use crate::book::Book;
use crate::circle::Circle;
use crate::clock;
use crate::journal::Journal;
use crate::spaces::contents;
use crate::spaces::pen::Pen;
use crate::spaces::{Kept, Space, Spaces};

pub struct Home {
    pub keys: Arc<Keyring>,
    pub calls: Calls,
    dir: tempfile::TempDir,
}

impl Home {
    fn make(keys: Keyring, begin: impl FnOnce(&Circle)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keys = Arc::new(keys);
        let database = Database::create(&dir.path().join("database"), keys.records.clone()).unwrap();
        let circle = Arc::new(Circle::open(&database, keys.clone()).unwrap());
        begin(&circle);
        let (spaces, objects) = (dir.path().join("spaces"), dir.path().join("objects"));
        std::fs::create_dir(&spaces).unwrap();
        std::fs::create_dir(&objects).unwrap();
        let spaces = Arc::new(Spaces::open(&spaces, &objects, &database, keys.clone(), circle.clone()).unwrap());
        let journal = Journal::open(&database, EventHub::default(), 10_000).unwrap();
        let book = Arc::new(Book::open(&database, |_, _| {}).unwrap());
        Self { keys, calls: Calls { spaces, circle, book, journal }, dir }
    }

    /// The file of the one space.
    pub fn file_of_space(&self) -> std::path::PathBuf {
        let files = std::fs::read_dir(self.dir.path().join("spaces")).unwrap();
        let mut spaces =
            files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "space"));
        spaces.next().unwrap()
    }

    /// The founder of a circle.
    pub fn founder(name: &str) -> Self {
        let keys = Keyring { root: Some(RootKey::generate()), ..Keyring::generate() };
        Self::make(keys, |circle| circle.found("home", name, "desk").unwrap())
    }

    /// A new member, with a device.
    pub fn member(&self, name: &str) -> Self {
        let keys = Keyring::generate();
        let member = keys.member.as_ref().unwrap().id();
        let own = self.calls.circle.admit(member, name, Role::Editor, &keys.seal.recipient()).unwrap();
        self.join(keys, &own, "desk")
    }

    /// Another device of this member.
    pub fn second(&self, device: &str) -> Self {
        let member = MemberKey::from_seed(&self.keys.member.as_ref().unwrap().seed());
        let keys = Keyring { member: Some(member), ..Keyring::generate() };
        let now = self.calls.circle.now().unwrap();
        let own = now.view.members[&self.keys.member.as_ref().unwrap().id()].chain[0].clone();
        self.join(keys, &own, device)
    }

    fn join(&self, keys: Keyring, own: &seal::pki::Certificate, device: &str) -> Self {
        let now = clock::now();
        let mut roster: Roster = self.calls.circle.read(Clone::clone).unwrap();
        let mut update = RosterUpdate::of([], [], []);
        let home = Self::make(keys, |circle| {
            update = circle.certify_own_device(&roster, own, device, now).unwrap();
            roster.merge(&update, now).unwrap();
            circle.adopt(roster.clone()).unwrap();
        });
        self.calls.circle.merge(&update).unwrap();
        home
    }

    /// Tells another device all about the circle.
    pub fn tell(&self, other: &Self) {
        let roster = self.calls.circle.read(Clone::clone).unwrap();
        let update = roster.missing(&other.calls.circle.summary().unwrap());
        other.calls.circle.merge(&update).unwrap();
    }

    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub fn spaces(&self) -> Arc<Spaces> {
        self.calls.spaces.clone()
    }

    pub fn kept(&self, space: &str) -> Arc<Kept> {
        self.calls.find(space).unwrap().0
    }

    /// The same space as another device's, whatever it is called here.
    pub fn kept_of(&self, other: &Kept) -> Arc<Kept> {
        self.calls.spaces.get(other.space.id()).unwrap()
    }

    pub fn call(&self, request: Request) -> Result<Reply, ApiError> {
        self.calls.answer(&request)
    }

    pub fn create(&self, name: &str) -> api::types::Space {
        self.calls.create(&SpaceCreate { name: name.into() }).unwrap()
    }

    pub fn mkdir(&self, paths: &[&str]) -> Result<PlanDone, ApiError> {
        let paths = paths.iter().map(|path| TreePath::from(*path)).collect();
        self.calls.make_dirs(&TreeMakeDir { space: "ours".into(), paths, parents: true })
    }

    pub fn mv(&self, from: &[&str], to: &str) -> Result<PlanDone, ApiError> {
        let from = from.iter().map(|path| TreePath::from(*path)).collect();
        self.calls.move_to(&TreeMove { space: "ours".into(), from, to: to.into() })
    }

    pub fn cp(&self, from: &[&str], to: &str) -> Result<PlanDone, ApiError> {
        let from = from.iter().map(|path| TreePath::from(*path)).collect();
        self.calls.copy(&TreeCopy { space: "ours".into(), from, to: to.into(), ..TreeCopy::default() })
    }

    pub fn rm(&self, paths: &[&str]) -> Result<PlanDone, ApiError> {
        let paths = paths.iter().map(|path| TreePath::from(*path)).collect();
        self.calls.remove(&TreeRemove { space: "ours".into(), paths, recursive: true, preview: false })
    }

    pub fn share(&self, path: &str, member: &str, role: &str) -> Result<Vec<Access>, ApiError> {
        let (space, path) = ("ours".into(), path.into());
        self.calls.share(&SpaceShare { space, path, member: member.into(), role: role.into(), quota: None })
    }

    /// Puts a file over what is there, as `warren put` does.
    pub fn put(&self, space: &str, path: &str, text: &[u8]) -> Result<(), ApiError> {
        let source = self.dir.path().join("source");
        std::fs::write(&source, text).unwrap();
        let kept = self.kept(space);
        let put = contents::Put {
            source: store::source::Source::new([source]).unwrap(),
            parts: super::super::scene::Scene::of(&kept.space).unwrap().parts,
            to: path.into(),
            exact: true,
            parents: false,
            delete: false,
            only_if: None,
        };
        let progress = contents::Progress::silent();
        contents::put(&kept, &self.calls.spaces.objects, &put, &progress).map_err(ApiError::from)
    }

    /// What `warren cat` says.
    pub fn cat(&self, space: &str, path: &str, at: Option<&str>) -> Result<String, ApiError> {
        let (space, at) = (space.to_owned(), at.map(str::to_owned));
        let request = TreeRead { space, path: path.into(), at, offset: 0, length: None };
        let (first, mut rest) = self.calls.pieces(&request)?;
        let mut bytes = Vec::new();
        let next = std::iter::from_fn(|| rest.next(&contents::Patient).map(|piece| piece.map_err(ApiError::from)));
        for piece in first.map(Ok).into_iter().chain(next) {
            match piece? {
                contents::Piece::Data(data) => bytes.extend(data),
                contents::Piece::Zeros(len) => bytes.resize(bytes.len() + len as usize, 0),
            }
        }
        Ok(String::from_utf8(bytes).unwrap())
    }

    /// Writes a small file, in the knowledge of what is there.
    pub fn write(&self, path: &str, text: &str) {
        let kept = self.kept("ours");
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let content = Content::File {
            size: text.len() as u64,
            hash: *blake3::hash(text.as_bytes()).as_bytes(),
            manifest: logic::space::manifest::Manifest::Inline(ByteBuf::from(text.as_bytes())).to_bytes().unwrap(),
        };
        let written = Written { content, ..Written::default() };
        let write = |work: &mut crate::spaces::space::Work<'_, '_>, scene: &super::super::scene::Scene| {
            let tree = logic::space::Tree::new(work.store);
            let eye = super::super::scene::Eye::new(&tree, None, scene);
            let dir = super::super::paths::find(&eye, &dir.into())?;
            let into: Node = dir.entry.inside();
            let found = eye.entry(into, name.as_bytes())?;
            let content = found.as_ref().map(|entry| entry.content());
            let bases = content.map(|node| tree.heads(node)).transpose()?.unwrap_or_default();
            let realm = content.map_or(into.realm, |node| node.realm);
            let mut pen = Pen::open(&kept.space, work, realm, clock::now())?;
            let node = match content {
                Some(node) => node.id,
                None => pen.make(Kind::File, into.id, name.as_bytes())?,
            };
            pen.push(TreeChange::Put { node, bases, written })?;
            pen.finish()
        };
        self.calls.change(&kept, write).unwrap();
    }

    /// All its spaces.
    pub fn all(&self) -> Vec<api::types::Space> {
        self.calls.all_spaces().unwrap()
    }

    /// Everything that is shown: paths, and what small files hold.
    pub fn shows(&self) -> Vec<(String, String)> {
        self.shows_at(None)
    }

    pub fn shows_at(&self, at: Option<&str>) -> Vec<(String, String)> {
        let query = TreeQuery {
            space: "ours".into(),
            recursive: true,
            at: at.map(str::to_owned),
            limit: Some(100_000),
            ..TreeQuery::default()
        };
        let listing = self.calls.list(&query).unwrap();
        listing.entries.iter().map(|entry| (entry.path.shown(), self.content(entry))).collect()
    }

    /// What the version of an entry holds.
    fn content(&self, entry: &TreeEntry) -> String {
        if entry.kind != EntryKind::File {
            return format!("{:?}", entry.kind);
        }
        let wanted = entry.version.clone().unwrap_or_default();
        let kept = self.kept("ours");
        kept.space
            .tree(|tree| {
                let mut open = vec![Node::ROOT];
                open.extend(super::super::scene::Scene::of(&kept.space)?.parts.iter().map(|part| part.node));
                open.extend(kept.space.look(|ledger, _| {
                    Ok(ledger.judgement().realms().map(|(realm, _)| Node::root_of(realm)).collect::<Vec<_>>())
                })?);
                let files = open.iter().map(|root| Node { id: NodeId::FILE, ..*root }).collect::<Vec<_>>();
                for node in open.into_iter().flat_map(|root| everything(tree, root)).chain(files) {
                    for event in tree.history(node)? {
                        let logic::space::Event::Written(version) = event else { continue };
                        if super::super::at::version_text(&version.stamp.id()) != wanted {
                            continue;
                        }
                        if let Some(Written { content: Content::File { size, manifest, .. }, .. }) = version.written
                            && let Ok(logic::space::manifest::Manifest::Inline(bytes)) =
                                logic::space::manifest::Manifest::read(&manifest, size)
                        {
                            return Ok(String::from_utf8(bytes.into_vec()).unwrap());
                        }
                    }
                }
                Ok(format!("? {wanted}"))
            })
            .unwrap()
    }
}

/// Every node that is or was below a directory.
pub fn everything<R: logic::space::Rows>(tree: &logic::space::Tree<R>, root: Node) -> Vec<Node>
where
    R::Error: std::fmt::Debug,
{
    let (mut found, mut open) = (Vec::new(), vec![root]);
    while let Some(dir) = open.pop() {
        let entries = tree.list(dir).unwrap().into_iter().chain(tree.deleted_in(dir).unwrap());
        for node in entries.map(|entry| entry.content()).collect::<Vec<_>>() {
            found.push(node);
            if node.id.kind() == Some(logic::space::NodeKind::Dir) {
                open.push(node);
            }
        }
    }
    found
}

/// Two devices tell each other all about a space.
pub fn chat(one: &Space, other: &Space) {
    let ends = [one, other];
    let mut sessions = ends.map(|end| Session::new(end.id()));
    let mut inboxes: [VecDeque<Message>; 2] = Default::default();
    for _ in 0..10_000 {
        for (number, end) in ends.iter().enumerate() {
            let news = end.news(&mut sessions[number]).unwrap();
            inboxes[1 - number].extend(news);
        }
        let Some(number) = inboxes.iter().position(|inbox| !inbox.is_empty()) else { return };
        let message = inboxes[number].pop_front().unwrap();
        let peer = ends[1 - number].device();
        let heard = ends[number].hear(&mut sessions[number], peer, message, clock::now()).unwrap();
        assert!(heard.withheld.is_empty() && heard.outcome.refused.is_empty());
        inboxes[1 - number].extend(heard.answers);
    }
    panic!("they never stop");
}

/// Two devices tell each other of the space called `ours`; the second enters it where it has not, and gets the keys.
pub fn meet(one: &Home, other: &Home) {
    one.tell(other);
    other.tell(one);
    let old = one.kept("ours");
    let kept = match other.calls.spaces.get(old.space.id()) {
        Some(kept) => kept,
        None => {
            let mut newcomer = Newcomer::new(old.space.id());
            let mut session = Session::new(old.space.id());
            let have = old.space.news(&mut session).unwrap().unwrap();
            let Ok(Begin::Send(want)) = newcomer.handle(have) else { panic!("does not ask") };
            let heard = old.space.hear(&mut session, other.keys.device.id(), want, clock::now()).unwrap();
            let Ok(Begin::Found(genesis, _)) = newcomer.handle(heard.answers[0].clone()) else {
                panic!("no beginning")
            };
            other.calls.spaces.adopt(*genesis).unwrap()
        }
    };
    chat(&old.space, &kept.space);
    kept.space.enter(other.calls.spaces.chain().unwrap(), clock::now()).unwrap();
    chat(&old.space, &kept.space);
    old.space.rekey_where_due(clock::now()).unwrap();
    kept.space.rekey_where_due(clock::now()).unwrap();
    chat(&old.space, &kept.space);
}

pub fn lines(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    lines.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}
