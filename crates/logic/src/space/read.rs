//! Reading the tree as it is: directories, paths, versions, history, conflicts.
//!
//! A listing reads one directory and nothing else; nothing here reads the whole space, but [`Tree::subtree`] when asked to.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use seal::Timestamp;

use super::change::{BASES_MAX, Change};
use super::name::{fold, without_suffix};
use super::node::{Kind, Node, NodeId, NodeKind};
use super::record::{Been, Brief, Child, CommitRow, Flag, Head, Mount, Naming, NodeRecord, Place, Version, VersionRow};
use super::rows::{Outcome, Rows};
use super::rules::Rule;
use super::settle::{Named, name_twins, twins};
use super::stamp::{Origin, Stamp, VersionId};
use super::tree::Tree;
use crate::ledger::RealmId;
use crate::transfer::path::RelPath;

/// A line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The node that has this place; what shows a realm, not what is in it.
    pub node: Node,
    /// The name that it is shown by, unique in its directory.
    pub name: Vec<u8>,
    /// The name that it was given, which twins may share.
    pub given: Vec<u8>,
    /// What it is to people: a file that is a realm is a file.
    pub kind: NodeKind,
    /// The realm that it shows, if it does.
    pub realm: Option<RealmId>,
    /// The version that is shown; `None`: made and not written yet.
    pub brief: Option<Brief>,
}

impl Entry {
    /// The node that has its versions: of a file or link that is a realm, the one in that realm.
    pub fn content(&self) -> Node {
        match (self.realm, self.kind) {
            (Some(realm), NodeKind::File) => Node { realm, id: NodeId::FILE },
            (Some(realm), NodeKind::Link) => Node { realm, id: NodeId::LINK },
            _ => self.node,
        }
    }

    /// What is inside: of what shows a realm, the top of that realm.
    pub fn inside(&self) -> Node {
        match (self.realm, self.kind) {
            (Some(realm), NodeKind::Realm) => Node::root_of(realm),
            _ => self.content(),
        }
    }
}

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The node.
    pub node: Node,
    /// Who made it, when, and what as; `None` if that commit does not count.
    pub made: Option<Place>,
    /// The version that is shown; of a deleted node, the one that was.
    pub version: Option<Version>,
    /// True if readers see it.
    pub shown: bool,
    /// What people should look at.
    pub flags: BTreeSet<Flag>,
}

/// Something that happened to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was made or moved.
    Placed(Place),
    /// It was written or deleted.
    Written(Box<Version>),
}

impl Event {
    /// By which change.
    pub fn stamp(&self) -> Stamp {
        match self {
            Self::Placed(place) => place.stamp,
            Self::Written(version) => version.stamp,
        }
    }

    /// When, by the clock of the device.
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Placed(place) => place.time,
            Self::Written(version) => version.time,
        }
    }
}

/// Something that people should look at: who did what, on which device, when is in the stamps and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// Versions that do not know of each other, latest first; the first that is no delete is shown.
    Versions {
        /// Of which node.
        node: Node,
        /// All of them; at least one is no delete.
        heads: Vec<Version>,
    },
    /// A deleted node that is there because something was moved or made without knowing of the delete.
    Kept {
        /// Which.
        node: Node,
        /// The deletes.
        deletes: Vec<Version>,
    },
    /// Moves that are set aside because they would put a directory into itself.
    Aside {
        /// Of which node.
        node: Node,
        /// The moves, latest first.
        moves: Vec<Place>,
    },
    /// Nodes that were given one name.
    Names {
        /// In which directory.
        dir: Node,
        /// What they are shown as; the first kept its name.
        entries: Vec<Entry>,
    },
}

impl<R: Rows> Tree<R> {
    /// What a directory shows, by rising names. Empty for what is no directory.
    ///
    /// # Errors
    /// Those of the rows, here and below.
    pub fn list(&self, dir: Node) -> Outcome<Vec<Entry>, R> {
        let Some(dir) = self.entered(dir)? else {
            return Ok(Vec::new());
        };
        let children: Vec<Child> = self.desk.scan(&dir.key(), None)?;
        name_all(dir, children).into_iter().map(|entry| self.whole(entry)).collect()
    }

    /// An entry with its content, where that is in another realm.
    fn whole(&self, mut entry: Entry) -> Outcome<Entry, R> {
        if entry.content() != entry.node {
            entry.brief = if self.is_mount(&entry)? { self.record(entry.content())?.brief } else { None };
        }
        Ok(entry)
    }

    /// Whether that is where its realm is shown.
    pub(super) fn is_mount(&self, entry: &Entry) -> Outcome<bool, R> {
        let mount = entry.realm.map(|realm| self.mount(realm)).transpose()?.flatten();
        Ok(mount.is_some_and(|mount| mount.node == entry.node) || !Rule::RealmOnce.holds())
    }

    /// The node that has the versions of another: of what shows a file or link that is a realm, the one in that realm.
    ///
    /// # Errors
    /// As above.
    pub fn content(&self, node: Node) -> Outcome<Node, R> {
        match node.id.kind() {
            Some(NodeKind::FileRealm | NodeKind::LinkRealm) => Ok(self.top(node)?.unwrap_or(node)),
            _ => Ok(node),
        }
    }

    /// The top of the realm that a node shows; `None` for others.
    ///
    /// # Errors
    /// As above.
    pub fn top(&self, node: Node) -> Outcome<Option<Node>, R> {
        let Some(id) = node.id.kind().and_then(NodeKind::top) else { return Ok(None) };
        let made = self.record(node)?.made.and_then(|made| made.made);
        Ok(made.and_then(Kind::realm).map(|realm| Node { realm, id }))
    }

    /// The directory that one sees inside of a node: of a realm its root, if that is where the realm is shown.
    ///
    /// # Errors
    /// As above.
    pub fn entered(&self, dir: Node) -> Outcome<Option<Node>, R> {
        match dir.id.kind() {
            Some(NodeKind::Dir) => Ok(Some(dir)),
            Some(NodeKind::Realm) => {
                let Some(root) = self.top(dir)? else {
                    return Ok(None);
                };
                let here = self.mount(root.realm)?.is_some_and(|mount| mount.node == dir);
                Ok((here || !Rule::RealmOnce.holds()).then_some(root))
            }
            _ => Ok(None),
        }
    }

    /// The node that shows a realm: the first that was made for it.
    fn mount(&self, realm: RealmId) -> Outcome<Option<Mount>, R> {
        let mounts: Vec<Mount> = self.desk.scan(realm.as_bytes(), None)?;
        Ok(mounts.into_iter().min_by_key(|mount| mount.stamp))
    }

    /// What a name shows in a directory.
    ///
    /// # Errors
    /// As above.
    pub fn entry(&self, dir: Node, name: &[u8]) -> Outcome<Option<Entry>, R> {
        let Some(dir) = self.entered(dir)? else {
            return Ok(None);
        };
        let plain = fold(name);
        let mut groups = vec![plain.clone()];
        groups.extend(without_suffix(&plain));
        for group in groups {
            let mut named = twins(&self.desk, dir, &group)?.into_iter();
            if let Some(found) = named.find(|named| named.name == name) {
                return self.whole(entry(dir, found)).map(Some);
            }
        }
        // Only the name of a twin that was too long for its suffix is left.
        if without_suffix(&plain).is_none() {
            return Ok(None);
        }
        Ok(self.list(dir)?.into_iter().find(|entry| entry.name == name))
    }

    /// Of those that were given this very name in a directory, the first; if there is none, what the name shows there.
    /// That is what somebody means who writes the name again: of two names that differ in case, say, one is shown by
    /// another than it was given.
    ///
    /// # Errors
    /// As above.
    pub fn meant(&self, dir: Node, name: &[u8]) -> Outcome<Option<Entry>, R> {
        let Some(dir) = self.entered(dir)? else {
            return Ok(None);
        };
        let mut named = twins(&self.desk, dir, &fold(name))?.into_iter();
        match named.find(|named| named.child.name == name) {
            Some(found) => self.whole(entry(dir, found)).map(Some),
            None => self.entry(dir, name),
        }
    }

    /// What a path shows.
    ///
    /// # Errors
    /// As above.
    pub fn lookup(&self, path: &RelPath) -> Outcome<Option<Entry>, R> {
        let mut dir = Node::ROOT;
        let mut found = None;
        for name in path.names() {
            found = self.entry(dir, name)?;
            match &found {
                Some(entry) => dir = entry.node,
                None => return Ok(None),
            }
        }
        Ok(found)
    }

    /// The path that a node is shown at, names joined by `/`; empty for the root, `None` if it is not shown.
    ///
    /// # Errors
    /// As above.
    pub fn path(&self, node: Node) -> Outcome<Option<Vec<u8>>, R> {
        Ok(self.path_in(node)?.filter(|(realm, _)| *realm == RealmId::ROOT).map(|(_, path)| path))
    }

    /// The same where a realm around is not known: the path from the root of the outermost realm that is, and that realm.
    ///
    /// # Errors
    /// As above.
    pub fn path_in(&self, node: Node) -> Outcome<Option<(RealmId, Vec<u8>)>, R> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut passed = BTreeSet::new();
        let mut here = node;
        while here != Node::ROOT {
            // Realms that show each other are shown nowhere; nor is what rows that are damaged put into itself.
            if !passed.insert(here) {
                return Ok(None);
            }
            if here.id.is_top() {
                match self.mount(here.realm)? {
                    None => break,
                    // What a realm is not is shown nowhere.
                    Some(mount)
                        if here.id.is_alone() && mount.node.id.kind().and_then(NodeKind::top) != Some(here.id) =>
                    {
                        return Ok(None);
                    }
                    Some(mount) => here = mount.node,
                }
                continue;
            }
            let Some(listed) = self.record(here)?.listed else {
                return Ok(None);
            };
            let dir = here.beside(listed.parent);
            let named = twins(&self.desk, dir, &fold(&listed.child.name))?;
            names.extend(named.into_iter().find(|named| named.child.node == here.id).map(|named| named.name));
            here = dir;
        }
        names.reverse();
        Ok(Some((here.realm, names.join(&b'/'))))
    }

    /// The directory that shows a node, and the name that it has there; `None` if it is not shown. Costs no more in a large
    /// directory.
    ///
    /// # Errors
    /// As above.
    pub fn shown_at(&self, node: Node) -> Outcome<Option<(Node, Vec<u8>)>, R> {
        let Some(listed) = self.record(node)?.listed else { return Ok(None) };
        let dir = node.beside(listed.parent);
        let named = twins(&self.desk, dir, &fold(&listed.child.name))?;
        Ok(named.into_iter().find(|named| named.child.node == node.id).map(|named| (dir, named.name)))
    }

    /// The directory that shows a node; `None` if it is not shown.
    ///
    /// # Errors
    /// As above.
    pub fn parent(&self, node: Node) -> Outcome<Option<NodeId>, R> {
        Ok(self.record(node)?.listed.map(|listed| listed.parent))
    }

    /// What a directory shows under names that count as the same as this one.
    ///
    /// # Errors
    /// As above.
    pub fn alike(&self, dir: Node, name: &[u8]) -> Outcome<Vec<Entry>, R> {
        let Some(dir) = self.entered(dir)? else {
            return Ok(Vec::new());
        };
        twins(&self.desk, dir, &fold(name))?.into_iter().map(|named| self.whole(entry(dir, named))).collect()
    }

    /// The way to a node by the places that count, whether it is shown or not: the path from the root of its realm.
    /// `None` where a place above is not known.
    ///
    /// # Errors
    /// As above.
    pub fn place_path(&self, node: Node) -> Outcome<Option<Vec<u8>>, R> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut here = node;
        while !here.id.is_top() {
            let Some(at) = self.record(here)?.at else { return Ok(None) };
            names.push(at.name.into_vec());
            here = here.beside(at.parent);
        }
        names.reverse();
        Ok(Some(names.join(&b'/')))
    }

    /// The names that a realm was given, latest first: the first one counts.
    ///
    /// # Errors
    /// As above.
    pub fn namings(&self, realm: RealmId) -> Outcome<Vec<Naming>, R> {
        let mut namings: Vec<Naming> = self.desk.scan(realm.as_bytes(), None)?;
        namings.sort_by_key(|naming| std::cmp::Reverse(naming.stamp));
        Ok(namings)
    }

    /// The name of a realm, if it has one.
    ///
    /// # Errors
    /// As above.
    pub fn realm_name(&self, realm: RealmId) -> Outcome<Option<Vec<u8>>, R> {
        Ok(latest_name(self.namings(realm)?))
    }

    /// What is known of a node; `None` if nothing.
    ///
    /// # Errors
    /// As above.
    pub fn stat(&self, node: Node) -> Outcome<Option<Stat>, R> {
        let record = self.record(node)?;
        if record == NodeRecord::default() && !node.id.is_fixed() {
            return Ok(None);
        }
        let version = record.brief.as_ref().map(|brief| brief.version.id());
        let version = version.map(|id| self.version(node, id)).transpose()?.flatten();
        let shown = node.id == NodeId::ROOT || record.listed.is_some() || node.id.is_alone() && record.stands();
        Ok(Some(Stat { node, flags: record.flags(node.id), made: record.made, version, shown }))
    }

    /// A version or delete of a node.
    ///
    /// # Errors
    /// As above.
    pub fn version(&self, node: Node, id: VersionId) -> Outcome<Option<Version>, R> {
        Ok(self.desk.get::<VersionRow>(&(node, id))?.and_then(|row| row.version))
    }

    /// What a version written now supersedes, and a delete has seen: all heads (the latest [`BASES_MAX`]).
    ///
    /// # Errors
    /// As above.
    pub fn heads(&self, node: Node) -> Outcome<Vec<VersionId>, R> {
        let mut heads: Vec<Head> = self.desk.scan(&node.key(), None)?;
        heads.sort_by_key(|head| std::cmp::Reverse(head.stamp));
        Ok(heads.into_iter().take(BASES_MAX).map(|head| head.stamp.id()).collect())
    }

    /// The change that deletes a node as it is now. A directory is gone once everything in it is deleted too.
    ///
    /// # Errors
    /// As above.
    pub fn deletion(&self, node: Node) -> Outcome<Change, R> {
        let place = self.places(node)?.into_iter().map(|place| place.stamp).max();
        Ok(Change::Delete { node: node.id, seen: self.heads(node)?, place })
    }

    /// Everything that ever happened to a node, latest first.
    ///
    /// # Errors
    /// As above.
    pub fn history(&self, node: Node) -> Outcome<Vec<Event>, R> {
        let rows: Vec<VersionRow> = self.desk.scan(&node.key(), None)?;
        let mut events: Vec<_> =
            rows.into_iter().filter_map(|row| row.version).map(|version| Event::Written(Box::new(version))).collect();
        events.extend(self.places(node)?.into_iter().map(Event::Placed));
        events.sort_by_key(|event| std::cmp::Reverse(event.stamp()));
        Ok(events)
    }

    /// The nodes that ever had a name in a directory, deleted ones and twins included.
    ///
    /// # Errors
    /// As above.
    pub fn ever_named(&self, dir: Node, name: &[u8]) -> Outcome<Vec<Node>, R> {
        let Some(dir) = self.entered(dir)? else {
            return Ok(Vec::new());
        };
        let been: Vec<Been> = self.desk.scan(&dir.key(), Some(&fold(name)))?;
        Ok(been.into_iter().map(|been| dir.beside(been.node)).collect())
    }

    /// What has its place in a directory and is not shown there, by rising names and nodes: it was deleted.
    ///
    /// # Errors
    /// As above.
    pub fn deleted_in(&self, dir: Node) -> Outcome<Vec<Entry>, R> {
        let Some(dir) = self.entered(dir)? else {
            return Ok(Vec::new());
        };
        let been: Vec<Been> = self.desk.scan(&dir.key(), None)?;
        let nodes: BTreeSet<NodeId> = been.into_iter().map(|been| been.node).collect();
        let mut found = Vec::new();
        for node in nodes.into_iter().map(|id| dir.beside(id)) {
            let record = self.record(node)?;
            let Some(at) = record.at.filter(|at| record.listed.is_none() && at.parent == dir.id) else { continue };
            let realm = record.made.and_then(|made| made.made).and_then(Kind::realm);
            let kind = node.id.kind().unwrap_or(NodeKind::File).shown();
            let name = at.name.into_vec();
            found.push(Entry { node, given: name.clone(), name, kind, realm, brief: record.brief });
        }
        found.sort_by(|a, b| (&a.name, a.node).cmp(&(&b.name, b.node)));
        found.into_iter().map(|entry| self.whole(entry)).collect()
    }

    /// The nodes that a commit is about; nothing for one that is not in.
    ///
    /// # Errors
    /// As above.
    pub fn touched(&self, origin: &Origin) -> Outcome<Vec<Node>, R> {
        let row: Option<CommitRow> = self.desk.get(&origin.stamp(0))?;
        let nodes = row.map(|row| row.nodes).unwrap_or_default();
        Ok(nodes.into_iter().map(|id| Node { realm: origin.realm, id }).collect())
    }

    /// The node that shows a realm, where one does.
    ///
    /// # Errors
    /// As above.
    pub fn mounted_at(&self, realm: RealmId) -> Outcome<Option<Node>, R> {
        Ok(self.mount(realm)?.map(|mount| mount.node))
    }

    /// What people should look at in a realm.
    ///
    /// # Errors
    /// As above.
    pub fn conflicts(&self, realm: RealmId) -> Outcome<Vec<Conflict>, R> {
        let flags: Vec<Flag> = self.desk.scan(realm.as_bytes(), None)?;
        flags.into_iter().map(|flag| self.conflict(realm, flag)).collect()
    }

    fn conflict(&self, realm: RealmId, flag: Flag) -> Outcome<Conflict, R> {
        let node = |id| Node { realm, id };
        let heads = |id| -> Outcome<Vec<Version>, R> {
            let heads = self.heads(node(id))?.into_iter().map(|head| self.version(node(id), head));
            Ok(heads.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        };
        Ok(match flag {
            Flag::Versions(id) => Conflict::Versions { node: node(id), heads: heads(id)? },
            Flag::Kept(id) => Conflict::Kept { node: node(id), deletes: heads(id)? },
            Flag::Aside(id) => {
                let aside = self.record(node(id))?.aside;
                let moves = self.places(node(id))?.into_iter().filter(|place| aside.contains(&place.stamp)).collect();
                Conflict::Aside { node: node(id), moves }
            }
            Flag::Names(parent, fold) => {
                let dir = node(parent);
                let named = twins(&self.desk, dir, &fold)?;
                let entries = named.into_iter().map(|named| self.whole(entry(dir, named)));
                Conflict::Names { dir, entries: entries.collect::<Result<_, _>>()? }
            }
        })
    }

    /// A node and everything that is shown below it in its realm, directories before what is in them.
    ///
    /// # Errors
    /// As above.
    pub fn subtree(&self, node: Node) -> Outcome<Vec<Node>, R> {
        let mut found = vec![node];
        let mut at = 0;
        while let Some(dir) = found.get(at).copied() {
            at += 1;
            found.extend(self.children(dir)?);
        }
        Ok(found)
    }

    /// What a directory shows.
    pub(super) fn children(&self, dir: Node) -> Outcome<Vec<Node>, R> {
        let children: Vec<Child> = self.desk.scan(&dir.key(), None)?;
        Ok(children.into_iter().map(|child| dir.beside(child.node)).collect())
    }

    /// What a directory shows under a folded name and its twins.
    pub(super) fn named(&self, dir: Node, fold: &[u8]) -> Outcome<Vec<NodeId>, R> {
        let children: Vec<Child> = self.desk.scan(&dir.key(), Some(fold))?;
        Ok(children.into_iter().map(|child| child.node).collect())
    }

    pub(super) fn record(&self, node: Node) -> Outcome<NodeRecord, R> {
        Ok(self.desk.get(&node)?.unwrap_or_default())
    }

    /// All places that a node was given, latest first.
    pub(super) fn places(&self, node: Node) -> Outcome<Vec<Place>, R> {
        let mut places: Vec<Place> = self.desk.scan(&node.key(), None)?;
        places.sort_by_key(|place| std::cmp::Reverse(place.stamp));
        Ok(places)
    }
}

/// The name that counts, of some with the latest first.
pub(super) fn latest_name(namings: Vec<Naming>) -> Option<Vec<u8>> {
    namings.into_iter().next().map(|naming| naming.name.into_vec()).filter(|name| !name.is_empty())
}

fn entry(dir: Node, named: Named) -> Entry {
    let Named { child, name } = named;
    let realm = child.kind.and_then(Kind::realm);
    let kind = child.node.kind().unwrap_or(NodeKind::File).shown();
    let (node, given) = (dir.beside(child.node), child.name.into_vec());
    Entry { node, name, given, kind, realm, brief: child.brief }
}

/// All children of a directory under the names they are shown by, by rising names.
pub(super) fn name_all(dir: Node, children: Vec<Child>) -> Vec<Entry> {
    let mut groups: BTreeMap<Vec<u8>, Vec<Child>> = BTreeMap::new();
    for child in children {
        groups.entry(fold(&child.name)).or_default().push(child);
    }
    let folds: BTreeSet<Vec<u8>> = groups.keys().cloned().collect();
    let taken = |fold: &[u8]| Ok::<_, Infallible>(folds.contains(fold));
    let named = groups.into_values().flat_map(|twins| name_twins(twins, taken).unwrap_or_else(|never| match never {}));
    let mut entries: Vec<Entry> = named.map(|named| entry(dir, named)).collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries
}
