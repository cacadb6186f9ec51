//! Listing a directory, now or as it was.

use api::ApiResult;
use api::types::{EntryKind, Listing, TreeEntry, TreePath, TreeQuery};
use logic::space::manifest::{Manifest, Part};
use logic::space::{Content, Entry, NodeKind, Rows, Version, Written};
use store::objects::ObjectStore;

use super::paths::Meant;
use super::people::People;
use super::scene::{Eye, Scene, is_dir, join};
use super::{Calls, at, paths};
use crate::spaces::SpaceFault;

/// Lines of a listing, unless the request says otherwise.
const LIMIT: usize = 10_000;

/// Makes lines of listings.
pub(super) struct Lines<'a, R: Rows> {
    pub(super) eye: &'a Eye<'a, R>,
    pub(super) scene: &'a Scene,
    pub(super) people: &'a People,
    pub(super) objects: &'a ObjectStore,
}

impl Calls {
    /// Answers `tree_list`.
    pub(super) fn list(&self, request: &TreeQuery) -> ApiResult<Listing> {
        let (kept, _) = self.find(&request.space)?;
        let people = self.people()?;
        let frontier = at::frontier_of(&kept, request.at.as_deref())?;
        let scene = Scene::of(&kept.space)?;
        Ok(kept.space.tree(|tree| {
            let eye = Eye::new(tree, frontier.as_ref().map(|frontier| tree.at(frontier)), &scene);
            let lines = Lines { eye: &eye, scene: &scene, people: &people, objects: &self.spaces.objects };
            lines.list(request)
        })?)
    }
}

impl<R: Rows> Lines<'_, R>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    fn list(&self, request: &TreeQuery) -> Result<Listing, SpaceFault> {
        let limit = request.limit.map_or(LIMIT, |limit| limit as usize);
        let after = request.after.as_ref().map(|path| path.0.split(|byte| *byte == b'/').collect::<Vec<_>>());
        let mut page = Page { listing: Listing::default(), after, limit };
        let mut starts = self.starts(request)?;
        starts.sort_by(|a, b| names(&a.0.path).cmp(&names(&b.0.path)));
        for (start, deleted) in starts {
            let whole = !request.itself && is_dir(&start.entry);
            if !whole {
                self.add(&mut page, start.path, &start.entry, deleted)?;
            } else {
                self.below(&mut page, &start, request)?;
            }
            if page.listing.more {
                break;
            }
        }
        Ok(page.listing)
    }

    /// What the path or pattern means; with `deleted`, also what it meant.
    fn starts(&self, request: &TreeQuery) -> Result<Vec<(Meant, bool)>, SpaceFault> {
        match paths::expand(self.eye, &request.path) {
            Ok(found) => Ok(found.into_iter().map(|meant| (meant, false)).collect()),
            Err(missing) if request.deleted => match gone(self.eye, &request.path)? {
                Some(gone) => Ok(vec![(gone, true)]),
                None => Err(missing),
            },
            Err(missing) => Err(missing),
        }
    }

    /// What is in a directory, and below if that is asked for, by rising paths (name by name). Holds one directory of
    /// each level.
    fn below(&self, page: &mut Page<'_>, start: &Meant, request: &TreeQuery) -> Result<(), SpaceFault> {
        let mut levels = vec![(start.path.clone(), self.children(&start.entry, request)?.into_iter())];
        while let Some((dir, entries)) = levels.last_mut() {
            let Some((entry, deleted)) = entries.next() else {
                levels.pop();
                continue;
            };
            let path = join(dir, &entry.name);
            if page.is_past_all_below(&path) {
                continue;
            }
            self.add(page, path.clone(), &entry, deleted)?;
            if page.listing.more {
                return Ok(());
            }
            if request.recursive && is_dir(&entry) {
                levels.push((path, self.children(&entry, request)?.into_iter()));
            }
        }
        Ok(())
    }

    fn children(&self, dir: &Entry, request: &TreeQuery) -> Result<Vec<(Entry, bool)>, SpaceFault> {
        let shown = self.eye.list(dir.node)?.into_iter().map(|entry| (entry, false));
        let mut children: Vec<_> = shown.collect();
        if request.deleted {
            children.extend(deleted_in(self.eye, dir)?.into_iter().map(|entry| (entry, true)));
            children.sort_by(|a, b| (&a.0.name, a.1, a.0.node).cmp(&(&b.0.name, b.1, b.0.node)));
        }
        Ok(children)
    }

    fn add(&self, page: &mut Page<'_>, path: Vec<u8>, entry: &Entry, deleted: bool) -> Result<(), SpaceFault> {
        if page.is_passed(&path) {
            return Ok(());
        }
        if page.listing.entries.len() >= page.limit {
            page.listing.more = true;
            return Ok(());
        }
        page.listing.entries.push(self.line(path, entry, deleted)?);
        Ok(())
    }

    /// A line of a listing.
    pub(super) fn line(&self, path: Vec<u8>, entry: &Entry, deleted: bool) -> Result<TreeEntry, SpaceFault> {
        let version = match deleted {
            true => self.eye.tree.stat(entry.content())?.and_then(|stat| stat.version),
            false => self.eye.version(entry)?,
        };
        let mut flags = self.eye.tree.stat(entry.node)?.map(|stat| stat.flags).unwrap_or_default();
        if entry.content() != entry.node {
            flags.extend(self.eye.tree.stat(entry.content())?.map(|stat| stat.flags).unwrap_or_default());
        }
        let written = version.as_ref().and_then(|version| version.written.as_ref());
        let meta = written.map(|written| &written.meta);
        let link = match written.map(|written| &written.content) {
            Some(Content::Link { target }) => Some(TreePath(target.to_vec())),
            _ => None,
        };
        Ok(TreeEntry {
            path: TreePath(path),
            kind: kind(entry),
            shared: entry.realm.is_some(),
            size: written.map_or(0, Written::size),
            mtime: meta
                .and_then(|meta| meta.mtime)
                .map(|mtime| mtime.secs.saturating_mul(1000) + i64::from(mtime.nanos / 1_000_000)),
            mode: meta.and_then(|meta| meta.mode).map(u32::from),
            link,
            version: version.as_ref().map(|version| at::version_text(&version.stamp.id())),
            changed: version.as_ref().map(|version| self.who(version)),
            conflict: !self.eye.is_past() && !flags.is_empty(),
            deleted,
            local: is_local(self.objects, written)?,
        })
    }

    fn who(&self, version: &Version) -> api::types::Change {
        let device = version.stamp.device;
        self.people.change(device, self.scene.owners.get(&device).copied(), version.time)
    }
}

/// True if the content can be read without asking anybody.
pub(super) fn is_local(objects: &ObjectStore, written: Option<&Written>) -> Result<bool, SpaceFault> {
    let Some(Written { content: Content::File { size, manifest, .. }, .. }) = written else { return Ok(true) };
    let parts = match Manifest::read(manifest, *size) {
        Ok(Manifest::Inline(_)) => return Ok(true),
        Ok(Manifest::Parts(parts) | Manifest::Index(parts)) => parts,
        Err(_) => return Ok(false),
    };
    let id = |part: &Part| if let Part::Data(chunk) = part { Some(chunk.id) } else { None };
    let ids: Vec<_> = parts.iter().filter_map(id).collect();
    Ok(objects.absent(&ids)?.is_empty())
}

/// What a path was last, if it is deleted.
pub(super) fn gone<R: Rows>(eye: &Eye<'_, R>, path: &TreePath) -> Result<Option<Meant>, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    let mut here = paths::root();
    for name in paths::names(path)? {
        let found = match eye.entry(here.entry.node, &name)? {
            Some(entry) => Some(entry),
            // Of several, the one that was written last.
            None => deleted_in(eye, &here.entry)?
                .into_iter()
                .filter(|entry| entry.name == name)
                .max_by_key(|entry| entry.brief.as_ref().map(|brief| brief.version)),
        };
        let Some(entry) = found else { return Ok(None) };
        here = Meant { path: join(&here.path, &name), entry };
    }
    Ok(Some(here))
}

fn deleted_in<R: Rows>(eye: &Eye<'_, R>, dir: &Entry) -> Result<Vec<Entry>, SpaceFault>
where
    SpaceFault: From<logic::space::Fault<R::Error>>,
{
    Ok(if eye.is_past() { Vec::new() } else { eye.tree.deleted_in(dir.node)? })
}

/// What an entry is, for the API.
pub(super) fn kind(entry: &Entry) -> EntryKind {
    match entry.kind {
        NodeKind::Dir => EntryKind::Dir,
        NodeKind::File | NodeKind::FileRealm => EntryKind::File,
        NodeKind::Link | NodeKind::LinkRealm => EntryKind::Link,
        NodeKind::Realm => EntryKind::Realm,
    }
}

/// The part of a listing that one reply has.
struct Page<'a> {
    listing: Listing,
    after: Option<Vec<&'a [u8]>>,
    limit: usize,
}

fn names(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/').collect()
}

impl Page<'_> {
    /// True if the path was in an earlier reply.
    fn is_passed(&self, path: &[u8]) -> bool {
        self.after.as_ref().is_some_and(|after| names(path) <= *after)
    }

    /// True if that holds for everything below it too.
    fn is_past_all_below(&self, path: &[u8]) -> bool {
        self.after.as_ref().is_some_and(|after| {
            let names = names(path);
            names < *after && !after.starts_with(&names)
        })
    }
}
