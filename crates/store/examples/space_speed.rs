//! Measures the file of a space: filling it, one change in it, a listing, opening it, checking it.
//!
//! ```text
//! cargo run --release -p warren-store --example space_speed -- FOLDER make [files]
//! cargo run --release -p warren-store --example space_speed -- FOLDER use
//! cargo run --release -p warren-store --example space_speed -- FOLDER check
//! ```
//!
//! `make` fills a new space in FOLDER: 10,000 files in one directory, the others in directories of 1,000, in commits of
//! 1,000 changes. `use` opens it in a process of its own, so that what it says of the memory is about opening.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use logic::ledger::{self, Commit, Header, Shelved};
use logic::space::{Change, Content, Kind, Node, NodeId, NodeKind, Origin, Rows, Table, Tree, Written};
use seal::{DeviceKey, RecordKey, Timestamp};
use warren_store::space::{Note, Reading, SpaceError, SpaceStore, Worth};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Changes of a commit: each file takes two.
const BATCH: usize = 1000;
const LARGE: usize = 10_000;
const SMALL: usize = 1000;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("which folder?")?);
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("space.db");
    let what = arguments.next().ok_or("make, use or check?")?;
    match what.to_str() {
        Some("make") => {
            let files = arguments.next().map_or(Ok(100_000), |n| n.to_string_lossy().parse())?;
            make(&path, files)
        }
        Some("use") => each_use(&path),
        Some("check") => check(&path),
        _ => Err("make, use or check?".into()),
    }
}

fn key() -> RecordKey {
    RecordKey::from_bytes(&[7; 32])
}

/// A device that writes commits.
struct Author {
    key: DeviceKey,
    seq: u64,
    previous: ledger::CommitId,
}

impl Author {
    fn new(seed: u8) -> Self {
        Self { key: DeviceKey::from_seed(&[seed; 32]), seq: 0, previous: ledger::CommitId::ZERO }
    }

    fn node(&self, index: usize, kind: NodeKind) -> NodeId {
        NodeId::of(&self.key.id(), self.seq, index as u32, kind)
    }

    fn commit(&mut self, lamport: u64, changes: &[Change]) -> Outcome<(Shelved, Origin)> {
        let header = Header {
            version: ledger::VERSION,
            ledger: ledger::CommitId::from_bytes([9; 32]),
            device: self.key.id(),
            seq: self.seq,
            previous: self.previous,
            seen: Vec::new(),
            frontier: [0; 32],
            lamport,
            time: Timestamp(1_790_000_000_000 + lamport as i64),
            sure: true,
            cap: ledger::CommitId::ZERO,
            realm: ledger::RealmId::ROOT,
            epoch: ledger::CommitId::from_bytes([8; 32]),
            kind: ledger::Kind::Data,
            body_len: 0,
            body_hash: [0; 32],
        };
        let commit = Commit::make(&self.key, header, Change::write_all(changes)?)?;
        let origin = Origin {
            // Whatever type an id is, it is 32 bytes.
            commit: postcard::from_bytes(commit.id().as_bytes())?,
            device: self.key.id(),
            seq: self.seq,
            lamport,
            time: commit.header().time,
            realm: Node::ROOT.realm,
        };
        self.seq += 1;
        self.previous = commit.id();
        Ok((Shelved { commit, branch: 0, after: None }, origin))
    }
}

/// Stores a commit and applies it, as a device does with one that counts.
fn take(store: &SpaceStore, shelved: &Shelved, origin: &Origin, changes: &[Change]) -> Result<(), SpaceError> {
    store.transaction(|tx| {
        tx.store(shelved)?;
        Tree::new(tx).apply(origin, changes)?;
        let note = Note { worth: Worth::Effective, reading: Reading::Opened, applied: true };
        tx.set_note(&shelved.commit.id(), &note)
    })
}

fn put(node: NodeId, number: u64, bases: Vec<logic::space::VersionId>) -> Change {
    let hash = *blake3::hash(&number.to_le_bytes()).as_bytes();
    let content =
        Content::File { size: 1000 + number % 9000, hash, manifest: [&hash[..], &hash[..], &[1; 6]].concat().into() };
    let meta = logic::space::Meta {
        mtime: Some(logic::transfer::listing::Mtime { secs: 1_790_000_000 + number as i64, nanos: 123_456_789 }),
        mode: Some(0o644),
        xattrs: Vec::new(),
    };
    Change::Put { node, bases, written: Written { content, meta, restored: None } }
}

fn make(path: &Path, files: usize) -> Outcome<()> {
    for ending in ["", "-wal", "-shm", ".mark"] {
        let _ = std::fs::remove_file(format!("{}{ending}", path.display()));
    }
    let store = SpaceStore::create(path, &key(), ledger::CommitId::from_bytes([9; 32]))?;
    let mut author = Author::new(1);
    let dirs = 1 + files.saturating_sub(LARGE).div_ceil(SMALL);
    let mut parents = Vec::new();
    let mut lamport = 0;
    for chunk in (0..dirs).collect::<Vec<_>>().chunks(BATCH) {
        let make = |(index, dir): (usize, &usize)| {
            let node = author.node(index, NodeKind::Dir);
            let name = format!("directory {dir:04}").into_bytes().into();
            Change::Make { node, kind: Kind::Dir, parent: NodeId::ROOT, name }
        };
        let changes: Vec<_> = chunk.iter().enumerate().map(make).collect();
        parents.extend(changes.iter().map(Change::node));
        lamport += 1;
        let (shelved, origin) = author.commit(lamport, &changes)?;
        take(&store, &shelved, &origin, &changes)?;
    }
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    for chunk in (0..files).collect::<Vec<_>>().chunks(BATCH / 2) {
        let mut changes = Vec::new();
        for file in chunk {
            let node = author.node(changes.len(), NodeKind::File);
            let dir = if *file < LARGE { 0 } else { 1 + (file - LARGE) / SMALL };
            let name = format!("picture-{file:07}.jpg").into_bytes().into();
            changes.push(Change::Make { node, kind: Kind::File, parent: parents[dir], name });
            changes.push(put(node, *file as u64, Vec::new()));
        }
        lamport += 1;
        let (shelved, origin) = author.commit(lamport, &changes)?;
        let one = Instant::now();
        take(&store, &shelved, &origin, &changes)?;
        slowest = slowest.max(one.elapsed());
    }
    let took = started.elapsed().as_secs_f64();
    drop(store);
    let bytes = path.metadata()?.len();
    println!("{files} files in {took:.1} s: {:.0} files/s, slowest commit {slowest:.1?}", files as f64 / took);
    println!(
        "{:.0} bytes on disk per file ({:.1} MiB), {}",
        bytes as f64 / files as f64,
        bytes as f64 / 1048576.0,
        memory()
    );
    Ok(())
}

fn each_use(path: &Path) -> Outcome<()> {
    let before = memory();
    let started = Instant::now();
    let store = SpaceStore::open(path, &key())?;
    let opened = started.elapsed();
    let standing = store.standing()?;
    let root = store.read(|reader| Ok::<_, SpaceError>(Tree::new(reader).list(Node::ROOT)?))?;
    println!(
        "opened in {opened:.1?} ({standing:?}), with the root's {} entries in {:.1?}",
        root.len(),
        started.elapsed()
    );
    println!("memory before: {before}; after: {}", memory());
    let large = root.first().ok_or("nothing in it")?.node;
    let mut times = Vec::new();
    let mut entries = Vec::new();
    for _ in 0..11 {
        let one = Instant::now();
        entries = store.read(|reader| Ok::<_, SpaceError>(Tree::new(reader).list(large)?))?;
        times.push(one.elapsed());
    }
    let first = times[0];
    println!("{} entries listed: first {first:.1?}, {}", entries.len(), summary(&mut times));
    let mut times = Vec::new();
    for _ in 0..11 {
        let one = Instant::now();
        let group = postcard::to_stdvec(&large)?;
        let rows = store.read(|reader| reader.scan(Table::Child, &group, None))?;
        times.push(one.elapsed());
        assert_eq!(rows.len(), entries.len(), "the rows of the listing");
    }
    println!("its rows alone: {}", summary(&mut times));
    let mut times = Vec::new();
    for entry in entries.iter().step_by(97) {
        let one = Instant::now();
        store.read(|reader| Ok::<_, SpaceError>(Tree::new(reader).stat(entry.node)?))?.ok_or("gone")?;
        times.push(one.elapsed());
    }
    println!("stat: {}", summary(&mut times));
    let mut author = Author::new(2 + (std::process::id() % 200) as u8);
    let mut times = Vec::new();
    for (number, entry) in entries.iter().step_by(31).take(300).enumerate() {
        let bases = store.read(|reader| Ok::<_, SpaceError>(Tree::new(reader).heads(entry.node)?))?;
        let changes = [put(entry.node.id, number as u64, bases)];
        let (shelved, origin) = author.commit(10_000_000 + number as u64, &changes)?;
        let one = Instant::now();
        take(&store, &shelved, &origin, &changes)?;
        times.push(one.elapsed());
    }
    println!("one file changed: {}", summary(&mut times));
    println!("memory: {}", memory());
    Ok(())
}

fn check(path: &Path) -> Outcome<()> {
    let store = SpaceStore::open(path, &key())?;
    let started = Instant::now();
    let report = store.check()?;
    println!(
        "{} rows and {} commits checked in {:.1?}: {:?}",
        report.rows,
        report.commits,
        started.elapsed(),
        report.damage
    );
    Ok(())
}

fn summary(times: &mut [Duration]) -> String {
    times.sort();
    let at = |permille: usize| times[(times.len() - 1) * permille / 1000];
    format!("median {:.2?}, 90 % {:.2?}, most {:.2?}", at(500), at(900), at(1000))
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of =
        |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().replace([' ', '\t'], "");
    format!("{} {}", of("VmRSS"), of("VmHWM"))
}
