//! The tree of realms: who lies inside whom. It is made of commits whatever they are worth, and never changes: what a
//! realm is inside of decides about rights, so rights must not decide what it is inside of.

use std::collections::BTreeMap;

use super::control::SpaceRole;
use super::id::{CommitId, RealmId};

/// A realm other than the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RealmFacts {
    /// The realm around it.
    pub parent: RealmId,
    /// Roles of the parent count here too.
    pub inherit: bool,
    /// It is a file.
    pub file: bool,
    /// The commit that made it.
    pub by: CommitId,
    /// Realms around it, the root included.
    pub depth: usize,
}

/// All realms but the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Realms(BTreeMap<RealmId, RealmFacts>);

impl Realms {
    /// A realm; `None` for the root and for unknown ones.
    pub(super) fn get(&self, realm: RealmId) -> Option<&RealmFacts> {
        self.0.get(&realm)
    }

    /// All, by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (RealmId, &RealmFacts)> {
        self.0.iter().map(|(id, facts)| (*id, facts))
    }

    /// Realms around a realm, the root included.
    pub(super) fn depth(&self, realm: RealmId) -> usize {
        self.get(realm).map_or(0, |facts| facts.depth)
    }

    /// Puts in a realm. Should two commits ever make one id, the smaller commit counts.
    pub(super) fn add(&mut self, by: CommitId, parent: RealmId, inherit: bool, file: bool) {
        let facts = RealmFacts { parent, inherit, file, by, depth: self.depth(parent) + 1 };
        let kept = self.0.entry(RealmId::made_by(by)).or_insert(facts);
        if by < kept.by {
            *kept = facts;
        }
    }

    /// True if `realm` is `outer` or lies somewhere inside.
    pub(super) fn within(&self, realm: RealmId, outer: RealmId) -> bool {
        self.way_up(realm).any(|(at, _)| at == outer)
    }

    /// True if a role that was granted on `granted` counts on `realm`.
    pub(super) fn counts(&self, role: SpaceRole, granted: RealmId, realm: RealmId, inherit: bool) -> bool {
        let mut open = true;
        for (at, inherits) in self.way_up(realm) {
            if at == granted {
                return open;
            }
            open &= role == SpaceRole::Owner || inherits || !inherit;
        }
        false
    }

    /// The realm and those around it, each with whether it inherits.
    fn way_up(&self, realm: RealmId) -> impl Iterator<Item = (RealmId, bool)> {
        let first = (realm, self.get(realm).is_some_and(|facts| facts.inherit));
        std::iter::successors(Some(first), |(at, _)| {
            let parent = self.get(*at)?.parent;
            Some((parent, self.get(parent).is_some_and(|facts| facts.inherit)))
        })
    }
}
