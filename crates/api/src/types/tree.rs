//! The tree of a space: paths, entries, versions, and changes of them.

use data_encoding::BASE64URL_NOPAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path inside a space: names joined by `/`, empty for its root. Names may be any bytes but `/` and zero.
///
/// In JSON it is a string; a path that is no UTF-8 is an object `{"raw": BASE64URL}`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(pub Vec<u8>);

impl TreePath {
    /// For people: what is no UTF-8 is replaced.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// True for the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for TreePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

impl From<&str> for TreePath {
    fn from(path: &str) -> Self {
        Self(path.as_bytes().to_vec())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written<'a> {
    Text(std::borrow::Cow<'a, str>),
    Raw { raw: String },
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Written::Raw { raw: BASE64URL_NOPAD.encode(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Text(text) => Ok(Self(text.into_owned().into_bytes())),
            Written::Raw { raw } => BASE64URL_NOPAD.decode(raw.as_bytes()).map(Self).map_err(D::Error::custom),
        }
    }
}

/// A point in the history of a space: an RFC 3339 time or date, a time that has passed (`90m`, `2h`, `3d`, `1w`), or a
/// version's id or its beginning (8 hex digits at least).
pub type Point = String;

/// Lists a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeQuery {
    /// The space, by name or id.
    pub space: String,
    /// Directory, file, or pattern (`*`, `?`, `[...]`, `**`; a name that exists is meant as it stands).
    #[serde(default)]
    pub path: TreePath,
    /// Everything below as well.
    #[serde(default)]
    pub recursive: bool,
    /// The directory itself rather than what is in it.
    #[serde(default)]
    pub itself: bool,
    /// As it was then.
    #[serde(default)]
    pub at: Option<Point>,
    /// What was deleted as well.
    #[serde(default)]
    pub deleted: bool,
    /// Only what comes after this path, in the order of the list.
    #[serde(default)]
    pub after: Option<TreePath>,
    /// At most so many; absent: 10,000.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// What a listing gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// By rising paths.
    pub entries: Vec<TreeEntry>,
    /// There are more: ask again after the last one.
    pub more: bool,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A directory with permissions of its own.
    Realm,
}

/// A line of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeEntry {
    /// From the root of the space.
    pub path: TreePath,
    /// What it is.
    pub kind: EntryKind,
    /// It has permissions of its own.
    #[serde(default)]
    pub shared: bool,
    /// Bytes; of directories 0.
    pub size: u64,
    /// When the content changed, Unix milliseconds, as the writer's file system said.
    pub mtime: Option<i64>,
    /// Permission bits, as the writer's file system said.
    pub mode: Option<u32>,
    /// Where a link points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<TreePath>,
    /// Id of the version that is shown.
    pub version: Option<String>,
    /// Who wrote it.
    pub changed: Option<super::Change>,
    /// Somebody should look at it (`conflicts`).
    pub conflict: bool,
    /// It is not there any more.
    pub deleted: bool,
    /// Its content is on this device.
    pub local: bool,
}

/// Asks for the history of a path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeLogQuery {
    /// The space, by name or id.
    pub space: String,
    /// A file or directory (then of everything in it); empty: the space with its permissions.
    #[serde(default)]
    pub path: TreePath,
    /// At most so many, the latest; absent: 1000.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// What happened to something in a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeVersion {
    /// For `--at` and `restore`.
    pub id: String,
    /// Where it is or was shown; `None`: nowhere.
    pub path: Option<TreePath>,
    /// `made`, `written`, `moved`, `deleted`, `restored`; of the space: `shared`, `unshared`, `entered`, `rekeyed`, `named`.
    pub what: String,
    /// More in words: where from, to whom.
    pub detail: Option<String>,
    /// Who.
    pub change: super::Change,
    /// Bytes.
    pub size: Option<u64>,
    /// It is what is shown now.
    pub shown: bool,
    /// Why it counts for nothing.
    pub void: Option<String>,
    /// Its content is on this device.
    pub local: bool,
}

/// Reads a file, or a part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRead {
    /// The space, by name or id.
    pub space: String,
    /// The file.
    pub path: TreePath,
    /// As it was then.
    #[serde(default)]
    pub at: Option<Point>,
    /// From this byte.
    #[serde(default)]
    pub offset: u64,
    /// At most so many bytes.
    #[serde(default)]
    pub length: Option<u64>,
}

/// Brings files and folders of this machine into a space.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreePut {
    /// The space, by name or id.
    pub space: String,
    /// Into this directory, or (`exact`) as this path.
    #[serde(default)]
    pub to: TreePath,
    /// The one source becomes `to` itself.
    #[serde(default)]
    pub exact: bool,
    /// Absolute paths on this machine.
    #[serde(default)]
    pub sources: Vec<TreePath>,
    /// Content that was handed over before (`spool`), which becomes the file `to`.
    #[serde(default)]
    pub spool: Option<String>,
    /// Make directories that are not there.
    #[serde(default)]
    pub parents: bool,
    /// Delete in the directories what the sources have not.
    #[serde(default)]
    pub delete: bool,
    /// Only if the version that is shown is this one; empty: only if there is none.
    #[serde(default)]
    pub if_version: Option<String>,
}

/// Brings files and folders of a space onto this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeGet {
    /// The space, by name or id.
    pub space: String,
    /// Paths or patterns.
    pub paths: Vec<TreePath>,
    /// As it was then.
    #[serde(default)]
    pub at: Option<Point>,
    /// Absolute path of a directory on this machine, or (`exact`) the path that the one source becomes.
    pub to: TreePath,
    /// See `to`.
    #[serde(default)]
    pub exact: bool,
    /// What happens to what is there already.
    #[serde(default)]
    pub existing: Existing,
}

/// What happens to files that are there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// They stay; what comes gets another name.
    #[default]
    Number,
    /// They stay; what would come is left out.
    Skip,
    /// They are replaced.
    Replace,
}

/// Work of the device that takes time: its progress comes as events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Id.
    pub id: String,
    /// `put`, `get`.
    pub kind: String,
    /// The space's name.
    pub space: String,
    /// Where it stands.
    pub state: JobState,
    /// Files found so far.
    pub files_total: u64,
    /// Files done: in a space, those that are durable.
    pub files_done: u64,
    /// Files that are the same on both sides.
    pub files_same: u64,
    /// Bytes found so far.
    pub bytes_total: u64,
    /// Bytes done.
    pub bytes_done: u64,
    /// Everything was found.
    pub scanned: bool,
    /// Unix milliseconds.
    pub started_at: i64,
    /// Unix milliseconds.
    pub ended_at: Option<i64>,
    /// Why it failed.
    pub problem: Option<JobProblem>,
    /// Files that could not be read or written, with the reason (at most 100 are listed).
    pub warnings: Vec<String>,
    /// How many there are in all.
    pub files_failed: u64,
    /// What it made at the top: paths on this machine or in the space (at most 100).
    pub made: Vec<TreePath>,
}

/// Why work failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProblem {
    /// Kind.
    pub code: crate::ErrorCode,
    /// In words.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Where work stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It goes on.
    Running,
    /// Contents are on devices that are away; it goes on when one comes.
    Waiting,
    /// Done.
    Done,
    /// It failed; what is done stays.
    Failed,
    /// Ended by the user; what is done stays.
    Cancelled,
}

/// Makes directories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeMakeDir {
    /// The space, by name or id.
    pub space: String,
    /// Which.
    pub paths: Vec<TreePath>,
    /// Also those above; what is there is no error.
    #[serde(default)]
    pub parents: bool,
}

/// Moves or renames.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeMove {
    /// The space, by name or id.
    pub space: String,
    /// What; patterns are allowed.
    pub from: Vec<TreePath>,
    /// Into this directory, or the one thing as this path.
    pub to: TreePath,
}

/// Copies, also into another space.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeCopy {
    /// The space, by name or id.
    pub space: String,
    /// What; patterns are allowed.
    pub from: Vec<TreePath>,
    /// As it was then.
    #[serde(default)]
    pub at: Option<Point>,
    /// Another space; absent: the same.
    #[serde(default)]
    pub to_space: Option<String>,
    /// Into this directory, or the one thing as this path.
    pub to: TreePath,
}

/// Deletes; it can be restored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRemove {
    /// The space, by name or id.
    pub space: String,
    /// What; patterns are allowed.
    pub paths: Vec<TreePath>,
    /// Directories with what is in them.
    #[serde(default)]
    pub recursive: bool,
    /// Only say what it would mean.
    #[serde(default)]
    pub preview: bool,
}

/// Brings something back to how it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRestore {
    /// The space, by name or id.
    pub space: String,
    /// What; empty: the whole space.
    #[serde(default)]
    pub path: TreePath,
    /// As it was then; absent, of what is deleted: as it was last.
    #[serde(default)]
    pub at: Option<Point>,
    /// Only say what it would mean.
    #[serde(default)]
    pub preview: bool,
}

/// Undoes what somebody did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeUndo {
    /// The space, by name or id.
    pub space: String,
    /// A device, as in `ByName`.
    #[serde(default)]
    pub device: Option<String>,
    /// All devices of a member, as in `ByName`.
    #[serde(default)]
    pub member: Option<String>,
    /// Everything after this point.
    pub since: Point,
    /// Only say what it would mean.
    #[serde(default)]
    pub preview: bool,
}

/// What a change means, before or after it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanDone {
    /// It was only a preview.
    pub preview: bool,
    /// What happens to what (at most 10,000 are listed).
    pub steps: Vec<PlanStep>,
    /// How many steps there are in all.
    pub count: u64,
    /// Ids of the versions that were made, one per commit: to be undone with.
    pub commits: Vec<String>,
}

/// A line of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// Where it is shown now; `None`: it is deleted.
    pub path: Option<TreePath>,
    /// `delete`, `revive`, `rewrite`, `move`, `make`, `copy`, `stay`.
    pub what: String,
    /// Where it goes.
    pub to: Option<TreePath>,
}

/// Compares two points of a path's history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeDiff {
    /// The space, by name or id.
    pub space: String,
    /// A file, or a directory (then a list of what differs).
    #[serde(default)]
    pub path: TreePath,
    /// The older point; absent: the version before the shown one (files), a day ago (directories).
    #[serde(default)]
    pub from: Option<Point>,
    /// The newer point; absent: now.
    #[serde(default)]
    pub to: Option<Point>,
}

/// How two points differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// What differs, one per path.
    pub changes: Vec<DiffLine>,
    /// Of one text file: unified diff.
    pub text: Option<String>,
    /// Of one file: it is no text, or above 4 MiB.
    pub binary: bool,
}

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffLine {
    /// Then.
    pub old: Option<TreeEntry>,
    /// Now.
    pub new: Option<TreeEntry>,
}

/// Asks for what people should look at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictQuery {
    /// The space; absent: all.
    #[serde(default)]
    pub space: Option<String>,
}

/// Something that people should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// For `conflict_resolve`; stays the same while the conflict does.
    pub id: String,
    /// The space's name.
    pub space: String,
    /// Where it is shown.
    pub path: TreePath,
    /// `versions`: changed by two; `edited_and_deleted`; `names`: two things of one name; `moved`: moves into each other;
    /// `kept`: deleted, and there for what is in it.
    pub kind: String,
    /// The sides; the first is shown.
    pub sides: Vec<ConflictSide>,
    /// Of two text versions: unified diff from the shown one to the other.
    pub diff: Option<String>,
}

/// One side of a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictSide {
    /// Version, if it is about one.
    pub version: Option<String>,
    /// Where it is shown or would be.
    pub path: Option<TreePath>,
    /// Who.
    pub change: super::Change,
    /// The change is of this member.
    pub mine: bool,
    /// It is a delete.
    pub deleted: bool,
    /// Bytes.
    pub size: Option<u64>,
}

/// Settles a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictResolve {
    /// Id, or its beginning.
    pub id: String,
    /// `mine`, `theirs`, `both` (as two files), `shown`, a version's id or its beginning (8 digits, and `.NUMBER` where one commit
    /// made several), or of `names` the name or path of a side.
    pub keep: String,
    /// Only say what it would mean.
    #[serde(default)]
    pub preview: bool,
}

/// Keeps a folder of this machine in step with a directory of a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncAdd {
    /// Absolute path of the folder.
    pub dir: TreePath,
    /// The space, by name or id.
    pub space: String,
    /// The directory in it; empty: all of it.
    #[serde(default)]
    pub path: TreePath,
    /// Only when asked (`sync_now`), not whenever one of the sides changes.
    #[serde(default)]
    pub once: bool,
}

/// Names a folder that is kept in step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BySync {
    /// Absolute path of the folder, or id.
    pub dir: TreePath,
}

/// A folder that is kept in step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncFolder {
    /// Id.
    pub id: String,
    /// Absolute path.
    pub dir: TreePath,
    /// The space's name.
    pub space: String,
    /// The directory in it.
    pub path: TreePath,
    /// `in_step`, `working`, `waiting` (for contents), `stopped` (the folder or the right to write is gone).
    pub state: String,
    /// It is brought in step whenever one of the sides changes.
    pub watch: bool,
    /// Changes that were made on either side since the device was started.
    pub changes: u64,
    /// Changes that are still to be made: their contents are on other devices.
    pub pending: u64,
    /// When both sides were last in step, Unix milliseconds.
    pub in_step_at: Option<i64>,
    /// What went wrong, with a next step.
    pub problem: Option<String>,
    /// Files that are left out, with the reason (at most 100 are listed).
    pub warnings: Vec<String>,
}
