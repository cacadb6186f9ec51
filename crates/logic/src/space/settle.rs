//! The end of a session: what each directory shows, under which names, and what of it is different from before.
//!
//! A deleted directory is shown as long as it has something to show, so nothing is ever hidden by what is above it.

use std::collections::{BTreeMap, BTreeSet};

use super::name::{LONG, conflict_name, fold, without_suffix};
use super::node::{Node, NodeId};
use super::record::{Brief, Child, Flag, Head, Listed, NodeRecord, Version, VersionRow};
use super::rows::{Desk, Outcome, Rows};
use super::rules::Rule;
use super::session::Session;
use super::stamp::VersionId;
use super::tree::{Effect, Seen};

/// A folded name in a directory.
type Group = (NodeId, Vec<u8>);

/// A child under the name that it is shown by.
pub(super) struct Named {
    pub(super) child: Child,
    pub(super) name: Vec<u8>,
}

impl<R: Rows> Session<'_, R> {
    /// Brings everything up to date that follows from the facts, and says what is different.
    pub(super) fn finish(mut self) -> Outcome<Vec<Effect>, R> {
        for node in std::mem::take(&mut self.rewritten) {
            let (brief, gone) = read_heads(self.desk, self.node(node))?;
            let record = self.record(node)?;
            (record.brief, record.gone) = (brief, gone);
            self.dirty.insert(node);
        }
        while let Some(node) = self.dirty.pop_first() {
            self.relist(node)?;
        }
        let groups = self.groups()?;
        let (before, _) = self.seen(&groups)?;
        self.write_children()?;
        let (after, shared) = self.seen(&groups)?;
        let mut effects = self.shown(&before, &after);
        effects.extend(self.flags(&groups, &shared)?);
        self.write_records()?;
        Ok(effects)
    }

    /// Shows a node where it must be shown, and looks at the directories above if that makes a difference to them.
    fn relist(&mut self, node: NodeId) -> Outcome<(), R> {
        let record = self.record(node)?;
        let wanted = record.wanted(node);
        let next = wanted.as_ref().map(|listed| listed.parent);
        let last = record.listed.as_ref().map(|listed| listed.parent);
        record.listed = wanted;
        if last == next {
            return Ok(());
        }
        for (parent, more) in [(last, false), (next, true)] {
            if let Some(parent) = parent.filter(|parent| *parent != NodeId::ROOT) {
                let record = self.record(parent)?;
                record.live = if more { record.live + 1 } else { record.live.saturating_sub(1) };
                self.dirty.insert(parent);
            }
        }
        Ok(())
    }

    /// The names whose nodes may be shown differently now.
    fn groups(&self) -> Outcome<BTreeSet<Group>, R> {
        let mut groups = BTreeSet::new();
        let changed = self.nodes.values().filter(|held| held.old.listed != held.new.listed);
        for listed in changed.flat_map(|held| [&held.old.listed, &held.new.listed]).flatten() {
            let fold = fold(&listed.child.name);
            // Somebody gave a file the name that a twin is shown by, or that name is free again.
            if let Some(base) = without_suffix(&fold) {
                groups.insert((listed.parent, base));
                if listed.child.name.len() >= LONG {
                    groups.extend(self.all_twins(listed.parent)?);
                }
            }
            groups.insert((listed.parent, fold));
        }
        Ok(groups)
    }

    fn all_twins(&self, parent: NodeId) -> Outcome<Vec<Group>, R> {
        let flags: Vec<Flag> = self.desk.scan(self.origin.realm.as_bytes(), Some(&parent.0))?;
        let twins = flags.into_iter().filter_map(|flag| match flag {
            Flag::Names(parent, fold) => Some((parent, fold.into_vec())),
            _ => None,
        });
        Ok(twins.collect())
    }

    /// How the nodes of those names are seen, and which of the names have several.
    fn seen<'g>(&self, groups: &'g BTreeSet<Group>) -> Outcome<(BTreeMap<NodeId, Seen>, BTreeSet<&'g Group>), R> {
        let (mut seen, mut shared) = (BTreeMap::new(), BTreeSet::new());
        for group in groups {
            let (parent, fold) = group;
            let twins = twins(self.desk, self.node(*parent), fold)?;
            if twins.len() > 1 {
                shared.insert(group);
            }
            for named in twins {
                let version = named.child.brief.as_ref().map(|brief| brief.version.id());
                seen.insert(named.child.node, Seen { parent: *parent, name: named.name, version });
            }
        }
        Ok((seen, shared))
    }

    fn write_children(&mut self) -> Outcome<(), R> {
        let realm = self.origin.realm;
        let key = |listed: &Listed| (Node { realm, id: listed.parent }, fold(&listed.child.name), listed.child.node);
        let changed = || self.nodes.values().filter(|held| held.old.listed != held.new.listed);
        for old in changed().filter_map(|held| held.old.listed.as_ref()) {
            self.desk.delete::<Child>(&key(old))?;
        }
        for new in changed().filter_map(|held| held.new.listed.as_ref()) {
            self.desk.put(&key(new), &new.child)?;
        }
        Ok(())
    }

    fn shown(&self, before: &BTreeMap<NodeId, Seen>, after: &BTreeMap<NodeId, Seen>) -> Vec<Effect> {
        let nodes: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
        let different = nodes.into_iter().filter(|node| before.get(node) != after.get(node));
        let effect = |node| Effect::Shown {
            node: self.node(node),
            before: before.get(&node).cloned(),
            after: after.get(&node).cloned(),
        };
        different.map(effect).chain(self.alone()).collect()
    }

    /// The file that the realm is, if it is seen differently: as if it were in the root.
    fn alone(&self) -> impl Iterator<Item = Effect> {
        let seen = |record: &NodeRecord| {
            let version = Some(record.brief.as_ref()?.version.id());
            Some(Seen { parent: NodeId::ROOT, name: Vec::new(), version })
        };
        self.nodes.iter().filter(|(id, _)| id.is_alone()).filter_map(move |(id, held)| {
            let (before, after) = (seen(&held.old), seen(&held.new));
            (before != after).then(|| Effect::Shown { node: self.node(*id), before, after })
        })
    }

    /// Sets and clears flags.
    fn flags(&mut self, groups: &BTreeSet<Group>, shared: &BTreeSet<&Group>) -> Outcome<Vec<Effect>, R> {
        let mut turned = Vec::new();
        for (id, held) in &self.nodes {
            let (old, new) = (held.old.flags(*id), held.new.flags(*id));
            let grew = held.new.alive + held.new.dead > held.old.alive + held.old.dead;
            let again = |flag: &&Flag| !old.contains(*flag) || grew && matches!(flag, Flag::Versions(_));
            turned.extend(new.iter().filter(again).map(|flag| (flag.clone(), true)));
            turned.extend(old.difference(&new).map(|flag| (flag.clone(), false)));
        }
        for group in groups {
            let (parent, fold) = group;
            let flag = Flag::Names(*parent, fold.clone().into());
            let now = shared.contains(group);
            let was = self.desk.get::<Flag>(&(self.origin.realm, flag.clone()))?.is_some();
            if now != was {
                turned.push((flag, now));
            }
        }
        let realm = self.origin.realm;
        for (flag, on) in &turned {
            self.desk.set(&(realm, flag.clone()), on.then_some(flag))?;
        }
        Ok(turned.into_iter().map(|(flag, on)| Effect::Flag { realm, flag, on }).collect())
    }

    fn write_records(&mut self) -> Outcome<(), R> {
        for (id, held) in std::mem::take(&mut self.nodes) {
            let (was, is) = (held.old.is_orphan(id), held.new.is_orphan(id));
            if was != is {
                self.been(NodeId::LOST, id.hex().as_bytes(), id, is)?;
            }
            if held.old != held.new {
                let row = Some(&held.new).filter(|record| **record != NodeRecord::default());
                self.desk.set(&self.node(id), row)?;
            }
        }
        Ok(())
    }
}

/// What the heads of a node say: the version that is shown, and the newest place that a delete has seen.
fn read_heads<R: Rows>(desk: &Desk<R>, node: Node) -> Outcome<(Option<Brief>, Option<super::Stamp>), R> {
    let heads: Vec<Head> = desk.scan(&node.key(), None)?;
    let gone = heads.iter().filter(|head| !head.alive).filter_map(|head| head.place).max();
    let versions = heads.iter().map(|head| head.stamp.id()).collect();
    let version = newest_below(versions, |id| Ok(desk.get::<VersionRow>(&(node, id))?.and_then(|row| row.version)))?;
    Ok((version.as_ref().and_then(Version::brief), gone))
}

/// The newest version among those; where all are deletes, among what the deletes have seen.
pub(super) fn newest_below<E>(
    mut level: Vec<VersionId>,
    read: impl Fn(VersionId) -> Result<Option<Version>, E>,
) -> Result<Option<Version>, E> {
    let mut passed = BTreeSet::new();
    while !level.is_empty() {
        let mut newest: Option<Version> = None;
        let mut next = Vec::new();
        for id in level.into_iter().filter(|id| passed.insert(*id)).collect::<Vec<_>>() {
            let Some(version) = read(id)? else {
                continue;
            };
            if version.written.is_none() {
                next.extend(version.bases);
            } else if newest.as_ref().is_none_or(|newest| (newest.stamp < version.stamp) == Rule::LatestHead.holds()) {
                newest = Some(version);
            }
        }
        if newest.is_some() {
            return Ok(newest);
        }
        level = next;
    }
    Ok(None)
}

/// The nodes of one folded name in a directory, and what they are shown as.
pub(super) fn twins<R: Rows>(desk: &Desk<R>, dir: Node, fold: &[u8]) -> Outcome<Vec<Named>, R> {
    let children: Vec<Child> = desk.scan(&dir.key(), Some(fold))?;
    name_twins(children, |other| Ok(!desk.scan::<Child>(&dir.key(), Some(other))?.is_empty()))
}

/// Gives the nodes of one folded name the names they are shown by; `taken` says which folded names others have.
pub(super) fn name_twins<E>(
    mut children: Vec<Child>,
    taken: impl Fn(&[u8]) -> Result<bool, E>,
) -> Result<Vec<Named>, E> {
    children.sort_by_key(|child| (Rule::FirstKeepsName.holds().then_some(child.stamp), child.node));
    let mut named: Vec<Named> = Vec::new();
    for child in children {
        let mut name = child.name.to_vec();
        let mut attempt = 0;
        while !named.is_empty() && (attempt == 0 || Rule::FreeNames.holds() && taken(&fold(&name))?) {
            name = conflict_name(&child.name, child.maker.as_ref(), child.node, attempt);
            attempt += 1;
        }
        named.push(Named { child, name });
    }
    Ok(named)
}
