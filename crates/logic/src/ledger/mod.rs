//! Signed, per-device, hash-chained logs.
//! (module header follows with the engine)

mod commit;
mod control;
mod frontier;
mod head;
mod header;
mod id;

pub use commit::{BadDraft, Commit};
pub use control::{Control, Entry, Link, Rekey, RevokeReason, SealingKey, SpaceRole, Target, Wrap};
pub use frontier::Frontier;
pub use head::{HeadStatement, Heads, Heard, Held, Rollback};
pub use header::{Header, Kind, Seen, VERSION};
pub use id::{CommitId, EpochId, RealmId};
