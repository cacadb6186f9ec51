//! The folders of a home that are kept in step.

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use api::types::{SyncFolder, TreePath};
use api::{ApiError, ApiResult, ErrorCode};
use logic::ledger::CommitId;
use logic::space::Node;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use store::database::{Database, Table};
use store::folder::Folder;

use super::base::FolderId;
use super::keeper::Keeper;
use super::{FolderFault, Hands};
use crate::errors::{database, io_error};
use crate::spaces::contents::{Access, Progress};
use crate::spaces::{Kept, Spaces, folder::base};

/// A folder as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    dir: ByteBuf,
    ledger: CommitId,
    top: Node,
    watch: bool,
}

struct Running {
    keeper: Arc<Keeper>,
    thread: Option<JoinHandle<()>>,
}

/// See the module.
pub(crate) struct Folders {
    spaces: Arc<Spaces>,
    rows: Table<Row>,
    running: Mutex<BTreeMap<FolderId, Running>>,
}

impl Folders {
    /// Begins with every folder that is stored.
    ///
    /// # Errors
    /// The database.
    pub(crate) fn open(spaces: Arc<Spaces>, database: &Database) -> ApiResult<Arc<Self>> {
        let rows: Table<Row> = database.table("folders");
        let folders = Arc::new(Self { spaces, rows, running: Mutex::default() });
        let stored = folders.rows.all().map_err(crate::errors::database)?;
        for (id, row) in stored.values {
            let Ok(id) = id.as_slice().try_into().map(FolderId) else { continue };
            match folders.spaces.get(row.ledger) {
                Some(kept) => folders.begin(id, &row, kept)?,
                None => tracing::warn!(folder = %id, "a folder is kept in step with a space that is not here"),
            }
        }
        Ok(folders)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<FolderId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, id: FolderId, row: &Row, kept: Arc<Kept>) -> ApiResult<()> {
        let access = Access {
            kept: kept.clone(),
            objects: self.spaces.objects.clone(),
            fetch: self.spaces.clone(),
            patience: Some(std::time::Duration::ZERO),
        };
        let hands = Hands { access, progress: Progress::silent() };
        let path = PathBuf::from(std::ffi::OsString::from_vec(row.dir.to_vec()));
        let keeper = Keeper::new(id, path, kept, row.top, row.watch, hands);
        let work = keeper.clone();
        let thread = std::thread::Builder::new().name("warren-folder".to_owned()).spawn(move || work.run());
        let thread = Some(thread.map_err(|error| io_error("start a thread", &error))?);
        self.running().insert(id, Running { keeper, thread });
        Ok(())
    }

    /// Keeps a folder in step with a directory of a space. The same once more is no error.
    ///
    /// # Errors
    /// It lies in or around another one, or cannot be used.
    pub(crate) fn add(&self, dir: &Path, kept: Arc<Kept>, top: Node, watch: bool) -> ApiResult<SyncFolder> {
        let dir = made(dir)?;
        if let Some((id, other)) = self.clash(&dir) {
            let same = other.path == dir && other.kept.space.id() == kept.space.id() && other.top == top;
            if !same {
                let message = format!("{} is kept in step already", other.path.display());
                return Err(ApiError::new(ErrorCode::Exists, message)
                    .hint("folders in step cannot lie in each other; `warren sync --stop DIR` ends one"));
            }
            if other.watch || !watch {
                return self.shown(&other);
            }
            self.end(id);
            return self.start(id, &dir, kept, top, watch);
        }
        self.start(FolderId(seal::random()), &dir, kept, top, watch)
    }

    fn start(&self, id: FolderId, dir: &Path, kept: Arc<Kept>, top: Node, watch: bool) -> ApiResult<SyncFolder> {
        Folder::begin(dir).map_err(FolderFault::from)?;
        let row = Row { dir: ByteBuf::from(dir.as_os_str().as_bytes()), ledger: kept.space.id(), top, watch };
        self.rows.put(&id.0, &row).map_err(database)?;
        self.begin(id, &row, kept)?;
        let keeper = self.running().get(&id).map(|running| running.keeper.clone());
        keeper.map_or_else(|| Err(gone(dir)), |keeper| self.shown(&keeper))
    }

    /// One that is this folder, or lies in it or around it.
    fn clash(&self, dir: &Path) -> Option<(FolderId, Arc<Keeper>)> {
        let running = self.running();
        let clash = |keeper: &Keeper| keeper.path.starts_with(dir) || dir.starts_with(&keeper.path);
        let mut found = running.iter().filter(|(_, running)| clash(&running.keeper));
        found.next().map(|(id, running)| (*id, running.keeper.clone()))
    }

    fn named(&self, name: &TreePath) -> ApiResult<(FolderId, Arc<Keeper>)> {
        let dir = Path::new(std::ffi::OsStr::from_bytes(&name.0));
        let real = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        let running = self.running();
        let is_it = |id: &FolderId, keeper: &Keeper| {
            keeper.path == dir || keeper.path == real || id.to_string().as_bytes() == name.0
        };
        let found = running.iter().find(|(id, running)| is_it(id, &running.keeper));
        found.map(|(id, running)| (*id, running.keeper.clone())).ok_or_else(|| gone(dir))
    }

    /// All of them.
    pub(crate) fn all(&self) -> ApiResult<Vec<SyncFolder>> {
        let keepers: Vec<_> = self.running().values().map(|running| running.keeper.clone()).collect();
        keepers.iter().map(|keeper| self.shown(keeper)).collect()
    }

    /// Brings a folder in step, and answers when it is, or when it is known why not.
    ///
    /// # Errors
    /// There is no such folder.
    pub(crate) async fn now(&self, name: &TreePath) -> ApiResult<SyncFolder> {
        let (_, keeper) = self.named(name)?;
        let (number, mut answered) = keeper.ask();
        let stopped = || ApiError::new(ErrorCode::Cancelled, "ended before it was in step");
        answered.wait_for(|answered| *answered >= number).await.map_err(|_| stopped())?;
        if keeper.stopped() {
            return Err(stopped());
        }
        self.shown(&keeper)
    }

    /// Ends keeping a folder in step; it stays as it is.
    ///
    /// # Errors
    /// There is no such folder.
    pub(crate) fn remove(&self, name: &TreePath) -> ApiResult<()> {
        let (id, keeper) = self.named(name)?;
        self.end(id);
        self.rows.delete(&id.0).map_err(database)?;
        keeper.kept.space.jot(|store| base::forget(store, id, keeper.top))?;
        match Folder::open(&keeper.path) {
            Ok(folder) => folder.end().map_err(|fault| FolderFault::from(fault).into()),
            // It is not there any more.
            Err(_) => Ok(()),
        }
    }

    fn end(&self, id: FolderId) {
        let running = self.running().remove(&id);
        if let Some(Running { keeper, thread }) = running {
            keeper.stop();
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!(folder = %id, "a folder's thread ended badly");
            }
        }
    }

    /// Ends all threads, which stop between files. Blocking.
    pub(crate) fn stop(&self) {
        let all: Vec<_> = self.running().iter().map(|(id, running)| (*id, running.keeper.clone())).collect();
        all.iter().for_each(|(_, keeper)| keeper.stop());
        all.iter().for_each(|(id, _)| self.end(*id));
    }

    fn shown(&self, keeper: &Keeper) -> ApiResult<SyncFolder> {
        let standing = keeper.standing();
        let path = keeper.kept.space.tree(|tree| Ok(tree.path(keeper.top)?))?;
        let state = match &standing {
            standing if standing.problem.is_some() => "stopped",
            standing if standing.working => "working",
            standing if standing.waiting > 0 => "waiting",
            standing if standing.in_step_at.is_none() => "working",
            _ => "in_step",
        };
        Ok(SyncFolder {
            id: keeper.id.to_string(),
            dir: TreePath(keeper.path.as_os_str().as_bytes().to_vec()),
            space: keeper.kept.space.id().to_string(),
            path: TreePath(path.unwrap_or_default()),
            state: state.into(),
            watch: keeper.watch,
            changes: standing.done,
            pending: standing.waiting,
            in_step_at: standing.in_step_at,
            problem: standing.problem,
            warnings: standing.warnings,
        })
    }
}

/// The folder's own path, whatever links lead to it; made where it is not there.
fn made(dir: &Path) -> ApiResult<PathBuf> {
    if !dir.is_absolute() {
        return Err(ApiError::new(ErrorCode::BadRequest, format!("{} is no absolute path", dir.display())));
    }
    let what = || format!("use {}", dir.display());
    std::fs::create_dir_all(dir).map_err(|error| io_error(&what(), &error))?;
    dir.canonicalize().map_err(|error| io_error(&what(), &error))
}

fn gone(dir: &Path) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("{} is not kept in step", dir.display()))
        .hint("`warren sync` lists the folders that are; `warren sync DIR SPACE` begins with one")
}
