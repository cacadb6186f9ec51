//! Which of its places counts for a node: the latest, except that nothing can be inside itself.
//!
//! Devices that move directories without knowing of each other can make a ring (A into B, B into A). In every ring the
//! latest move is set aside, so that its node falls back to the place before, until there is no ring. Each node has one
//! place, so rings are disjoint, and a ring stays until one of its own nodes changes; so the steps commute and the result
//! does not depend on their order.
//!
//! What is set aside must come back when a ring no longer exists. The nodes of a ring remember each other (the *knot*):
//! when a place of one changes, all that hang together are put back to their latest places and the rings among them are
//! looked for again. Nodes that never were in a ring have no knot, and a move costs a walk to the root.

use std::collections::{BTreeMap, BTreeSet};

use super::node::NodeId;
use super::record::Place;
use super::rows::{Outcome, Rows};
use super::rules::Rule;
use super::session::Session;

impl<R: Rows> Session<'_, R> {
    /// Brings the place of a node up to date after `changed` came (`on`) or went.
    pub(super) fn rechoose(&mut self, node: NodeId, changed: &Place, on: bool) -> Outcome<(), R> {
        let record = self.record(node)?;
        if !record.knot.is_empty() && Rule::AsideComesBack.holds() {
            let knot = self.untie(node)?;
            return self.break_rings(knot);
        }
        let current = record.at.as_ref().map(|at| at.stamp);
        let next = match on {
            true if current < Some(changed.stamp) || !Rule::LatestPlace.holds() => Some(changed.clone()),
            false if current == Some(changed.stamp) => self.places(node)?.into_iter().next(),
            _ => return Ok(()),
        };
        self.settle_at(node, next)?;
        // Only what holds something can be put into itself.
        if self.record(node)?.placed == 0 { Ok(()) } else { self.break_rings(vec![node]) }
    }

    /// Puts everything that hangs together with a node back to its latest place.
    fn untie(&mut self, node: NodeId) -> Outcome<Vec<NodeId>, R> {
        let mut found = BTreeSet::from([node]);
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            let record = self.record(node)?;
            record.aside.clear();
            for tied in std::mem::take(&mut record.knot) {
                if found.insert(tied) {
                    open.push(tied);
                }
            }
        }
        for node in &found {
            let latest = self.places(*node)?.into_iter().next();
            self.settle_at(*node, latest)?;
        }
        Ok(found.into_iter().collect())
    }

    /// Sets aside the latest move of every ring that can be reached from the suspects.
    fn break_rings(&mut self, mut suspects: Vec<NodeId>) -> Outcome<(), R> {
        while let Some(suspect) = suspects.pop() {
            let ring = self.ring_above(suspect)?;
            let mut moves = ring.iter().map(|(node, place)| (place.stamp, *node)).filter(|_| Rule::RingsOpen.holds());
            let Some((_, latest)) = (if Rule::LatestOfRing.holds() { moves.max() } else { moves.next() }) else {
                continue;
            };
            let current = ring.iter().find(|(node, _)| *node == latest).map(|(_, place)| place.stamp);
            for (node, _) in ring.iter().filter(|(node, _)| *node != latest) {
                self.record(*node)?.knot.insert(latest);
                self.record(latest)?.knot.insert(*node);
            }
            self.record(latest)?.aside.extend(current);
            let before = self.places(latest)?.into_iter().find(|place| Some(place.stamp) < current);
            self.settle_at(latest, before)?;
            suspects.extend([suspect, latest]);
        }
        Ok(())
    }

    /// The ring that the way up from a node runs into; empty if it ends.
    fn ring_above(&mut self, node: NodeId) -> Outcome<Vec<(NodeId, Place)>, R> {
        let mut way: Vec<(NodeId, Place)> = Vec::new();
        let mut passed = BTreeMap::new();
        let mut here = node;
        loop {
            if let Some(at) = passed.get(&here) {
                return Ok(way.split_off(*at));
            }
            let Some(place) = self.record(here)?.at.clone() else {
                return Ok(Vec::new());
            };
            passed.insert(here, way.len());
            way.push((here, place.clone()));
            here = place.parent;
        }
    }

    /// Gives a node its place.
    fn settle_at(&mut self, node: NodeId, place: Option<Place>) -> Outcome<(), R> {
        let next = place.as_ref().map(|place| place.parent);
        let record = self.record(node)?;
        let last = record.at.as_ref().map(|at| at.parent);
        record.at = place;
        self.dirty.insert(node);
        if last == next {
            return Ok(());
        }
        // The root is in nothing, so nobody need know how much it holds.
        if let Some(last) = last.filter(|parent| *parent != NodeId::ROOT) {
            let record = self.record(last)?;
            record.placed = record.placed.saturating_sub(1);
        }
        if let Some(next) = next.filter(|parent| *parent != NodeId::ROOT) {
            self.record(next)?.placed += 1;
        }
        Ok(())
    }
}
