//! Files and directories of a space onto the disk of this machine.
//!
//! Everything is built beside the target, verified and made durable, and then moved into place: so nothing there is ever
//! half, nothing outside of the target is touched, and no link on the way is followed (`store::landing`). A file whose
//! content cannot be had is left out and told of; if nothing can be had, nothing lands.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use api::types::{Existing, TreePath};
use api::{ApiError, ErrorCode};
use logic::ledger::Frontier;
use logic::space::{Content, Entry, Meta, Node, NodeKind, Written};
use store::landing::{Attributes, Building, Clash, Landing, LandingError};
use store::xattr::Attribute;
use store::{FileTime, RelPath};

use super::fault::ContentFault;
use super::jobs::Progress;
use super::read::{Access, Piece, Pieces, Waiting};
use super::reading;
use super::target::shown;

/// Files up to here are written in one go.
const SMALL: u64 = 1 << 20;

/// What is brought here, and how.
pub(crate) struct Get {
    /// What, with the names that it gets. Directories with all that is in them.
    pub what: Vec<(OsString, Entry)>,
    /// As it was then.
    pub then: Option<Frontier>,
    /// Into this directory.
    pub into: PathBuf,
    /// What happens to what is there already.
    pub existing: Existing,
}

/// Brings it here.
///
/// # Errors
/// [`ContentFault`]: then nothing was made or changed, but for what is told of in [`Merged`](store::landing::Merged).
pub(crate) fn get(access: &Access, get: &Get, progress: &Progress) -> Result<(), ContentFault> {
    let building = Landing::open(&get.into)?.begin(&seal::random())?;
    let mut getting = Getting { access, get, progress, building: &building, failed: None, landed: 0 };
    let done = getting.all().and_then(|()| progress.go_on());
    let fault = match (done, getting.failed.take(), getting.landed) {
        (Err(fault), _, _) | (Ok(()), Some(fault), 0) => Some(fault),
        _ => None,
    };
    if let Some(fault) = fault {
        building.abandon()?;
        return Err(fault);
    }
    progress.note(|job| job.scanned = true);
    let paths = match get.existing {
        Existing::Number => building.finish()?.settle()?,
        Existing::Skip | Existing::Replace => {
            let clash = if get.existing == Existing::Skip { Clash::Keep } else { Clash::Replace };
            let merged = building.merge(clash)?;
            for place in merged.blocked {
                progress.warn(format!("{}: something of another kind is in the way", place.display()));
            }
            merged.paths
        }
    };
    for path in paths {
        progress.made(TreePath(path.into_os_string().into_vec()));
    }
    Ok(())
}

struct Getting<'a> {
    access: &'a Access,
    get: &'a Get,
    progress: &'a Progress,
    building: &'a Building,
    /// Why the first file that was left out was.
    failed: Option<ContentFault>,
    /// Things that were made.
    landed: u64,
}

/// A directory that is being made.
struct Level {
    path: Option<RelPath>,
    meta: Meta,
    entries: std::vec::IntoIter<(OsString, Entry)>,
}

impl Waiting for Progress {
    fn waits(&self, waits: bool) {
        use api::types::JobState;
        self.note(|job| job.state = if waits { JobState::Waiting } else { JobState::Running });
    }

    fn goes_on(&self) -> bool {
        !self.is_cancelled()
    }
}

impl Getting<'_> {
    fn all(&mut self) -> Result<(), ContentFault> {
        let top = Level { path: None, meta: Meta::default(), entries: self.counted(self.get.what.clone()) };
        let mut levels = vec![top];
        while let Some(level) = levels.last_mut() {
            self.progress.go_on()?;
            let Some((name, entry)) = level.entries.next() else {
                if let Some(Level { path: Some(path), meta, .. }) = levels.pop() {
                    let xattrs = xattrs(&meta);
                    self.building.restore_dir(&path, &attributes(&meta, &xattrs))?;
                }
                continue;
            };
            let joined = match &level.path {
                Some(path) => path.join(&name),
                None => RelPath::new([&name]),
            };
            let Ok(path) = joined else {
                self.progress.warn(format!("{}: it lies too deep", shown(name.as_bytes())));
                continue;
            };
            match entry.kind.is_dir() {
                true => {
                    self.building.create_dir(&path)?;
                    self.landed += 1;
                    let meta = self.written(&entry)?.meta;
                    let entries = self.list(entry.node)?;
                    levels.push(Level { path: Some(path), meta, entries });
                }
                false => self.one(&path, &entry)?,
            }
        }
        Ok(())
    }

    fn counted(&self, entries: Vec<(OsString, Entry)>) -> std::vec::IntoIter<(OsString, Entry)> {
        let files = entries.iter().filter(|(_, entry)| entry.kind == NodeKind::File);
        let sizes: Vec<u64> = files.map(|(_, entry)| entry.brief.as_ref().map_or(0, |brief| brief.size)).collect();
        self.progress.note(|job| {
            job.files_total += sizes.len() as u64;
            job.bytes_total += sizes.iter().sum::<u64>();
        });
        entries.into_iter()
    }

    /// What a directory shows. A name that only one was given is that one's: a conflict of upper and lower case is none
    /// where both can be.
    fn list(&self, dir: Node) -> Result<std::vec::IntoIter<(OsString, Entry)>, ContentFault> {
        let entries = self.access.kept.space.tree(|tree| {
            Ok(match &self.get.then {
                None => tree.list(dir)?,
                Some(frontier) => tree.at(frontier).list(dir)?,
            })
        })?;
        let mut given: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for entry in &entries {
            *given.entry(entry.given.clone()).or_default() += 1;
            if entry.name != entry.given {
                *given.entry(entry.name.clone()).or_default() += 1;
            }
        }
        let named = entries.into_iter().map(|entry| {
            let name = if given.get(&entry.given) == Some(&1) { &entry.given } else { &entry.name };
            (OsString::from_vec(name.clone()), entry)
        });
        Ok(self.counted(named.collect()))
    }

    /// What is written of a node.
    fn written(&self, entry: &Entry) -> Result<Written, ContentFault> {
        let version = self.access.kept.space.tree(|tree| {
            Ok(match &self.get.then {
                None => tree.stat(entry.content())?.and_then(|stat| stat.version),
                Some(frontier) => tree.at(frontier).version(entry.content())?,
            })
        })?;
        Ok(version.and_then(|version| version.written).unwrap_or_default())
    }

    /// A file or link; one that cannot be had is left out.
    fn one(&mut self, path: &RelPath, entry: &Entry) -> Result<(), ContentFault> {
        if self.get.existing == Existing::Skip && self.get.into.join(path.as_path()).symlink_metadata().is_ok() {
            return Ok(());
        }
        match self.try_one(path, entry) {
            Ok(()) => {
                self.landed += 1;
                if entry.kind == NodeKind::File {
                    self.progress.note(|job| job.files_done += 1);
                }
                Ok(())
            }
            Err(
                fault @ (ContentFault::Cancelled
                | ContentFault::Space(_)
                | ContentFault::Landing(LandingError::DiskFull { .. } | LandingError::Denied { .. })),
            ) => Err(fault),
            Err(fault) => {
                self.building.remove(path)?;
                self.progress.warn(format!("{}: {fault}", shown(path.as_path().as_os_str().as_bytes())));
                self.failed.get_or_insert(fault);
                Ok(())
            }
        }
    }

    fn try_one(&self, path: &RelPath, entry: &Entry) -> Result<(), ContentFault> {
        let Written { content, meta, .. } = self.written(entry)?;
        let xattrs = xattrs(&meta);
        let attributes = attributes(&meta, &xattrs);
        match &content {
            Content::Link { target } => {
                self.building.symlink(path, OsStr::from_bytes(target))?;
                if let Some(modified) = attributes.modified {
                    self.building.set_modified(path, modified)?;
                }
            }
            // Made, and not written yet.
            Content::Nothing if entry.kind == NodeKind::Link => {}
            Content::Nothing => drop(self.building.put_restored(path, &[], &attributes)?),
            Content::File { size, hash, .. } => self.file(path, &content, (*size, hash), &attributes)?,
        }
        Ok(())
    }

    fn file(
        &self,
        path: &RelPath,
        content: &Content,
        (size, hash): (u64, &[u8; 32]),
        attributes: &Attributes<'_>,
    ) -> Result<(), ContentFault> {
        let mut pieces = Pieces::open(self.access.clone(), content, 0..size, self.progress)?;
        let (mut hasher, mut at) = (blake3::Hasher::new(), 0);
        let matches = |hasher: &blake3::Hasher| {
            if hasher.finalize().as_bytes() == hash { Ok(()) } else { Err(ContentFault::WrongHash) }
        };
        if size <= SMALL {
            let mut bytes = Vec::with_capacity(size as usize);
            while let Some(piece) = pieces.next(self.progress) {
                match piece? {
                    Piece::Data(data) => bytes.extend(data),
                    Piece::Zeros(len) => bytes.resize(bytes.len() + len as usize, 0),
                }
            }
            hasher.update(&bytes);
            matches(&hasher)?;
            self.building.put_restored(path, &bytes, attributes)?;
            self.progress.note(|job| job.bytes_done += size);
            return Ok(());
        }
        let file = self.building.create_file(path, false)?;
        pieces.for_each(self.progress, |piece| {
            self.progress.go_on()?;
            let len = match piece {
                Piece::Data(data) => {
                    hasher.update(&data);
                    file.write_at(at, &data)?;
                    data.len() as u64
                }
                Piece::Zeros(len) => {
                    reading::zeros(&mut hasher, len);
                    len
                }
            };
            at += len;
            self.progress.note(|job| job.bytes_done += len);
            Ok(())
        })?;
        file.set_len(size)?;
        matches(&hasher)?;
        file.restore(attributes)?;
        Ok(())
    }
}

fn xattrs(meta: &Meta) -> Vec<Attribute> {
    meta.xattrs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

fn attributes<'a>(meta: &Meta, xattrs: &'a [Attribute]) -> Attributes<'a> {
    let modified = meta.mtime.map(|mtime| FileTime { seconds: mtime.secs, nanos: mtime.nanos });
    Attributes { modified, mode: meta.mode, xattrs }
}

/// Where an absolute path as the API says it leads, and the name there if the one thing is to become it.
///
/// # Errors
/// It is not absolute, or has no name.
pub(crate) fn destination(to: &TreePath, exact: bool) -> Result<(PathBuf, Option<OsString>), ApiError> {
    let path = Path::new(OsStr::from_bytes(&to.0));
    let bad = |why: &str| ApiError::new(ErrorCode::BadRequest, format!("{}: {why}", to.shown()));
    if !path.is_absolute() {
        return Err(bad("the path on this machine must be absolute"));
    }
    if !exact {
        return Ok((path.to_owned(), None));
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent.to_owned(), Some(name.to_owned()))),
        _ => Err(bad("it cannot be replaced")),
    }
}
