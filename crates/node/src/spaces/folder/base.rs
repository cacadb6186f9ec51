//! What was last the same in a folder and in its space: rows in the file of the space, sealed like everything there.
//!
//! A row per thing under its directory and name, so that a directory that moves is one row, and one by node that says
//! where that row is.

use logic::folder::{Base, Known};
use logic::ledger::RealmId;
use logic::space::{Node, NodeId, Tree};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use store::space::{Reader, Transaction};

use crate::spaces::SpaceFault;

/// Names a folder in its space: random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct FolderId(pub [u8; 8]);

impl std::fmt::Display for FolderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// Where the row of a node is.
#[derive(Serialize, Deserialize)]
struct Where {
    realm: RealmId,
    dir: NodeId,
    name: ByteBuf,
}

/// The rows of one folder, for reading.
pub(super) struct Rows<'a> {
    pub(super) store: &'a Reader<'a>,
    pub(super) folder: FolderId,
}

impl Rows<'_> {
    fn kind(&self, dir: Node) -> String {
        format!("folder/{}/{}/{}", self.folder, dir.realm, dir.id.hex())
    }

    fn index(&self) -> String {
        format!("folder/{}", self.folder)
    }

    /// What was known of a node.
    pub(super) fn of(&self, node: Node) -> Result<Option<Known>, SpaceFault> {
        let Some(row) = self.store.value(&self.index(), &key(node))? else { return Ok(None) };
        let Ok(at) = postcard::from_bytes::<Where>(&row) else { return Ok(None) };
        let known = self.child(Node { realm: at.realm, id: at.dir }, &at.name)?;
        Ok(known.filter(|known| known.node == node))
    }
}

impl Base for Rows<'_> {
    type Error = SpaceFault;

    fn child(&self, dir: Node, name: &[u8]) -> Result<Option<Known>, SpaceFault> {
        let row = self.store.value(&self.kind(dir), name)?;
        // A row that cannot be read is one that is not there: the file is compared with the space anew.
        Ok(row.and_then(|row| postcard::from_bytes(&row).ok()))
    }

    fn inside(&self, dir: Node) -> Result<Vec<Known>, SpaceFault> {
        let rows = self.store.values(&self.kind(dir))?;
        Ok(rows.into_iter().filter_map(|(_, row)| postcard::from_bytes(&row).ok()).collect())
    }
}

/// Notes what is in step now, in place of what was known of the node.
pub(super) fn set(store: &Transaction<'_>, folder: FolderId, known: &Known) -> Result<(), SpaceFault> {
    remove(store, folder, known.node)?;
    let rows = Rows { store, folder };
    // Of two that have had one name after another, the later one has it.
    if let Some(other) = rows.child(known.dir, &known.name)? {
        store.remove_value(&rows.index(), &key(other.node))?;
    }
    let at = Where { realm: known.dir.realm, dir: known.dir.id, name: known.name.clone() };
    store.set_value(&rows.kind(known.dir), &known.name, &written(known))?;
    Ok(store.set_value(&rows.index(), &key(known.node), &written(&at))?)
}

/// Notes another version of something; it stays where it was noted.
pub(super) fn update(store: &Transaction<'_>, folder: FolderId, known: &Known) -> Result<(), SpaceFault> {
    let place = Rows { store, folder }.of(known.node)?;
    let (dir, name) = place.map_or_else(|| (known.dir, known.name.clone()), |place| (place.dir, place.name));
    set(store, folder, &Known { dir, name, ..known.clone() })
}

/// Forgets a node.
pub(super) fn remove(store: &Transaction<'_>, folder: FolderId, node: Node) -> Result<(), SpaceFault> {
    let rows = Rows { store, folder };
    if let Some(known) = rows.of(node)? {
        store.remove_value(&rows.kind(known.dir), &known.name)?;
    }
    Ok(store.remove_value(&rows.index(), &key(node))?)
}

/// Forgets a node and everything that was known below it.
pub(super) fn remove_all(store: &Transaction<'_>, folder: FolderId, top: Node) -> Result<(), SpaceFault> {
    let mut open = vec![top];
    while let Some(node) = open.pop() {
        let rows = Rows { store, folder };
        open.extend(rows.inside(node)?.into_iter().map(|known| known.node));
        remove(store, folder, node)?;
    }
    Ok(())
}

/// Forgets everything of a folder.
pub(super) fn forget(store: &Transaction<'_>, folder: FolderId, top: Node) -> Result<(), SpaceFault> {
    let inside = Rows { store, folder }.inside(top)?;
    inside.into_iter().try_for_each(|known| remove_all(store, folder, known.node))
}

fn key(node: Node) -> Vec<u8> {
    [&node.realm.as_bytes()[..], &node.id.0].concat()
}

fn written(row: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(row).expect("these rows have only types that postcard can write")
}

/// Sees that what is not shown is gone, and that the tree has not lost it.
///
/// # Errors
/// It has.
pub(super) fn check_gone(tree: &Tree<&Reader<'_>>, known: &Known) -> Result<(), SpaceFault> {
    let Some(version) = known.version else { return Ok(()) };
    let applied = tree.rows().note(&version.commit)?.is_some_and(|note| note.applied);
    if applied && tree.version(tree.content(known.node)?, version)?.is_none() {
        return Err(SpaceFault::Tree("it has lost what a change says; nothing is deleted".into()));
    }
    Ok(())
}
