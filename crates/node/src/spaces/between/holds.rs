//! Which objects the commits name that came since the last time.

use logic::ledger::Kind;
use logic::space::manifest::{Manifest, Part, read_index};
use logic::space::{Change, Content};
use seal::ObjectId;
use seal::chunk::ChunkOpener;
use serde::{Deserialize, Serialize};
use store::objects::ObjectStore;
use store::space::{Reader, Reading};

use crate::spaces::{Kept, SpaceFault};

/// Where it is stored how far this got.
const PLACE: (&str, &[u8]) = ("holds", b"place");
/// Commits in one step.
const STEP: usize = 256;

/// How far the commits were looked at, by the number of their arrival.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// Up to here.
    to: i64,
    /// The first that could not be read: its key was not here,
    sealed: Option<i64>,
    /// or the list of the parts of a file was not.
    listed: Option<i64>,
}

/// What may have come since the last time, besides commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Come {
    /// Keys of what could not be read.
    pub(super) keys: bool,
    /// Objects with lists of parts.
    pub(super) lists: bool,
}

/// Lets the space hold what is here; returns what is absent.
pub(super) fn hold_new(kept: &Kept, objects: &ObjectStore, come: Come) -> Result<Vec<ObjectId>, SpaceFault> {
    let mut place = kept.space.peek(|store| stored(store))?;
    let before = place;
    if let Some(sealed) = place.sealed.filter(|_| come.keys) {
        place = Place { to: place.to.min(sealed - 1), sealed: None, ..place };
    }
    if let Some(listed) = place.listed.filter(|_| come.lists) {
        place = Place { to: place.to.min(listed - 1), listed: None, ..place };
    }
    let mut absent = Vec::new();
    loop {
        let (ids, next) = kept.space.peek(|store| step(kept, objects, store, place))?;
        absent.extend(objects.hold(&kept.namespace(), &ids)?);
        if next.to == place.to {
            break;
        }
        place = next;
    }
    if place != before {
        let bytes = postcard::to_stdvec(&place).expect("numbers can be written");
        kept.space.jot(|store| Ok(store.set_value(PLACE.0, PLACE.1, &bytes)?))?;
    }
    absent.sort_unstable();
    absent.dedup();
    Ok(absent)
}

fn stored(store: &Reader<'_>) -> Result<Place, SpaceFault> {
    let bytes = store.value(PLACE.0, PLACE.1)?;
    Ok(bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok()).unwrap_or_default())
}

/// What the next commits name.
fn step(
    kept: &Kept,
    objects: &ObjectStore,
    store: &Reader<'_>,
    mut place: Place,
) -> Result<(Vec<ObjectId>, Place), SpaceFault> {
    let mut ids = Vec::new();
    for logged in store.arrived(place.to, STEP)? {
        place.to = logged.moment.arrival();
        if logged.header.kind != Kind::Data {
            continue;
        }
        let (reading, changes) = kept.space.open_body(store, &logged.id, &logged.header)?;
        if reading == Reading::Waits {
            place.sealed.get_or_insert(place.to);
        }
        for change in &changes {
            if !named(change, objects, &mut ids) {
                place.listed.get_or_insert(place.to);
            }
        }
    }
    Ok((ids, place))
}

/// Adds what a change names. False: the list of parts is not here yet.
fn named(change: &Change, objects: &ObjectStore, ids: &mut Vec<ObjectId>) -> bool {
    let Change::Put { written, .. } = change else { return true };
    let Content::File { size, manifest, .. } = &written.content else { return true };
    match Manifest::read(manifest, *size) {
        Ok(Manifest::Parts(parts)) => {
            add(&parts, ids);
            true
        }
        Ok(Manifest::Index(index)) => {
            add(&index, ids);
            match read_list(&index, *size, objects) {
                List::Is(parts) => {
                    add(&parts, ids);
                    true
                }
                List::Absent => false,
                List::Never => true,
            }
        }
        // In the commit itself; or nothing that this version can read.
        Ok(Manifest::Inline(_)) | Err(_) => true,
    }
}

fn add(parts: &[Part], ids: &mut Vec<ObjectId>) {
    ids.extend(parts.iter().filter_map(|part| match part {
        Part::Data(chunk) => Some(chunk.id),
        Part::Hole(_) => None,
    }));
}

/// The list of a file's parts.
enum List {
    Is(Vec<Part>),
    Absent,
    /// What was written is none.
    Never,
}

fn read_list(index: &[Part], size: u64, objects: &ObjectStore) -> List {
    let mut opener = ChunkOpener::new();
    let mut list = Vec::new();
    for part in index {
        let Part::Data(chunk) = part else { return List::Never };
        let Ok(sealed) = objects.get(&chunk.id) else { return List::Absent };
        match opener.open(&chunk.id, &chunk.key, &sealed) {
            Ok(bytes) => list.extend(bytes),
            Err(_) => return List::Never,
        }
    }
    read_index(&list, size).map_or(List::Never, List::Is)
}
