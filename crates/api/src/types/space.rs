//! Spaces: shared file trees, who may do what in them, and what other devices hold of them.

use serde::{Deserialize, Serialize};

use super::TreePath;

/// Make a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceCreate {
    /// What it is called, for everybody in it.
    pub name: String,
}

/// Names a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BySpace {
    /// Its name, or an unambiguous beginning of its id.
    pub space: String,
}

/// Gives a space another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceRename {
    /// As in [`BySpace`].
    pub space: String,
    /// The new name, for everybody in it.
    pub name: String,
}

/// Ends keeping a space on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceForget {
    /// As in [`BySpace`].
    pub space: String,
    /// Also if contents or changes are known to be on no other device.
    #[serde(default)]
    pub force: bool,
}

/// What a device keeps of a space's contents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Of everything that is shown, and of what was shown, as far as it was here.
    #[default]
    Everything,
    /// What was read or written here; the rest is fetched when it is read.
    OnDemand,
}

/// Changes what this device keeps of a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceKeep {
    /// As in [`BySpace`].
    pub space: String,
    /// From now on.
    pub keep: Keep,
}

/// Limits what this device keeps of a space that it stores without reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceQuota {
    /// As in [`BySpace`].
    pub space: String,
    /// The most bytes, of contents and changes; absent: no limit. The owners of the space may ask for less.
    #[serde(default)]
    pub limit: Option<u64>,
}

/// A space on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// The name by which commands know it here: its own, with who made it where two have the same.
    pub name: String,
    /// Its id: that of its ledger, hex.
    pub id: String,
    /// The own role on its root: `owner`, `editor`, `reader`, `storage`; `partial`: on parts of it only; empty: none.
    pub role: String,
    /// How this device stands.
    pub state: SpaceState,
    /// What it keeps here.
    pub keep: Keep,
    /// Which versions keep their contents here.
    #[serde(default)]
    pub history: super::History,
    /// Files that are shown.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Bytes of encrypted objects that this device stores for it.
    pub stored_bytes: u64,
    /// Bytes that it takes here, changes included.
    #[serde(default)]
    pub taken_bytes: u64,
    /// The most that it may take, where this device stores it without reading and is limited.
    #[serde(default)]
    pub limit: Option<u64>,
    /// Why nothing more is stored here, in words.
    #[serde(default)]
    pub full: Option<String>,
    /// Objects that are wanted here and not yet here.
    pub missing_objects: u64,
    /// The latest change.
    pub last_change: Option<Change>,
    /// Things that people should look at (`conflicts`).
    pub conflicts: u64,
    /// Proven or suspected cheats (`space_verify`).
    pub alerts: u64,
    /// Who has a role, and what is known of their devices.
    pub members: Vec<SpaceMember>,
}

/// How a device stands with a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpaceState {
    /// Everything that anybody online told of is here.
    Current,
    /// Changes or contents are on their way.
    Syncing,
    /// Nobody else who has it is online.
    Alone,
    /// The key is not here: an owner has to come online.
    WaitsForKey,
    /// The disk was put back to an older state; nothing is written until others have told what was lost.
    Behind,
    /// This device stores it and cannot read it.
    Storage,
    /// It may no longer be read here.
    Revoked,
}

/// Who did something, on which device, and when by its clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Member; empty if unknown.
    pub by: String,
    /// Device, as `member/device`.
    pub device: String,
    /// Unix milliseconds.
    pub at: i64,
}

/// A member in a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceMember {
    /// Name.
    pub name: String,
    /// Role on the root; empty if only on parts.
    pub role: String,
    /// Parts with a role of their own.
    pub parts: Vec<SpacePart>,
    /// Their devices that have entered.
    pub devices: Vec<SpaceDevice>,
}

/// A part of a space on which a member has a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpacePart {
    /// Where it is shown; `None`: not readable from here.
    pub path: Option<TreePath>,
    /// The role there.
    pub role: String,
}

/// A device in a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceDevice {
    /// As `member/device`.
    pub name: String,
    /// It is online.
    pub online: bool,
    /// It is known to have every change that this device has, and not known to lack contents; `None`: unknown.
    pub current: Option<bool>,
    /// When it last told what it has, Unix milliseconds.
    pub told_at: Option<i64>,
    /// It signed two changes with one number; what it writes counts no more.
    pub forked: bool,
    /// It stores without reading, and said that it has no room.
    #[serde(default)]
    pub full: bool,
    /// The most bytes that the owners of the space ask of it.
    #[serde(default)]
    pub limit: Option<u64>,
}

/// Gives a member a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceShare {
    /// As in [`BySpace`].
    pub space: String,
    /// A directory or file with permissions of its own from now on; empty: the space.
    #[serde(default)]
    pub path: TreePath,
    /// Member, as in `ByName`.
    pub member: String,
    /// `owner`, `editor`, `reader` or `storage`.
    pub role: String,
    /// With the role `storage`: the most bytes that each device of the member is asked to keep; 0: no limit any more;
    /// absent: as it was, at first as the device's own owner allows.
    #[serde(default)]
    pub quota: Option<u64>,
}

/// Takes a member's role away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceUnshare {
    /// As in [`BySpace`].
    pub space: String,
    /// As in [`SpaceShare`].
    #[serde(default)]
    pub path: TreePath,
    /// Member, as in `ByName`.
    pub member: String,
    /// Only say what it would mean.
    #[serde(default)]
    pub preview: bool,
}

/// What taking a role away means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unshared {
    /// Who.
    pub member: String,
    /// It was only a preview.
    pub preview: bool,
    /// Files that the member could have read until now; nothing takes back what somebody has read.
    pub could_read_files: u64,
    /// Their versions.
    pub could_read_versions: u64,
    /// Their bytes.
    pub could_read_bytes: u64,
    /// Devices of the member that had the keys.
    pub devices: Vec<String>,
    /// What is written from now on is under keys that the member has not.
    pub rekeyed: bool,
    /// Whoever has a role now.
    pub access: Vec<Access>,
}

/// Asks who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessQuery {
    /// As in [`BySpace`].
    pub space: String,
    /// Where; empty: the space.
    #[serde(default)]
    pub path: TreePath,
}

/// What a member may do at a path, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Who.
    pub member: String,
    /// `owner`, `editor`, `reader` or `storage`.
    pub role: String,
    /// The directory or file whose permissions say so; empty: the space's.
    pub from: TreePath,
    /// Who granted it; empty: the founder of the space has it from the beginning.
    pub granted_by: String,
    /// When, Unix milliseconds by the clock of the granting device.
    pub granted_at: Option<i64>,
}

/// What checking a space found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Nothing is wrong.
    pub ok: bool,
    /// What was checked and holds, in words.
    pub holds: Vec<String>,
    /// What is not here, or could not be checked, in words.
    pub missing: Vec<String>,
    /// What is damaged on this disk, in words.
    pub damaged: Vec<String>,
    /// Who cheated, and how.
    pub cheats: Vec<Cheat>,
}

/// A cheat of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cheat {
    /// Number of the evidence, for `evidence_export`; empty: it is suspected only.
    pub evidence: String,
    /// Whose device; as `member/device`.
    pub device: String,
    /// What it did, in words.
    pub what: String,
    /// When it was found here, Unix milliseconds.
    pub found_at: i64,
    /// Signed by the device itself: a third party can check it.
    pub proven: bool,
}

/// Asks for evidence in a form that a third party can check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceQuery {
    /// As in [`BySpace`].
    pub space: String,
    /// As in [`Cheat`]; absent: all of it.
    #[serde(default)]
    pub evidence: Option<String>,
}

/// Evidence as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceFile {
    /// The bytes, base64.
    pub bytes: String,
    /// What it proves, in words.
    pub proves: Vec<String>,
}

/// What evidence proves to anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceProof {
    /// Who cheated and how, in words; never empty.
    pub proves: Vec<String>,
}

/// One action for a lost or stolen device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLost {
    /// The device, as in `ByName`.
    pub name: String,
    /// Only say what it would mean.
    #[serde(default)]
    pub preview: bool,
}

/// What was done for a lost device, and what is left to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostDevice {
    /// As `member/device`.
    pub device: String,
    /// It was only a preview.
    pub preview: bool,
    /// What it could read, per space.
    pub could_read: Vec<LostSpace>,
    /// What was done, in words.
    pub done: Vec<String>,
    /// What people have to do themselves, in words.
    pub to_do: Vec<String>,
}

/// A space that a lost device could read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostSpace {
    /// Name.
    pub space: String,
    /// Its role there.
    pub role: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Revoked there, and the keys changed; else somebody else has to: who could.
    pub revoked: bool,
    /// Owners who could revoke it.
    pub owners: Vec<String>,
}
