//! Which objects the commits name that came since the last time.

use logic::ledger::Kind;
use logic::space::manifest::{Manifest, Part};
use logic::space::{Change, Content};
use seal::ObjectId;
use store::objects::ObjectStore;
use store::space::Reading;

use crate::spaces::{Kept, SpaceFault};

/// Up to which commit all was looked at.
const CURSOR: (&str, &[u8]) = ("holds", b"cursor");
/// Commits in one step.
const STEP: usize = 256;

/// Lets the space hold what is here; returns what is absent.
pub(super) fn hold_new(kept: &Kept, objects: &ObjectStore) -> Result<Vec<ObjectId>, SpaceFault> {
    let mut absent = Vec::new();
    loop {
        let (ids, from, to) = kept.space.peek(|store| {
            let from =
                store.value(CURSOR.0, CURSOR.1)?.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_be_bytes);
            let (mut ids, mut to) = (Vec::new(), from);
            for logged in store.arrived(from, STEP)? {
                if logged.header.kind == Kind::Data {
                    let (reading, changes) = kept.space.open_body(store, &logged.id, &logged.header)?;
                    if reading == Reading::Waits {
                        break;
                    }
                    ids.extend(named(&changes));
                }
                to = logged.moment.arrival();
            }
            Ok((ids, from, to))
        })?;
        if to == from {
            return Ok(absent);
        }
        absent.extend(objects.hold(&kept.namespace(), &ids)?);
        kept.space.jot(|store| Ok(store.set_value(CURSOR.0, CURSOR.1, &to.to_be_bytes())?))?;
    }
}

fn named(changes: &[Change]) -> Vec<ObjectId> {
    let mut ids = Vec::new();
    for change in changes {
        let Change::Put { written, .. } = change else { continue };
        let Content::File { size, manifest, .. } = &written.content else { continue };
        if let Ok(Manifest::Parts(parts) | Manifest::Index(parts)) = Manifest::read(manifest, *size) {
            ids.extend(parts.iter().filter_map(|part| match part {
                Part::Data(chunk) => Some(chunk.id),
                Part::Hole(_) => None,
            }));
        }
    }
    ids
}
