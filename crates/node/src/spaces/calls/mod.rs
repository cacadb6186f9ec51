//! What the API asks of spaces, and does with them.
//!
//! Every call looks for what it is about, checks that it may, does all of it in one transaction of the space or none of it,
//! and says in the log what came of it. Blocking, but for [`answer`] and [`read`].
//!
//! | module | calls |
//! |---|---|
//! | `people`, `named`, `paths`, `scene`, `at` | what names, paths and points in time mean |
//! | `info` | space, spaces |
//! | `share`, `access` | who may do what |
//! | `list`, `log`, `diff` | looking |
//! | `files` | files of this machine, and contents |
//! | `making`, `carry`, `restore`, `conflicts`, `settle` | changing |
//! | `verify`, `lost`, `leave` | checking; what is to be done about lost devices, and roles no longer wanted |
//! | `store`, `care` | the care of what is stored |
//! | `sync` | folders in step |
//! | `fault`, `notes` | what went wrong, for people; what the log says |

mod access;
mod at;
mod care;
mod carry;
mod conflicts;
mod diff;
mod fault;
mod files;
mod info;
mod leave;
mod list;
mod log;
mod lost;
mod making;
mod named;
mod notes;
mod paths;
mod people;
mod restore;
mod scene;
mod settle;
mod share;
mod store;
mod sync;
#[cfg(test)]
pub(super) mod tests;
mod verify;

use std::sync::Arc;

use api::types::{Nothing, PlanDone, PlanStep, TreePath, TreeRead};
use api::{ApiError, ApiResult, ContentStream, ErrorCode, Reply, Request};
use logic::ledger::CommitId;

use super::space::Work;
use super::{Kept, SpaceFault, Spaces};
use crate::book::Book;
use crate::circle::Circle;
use crate::errors::blocking;
use crate::journal::Journal;
use crate::running::Running;
pub(super) use info::Shown;
use scene::Scene;
pub(crate) use store::housekeeping;

/// Steps that a reply lists, at most.
const STEPS: usize = 10_000;

/// What the calls work with.
#[derive(Clone)]
pub(super) struct Calls {
    spaces: Arc<Spaces>,
    circle: Arc<Circle>,
    book: Arc<Book>,
    journal: Journal,
}

/// Answers calls about spaces.
pub(crate) async fn answer(running: &Running, request: Request) -> ApiResult<Reply> {
    match request {
        Request::TreePut(request) => Ok(Reply::TreePut(files::put(running, request).await?)),
        Request::TreeGet(request) => Ok(Reply::TreeGet(files::get(running, request).await?)),
        Request::SyncAdd(request) => Ok(Reply::SyncAdd(sync::add(running, request).await?)),
        Request::Syncs(Nothing {}) => Ok(Reply::Syncs(sync::all(running).await?)),
        Request::SyncNow(request) => Ok(Reply::SyncNow(sync::now(running, request).await?)),
        Request::SyncRemove(request) => {
            sync::remove(running, request).await?;
            Ok(Reply::SyncRemove(Nothing {}))
        }
        Request::Jobs(Nothing {}) => Ok(Reply::Jobs(running.jobs.all())),
        Request::CancelJob(request) => Ok(Reply::CancelJob(running.jobs.cancel(&request.id)?)),
        request => {
            let calls = Calls::of(running);
            blocking(move || calls.answer(&request)).await
        }
    }
}

/// Opens a file in a space for reading.
pub(crate) async fn read(running: &Running, request: TreeRead) -> ApiResult<ContentStream> {
    files::read(running, request).await
}

fn unknown() -> ApiError {
    ApiError::new(ErrorCode::BadRequest, "this device does not know that call")
        .hint("is the running device older than this command? `warren down`, then `warren up`")
}

impl Calls {
    fn of(running: &Running) -> Self {
        Self {
            spaces: running.spaces.clone(),
            circle: running.circle.clone(),
            book: running.book.clone(),
            journal: running.journal.clone(),
        }
    }

    /// Answers a call, and says in the log what came of it.
    fn answer(&self, request: &Request) -> ApiResult<Reply> {
        let space = notes::space_named(request).map(|name| {
            let id = self.find(&name).map(|(kept, _)| kept.space.id().to_string());
            id.unwrap_or(name)
        });
        let done = self.perform(request);
        let people = self.people().ok();
        notes::events(request, &done, space, people.as_ref()).into_iter().for_each(|event| self.journal.note(event));
        done
    }

    fn perform(&self, request: &Request) -> ApiResult<Reply> {
        Ok(match request {
            Request::SpaceCreate(request) => Reply::SpaceCreate(self.create(request)?),
            Request::Spaces(Nothing {}) => Reply::Spaces(self.all_spaces()?),
            Request::Space(request) => Reply::Space(self.space(&request.space)?),
            Request::SpaceRename(request) => Reply::SpaceRename(self.rename(request)?),
            Request::SpaceForget(request) => {
                self.forget(request)?;
                Reply::SpaceForget(Nothing {})
            }
            Request::SpaceTrust(request) => Reply::SpaceTrust(self.trust(&request.space)?),
            Request::SpaceKeep(request) => Reply::SpaceKeep(self.keep(request)?),
            Request::SpaceQuota(request) => Reply::SpaceQuota(self.quota(request)?),
            Request::SpaceHistory(request) => Reply::SpaceHistory(self.history(request)?),
            Request::StoreCare(request) => Reply::StoreCare(self.care(request)?),
            Request::StoreTidy(request) => Reply::StoreTidy(self.tidy(request)?),
            Request::SpaceShare(request) => Reply::SpaceShare(self.share(request)?),
            Request::SpaceUnshare(request) => Reply::SpaceUnshare(self.unshare(request)?),
            Request::SpaceAccess(request) => Reply::SpaceAccess(self.access(request)?),
            Request::SpaceVerify(request) => Reply::SpaceVerify(self.verify(request)?),
            Request::EvidenceExport(request) => Reply::EvidenceExport(self.export(request)?),
            Request::DeviceLost(request) => Reply::DeviceLost(self.lost(request)?),
            Request::TreeList(request) => Reply::TreeList(self.list(request)?),
            Request::TreeLog(request) => Reply::TreeLog(self.log(request)?),
            Request::TreeDiff(request) => Reply::TreeDiff(self.diff(request)?),
            Request::TreeMakeDir(request) => Reply::TreeMakeDir(self.make_dirs(request)?),
            Request::TreeMove(request) => Reply::TreeMove(self.move_to(request)?),
            Request::TreeCopy(request) => Reply::TreeCopy(self.copy(request)?),
            Request::TreeRemove(request) => Reply::TreeRemove(self.remove(request)?),
            Request::TreeRestore(request) => Reply::TreeRestore(self.restore(request)?),
            Request::TreeUndo(request) => Reply::TreeUndo(self.undo(request)?),
            Request::Conflicts(request) => Reply::Conflicts(self.conflicts(request)?),
            Request::ConflictResolve(request) => Reply::ConflictResolve(self.resolve(request)?),
            _ => return Err(unknown()),
        })
    }

    /// Changes a space: all that `work` does, or nothing.
    fn change<T>(
        &self,
        kept: &Kept,
        work: impl FnOnce(&mut Work<'_, '_>, &Scene) -> Result<T, SpaceFault>,
    ) -> Result<T, SpaceFault> {
        let (value, _outcome) = kept.space.change(|inner| {
            let scene = Scene::read(inner.ledger, inner.store, kept.space.device())?;
            work(inner, &scene)
        })?;
        Ok(value)
    }
}

/// The lines of a preview, as far as they are listed.
#[derive(Default)]
struct Steps {
    done: PlanDone,
}

impl Steps {
    fn add(&mut self, what: &str, path: Option<Vec<u8>>, to: Option<Vec<u8>>) {
        self.done.count += 1;
        if self.done.steps.len() < STEPS {
            self.done.steps.push(PlanStep { path: path.map(TreePath), what: what.into(), to: to.map(TreePath) });
        }
    }

    fn preview(mut self) -> PlanDone {
        self.done.preview = true;
        self.done
    }

    fn committed(mut self, commits: Vec<CommitId>) -> PlanDone {
        self.done.commits = commits.iter().map(CommitId::to_string).collect();
        self.done
    }
}
