//! What is to be in a space, as changes: what is there is looked at, many things go into one commit.
//!
//! Invariant: what a commit supersedes is what was there when it was signed. If anything changed since it was looked at,
//! it is looked at again inside of the change.

use std::sync::{Arc, OnceLock};

use api::{ApiError, ErrorCode};
use logic::ledger::{CommitId, RealmId};
use logic::space::{
    BODY_MAX, Change, Content, Entry, Node, NodeId, NodeKind, Outcome as TreeOutcome, Rows, Tree, VersionId, Written,
};
use serde_bytes::ByteBuf;

use super::fault::ContentFault;
use super::sealing::Noted;
use crate::clock;
use crate::spaces::{Kept, SpaceFault};

/// Bytes of changes that go into one commit, as far as they can be told beforehand.
const BODY: usize = BODY_MAX - (128 << 10);
/// Bytes of a change besides names, contents and bases.
const OVERHEAD: usize = 160;
/// Bytes of a base.
const BASE: usize = 40;

/// A directory in a space, which may be still to be made.
pub(super) struct Spot {
    pub(super) realm: RealmId,
    node: OnceLock<NodeId>,
}

impl Spot {
    /// One that is there.
    pub(super) fn there(node: Node) -> Arc<Self> {
        Arc::new(Self { realm: node.realm, node: OnceLock::from(node.id) })
    }

    /// One that is to be made.
    pub(super) fn to_be(realm: RealmId) -> Arc<Self> {
        Arc::new(Self { realm, node: OnceLock::new() })
    }

    /// Which it is, if it is there.
    pub(super) fn node(&self) -> Option<Node> {
        self.node.get().map(|id| Node { realm: self.realm, id: *id })
    }
}

/// What a name shows.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) entry: Entry,
    /// What was written; nothing of what was only made.
    pub(super) written: Written,
    pub(super) version: Option<VersionId>,
    pub(super) heads: Vec<VersionId>,
}

/// What a name shows in a directory, and all that is needed to write it anew.
pub(super) fn look<R: Rows>(tree: &Tree<R>, dir: Node, name: &[u8]) -> TreeOutcome<Option<Found>, R> {
    tree.meant(dir, name)?.map(|entry| found(tree, entry)).transpose()
}

/// The same of a part that is a file: it is in no directory that could be read.
pub(super) fn look_at<R: Rows>(tree: &Tree<R>, part: &Entry) -> TreeOutcome<Found, R> {
    let version = tree.stat(part.content())?.and_then(|stat| stat.version);
    found(tree, Entry { brief: version.and_then(|version| version.brief()), ..part.clone() })
}

fn found<R: Rows>(tree: &Tree<R>, entry: Entry) -> TreeOutcome<Found, R> {
    let (node, heads) = (entry.content(), tree.heads(entry.content())?);
    let id = entry.brief.as_ref().map(|brief| brief.version.id());
    let version = id.map(|id| tree.version(node, id)).transpose()?.flatten();
    let written = version.and_then(|version| version.written).unwrap_or_default();
    Ok(Found { entry, written, version: id, heads })
}

/// What is to be shown under a name.
pub(super) struct Item {
    pub(super) parent: Arc<Spot>,
    pub(super) name: Vec<u8>,
    pub(super) kind: NodeKind,
    pub(super) written: Written,
    /// What was there when it was looked at.
    pub(super) found: Option<Found>,
    /// Of a directory: what stands for it.
    pub(super) spot: Option<Arc<Spot>>,
    /// Only if that is shown; `Some(None)`: only if nothing is.
    pub(super) only_if: Option<Option<VersionId>>,
    /// Where that is, for messages.
    pub(super) place: String,
}

impl Item {
    /// Bytes that it takes in a commit, at most.
    fn size(&self) -> usize {
        let content = match &self.written.content {
            Content::Nothing => 0,
            Content::File { manifest, .. } => manifest.len(),
            Content::Link { target } => target.len(),
        };
        let xattrs: usize = self.written.meta.xattrs.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        let bases = self.found.as_ref().map_or(0, |found| found.heads.len()) * BASE;
        2 * OVERHEAD + self.name.len() + content + xattrs + bases
    }
}

/// What was committed.
#[derive(Default)]
pub(super) struct Committed {
    pub(super) commits: Vec<CommitId>,
    /// Things that something of another kind came in the way of meanwhile.
    pub(super) blocked: Vec<String>,
}

/// Commits items of one realm, in order, in as few commits as hold them. `age` is that of the space when they were
/// looked at.
pub(super) fn commit(
    kept: &Kept,
    realm: RealmId,
    items: &[Item],
    noted: &Noted,
    mut age: u64,
) -> Result<Committed, ContentFault> {
    let mut done = Committed::default();
    let mut rest = items;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |item: &&Item| {
            bytes += item.size();
            bytes <= BODY
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (now, later) = rest.split_at(count);
        let (id, blocked, _) = kept.space.write(realm, clock::now(), |tree, device, seq| {
            let unchanged = kept.space.age() == age;
            let mut writer = Writer { device, seq, realm, changes: Vec::new(), blocked: Vec::new() };
            for item in now {
                let found = match (item.parent.node(), &item.found) {
                    (None, _) => None,
                    (Some(_), found) if unchanged => found.clone(),
                    (Some(_), Some(found)) if found.entry.node.id.is_alone() => Some(look_at(tree, &found.entry)?),
                    (Some(dir), _) => look(tree, dir, &item.name)?,
                };
                writer.add(item, found)?;
            }
            if rest.len() == items.len() {
                noted.store(tree.rows())?;
            }
            Ok((writer.changes, writer.blocked))
        })?;
        // This commit itself.
        age += 1;
        done.commits.push(id);
        done.blocked.extend(blocked);
        rest = later;
    }
    Ok(done)
}

/// The changes of one commit.
struct Writer {
    device: seal::DeviceId,
    seq: u64,
    /// Under whose key it is written.
    realm: RealmId,
    changes: Vec<Change>,
    blocked: Vec<String>,
}

impl Writer {
    fn add(&mut self, item: &Item, found: Option<Found>) -> Result<(), SpaceFault> {
        if let Some(wanted) = item.only_if
            && wanted != found.as_ref().and_then(|found| found.version)
        {
            return Err(SpaceFault::Asked(Box::new(changed(&item.place, found.is_some()))));
        }
        let Some(parent) = item.parent.node() else {
            // What it should lie in was blocked.
            self.blocked.push(item.place.clone());
            return Ok(());
        };
        let (node, bases) = match found {
            Some(Found { entry, heads, .. }) if entry.kind == item.kind && entry.content().realm == self.realm => {
                (entry.content().id, heads)
            }
            None if parent.realm == self.realm => (self.make(item, parent), Vec::new()),
            // Of another kind, or with other permissions than those under which it was sealed.
            _ => {
                self.blocked.push(item.place.clone());
                return Ok(());
            }
        };
        if let Some(spot) = &item.spot {
            // Set before: the directory was found then, and is found now.
            let _ = spot.node.set(node);
        }
        if item.written != Written::default() {
            self.changes.push(Change::Put { node, bases, written: item.written.clone() });
        }
        Ok(())
    }

    fn make(&mut self, item: &Item, parent: Node) -> NodeId {
        let index = u32::try_from(self.changes.len()).expect("a body of 1 MiB holds fewer changes");
        let node = NodeId::of(&self.device, self.seq, index, item.kind);
        let kind = item.kind.plain();
        let name = ByteBuf::from(item.name.clone());
        self.changes.push(Change::Make { node, kind, parent: parent.id, name });
        node
    }
}

/// It is not what the caller has seen.
pub(super) fn changed(place: &str, there: bool) -> ApiError {
    let what = if there { "was changed meanwhile" } else { "is not there any more" };
    ApiError::new(ErrorCode::Exists, format!("{place} {what}"))
        .hint("`warren log` shows who changed it; look at it, then try again")
}

/// Deletes nodes of one realm, in as few commits as hold them.
pub(super) fn delete(kept: &Kept, realm: RealmId, nodes: &[Node]) -> Result<Vec<CommitId>, ContentFault> {
    /// Deletes of one commit; each names what it has seen.
    const AT_ONCE: usize = 2000;
    let mut commits = Vec::new();
    for nodes in nodes.chunks(AT_ONCE) {
        let mut rest = nodes;
        while !rest.is_empty() {
            let (id, count, _) = kept.space.write(realm, clock::now(), |tree, _, _| {
                let (mut changes, mut bytes) = (Vec::new(), 0);
                for node in rest {
                    let change = tree.deletion(*node)?;
                    if let Change::Delete { seen, .. } = &change {
                        bytes += OVERHEAD + seen.len() * BASE;
                    }
                    if bytes > BODY && !changes.is_empty() {
                        break;
                    }
                    changes.push(change);
                }
                let count = changes.len();
                Ok((changes, count))
            })?;
            commits.push(id);
            rest = &rest[count..];
        }
    }
    Ok(commits)
}
