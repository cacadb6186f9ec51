//! The care of what is stored for spaces on this device.

use serde::{Deserialize, Serialize};

/// Which versions, besides what is shown and what is in conflict, keep their contents on a device. Both absent: all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// What was there at any time within so many days.
    #[serde(default)]
    pub days: Option<u32>,
    /// So many versions of each file, the latest.
    #[serde(default)]
    pub versions: Option<u32>,
}

/// Chooses how much of a space's past keeps its contents on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceHistory {
    /// As in `BySpace`.
    pub space: String,
    /// From the next `store_tidy` on.
    pub history: History,
}

/// Lets go of contents that are not needed any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreTidy {
    /// Of this space, as in `BySpace`; absent: of all.
    #[serde(default)]
    pub space: Option<String>,
    /// Only say what it would mean.
    #[serde(default)]
    pub preview: bool,
}

/// What is not needed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tidied {
    /// It was only a preview.
    pub preview: bool,
    /// By space.
    pub spaces: Vec<TidiedSpace>,
    /// Bytes of contents that were let go a day ago or earlier, and are removed now.
    pub removed_bytes: u64,
    /// Bytes that the disk got back.
    pub freed_bytes: u64,
}

/// What is not needed any more of a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TidiedSpace {
    /// Its name.
    pub space: String,
    /// What is kept of its past.
    pub history: History,
    /// Objects that only versions name which are not kept.
    pub old_objects: u64,
    /// Their bytes.
    pub old_bytes: u64,
    /// Objects that nothing names: of work that was cut off or cancelled.
    pub unnamed_objects: u64,
    /// Their bytes.
    pub unnamed_bytes: u64,
    /// Why something stays that might go, in words.
    pub stays: Vec<String>,
}

/// Looks at what is stored, or mends it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreAction {
    /// Reads everything, changes nothing.
    #[default]
    Check,
    /// Mends what can be mended here, and asks other devices for the rest.
    Repair,
    /// Makes the files of spaces anew that are missing or cannot be opened, and the index of objects.
    Rebuild,
}

/// Asks for the care of what is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCare {
    /// What to do.
    pub action: StoreAction,
}

/// What was found, and done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCared {
    /// Nothing is wrong, or nothing is any more.
    pub ok: bool,
    /// What holds, in words.
    pub holds: Vec<String>,
    /// What is damaged, in words.
    pub damaged: Vec<String>,
    /// What is missing, in words.
    pub missing: Vec<String>,
    /// What was mended, in words.
    pub mended: Vec<String>,
    /// What to do now, in words.
    pub next: Vec<String>,
}
