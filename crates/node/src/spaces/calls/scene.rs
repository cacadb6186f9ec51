//! A space as somebody sees it: now or as it was, and with the parts of it that are shared with this device alone.
//!
//! Who has a role on a part only cannot read where the part lies. Such parts are shown in the root, by their own names.

use std::collections::{BTreeMap, BTreeSet};

use logic::ledger::{Ledger, RealmId};
use logic::space::{Brief, Entry, Fault, Node, NodeId, NodeKind, Rows, Tree, Version, View};
use logic::transfer::path::check_name;
use seal::{DeviceId, MemberId};
use store::space::Reader;

use crate::spaces::{Space, SpaceFault, epochs};

/// What is needed beside the tree.
#[derive(Default)]
pub(super) struct Scene {
    /// For whom devices speak.
    pub(super) owners: BTreeMap<DeviceId, MemberId>,
    /// Parts whose surroundings cannot be read, under the names that the root shows.
    pub(super) parts: Vec<Entry>,
}

impl Scene {
    /// Of a space, now.
    pub(super) fn of(space: &Space) -> Result<Self, SpaceFault> {
        space.look(|ledger, reader| Self::read(ledger, reader, space.device()))
    }

    /// The same, by who has both.
    pub(super) fn read(ledger: &Ledger, reader: &Reader<'_>, _device: DeviceId) -> Result<Self, SpaceFault> {
        let judgement = ledger.judgement();
        let owners = judgement.devices().map(|(device, state)| (device, state.member)).collect();
        let has_key = |realm| -> Result<bool, SpaceFault> {
            for epoch in judgement.epochs(realm) {
                if epochs::key(reader, &epoch.id)?.is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let mut found = Vec::new();
        for (realm, facts) in judgement.realms() {
            if has_key(realm)? && !has_key(facts.parent)? {
                found.push((realm, facts.file));
            }
        }
        Ok(Self { owners, parts: part_entries(&Tree::new(reader), found)? })
    }

    /// The path that a node is shown at, as this device shows it.
    pub(super) fn path<R: Rows>(&self, tree: &Tree<R>, node: Node) -> Result<Option<Vec<u8>>, Fault<R::Error>> {
        Ok(tree.path_in(node)?.and_then(|(realm, path)| self.around(realm, path)))
    }

    /// A path in a realm as it is shown from the root.
    pub(super) fn around(&self, realm: RealmId, path: Vec<u8>) -> Option<Vec<u8>> {
        if realm == RealmId::ROOT {
            return Some(path);
        }
        let part = self.parts.iter().find(|part| part.realm == Some(realm))?;
        Some(join(&part.name, &path))
    }
}

/// A name below a path; either may be empty.
pub(super) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    match (dir, name) {
        ([], only) | (only, []) => only.to_vec(),
        (dir, name) => [dir, b"/", name].concat(),
    }
}

/// Parts under names of which no two are alike. A realm is a directory, or a single file or link.
fn part_entries<R: Rows>(tree: &Tree<R>, realms: Vec<(RealmId, bool)>) -> Result<Vec<Entry>, Fault<R::Error>> {
    let mut taken: BTreeSet<Vec<u8>> =
        tree.list(Node::ROOT)?.into_iter().map(|entry| logic::space::fold(&entry.name)).collect();
    let mut parts = Vec::new();
    for (realm, file) in realms {
        let short: String = realm.to_string().chars().take(8).collect();
        let named = tree.realm_name(realm)?.filter(|name| check_name(name).is_ok());
        let mut name = named.unwrap_or_else(|| short.clone().into_bytes());
        if !taken.insert(logic::space::fold(&name)) {
            name.truncate(200);
            name.extend(format!(" ({short})").into_bytes());
            taken.insert(logic::space::fold(&name));
        }
        let (node, kind, brief) = match file {
            true => alone(tree, realm)?,
            false => (Node::root_of(realm), NodeKind::Realm, None),
        };
        parts.push(Entry { node, given: name.clone(), name, kind, realm: Some(realm), brief });
    }
    parts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(parts)
}

/// The file or link that a realm is.
fn alone<R: Rows>(tree: &Tree<R>, realm: RealmId) -> Looked<(Node, NodeKind, Option<Brief>), R> {
    for (id, kind) in [(NodeId::LINK, NodeKind::Link), (NodeId::FILE, NodeKind::File)] {
        let node = Node { realm, id };
        if let Some(version) = tree.stat(node)?.and_then(|stat| stat.version) {
            return Ok((node, kind, version.brief()));
        }
    }
    Ok((Node { realm, id: NodeId::FILE }, NodeKind::File, None))
}

/// Somebody's look at a tree.
pub(super) struct Eye<'a, R: Rows> {
    pub(super) tree: &'a Tree<R>,
    then: Option<View<'a, R>>,
    scene: &'a Scene,
}

/// What looking gives.
pub(super) type Looked<T, R> = Result<T, Fault<<R as Rows>::Error>>;

impl<'a, R: Rows> Eye<'a, R> {
    /// As it is, or as a view shows it.
    pub(super) fn new(tree: &'a Tree<R>, then: Option<View<'a, R>>, scene: &'a Scene) -> Self {
        Self { tree, then, scene }
    }

    /// What a directory shows, by rising names.
    pub(super) fn list(&self, dir: Node) -> Looked<Vec<Entry>, R> {
        let mut entries = match &self.then {
            None => self.tree.list(dir)?,
            Some(view) => view.list(dir)?,
        };
        if dir == Node::ROOT && !self.scene.parts.is_empty() {
            entries.extend(self.scene.parts.iter().cloned());
            entries.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(entries)
    }

    /// What a name shows in a directory.
    pub(super) fn entry(&self, dir: Node, name: &[u8]) -> Looked<Option<Entry>, R> {
        let part = self.scene.parts.iter().find(|part| dir == Node::ROOT && part.name == name);
        if let Some(part) = part {
            return Ok(Some(part.clone()));
        }
        match &self.then {
            None => self.tree.entry(dir, name),
            Some(view) => Ok(view.list(dir)?.into_iter().find(|entry| entry.name == name)),
        }
    }

    /// The version of an entry that is shown.
    pub(super) fn version(&self, entry: &Entry) -> Looked<Option<Version>, R> {
        match &self.then {
            None => Ok(self.tree.stat(entry.content())?.and_then(|stat| stat.version)),
            Some(view) => view.version(entry.content()),
        }
    }

    /// Something that is shown today as it was then, wherever that was.
    pub(super) fn then(&self, today: &Entry) -> Looked<Option<Entry>, R> {
        self.then.as_ref().map_or(Ok(None), |view| view.then(today))
    }

    /// The same tree as it is now.
    pub(super) fn today(&self) -> Self {
        Self { tree: self.tree, then: None, scene: self.scene }
    }

    /// True if this is a look at the past.
    pub(super) fn is_past(&self) -> bool {
        self.then.is_some()
    }
}

/// True if something can be in it.
pub(super) fn is_dir(entry: &Entry) -> bool {
    entry.kind.is_dir()
}
