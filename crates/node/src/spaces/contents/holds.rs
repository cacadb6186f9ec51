//! Which objects the commits name that came since the last time.
//!
//! Invariants: an object is wanted before the cursor moves beyond the commit that names it, so a crash makes something be
//! looked at twice and never not at all; what cannot be looked into yet (its key is not here, it does not count, the list
//! of its chunks is not here) is remembered and looked at again when that may have changed, and keeps nothing else waiting.

use std::collections::BTreeSet;

use logic::ledger::{CommitId, Kind, Shelf};
use logic::space::manifest::{Manifest, Part, read_index};
use logic::space::{Change, Content};
use seal::ObjectId;
use seal::chunk::ChunkOpener;
use store::objects::{ObjectError, ObjectStore};
use store::space::{Reader, Reading};

use crate::spaces::{Kept, SpaceFault};

/// Up to which commit all was looked at.
const CURSOR: (&str, &[u8]) = ("holds", b"cursor");
/// Commits that cannot be looked into as things are.
const SHUT: &str = "holds shut";
/// Commits of which the list of some file's chunks is not here.
const UNLISTED: &str = "holds unlisted";
/// Commits in one step.
const STEP: usize = 64;

/// What a commit is to this.
enum Look {
    /// It names these; all of them, or some lists are not here.
    Names { ids: Vec<ObjectId>, all: bool },
    /// It cannot be looked into now.
    Shut,
}

/// Lets the space hold what is here, and says what is absent, bit by bit: `want` must remember it durably. `again`: keys
/// may have come for what could not be read then.
///
/// # Errors
/// The disk's, and those of `want`; then it goes on from there the next time.
pub(crate) fn hold_new(
    kept: &Kept,
    objects: &ObjectStore,
    again: bool,
    mut want: impl FnMut(&[ObjectId]) -> Result<(), SpaceFault>,
) -> Result<(), SpaceFault> {
    if again {
        look_again(kept, objects, SHUT, &mut want)?;
    }
    loop {
        let (arrived, from) = kept.space.peek(|reader| {
            let cursor = reader.value(CURSOR.0, CURSOR.1)?.and_then(|bytes| bytes.try_into().ok());
            let from = cursor.map_or(0, i64::from_be_bytes);
            Ok((reader.arrived(from, STEP)?, from))
        })?;
        let Some(to) = arrived.last().map(|logged| logged.moment.arrival()) else {
            return look_again(kept, objects, UNLISTED, &mut want);
        };
        debug_assert!(to > from);
        let data: Vec<CommitId> =
            arrived.iter().filter(|logged| logged.header.kind == Kind::Data).map(|logged| logged.id).collect();
        let (shut, unlisted) = look_at(kept, objects, &data, &mut want)?;
        if data.len() < arrived.len() {
            // Who may write, and which keys are here, may be different now.
            look_again(kept, objects, SHUT, &mut want)?;
        }
        kept.space.jot(|store| {
            for (kind, ids) in [(SHUT, &shut), (UNLISTED, &unlisted)] {
                ids.iter().try_for_each(|id| store.set_value(kind, id.as_bytes(), b""))?;
            }
            Ok(store.set_value(CURSOR.0, CURSOR.1, &to.to_be_bytes())?)
        })?;
    }
}

/// Objects that the space holds here and that are lost or damaged, bit by bit; says how many. Whoever cannot read knows by this
/// what it took and has no more.
///
/// # Errors
/// The disk's, and those of `each`.
pub(crate) fn lost(
    kept: &Kept,
    objects: &ObjectStore,
    mut each: impl FnMut(&[ObjectId]) -> Result<(), SpaceFault>,
) -> Result<u64, SpaceFault> {
    let (namespace, mut after, mut count) = (kept.namespace(), 0, 0);
    loop {
        let found = objects.wanting(after)?;
        let Some((last, _)) = found.last() else { return Ok(count) };
        after = *last;
        let mut its = Vec::new();
        for (_, id) in found {
            if objects.is_held(&namespace, &id)? {
                its.push(id);
            }
        }
        count += its.len() as u64;
        each(&its)?;
    }
}

/// Everything is to be looked at again: more is wanted from now on than before.
pub(crate) fn hold_again(kept: &Kept) -> Result<(), SpaceFault> {
    kept.space.jot(|store| Ok(store.remove_value(CURSOR.0, CURSOR.1)?))
}

/// True if every commit that came was looked into, and all that it names is known.
pub(crate) fn all_held(kept: &Kept) -> Result<bool, SpaceFault> {
    kept.space.peek(|reader| Ok(reader.values(SHUT)?.is_empty() && reader.values(UNLISTED)?.is_empty()))
}

/// Looks at what could not be looked into before.
fn look_again(
    kept: &Kept,
    objects: &ObjectStore,
    kind: &str,
    want: &mut impl FnMut(&[ObjectId]) -> Result<(), SpaceFault>,
) -> Result<(), SpaceFault> {
    let names = kept.space.peek(|reader| Ok(reader.values(kind)?))?;
    let ids: Vec<CommitId> =
        names.into_iter().filter_map(|(name, _)| Some(CommitId::from_bytes(name.try_into().ok()?))).collect();
    if ids.is_empty() {
        return Ok(());
    }
    for ids in ids.chunks(STEP) {
        let (shut, unlisted) = look_at(kept, objects, ids, want)?;
        let left = |id: &&CommitId| if kind == SHUT { shut.contains(id) } else { unlisted.contains(id) };
        let (stay, go): (Vec<&CommitId>, Vec<&CommitId>) = ids.iter().partition(left);
        if stay.len() == ids.len() {
            continue;
        }
        kept.space.jot(|store| {
            go.iter().try_for_each(|id| store.remove_value(kind, id.as_bytes()))?;
            let (other, others) = if kind == SHUT { (UNLISTED, &unlisted) } else { (SHUT, &shut) };
            Ok(others.iter().try_for_each(|id| store.set_value(other, id.as_bytes(), b""))?)
        })?;
    }
    Ok(())
}

/// Which of these commits cannot be looked into, and which have lists that are not here.
fn look_at(
    kept: &Kept,
    objects: &ObjectStore,
    ids: &[CommitId],
    want: &mut impl FnMut(&[ObjectId]) -> Result<(), SpaceFault>,
) -> Result<(BTreeSet<CommitId>, BTreeSet<CommitId>), SpaceFault> {
    let (mut shut, mut unlisted) = (BTreeSet::new(), BTreeSet::new());
    for id in ids {
        match kept.space.peek(|reader| look(kept, objects, reader, id))? {
            Look::Shut => drop(shut.insert(*id)),
            Look::Names { ids: named, all } => {
                if !all {
                    unlisted.insert(*id);
                }
                let absent = objects.hold(&kept.namespace(), &named)?;
                if !absent.is_empty() {
                    want(&absent)?;
                }
            }
        }
    }
    Ok((shut, unlisted))
}

fn look(kept: &Kept, objects: &ObjectStore, reader: &Reader<'_>, id: &CommitId) -> Result<Look, SpaceFault> {
    let (Some(note), Some(stored)) = (reader.note(id)?, reader.stored(id)) else { return Ok(Look::Shut) };
    if !note.worth.counts() {
        return Ok(Look::Shut);
    }
    let (reading, changes) = kept.space.open_body(reader, id, &stored.header)?;
    match reading {
        Reading::Opened => {}
        Reading::Unreadable => return Ok(Look::Names { ids: Vec::new(), all: true }),
        _ => return Ok(Look::Shut),
    }
    let (mut ids, mut all) = (Vec::new(), true);
    for change in &changes {
        let Change::Put { written, .. } = change else { continue };
        let Content::File { size, manifest, .. } = &written.content else { continue };
        let (more, whole) = names_of(objects, manifest, *size)?;
        ids.extend(more);
        all &= whole;
    }
    Ok(Look::Names { ids, all })
}

/// The objects that a manifest names. False: its list of chunks is not here, so not all of them.
pub(super) fn names_of(objects: &ObjectStore, manifest: &[u8], size: u64) -> Result<(Vec<ObjectId>, bool), SpaceFault> {
    Ok(match Manifest::read(manifest, size) {
        Ok(Manifest::Parts(parts)) => (named(&parts).collect(), true),
        Ok(Manifest::Index(parts)) => match listed(objects, &parts, size)? {
            Some(chunks) => (named(&parts).chain(named(&chunks)).collect(), true),
            None => (named(&parts).collect(), false),
        },
        Ok(Manifest::Inline(_)) | Err(_) => (Vec::new(), true),
    })
}

fn named(parts: &[Part]) -> impl Iterator<Item = ObjectId> {
    parts.iter().filter_map(|part| match part {
        Part::Data(chunk) => Some(chunk.id),
        Part::Hole(_) => None,
    })
}

/// The chunks of a file by its list; `None`: the list is not here. One that cannot be read names nothing.
fn listed(objects: &ObjectStore, index: &[Part], size: u64) -> Result<Option<Vec<Part>>, SpaceFault> {
    let (mut opener, mut list) = (ChunkOpener::new(), Vec::new());
    for part in index {
        let Part::Data(chunk) = part else { return Ok(Some(Vec::new())) };
        match objects.get(&chunk.id) {
            Ok(stored) => match opener.open_object(&chunk.key, &stored) {
                Ok(plain) => list.extend(plain),
                Err(_) => return Ok(Some(Vec::new())),
            },
            Err(ObjectError::Missing(_) | ObjectError::Damaged(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(read_index(&list, size).unwrap_or_default()))
}
