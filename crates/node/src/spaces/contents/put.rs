//! Files and folders of this machine into a space.
//!
//! The sources are walked once, a batch at a time: what of it is in the space is looked up, what differs is read and
//! sealed, and when its objects are durable it is committed, thousands of files at once. So memory does not grow with
//! what is put, and what was committed stays when the rest fails. What cannot be read is left out, and told of.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

use api::types::TreePath;
use api::{ApiError, ErrorCode};
use logic::ledger::RealmId;
use logic::space::{Content, Node, NodeKind, VersionId, Written};
use serde_bytes::ByteBuf;
use store::objects::ObjectStore;
use store::source::{Entry, EntryKind, SkipReason, Source};

use super::commit::{self, Found, Item};
use super::fault::ContentFault;
use super::jobs::Progress;
use super::levels::{Levels, Planned};
use super::reading::{self, Lost, Taken};
use super::sealing::{Noted, Sealing};
use super::target;
use crate::spaces::{Kept, SpaceFault};

/// Things that are looked up and committed together, at most, and their bytes, above which no more are taken.
const BATCH: (usize, u64) = (2048, 256 << 20);
/// Times that a file is read if it changes meanwhile.
const TRIES: usize = 2;
/// Times that a batch is sealed if the realm's key is changed meanwhile.
const KEYS: usize = 3;

/// What is put, and how.
pub(crate) struct Put {
    /// What.
    pub source: Source,
    /// Parts that the root shows although it cannot be read from there.
    pub parts: Vec<logic::space::Entry>,
    /// Into this directory, or (`exact`) as this path.
    pub to: TreePath,
    /// The one source becomes `to` itself.
    pub exact: bool,
    /// Make directories that are not there.
    pub parents: bool,
    /// Delete in the directories what the sources have not.
    pub delete: bool,
    /// Only if that version is shown; `Some(None)`: only if nothing is.
    pub only_if: Option<Option<VersionId>>,
}

/// Puts.
///
/// # Errors
/// [`ContentFault`]; what was committed stays.
pub(crate) fn put(kept: &Kept, objects: &ObjectStore, put: &Put, progress: &Progress) -> Result<(), ContentFault> {
    let names = target::names(&put.to.0)?;
    let (above, exact) = match (put.exact, names.split_last()) {
        (true, Some((last, above))) => (above, Some(*last)),
        _ => (&names[..], None),
    };
    if put.exact && put.source.names().count() != 1 {
        return Err(ApiError::new(ErrorCode::BadRequest, "several sources cannot become one path").into());
    }
    let base = target::directory(kept, &put.parts, above, put.parents)?;
    let mut levels = Levels::new(base, above.join(&b'/'), exact.map(<[u8]>::to_vec), put.exact && exact.is_none());
    levels.delete = put.delete;
    levels.parts = &put.parts;
    levels.only_if = put.only_if;
    let mut walk = put.source.walk();
    let mut putting = Putting { kept, objects, source: &put.source, progress, next: 0 };
    loop {
        progress.go_on()?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        for next in walk.by_ref() {
            if let Ok(Entry { kind: EntryKind::File { size, .. }, .. }) = &next {
                bytes += size;
                progress.note(|job| {
                    job.files_total += 1;
                    job.bytes_total += size;
                });
            }
            found.push(next);
            if found.len() == BATCH.0 || bytes >= BATCH.1 {
                break;
            }
        }
        if found.is_empty() {
            break;
        }
        let age = kept.space.age();
        let mut planned = Vec::new();
        kept.space.tree(|tree| {
            for found in found {
                match found {
                    Ok(entry) => planned.extend(levels.visit(tree, entry, progress)?),
                    Err(skipped) => {
                        levels.skip(&skipped.inside);
                        if !matches!(skipped.why, SkipReason::PartialDir) {
                            progress.warn(skipped.to_string());
                        }
                    }
                }
            }
            Ok(())
        })?;
        putting.batch(planned, age)?;
    }
    progress.note(|job| job.scanned = true);
    putting.delete(levels.finish())
}

struct Putting<'a> {
    kept: &'a Kept,
    objects: &'a ObjectStore,
    source: &'a Source,
    progress: &'a Progress,
    /// Number of the next file that is read.
    next: usize,
}

/// A file whose chunks are being sealed, or another thing that is complete.
struct Draft {
    item: Item,
    taken: Option<(usize, Taken)>,
}

impl<'a> Putting<'a> {
    /// Writes what differs of a batch.
    fn batch(&mut self, planned: Vec<Planned>, age: u64) -> Result<(), ContentFault> {
        let mut realms: BTreeMap<RealmId, Vec<Planned>> = BTreeMap::new();
        for planned in planned {
            realms.entry(planned.realm()).or_default().push(planned);
        }
        let mut age = age;
        for (realm, planned) in realms {
            for attempt in 1.. {
                let mut sealing = None;
                let drafts = self.read_all(realm, &planned, &mut sealing)?;
                if drafts.is_empty() {
                    break;
                }
                let (items, noted) = self.finish(drafts, sealing.as_mut())?;
                if let Some(sealing) = &sealing
                    && attempt < KEYS
                    && sealing.is_outdated()?
                {
                    continue;
                }
                let done = commit::commit(self.kept, realm, &items, &noted, age)?;
                age += done.commits.len() as u64;
                let files = items.iter().filter(|item| item.kind == NodeKind::File).count() as u64;
                self.progress.note(|job| job.files_done += files);
                for place in done.blocked {
                    self.progress
                        .warn(format!("{place}: what is there was exchanged or shared meanwhile: put it again"));
                }
                break;
            }
        }
        Ok(())
    }

    fn read_all(
        &mut self,
        realm: RealmId,
        planned: &[Planned],
        sealing: &mut Option<Sealing<'a>>,
    ) -> Result<Vec<Draft>, ContentFault> {
        let mut drafts = Vec::new();
        for planned in planned {
            self.progress.go_on()?;
            let draft = match &planned.entry.kind {
                EntryKind::File { sparse, .. } => self.file(realm, planned, *sparse, sealing)?,
                EntryKind::Directory => {
                    let xattrs = self.source.dir_xattrs(&planned.entry.path).unwrap_or_default();
                    planned.draft(Content::Nothing, self.meta(planned, xattrs))
                }
                EntryKind::Symlink { target } => {
                    let target = ByteBuf::from(target.as_os_str().as_bytes());
                    planned.draft(Content::Link { target }, self.meta(planned, Vec::new()))
                }
            };
            drafts.extend(draft);
        }
        Ok(drafts)
    }

    fn meta(&self, planned: &Planned, xattrs: Vec<store::xattr::Attribute>) -> logic::space::Meta {
        reading::meta(planned.entry.modified, planned.entry.mode, xattrs)
    }

    /// A file that differs from what is there.
    fn file(
        &mut self,
        realm: RealmId,
        planned: &Planned,
        sparse: bool,
        sealing: &mut Option<Sealing<'a>>,
    ) -> Result<Option<Draft>, ContentFault> {
        let before = self.progress.bytes_done();
        for _ in 0..TRIES {
            self.progress.note(|job| job.bytes_done = before);
            match self.try_file(realm, planned, sparse, sealing) {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => {}
                Err(Lost::File(error)) => {
                    self.progress.warn(format!("{}: {error}", planned.place));
                    return Ok(None);
                }
                Err(Lost::All(fault)) => return Err(fault),
            }
        }
        self.progress
            .warn(format!("{} changes while it is read; put it again when nobody writes to it", planned.place));
        Ok(None)
    }

    /// `None`: it changed while it was read.
    fn try_file(
        &mut self,
        realm: RealmId,
        planned: &Planned,
        sparse: bool,
        sealing: &mut Option<Sealing<'a>>,
    ) -> Result<Option<Option<Draft>>, Lost> {
        let file = self.source.open(&planned.entry.path).map_err(Lost::File)?;
        let spooled = file.mode().is_none();
        let mut meta = reading::meta(file.meta().modified, file.mode(), file.xattrs().map_err(Lost::File)?);
        if let Some(Found { written: Written { content: Content::File { size, hash, .. }, meta: there, .. }, .. }) =
            &planned.found
            && *size == file.len()
        {
            if spooled {
                // What is handed over has only bytes.
                (meta.mode, meta.xattrs) = (there.mode, there.xattrs.clone());
            }
            // Two files may have one length and one time.
            let same = reading::hash(&file, self.progress)? == *hash;
            if same && !spooled && meta != *there {
                let changed = file.changed().map_err(Lost::File)?;
                return Ok((!changed).then(|| planned.draft_again(meta)));
            }
            if same {
                self.progress.note(|job| {
                    job.files_same += 1;
                    job.bytes_done += file.len();
                });
                return Ok(Some(None));
            }
        }
        if sealing.is_none() {
            *sealing = Some(Sealing::new(self.kept, self.objects, realm).map_err(ContentFault::from)?);
        }
        let Some(sealing) = sealing else { return Ok(None) };
        let number = self.next;
        self.next += 1;
        let taken = reading::take(&file, sparse, number, sealing, self.progress)?;
        if taken.size != file.len() || file.changed().map_err(Lost::File)? {
            return Ok(None);
        }
        Ok(Some(planned.draft_file(meta, number, taken)))
    }

    /// Everything that was sealed is durable after that.
    fn finish(
        &self,
        drafts: Vec<Draft>,
        sealing: Option<&mut Sealing<'a>>,
    ) -> Result<(Vec<Item>, Noted), ContentFault> {
        let Some(sealing) = sealing else {
            return Ok((drafts.into_iter().map(|draft| draft.item).collect(), Noted::default()));
        };
        let mut sealed = sealing.finish()?;
        let mut items = Vec::with_capacity(drafts.len());
        for Draft { mut item, taken } in drafts {
            if let Some((number, mut taken)) = taken {
                let manifest = match taken.inline.take() {
                    Some(bytes) => reading::inline(bytes)?,
                    None => sealing.manifest(sealed.parts.remove(&number).unwrap_or_default())?,
                };
                item.written.content = taken.content(manifest);
            }
            items.push(item);
        }
        sealed.noted.append(sealing.finish()?.noted);
        Ok((items, sealed.noted))
    }

    /// Deletes what the sources have not, now that all that they have is there.
    fn delete(&self, gone: Vec<Node>) -> Result<(), ContentFault> {
        for node in gone {
            self.progress.go_on()?;
            let nodes = self.kept.space.tree(|tree| Ok::<_, SpaceFault>(tree.subtree(node)?))?;
            commit::delete(self.kept, node.realm, &nodes)?;
        }
        Ok(())
    }
}

impl Planned {
    /// Where its content belongs: what is there may be a realm of its own.
    fn realm(&self) -> RealmId {
        self.found.as_ref().map_or(self.parent.realm, |found| found.entry.content().realm)
    }

    fn item(&self, written: Written) -> Item {
        let kind = match self.entry.kind {
            EntryKind::Directory => NodeKind::Dir,
            EntryKind::File { .. } => NodeKind::File,
            EntryKind::Symlink { .. } => NodeKind::Link,
        };
        Item {
            parent: self.parent.clone(),
            name: self.name.clone(),
            kind,
            written,
            found: self.found.clone(),
            spot: self.spot.clone(),
            only_if: self.only_if,
            place: self.place.clone(),
        }
    }

    /// A directory or link, if it differs from what is there.
    fn draft(&self, content: Content, meta: logic::space::Meta) -> Option<Draft> {
        let written = Written { content, meta, restored: None };
        let same = self.found.as_ref().is_some_and(|found| {
            found.entry.kind == NodeKind::Realm || found.version.is_some() && found.written.looks_like(&written)
        });
        (!same).then(|| Draft { item: self.item(written), taken: None })
    }

    /// A file whose bytes are there already.
    fn draft_again(&self, meta: logic::space::Meta) -> Option<Draft> {
        let content = self.found.as_ref()?.written.content.clone();
        Some(Draft { item: self.item(Written { content, meta, restored: None }), taken: None })
    }

    fn draft_file(&self, meta: logic::space::Meta, number: usize, taken: Taken) -> Option<Draft> {
        let written = Written { content: Content::Nothing, meta, restored: None };
        Some(Draft { item: self.item(written), taken: Some((number, taken)) })
    }
}
