//! Files of this machine into spaces and back, and their contents: what the API names is looked up here, the work is done
//! by `contents`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::types::{Job, TreeGet, TreePut, TreeRead};
use api::{ApiError, ApiResult, ContentStream, ErrorCode};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use logic::ledger::CommitId;
use logic::space::{Content, Entry, NodeKind, VersionId};
use store::source::{Source, SourceError};
use store::spool::SpoolFile;
use tokio::sync::mpsc;

use super::scene::{Eye, Scene};
use super::{Calls, at, paths};
use crate::errors::{blocking, io_error};
use crate::running::Running;
use crate::spaces::contents::{self, Access, ContentFault, Get, Jobs, PATIENCE, Patient, Piece, Pieces, Put};
use crate::spaces::{Kept, SpaceFault};

/// Zeros that are sent at a time.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// What is ahead of the reader, besides what is being read.
const AHEAD: usize = 1;

/// Brings files into a space.
pub(super) async fn put(running: &Running, request: TreePut) -> ApiResult<Job> {
    let spool = request.spool.as_deref().map(|id| running.take_spool(id)).transpose()?;
    let (calls, jobs) = (Calls::of(running), running.jobs.clone());
    blocking(move || calls.put(&jobs, request, spool)).await
}

/// Brings files of a space here.
pub(super) async fn get(running: &Running, request: TreeGet) -> ApiResult<Job> {
    let (calls, jobs) = (Calls::of(running), running.jobs.clone());
    blocking(move || calls.get(&jobs, &request)).await
}

/// Opens a file for reading: the next chunk is opened while one is sent. Breaks off when the device is locked.
pub(super) async fn read(running: &Running, request: TreeRead) -> ApiResult<ContentStream> {
    let calls = Calls::of(running);
    let (first, mut pieces) = blocking(move || calls.pieces(&request)).await?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let tasks = running.tasks().clone();
    running.spawn(async move {
        let mut next = first.map(Ok);
        while let Some(piece) = next {
            let failed = piece.is_err();
            for bytes in sent(piece) {
                if sender.send(Some(bytes)).await.is_err() {
                    return;
                }
            }
            if failed {
                return;
            }
            let reading = tasks.spawn_blocking(move || (pieces.next(&Patient), pieces));
            match reading.await {
                Ok((piece, rest)) => (next, pieces) = (piece, rest),
                Err(_) => return,
            }
        }
        let _ = sender.send(None).await;
    });
    Ok(stream::unfold(Some(receiver), whole).boxed())
}

/// Content that does not say that it is complete has been broken off.
async fn whole(receiver: Option<Receiver>) -> Option<(io::Result<Bytes>, Option<Receiver>)> {
    let mut receiver = receiver?;
    match receiver.recv().await {
        Some(Some(Ok(bytes))) => Some((Ok(bytes), Some(receiver))),
        Some(Some(Err(error))) => Some((Err(error), None)),
        Some(None) => None,
        None => {
            let cut = "the device was locked or stopped before the end; what came is not complete";
            Some((Err(io::Error::new(io::ErrorKind::UnexpectedEof, cut)), None))
        }
    }
}

type Receiver = mpsc::Receiver<Option<io::Result<Bytes>>>;

/// A piece as it is sent.
fn sent(piece: Result<Piece, ContentFault>) -> Box<dyn Iterator<Item = io::Result<Bytes>> + Send> {
    match piece {
        Ok(Piece::Data(bytes)) => Box::new(std::iter::once(Ok(bytes.into()))),
        Ok(Piece::Zeros(len)) => {
            let zeros = move |at: u64| Bytes::from_static(&ZEROS[..(len - at).min(ZEROS.len() as u64) as usize]);
            Box::new((0..len).step_by(ZEROS.len()).map(move |at| Ok(zeros(at))))
        }
        Err(fault) => Box::new(std::iter::once(Err(io::Error::other(ApiError::from(fault))))),
    }
}

impl Calls {
    /// Reads contents of a space.
    pub(super) fn reading(&self, kept: Arc<Kept>, patience: Option<Duration>) -> Access {
        Access { kept, objects: self.spaces.objects.clone(), fetch: self.spaces.clone(), patience }
    }

    fn put(&self, jobs: &Jobs, request: TreePut, spool: Option<SpoolFile>) -> ApiResult<Job> {
        let (kept, name) = self.find(&request.space)?;
        let scene = Scene::of(&kept.space)?;
        let parts = scene.parts;
        let only_if = request.if_version.as_deref().map(version).transpose()?;
        let exact = request.exact || spool.is_some();
        let source = match spool {
            Some(file) => {
                let path = paths::names(&request.to)?;
                let Some(name) = path.last().filter(|_| request.sources.is_empty()) else {
                    return Err(ApiError::new(ErrorCode::BadRequest, "content that is handed over becomes one file")
                        .hint("name the file, as in SPACE:PATH"));
                };
                Source::spooled(OsString::from_vec(name.clone()), Arc::new(file))
            }
            None => {
                let sources = request.sources.iter().map(|path| PathBuf::from(OsString::from_vec(path.0.clone())));
                let source = Source::new(sources).map_err(unreadable)?;
                source.check_readable().map_err(unreadable)?;
                source
            }
        };
        let put =
            Put { source, parts, to: request.to, exact, parents: request.parents, delete: request.delete, only_if };
        let objects = self.spaces.objects.clone();
        jobs.start("put", &name, move |progress| contents::put(&kept, &objects, &put, progress))
    }

    fn get(&self, jobs: &Jobs, request: &TreeGet) -> ApiResult<Job> {
        let (kept, name) = self.find(&request.space)?;
        let (into, exact) = contents::destination(&request.to, request.exact)?;
        let then = at::frontier_of(&kept, request.at.as_deref())?;
        let scene = Scene::of(&kept.space)?;
        let mut what = Vec::new();
        kept.space.tree(|tree| {
            let eye = Eye::new(tree, then.as_ref().map(|frontier| tree.at(frontier)), &scene);
            for path in &request.paths {
                for meant in paths::expand(&eye, path)? {
                    if meant.path.is_empty() && exact.is_none() {
                        let inside = eye.list(meant.entry.node)?.into_iter();
                        what.extend(inside.map(|entry| (OsString::from_vec(entry.name.clone()), entry)));
                    } else {
                        what.push((OsString::from_vec(meant.entry.name.clone()), meant.entry));
                    }
                }
            }
            Ok::<_, SpaceFault>(())
        })?;
        match (&exact, what.as_mut_slice()) {
            (Some(exact), [(name, _)]) => name.clone_from(exact),
            (Some(_), _) => {
                return Err(ApiError::new(ErrorCode::BadRequest, "several things cannot become one path"));
            }
            (None, _) => twice(&what)?,
        }
        let get = Get { what, then, into, existing: request.existing };
        let access = self.reading(kept, None);
        jobs.start("get", &name, move |progress| contents::get(&access, &get, progress))
    }

    /// The first bytes of a file, and the rest.
    pub(super) fn pieces(&self, request: &TreeRead) -> ApiResult<(Option<Piece>, Pieces)> {
        let (kept, _) = self.find(&request.space)?;
        let then = at::frontier_of(&kept, request.at.as_deref())?;
        let scene = Scene::of(&kept.space)?;
        let written = kept.space.tree(|tree| {
            let eye = Eye::new(tree, then.as_ref().map(|frontier| tree.at(frontier)), &scene);
            let meant = paths::find(&eye, &request.path)?;
            if meant.entry.kind != NodeKind::File {
                let message = format!("{} is no file", request.path.shown());
                return Err(ApiError::new(ErrorCode::BadRequest, message).into());
            }
            Ok(eye.version(&meant.entry)?.and_then(|version| version.written).unwrap_or_default())
        })?;
        let content = match written.content {
            // Made, and not written yet.
            Content::Nothing => contents::nothing()?,
            content => content,
        };
        let range = request.offset..request.length.map_or(u64::MAX, |length| request.offset.saturating_add(length));
        let mut pieces = Pieces::open(self.reading(kept, Some(PATIENCE)), &content, range, &Patient)?;
        let first = pieces.next(&Patient).transpose()?;
        Ok((first, pieces))
    }
}

/// A version that somebody has seen; empty: none.
fn version(text: &str) -> ApiResult<Option<VersionId>> {
    if text.is_empty() {
        return Ok(None);
    }
    let parse = || {
        let (commit, index) = text.split_once('.')?;
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(commit.as_bytes()).ok()?;
        Some(VersionId { commit: CommitId::from_bytes(bytes.try_into().ok()?), index: index.parse().ok()? })
    };
    let version = parse().ok_or_else(|| {
        ApiError::new(ErrorCode::BadRequest, format!("{text:?} is no version")).hint("`warren log` shows whole ids")
    })?;
    Ok(Some(version))
}

/// Two things of one name cannot lie in one directory.
fn twice(what: &[(OsString, Entry)]) -> ApiResult<()> {
    let mut names = BTreeSet::new();
    match what.iter().find(|(name, _)| !names.insert(name)) {
        Some((name, _)) => {
            let message = format!("more than one of these is called {}", name.to_string_lossy());
            Err(ApiError::new(ErrorCode::BadRequest, message).hint("get them one after the other"))
        }
        None => Ok(()),
    }
}

fn unreadable(error: SourceError) -> ApiError {
    match error {
        SourceError::Io { path, source } => io_error(&format!("read {}", path.display()), &source),
        SourceError::Missing { .. } => ApiError::new(ErrorCode::NotFound, error.to_string()),
        SourceError::Nothing | SourceError::Special { .. } => ApiError::new(ErrorCode::BadRequest, error.to_string()),
    }
}
