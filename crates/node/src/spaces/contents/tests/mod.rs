//! Folders go into spaces and come back, through the spaces of a home on a disk of its own.

#![allow(clippy::unwrap_used)]

mod copying;
mod faults;
mod holding;
mod properties;
mod putting;
mod reading;
mod speed;
mod tidying;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::EventHub;
use api::types::{Existing, Job, TreePath};
use logic::space::{Content, Entry, Node, NodeKind, Written};
use logic::transfer::path::RelPath;
use seal::{Keyring, RootKey};
use store::database::Database;
use store::source::Source;

use super::jobs::Progress;
use super::{Access, Alone, ContentFault, Get, Patient, Piece, Pieces, Put, get, put};
use crate::circle::Circle;
use crate::clock;
use crate::spaces::{Kept, Spaces};

/// A home with one space.
struct Home {
    dir: tempfile::TempDir,
    keys: Arc<Keyring>,
    spaces: Option<Spaces>,
    kept: Option<Arc<Kept>>,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keys = Arc::new(Keyring { root: Some(RootKey::generate()), ..Keyring::generate() });
        let database = Database::create(&dir.path().join("database"), keys.records.clone()).unwrap();
        Circle::open(&database, keys.clone()).unwrap().found("home", "ada", "laptop").unwrap();
        drop(database);
        fs::create_dir(dir.path().join("spaces")).unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        let mut home = Self { dir, keys, spaces: None, kept: None };
        home.restart();
        home.kept = Some(home.spaces().found("docs").unwrap());
        home
    }

    /// Ends without a word, and begins again from what is on the disk.
    fn restart(&mut self) {
        (self.kept, self.spaces) = (None, None);
        let at = |name: &str| self.dir.path().join(name);
        let database = Database::open(&at("database"), self.keys.records.clone()).unwrap();
        let circle = Arc::new(Circle::open(&database, self.keys.clone()).unwrap());
        let spaces = Spaces::open(&at("spaces"), &at("objects"), &database, self.keys.clone(), circle).unwrap();
        self.kept = spaces.all().into_iter().next();
        self.spaces = Some(spaces);
    }

    fn spaces(&self) -> &Spaces {
        self.spaces.as_ref().unwrap()
    }

    fn kept(&self) -> &Arc<Kept> {
        self.kept.as_ref().unwrap()
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn access(&self) -> Access {
        Access {
            kept: self.kept().clone(),
            objects: self.spaces().objects.clone(),
            fetch: Arc::new(Alone),
            patience: Some(Duration::ZERO),
        }
    }

    fn put_with(&self, put_: &Put) -> (Result<(), ContentFault>, Job) {
        let progress = Progress::new("put", "docs", EventHub::default());
        let done = put(self.kept(), &self.spaces().objects, put_, &progress);
        (done, progress.job())
    }

    fn put(&self, source: &Path, to: &str) -> Job {
        let (done, job) = self.put_with(&asked(source, to));
        done.unwrap();
        job
    }

    /// Brings what a path shows into a new directory.
    fn get(&self, path: &str) -> PathBuf {
        let into = self.dir.path().join(format!("got-{}", seal::random::<4>().map(|byte| byte.to_string()).concat()));
        self.get_with(path, &into, Existing::Number).0.unwrap();
        into
    }

    fn get_with(&self, path: &str, into: &Path, existing: Existing) -> (Result<(), ContentFault>, Job) {
        let progress = Progress::new("get", "docs", EventHub::default());
        let entry = self.entry(path).unwrap();
        let what = vec![(OsString::from_vec(entry.name.clone()), entry)];
        let asked = Get { what, then: None, into: into.to_owned(), existing };
        (get(&self.access(), &asked, &progress), progress.job())
    }

    fn entry(&self, path: &str) -> Option<Entry> {
        let path = RelPath::parse(path.as_bytes()).unwrap();
        self.kept().space.tree(|tree| Ok(tree.lookup(&path)?)).unwrap()
    }

    fn written(&self, path: &str) -> Written {
        let node = self.entry(path).unwrap().node;
        let version = self.kept().space.tree(|tree| Ok(tree.stat(node)?)).unwrap().unwrap().version;
        version.unwrap().written.unwrap()
    }

    fn read(&self, path: &str, range: std::ops::Range<u64>) -> Result<Vec<u8>, ContentFault> {
        let mut pieces = Pieces::open(self.access(), &self.written(path).content, range, &Patient)?;
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next(&Patient) {
            match piece? {
                Piece::Data(data) => bytes.extend(data),
                Piece::Zeros(len) => bytes.resize(bytes.len() + len as usize, 0),
            }
        }
        Ok(bytes)
    }

    fn commits(&self) -> u64 {
        self.kept().space.peek(|reader| Ok(reader.commits()?)).unwrap()
    }

    fn names(&self, path: &str) -> Vec<String> {
        let dir = if path.is_empty() { Node::ROOT } else { self.entry(path).unwrap().node };
        let entries = self.kept().space.tree(|tree| Ok(tree.list(dir)?)).unwrap();
        entries.into_iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect()
    }
}

fn asked(source: &Path, to: &str) -> Put {
    Put {
        source: Source::new([source]).unwrap(),
        parts: Vec::new(),
        to: TreePath::from(to),
        exact: false,
        parents: false,
        delete: false,
        only_if: None,
    }
}

/// What lies at a path, without its name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lies {
    Dir { mode: u32, mtime: (i64, i64) },
    File { bytes: [u8; 32], size: u64, mode: u32, mtime: (i64, i64), xattrs: Vec<(Vec<u8>, Vec<u8>)> },
    Link { to: PathBuf, mtime: (i64, i64) },
}

/// Everything below a directory.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Lies> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(here) = open.pop() {
        for entry in fs::read_dir(&here).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let mtime = (meta.mtime(), meta.mtime_nsec());
            let mode = meta.permissions().mode() & 0o777;
            let lies = if meta.is_dir() {
                open.push(path.clone());
                Lies::Dir { mode, mtime }
            } else if meta.is_symlink() {
                Lies::Link { to: fs::read_link(&path).unwrap(), mtime }
            } else {
                let bytes = *blake3::hash(&fs::read(&path).unwrap()).as_bytes();
                Lies::File { bytes, size: meta.len(), mode, mtime, xattrs: xattrs(&path) }
            };
            found.insert(path.strip_prefix(dir).unwrap().to_owned(), lies);
        }
    }
    found
}

fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let parent = Source::new([path]).unwrap();
    let entry = parent.walk().next().unwrap().unwrap();
    parent.open(&entry.path).unwrap().xattrs().unwrap()
}

/// Bytes that do not compress.
fn noise(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}
