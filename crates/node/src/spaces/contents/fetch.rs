//! How contents that are not on this device come here while somebody waits for them.

use std::time::{Duration, Instant};

use seal::ObjectId;
use thiserror::Error;

use crate::spaces::Kept;

/// How long a reader waits for contents that another device has.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What could not be fetched, and who is known to have it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) struct NotHere {
    /// Some of what lacks.
    pub objects: Vec<ObjectId>,
    /// Devices that are known to have it, as `member/device`.
    pub who: Vec<String>,
}

impl std::fmt::Display for NotHere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.who.as_slice() {
            [] => f.write_str("the content is on a device that is away"),
            who => write!(f, "the content is on a device that is away: {}", who.join(", ")),
        }
    }
}

/// Brings objects of a space here. Blocking.
pub(crate) trait Fetch: Send + Sync {
    /// Fetches these, and puts them into the store, held for the space: all, until the deadline.
    ///
    /// # Errors
    /// [`NotHere`].
    fn fetch(&self, kept: &Kept, ids: &[ObjectId], deadline: Instant) -> Result<(), NotHere>;
}

/// A device that knows nobody.
pub(crate) struct Alone;

impl Fetch for Alone {
    fn fetch(&self, _: &Kept, ids: &[ObjectId], _: Instant) -> Result<(), NotHere> {
        Err(NotHere { objects: ids.iter().take(16).copied().collect(), who: Vec::new() })
    }
}
