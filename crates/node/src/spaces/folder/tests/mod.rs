//! Folders of several devices in one process; what their spaces say and hold goes from hand to hand.

#![allow(clippy::unwrap_used)]

mod alone;
mod random;
mod story;
mod thread;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use logic::space::{Conflict, Content, Event, Node, Written};
use store::folder::{Dirty, Folder};
use store::objects::HeldPlace;

use super::base::{self, FolderId};
use super::keeper::{Keeper, Open, Standing};
use super::{FolderFault, Hands};
use crate::clock;
use crate::spaces::Kept;
use crate::spaces::calls::tests::world::{self, Home, chat};
use crate::spaces::contents::{Access, Alone, Progress};

/// A device with a folder.
struct Device {
    home: Home,
    dir: tempfile::TempDir,
    keeper: Arc<Keeper>,
    open: Option<Open>,
}

impl Device {
    fn new(home: Home) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        let path = dir.path().join("folder").canonicalize().unwrap();
        Folder::begin(&path).unwrap();
        let kept = home.kept("ours");
        let access = Access {
            kept: kept.clone(),
            objects: home.spaces().objects.clone(),
            fetch: Arc::new(Alone),
            patience: Some(Duration::ZERO),
        };
        let hands = Hands { access, progress: Progress::silent() };
        let keeper = Keeper::new(FolderId(seal::random()), path, kept, Node::ROOT, false, hands);
        Self { home, dir, keeper, open: None }
    }

    fn kept(&self) -> &Arc<Kept> {
        &self.keeper.kept
    }

    fn at(&self, path: &str) -> PathBuf {
        self.keeper.path.join(path)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        String::from_utf8(fs::read(self.at(path)).unwrap()).unwrap()
    }

    fn has(&self, path: &str) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    fn mv(&self, from: &str, to: &str) {
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    fn rm(&self, path: &str) {
        fs::remove_file(self.at(path)).unwrap();
    }

    /// Looks at everything, tells and does; says how many contents are still to come.
    fn try_round(&mut self) -> Result<u64, FolderFault> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.keeper.open()?,
        };
        let all = Dirty { all: true, ..Dirty::default() };
        let (waiting, _) = self.keeper.rounds(&mut open, all, None)?;
        self.open = Some(open);
        Ok(waiting)
    }

    fn round(&mut self) -> u64 {
        self.try_round().unwrap()
    }

    /// What a round does that is woken by the space only.
    fn hear(&mut self) -> u64 {
        let mut open = self.open.take().unwrap();
        let heard = open.listener.take().dirs;
        let (waiting, _) = self.keeper.rounds(&mut open, Dirty::default(), Some(heard)).unwrap();
        self.open = Some(open);
        waiting
    }

    fn standing(&self) -> Standing {
        self.keeper.standing()
    }

    fn commits(&self) -> u64 {
        self.kept().space.peek(|reader| Ok(reader.commits()?)).unwrap()
    }

    /// A crash that lost what was in step.
    fn forget(&mut self) {
        self.kept().space.jot(|store| base::forget(store, self.keeper.id, self.keeper.top)).unwrap();
        self.open = None;
    }

    fn node(&self, path: &str) -> Option<Node> {
        let path = logic::transfer::path::RelPath::parse(path.as_bytes()).unwrap();
        self.kept().space.tree(|tree| Ok(tree.lookup(&path)?)).unwrap().map(|entry| entry.node)
    }

    fn conflicts(&self) -> Vec<Conflict> {
        self.kept().space.tree(|tree| Ok(tree.conflicts(logic::ledger::RealmId::ROOT)?)).unwrap()
    }

    /// Hashes of all contents that the space has or had.
    fn contents(&self) -> BTreeSet<[u8; 32]> {
        let found = |tree: &logic::space::Tree<&store::space::Reader<'_>>| {
            let mut found = BTreeSet::new();
            for node in world::everything(tree, Node::ROOT) {
                for event in tree.history(node)? {
                    if let Event::Written(version) = event
                        && let Some(Written { content: Content::File { hash, .. }, .. }) = version.written
                    {
                        found.insert(hash);
                    }
                }
            }
            Ok(found)
        };
        self.kept().space.tree(found).unwrap()
    }

    fn folder(&self) -> BTreeMap<PathBuf, Lies> {
        lies(&self.keeper.path)
    }

    fn space(&self) -> BTreeMap<PathBuf, Lies> {
        let read = |tree: &logic::space::Tree<&store::space::Reader<'_>>| {
            let (mut found, mut open) = (BTreeMap::new(), vec![(Node::ROOT, PathBuf::new())]);
            while let Some((dir, path)) = open.pop() {
                for entry in tree.list(dir)? {
                    if entry.node.id.is_fixed() {
                        continue;
                    }
                    let path = path.join(OsString::from_vec(entry.name.clone()));
                    let written = tree.stat(entry.content())?.unwrap().version.and_then(|version| version.written);
                    let written = written.unwrap_or_default();
                    let lies = match written.content {
                        Content::Nothing => {
                            open.push((entry.inside(), path.clone()));
                            Lies::Dir
                        }
                        Content::Link { target } => Lies::Link(PathBuf::from(OsString::from_vec(target.into_vec()))),
                        Content::File { hash, .. } => Lies::File(hash, written.meta.mode.unwrap_or(0o644).into()),
                    };
                    found.insert(path, lies);
                }
            }
            Ok(found)
        };
        self.kept().space.tree(read).unwrap()
    }

    fn check(&self) {
        assert_eq!(self.folder(), self.space());
        let staged = fs::read_dir(self.at(store::folder::STAGING)).unwrap().count();
        assert_eq!(staged, 0);
    }
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lies {
    Dir,
    File([u8; 32], u32),
    Link(PathBuf),
}

fn lies(top: &Path) -> BTreeMap<PathBuf, Lies> {
    let (mut found, mut open) = (BTreeMap::new(), vec![top.to_owned()]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().as_bytes() == store::folder::STAGING.as_bytes() {
                continue;
            }
            let meta = path.symlink_metadata().unwrap();
            let lies = if meta.is_dir() {
                open.push(path.clone());
                Lies::Dir
            } else if meta.is_symlink() {
                Lies::Link(fs::read_link(&path).unwrap())
            } else {
                Lies::File(*blake3::hash(&fs::read(&path).unwrap()).as_bytes(), meta.permissions().mode() & 0o777)
            };
            found.insert(path.strip_prefix(top).unwrap().to_owned(), lies);
        }
    }
    found
}

/// Two members with a folder each.
fn pair() -> (Device, Device) {
    with_role("editor")
}

fn with_role(role: &str) -> (Device, Device) {
    let ada = Home::founder("ada");
    ada.create("ours");
    let bob = ada.member("bob");
    ada.share("", "bob", role).unwrap();
    world::meet(&ada, &bob);
    (Device::new(ada), Device::new(bob))
}

/// Both learn what the other one has said.
fn talk(one: &Device, other: &Device) {
    chat(&one.kept().space, &other.kept().space);
}

/// And get what it holds.
fn carry(one: &Device, other: &Device) {
    for (from, to) in [(one, other), (other, one)] {
        let (source, target) = (from.home.spaces(), to.home.spaces());
        let mut next = Some(HeldPlace::default());
        while let Some(place) = next {
            let (held, after) = source.objects.held(&from.kept().namespace(), place).unwrap();
            for id in target.objects.absent(&held).unwrap() {
                let object = source.objects.get(&id).unwrap();
                target.objects.put_many(&to.kept().namespace(), &[object], clock::now()).unwrap();
            }
            next = after;
        }
    }
}

fn exchange(one: &Device, other: &Device) {
    talk(one, other);
    carry(one, other);
}

/// Until nobody has anything to say. Both folders are the same then, and what the space shows.
fn settle(one: &mut Device, other: &mut Device) {
    for _ in 0..10 {
        let before = (one.commits(), other.commits(), one.standing().done, other.standing().done);
        one.round();
        exchange(one, other);
        other.round();
        exchange(one, other);
        if before == (one.commits(), other.commits(), one.standing().done, other.standing().done) {
            one.check();
            other.check();
            assert_eq!(one.folder(), other.folder());
            return;
        }
    }
    panic!("they never rest");
}

/// Bytes that do not compress.
fn noise(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}
