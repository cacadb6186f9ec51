//! Changes to one realm on their way into commits: as many as they need, all in one transaction of the space.
//!
//! What is written is seen by the tree after each commit ([`Pen::turn`]). What fails leaves nothing behind, because the
//! transaction does.

use logic::ledger::{CommitId, RealmId, SpaceRole};
use logic::space::{BODY_MAX, Change, Kind, Node, NodeId, Stamp, Tree};
use seal::Timestamp;
use serde_bytes::ByteBuf;
use store::space::Transaction;

use super::space::Work;
use super::{Space, SpaceFault};

/// Bytes of changes after which a commit is full; the largest change takes less than the rest.
const FULL: usize = BODY_MAX / 2;

/// See the module.
pub(super) struct Pen<'p, 'w, 't> {
    space: &'p Space,
    work: &'p mut Work<'w, 't>,
    realm: RealmId,
    now: Timestamp,
    /// Number of the commit that is being filled.
    seq: u64,
    changes: Vec<Change>,
    bytes: usize,
    commits: Vec<CommitId>,
}

impl<'p, 'w, 't> Pen<'p, 'w, 't> {
    /// Begins to write to a realm.
    pub(super) fn open(
        space: &'p Space,
        work: &'p mut Work<'w, 't>,
        realm: RealmId,
        now: Timestamp,
    ) -> Result<Self, SpaceFault> {
        space.prepare(work, realm, now)?;
        let seq = space.next_seq(work.ledger, realm, now)?;
        Ok(Self { space, work, realm, now, seq, changes: Vec::new(), bytes: 0, commits: Vec::new() })
    }

    /// The tree without what is not signed yet.
    pub(super) fn tree(&self) -> Tree<&'w Transaction<'t>> {
        Tree::new(self.work.store)
    }

    /// Makes a node.
    pub(super) fn make(&mut self, kind: Kind, parent: NodeId, name: &[u8]) -> Result<NodeId, SpaceFault> {
        self.turn_if_full()?;
        let index = u32::try_from(self.changes.len()).map_err(|_| logic::space::BadBody::TooLong)?;
        let node = NodeId::of(&self.space.device(), self.seq, index, kind.into());
        self.push(Change::Make { node, kind, parent, name: ByteBuf::from(name) })?;
        Ok(node)
    }

    /// Writes a change that names no other change of its commit.
    pub(super) fn push(&mut self, change: Change) -> Result<(), SpaceFault> {
        self.turn_if_full()?;
        self.bytes += size(&change);
        self.changes.push(change);
        Ok(())
    }

    /// Writes the changes of a plan, which may name earlier ones of it.
    pub(super) fn push_plan(&mut self, changes: Vec<Change>) -> Result<(), SpaceFault> {
        self.turn()?;
        // Where each change went that lies in an earlier commit.
        let mut written: Vec<Stamp> = Vec::new();
        for mut change in changes {
            if self.bytes >= FULL {
                let count = self.changes.len();
                self.turn()?;
                written.extend(self.last_stamps(count)?);
            }
            if let Change::Delete { place: Some(place), .. } = &mut change
                && place.commit.is_zero()
            {
                let index = place.index as usize;
                match written.get(index) {
                    Some(stamp) => *place = *stamp,
                    None => place.index -= u32::try_from(written.len()).unwrap_or(0),
                }
            }
            self.bytes += size(&change);
            self.changes.push(change);
        }
        Ok(())
    }

    /// The stamps of the changes of the commit that was signed last.
    fn last_stamps(&self, count: usize) -> Result<Vec<Stamp>, SpaceFault> {
        use logic::ledger::Shelf;
        let id = *self.commits.last().ok_or(SpaceFault::Unfinished)?;
        let stored = self.work.store.stored(&id).ok_or(SpaceFault::Lost(id))?;
        let origin = logic::space::Origin::of(id, &stored.header);
        Ok((0..u32::try_from(count).unwrap_or(u32::MAX)).map(|index| origin.stamp(index)).collect())
    }

    fn turn_if_full(&mut self) -> Result<(), SpaceFault> {
        if self.bytes >= FULL { self.turn() } else { Ok(()) }
    }

    /// Signs what was written so far, and begins a new commit.
    pub(super) fn turn(&mut self) -> Result<(), SpaceFault> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let changes = std::mem::take(&mut self.changes);
        let id = self.space.sign_changes(self.work, self.realm, self.now, |_| Ok(changes))?;
        self.space.settle(self.work)?;
        self.bytes = 0;
        self.seq += 1;
        self.commits.push(id);
        Ok(())
    }

    /// Signs the rest; gives the commits.
    pub(super) fn finish(mut self) -> Result<Vec<CommitId>, SpaceFault> {
        self.turn()?;
        Ok(self.commits)
    }
}

impl Space {
    /// Gives a file that is a realm the name that its place has: who may see only that file knows it by no other. Nothing
    /// if it has that name, or this device may not write it; nothing for other nodes.
    pub(super) fn entitle(
        &self,
        work: &mut Work<'_, '_>,
        node: Node,
        now: Timestamp,
    ) -> Result<Vec<CommitId>, SpaceFault> {
        let tree = Tree::new(work.store);
        let Some(realm) = tree.top(node)?.filter(|top| top.id.is_alone()).map(|top| top.realm) else {
            return Ok(Vec::new());
        };
        let path = tree.place_path(node)?.unwrap_or_default();
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let may = work.ledger.judgement().cap_for(self.device(), realm, SpaceRole::Editor).is_some();
        if !may || name.is_empty() || tree.realm_name(realm)?.as_deref() == Some(name) {
            return Ok(Vec::new());
        }
        let mut pen = Pen::open(self, work, realm, now)?;
        pen.push(Change::Name { name: ByteBuf::from(name) })?;
        pen.finish()
    }
}

/// Bytes of a change in a body.
fn size(change: &Change) -> usize {
    // What cannot be written is refused when the commit is made.
    postcard::to_stdvec(change).map_or(0, |bytes| bytes.len())
}
