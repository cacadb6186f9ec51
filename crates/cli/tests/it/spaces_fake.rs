//! What the fake device knows of spaces: one called `home`, one with an evil name, and jobs that end as their paths say.

use api::types::*;
use api::{ApiError, ApiResult, ContentStream, ErrorCode, EventHub, Reply, Request};
use futures_util::stream;

use crate::fake::EVIL;
use crate::stage::NOW;

const HOUR: i64 = 3_600_000;

/// Answers what is about spaces; `None`: it is not.
pub fn answer(request: &Request, hub: &EventHub) -> Option<ApiResult<Reply>> {
    if let Some(space) = space_of(request)
        && space != "home"
        && space != "work"
    {
        return Some(Err(unknown(&space)));
    }
    sharing(request).or_else(|| tree(request)).or_else(|| jobs(request, hub)).or_else(|| folders(request))
}

fn unknown(space: &str) -> ApiError {
    let near = if space.starts_with("ho") { "did you mean `home`?" } else { "`warren space list` lists them" };
    ApiError::new(ErrorCode::NotFound, format!("there is no space `{space}` on this device")).hint(near)
}

/// Which space a request names.
fn space_of(request: &Request) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(&request.body().unwrap()).unwrap();
    Some(body.get("space")?.as_str()?.to_owned())
}

fn sharing(request: &Request) -> Option<ApiResult<Reply>> {
    Some(Ok(match request {
        Request::SpaceCreate(create) if create.name == "home" => {
            return Some(Err(
                ApiError::new(ErrorCode::Exists, "you have a space `home` already").hint("choose another name")
            ));
        }
        Request::SpaceCreate(create) => Reply::SpaceCreate(Space {
            members: vec![member("ada", "owner", Some(true))],
            files: 0,
            bytes: 0,
            conflicts: 0,
            last_change: None,
            ..space(&create.name, SpaceState::Alone)
        }),
        Request::Spaces(_) => {
            let evil = Space { role: "storage".into(), alerts: 2, ..space(EVIL, SpaceState::Storage) };
            Reply::Spaces(vec![space("home", SpaceState::Current), evil])
        }
        Request::Space(_) => Reply::Space(space("home", SpaceState::Syncing)),
        Request::SpaceTrust(asked) => Reply::SpaceTrust(space(&asked.space, SpaceState::Current)),
        Request::SpaceRename(rename) => Reply::SpaceRename(space(&rename.name, SpaceState::Current)),
        Request::SpaceKeep(keep) => {
            Reply::SpaceKeep(Space { keep: keep.keep, ..space(&keep.space, SpaceState::Current) })
        }
        Request::SpaceHistory(asked) => {
            Reply::SpaceHistory(Space { history: asked.history, ..space(&asked.space, SpaceState::Current) })
        }
        Request::SpaceQuota(asked) => Reply::SpaceQuota(Space {
            role: "storage".into(),
            limit: asked.limit,
            full: asked.limit.map(|_| "the limit that this device has for the space is reached".into()),
            members: vec![member("ada", "owner", Some(true)), member("vault", "storage", Some(false))],
            ..space(&asked.space, SpaceState::Storage)
        }),
        Request::StoreTidy(asked) => Reply::StoreTidy(Tidied {
            preview: asked.preview,
            spaces: vec![TidiedSpace {
                space: "home".into(),
                history: History { days: Some(90), versions: None },
                old_objects: 12,
                old_bytes: 3 << 20,
                unnamed_objects: 0,
                unnamed_bytes: 0,
                stays: vec![format!("files are being put into {EVIL}: try again when that is done")],
            }],
            removed_bytes: if asked.preview { 0 } else { 5 << 20 },
            freed_bytes: if asked.preview { 0 } else { 4 << 20 },
        }),
        Request::StoreCare(asked) => Reply::StoreCare(StoreCared {
            ok: asked.action != StoreAction::Check,
            holds: vec!["home: all 120 signatures hold".into()],
            damaged: if asked.action == StoreAction::Check {
                vec![format!("{EVIL}: 2 values do not open")]
            } else {
                vec![]
            },
            missing: vec!["home: 1 keys of this space are not for this device, or not here yet".into()],
            mended: if asked.action == StoreAction::Check {
                vec![]
            } else {
                vec!["home: its tree was made anew".into()]
            },
            next: vec!["3 damaged objects are fetched as soon as a device that has them is online".into()],
        }),
        Request::SpaceForget(forget) if !forget.force => {
            let error = ApiError::new(ErrorCode::NotAllowed, "3 files are on no other device that is known");
            return Some(Err(error.hint("wait until another device has them, or lose them with --force")));
        }
        Request::SpaceForget(_) => Reply::SpaceForget(Nothing {}),
        Request::SpaceShare(share) if share.member == "boo" => return Some(Err(nobody())),
        Request::SpaceShare(share) => Reply::SpaceShare(access(&share.member, &share.role)),
        Request::SpaceUnshare(unshare) if unshare.member == "boo" => return Some(Err(nobody())),
        Request::SpaceUnshare(unshare) => Reply::SpaceUnshare(Unshared {
            member: unshare.member.clone(),
            preview: unshare.preview,
            could_read_files: 1,
            could_read_versions: 12,
            could_read_bytes: 3 << 20,
            devices: vec!["bo/laptop".into(), EVIL.into()],
            rekeyed: !unshare.preview,
            access: access("cy", "reader"),
        }),
        Request::SpaceAccess(_) => Reply::SpaceAccess(access(EVIL, "reader")),
        Request::SpaceVerify(by) => Reply::SpaceVerify(verified(by.space == "home")),
        Request::EvidenceExport(_) => Reply::EvidenceExport(EvidenceFile {
            bytes: data_encoding::BASE64.encode(b"WRN\0evidence"),
            proves: vec![format!("{EVIL} signed two changes with one number")],
        }),
        Request::DeviceLost(lost) if lost.name == "boo" => return Some(Err(nobody())),
        Request::DeviceLost(lost) => Reply::DeviceLost(lost_device(lost.preview)),
        _ => return None,
    }))
}

fn nobody() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "nobody is called \"boo\"")
}

fn tree(request: &Request) -> Option<ApiResult<Reply>> {
    Some(Ok(match request {
        Request::TreeList(query) => return Some(list(query).map(Reply::TreeList)),
        Request::TreeLog(_) => Reply::TreeLog(history()),
        Request::TreeDiff(diff) if diff.path.shown() == "notes.txt" => Reply::TreeDiff(Diff {
            changes: vec![DiffLine { old: Some(file("notes.txt", 10)), new: Some(file("notes.txt", 12)) }],
            text: Some(format!("--- notes.txt\n+++ notes.txt\n@@ -1,2 +1,2 @@\n same\n-\told\n+{EVIL}\n")),
            binary: false,
        }),
        Request::TreeDiff(diff) if diff.path.shown() == "same" => Reply::TreeDiff(Diff::default()),
        Request::TreeDiff(_) => Reply::TreeDiff(Diff {
            changes: vec![
                DiffLine { old: None, new: Some(file(EVIL, 5)) },
                DiffLine { old: Some(file("gone", 5)), new: None },
                DiffLine { old: Some(file("a", 5)), new: Some(file("b", 5)) },
                DiffLine { old: Some(file("grown", 5)), new: Some(file("grown", 2048)) },
            ],
            text: None,
            binary: false,
        }),
        Request::TreeMakeDir(make) => Reply::TreeMakeDir(plan(false, &make.paths, "make")),
        Request::TreeMove(moved) => Reply::TreeMove(PlanDone {
            steps: moved.from.iter().map(|path| step("move", Some(path), Some(&moved.to))).collect(),
            ..plan(false, &moved.from, "move")
        }),
        Request::TreeCopy(copy) => Reply::TreeCopy(PlanDone {
            steps: copy.from.iter().map(|path| step("copy", Some(path), Some(&copy.to))).collect(),
            ..plan(false, &copy.from, "copy")
        }),
        Request::TreeRemove(remove) if remove.paths[0].shown() == "Photos" && !remove.recursive => {
            return Some(Err(ApiError::new(ErrorCode::BadRequest, "`Photos` is a directory with 2 entries")
                .hint("`-r` deletes it with what is in it")));
        }
        Request::TreeRemove(remove) if remove.paths[0].shown() == "many" => {
            let paths: Vec<TreePath> = (0..57).map(|n| format!("many/{n:02}").as_str().into()).collect();
            Reply::TreeRemove(plan(remove.preview, &paths, "delete"))
        }
        Request::TreeRemove(remove) => Reply::TreeRemove(plan(remove.preview, &remove.paths, "delete")),
        Request::TreeRestore(restore) if restore.path.shown() == "same" => {
            Reply::TreeRestore(plan(restore.preview, &[], "revive"))
        }
        Request::TreeRestore(restore) => Reply::TreeRestore(PlanDone {
            preview: restore.preview,
            steps: vec![
                step("revive", None, Some(&restore.path)),
                step("rewrite", Some(&"Photos/a.jpg".into()), None),
                step("move", Some(&EVIL.into()), Some(&"back".into())),
                step("stay", Some(&TreePath::default()), None),
            ],
            count: 4,
            commits: if restore.preview { vec![] } else { vec!["99aabbcc".into()] },
        }),
        Request::TreeUndo(undo) if undo.member.as_deref() == Some("boo") => return Some(Err(nobody())),
        Request::TreeUndo(undo) => Reply::TreeUndo(plan(undo.preview, &["a".into(), EVIL.into()], "delete")),
        Request::Conflicts(_) => Reply::Conflicts(vec![conflict("7f3a2b1c"), evil_conflict()]),
        Request::ConflictResolve(resolve) if resolve.id != "7f3a" => {
            let error = ApiError::new(ErrorCode::NotFound, format!("no conflict's id begins with `{}`", resolve.id));
            return Some(Err(error.hint("`warren conflicts` lists them")));
        }
        Request::ConflictResolve(resolve) => {
            Reply::ConflictResolve(plan(resolve.preview, &["notes.txt".into()], "rewrite"))
        }
        _ => return None,
    }))
}

fn jobs(request: &Request, hub: &EventHub) -> Option<ApiResult<Reply>> {
    Some(Ok(match request {
        Request::TreePut(put) if put.to.shown().contains("taken") => {
            let error = ApiError::new(ErrorCode::Exists, "`taken` was changed meanwhile");
            return Some(Err(error.hint("look at it, and say --if-version with the one that is shown")));
        }
        Request::TreePut(put) => Reply::TreePut(begin(job("put", &put.to.shown()), hub)),
        Request::TreeGet(get) => Reply::TreeGet(begin(job("get", &get.paths[0].shown()), hub)),
        Request::Jobs(_) => Reply::Jobs(vec![job("get", "away"), job("put", "slow"), job("put", "fail")]),
        Request::CancelJob(by) => {
            let kind = if by.id.starts_with("get") { "get" } else { "put" };
            Reply::CancelJob(Job { id: by.id.clone(), state: JobState::Cancelled, ..job(kind, "slow") })
        }
        _ => return None,
    }))
}

/// Work that runs now, and is over with the next event unless its name says otherwise.
fn begin(job: Job, hub: &EventHub) -> Job {
    let running = Job { state: JobState::Running, problem: None, warnings: vec![], made: vec![], ..job.clone() };
    match job.state {
        JobState::Running => running,
        JobState::Waiting => job,
        _ => {
            hub.send(Event::Job(Box::new(job)));
            Job { files_done: 1, bytes_done: 1 << 20, ..running }
        }
    }
}

fn folders(request: &Request) -> Option<ApiResult<Reply>> {
    Some(Ok(match request {
        Request::SyncAdd(add) => Reply::SyncAdd(SyncFolder {
            dir: add.dir.clone(),
            path: add.path.clone(),
            pending: 40,
            in_step_at: None,
            ..folder("/home/ada/Documents", "working")
        }),
        Request::Syncs(_) => {
            let stopped = SyncFolder {
                problem: Some("the folder is gone; `warren sync --stop` ends it".into()),
                warnings: vec![format!("{EVIL}: a socket")],
                ..folder(EVIL, "stopped")
            };
            Reply::Syncs(vec![folder("/home/ada/Documents", "in_step"), stopped])
        }
        Request::SyncNow(by) => Reply::SyncNow(SyncFolder { dir: by.dir.clone(), ..folder("", "in_step") }),
        Request::SyncRemove(_) => Reply::SyncRemove(Nothing {}),
        _ => return None,
    }))
}

/// Content for `cat`: what the path says, in two pieces.
pub fn content(request: &TreeRead) -> ApiResult<ContentStream> {
    let pieces: Vec<std::io::Result<api::Bytes>> = match request.path.shown().as_str() {
        "notes.txt" => vec![Ok("milk, ".into()), Ok(format!("bread from {}\n", request.offset).into())],
        "cut" => vec![Ok("half of".into()), Err(std::io::Error::other("the device was stopped"))],
        "picture" => vec![Ok(api::Bytes::from_static(b"\x1b[2J\x89PNG"))],
        other => return Err(ApiError::new(ErrorCode::NotFound, format!("there is no `{other}` in home"))),
    };
    Ok(Box::pin(stream::iter(pieces)))
}

fn change(by: &str, hours: i64) -> Change {
    Change { by: by.into(), device: format!("{by}/laptop"), at: NOW - hours * HOUR }
}

fn space(name: &str, state: SpaceState) -> Space {
    let bo = SpaceMember {
        name: EVIL.into(),
        role: String::new(),
        parts: vec![
            SpacePart { path: Some("Photos".into()), role: "reader".into() },
            SpacePart { path: None, role: "editor".into() },
        ],
        devices: vec![],
    };
    Space {
        name: name.into(),
        id: "5c1f00d2aa".into(),
        role: "owner".into(),
        state,
        keep: Keep::Everything,
        history: History::default(),
        taken_bytes: (4 << 30) + (20 << 20),
        limit: None,
        full: None,
        files: 1234,
        bytes: 5 << 30,
        stored_bytes: 4 << 30,
        missing_objects: if state == SpaceState::Syncing { 7 } else { 0 },
        last_change: Some(change("bo", 2)),
        conflicts: 1,
        alerts: 0,
        members: vec![member("ada", "owner", Some(true)), member("bo", "editor", None), bo],
    }
}

fn member(name: &str, role: &str, current: Option<bool>) -> SpaceMember {
    let device = |device: &str, online, forked| SpaceDevice {
        name: format!("{name}/{device}"),
        online,
        current,
        told_at: current.map(|_| NOW - HOUR),
        forked,
        full: name == "vault",
        limit: (name == "vault").then_some(50 << 30),
    };
    let devices = vec![device("desk", true, false), device("old", false, name == "bo")];
    SpaceMember { name: name.into(), role: role.into(), parts: vec![], devices }
}

fn access(member: &str, role: &str) -> Vec<Access> {
    let founder = Access {
        member: "ada".into(),
        role: "owner".into(),
        from: TreePath::default(),
        granted_by: String::new(),
        granted_at: None,
    };
    let other = Access {
        member: member.into(),
        role: role.into(),
        from: "Photos".into(),
        granted_by: "ada".into(),
        granted_at: Some(NOW - 24 * HOUR),
    };
    vec![founder, other]
}

fn verified(ok: bool) -> Verified {
    let holds = vec!["all 120 signatures hold".to_owned(), "every key is the one that was committed to".to_owned()];
    let missing = vec!["2 contents are on other devices only".to_owned()];
    if ok {
        return Verified { ok, holds, missing, damaged: vec![], cheats: vec![] };
    }
    let cheat = |evidence: &str, proven| Cheat {
        evidence: evidence.into(),
        device: EVIL.into(),
        what: "signed two changes with one number".into(),
        found_at: NOW,
        proven,
    };
    let damaged = vec![format!("one object of {EVIL} is damaged on this disk")];
    Verified { ok, holds, missing, damaged, cheats: vec![cheat("1", true), cheat("", false)] }
}

fn lost_device(preview: bool) -> LostDevice {
    let space = |name: &str, revoked| LostSpace {
        space: name.into(),
        role: "editor".into(),
        files: 40,
        bytes: 10 << 20,
        revoked,
        owners: if revoked { vec![] } else { vec!["cy".into()] },
    };
    LostDevice {
        device: "bo/phone".into(),
        preview,
        could_read: vec![space("home", true), space(EVIL, false)],
        done: vec!["its certificate is revoked".into()],
        to_do: vec!["change the passwords that were on it".into()],
    }
}

fn list(query: &TreeQuery) -> ApiResult<Listing> {
    let path = query.path.shown();
    let entries = match path.as_str() {
        _ if query.itself && path == "Photos" => vec![dir("Photos")],
        "" => {
            let mut entries = vec![
                dir("Photos"),
                TreeEntry { kind: EntryKind::Realm, shared: true, ..dir("family") },
                TreeEntry { conflict: true, local: false, ..file("notes.txt", 12) },
                TreeEntry { shared: true, ..file("salaries.ods", 4100) },
                TreeEntry { kind: EntryKind::Link, link: Some(EVIL.into()), ..file("shortcut", 9) },
                file(EVIL, 1 << 20),
                TreeEntry {
                    path: TreePath(b"caf\xe9".to_vec()),
                    mode: None,
                    mtime: None,
                    changed: None,
                    ..file("", 0)
                },
            ];
            if query.deleted {
                entries.push(TreeEntry { deleted: true, version: None, ..file("old.txt", 3) });
            }
            entries
        }
        "Photos" => vec![file("Photos/a.jpg", 4000), file("Photos/b.jpg", 5000)],
        "notes.txt" => vec![file("notes.txt", 12)],
        "*.jpg" => vec![file("Photos/a.jpg", 4000)],
        "many" => {
            let begin = query.after.as_ref().map_or(0, |after| after.shown()[5..].parse::<u32>().unwrap() + 1);
            let end = (begin + query.limit.unwrap()).min(2500);
            let entries = (begin..end).map(|n| file(&format!("many/{n:04}"), 1)).collect();
            return Ok(Listing { entries, more: end < 2500 });
        }
        other => {
            return Err(ApiError::new(ErrorCode::NotFound, format!("there is no `{other}` in home"))
                .hint("`warren ls home: --deleted` lists what was deleted, too"));
        }
    };
    Ok(Listing { entries, more: false })
}

fn dir(path: &str) -> TreeEntry {
    TreeEntry { kind: EntryKind::Dir, mode: Some(0o755), ..file(path, 0) }
}

fn file(path: &str, size: u64) -> TreeEntry {
    TreeEntry {
        path: path.into(),
        kind: EntryKind::File,
        shared: false,
        size,
        mtime: Some(NOW - 24 * HOUR),
        mode: Some(0o640),
        link: None,
        version: Some("3f9c2a7100112233".into()),
        changed: Some(change("bo", 3)),
        conflict: false,
        deleted: false,
        local: true,
    }
}

fn history() -> Vec<TreeVersion> {
    let version = |id: &str, what: &str, by: &str| TreeVersion {
        id: id.into(),
        path: Some("notes.txt".into()),
        what: what.into(),
        detail: None,
        change: change(by, 1),
        size: Some(12),
        shown: false,
        void: None,
        local: true,
    };
    vec![
        TreeVersion { shown: true, ..version("3f9c2a7100112233", "written", "bo") },
        TreeVersion { detail: Some(format!("from {EVIL}")), size: None, ..version("22223333aaaa", "moved", "ada") },
        TreeVersion {
            void: Some("bo was no longer allowed to write".into()),
            path: None,
            ..version("11112222aaaa", "deleted", EVIL)
        },
        TreeVersion { path: Some(TreePath::default()), ..version("00001111aaaa", "shared", "ada") },
    ]
}

fn plan(preview: bool, paths: &[TreePath], what: &str) -> PlanDone {
    PlanDone {
        preview,
        steps: paths.iter().map(|path| step(what, Some(path), None)).collect(),
        count: paths.len() as u64,
        commits: if preview { vec![] } else { vec!["99aabbccddee".into()] },
    }
}

fn step(what: &str, path: Option<&TreePath>, to: Option<&TreePath>) -> PlanStep {
    PlanStep { path: path.cloned(), what: what.into(), to: to.cloned() }
}

fn conflict(id: &str) -> Conflict {
    let side = |by: &str, mine, version: &str| ConflictSide {
        version: Some(version.into()),
        path: None,
        change: change(by, 1),
        mine,
        deleted: false,
        size: Some(12),
    };
    Conflict {
        id: id.into(),
        space: "home".into(),
        path: "notes.txt".into(),
        kind: "versions".into(),
        sides: vec![side("bo", false, "3f9c2a7100112233"), side("ada", true, "77778888aaaa")],
        diff: Some(format!("@@ -1 +1 @@\n-milk\n+{EVIL}\n")),
    }
}

fn evil_conflict() -> Conflict {
    let mut conflict = conflict("8e00ffee");
    (conflict.path, conflict.kind, conflict.diff) = (EVIL.into(), "edited_and_deleted".into(), None);
    (conflict.sides[1].deleted, conflict.sides[1].version) = (true, None);
    conflict.sides[0].path = Some(EVIL.into());
    conflict
}

/// `slow` never ends by itself, `away` waits, `fail` fails, `part` is done in part; all others are done.
fn job(kind: &str, name: &str) -> Job {
    let state = match name {
        "slow" => JobState::Running,
        "away" => JobState::Waiting,
        "fail" => JobState::Failed,
        _ => JobState::Done,
    };
    let done = state == JobState::Done;
    let made = if kind == "get" { format!("/home/ada/{EVIL}") } else { name.to_owned() };
    Job {
        id: format!("{kind}{name}"),
        kind: kind.into(),
        space: "home".into(),
        state,
        files_total: 40,
        files_done: if done { 40 } else { 10 },
        files_same: 3,
        bytes_total: 10 << 20,
        bytes_done: if done { 10 << 20 } else { 3 << 20 },
        scanned: true,
        started_at: NOW - 5000,
        ended_at: done.then_some(NOW),
        problem: (state == JobState::Failed).then(|| JobProblem {
            code: ErrorCode::DiskFull,
            message: "this disk is full".into(),
            hint: Some("make room, and give the same command again".into()),
        }),
        warnings: if name == "part" { vec![format!("{EVIL}: permission denied")] } else { vec![] },
        files_failed: if name == "part" { 2 } else { 0 },
        made: if done { vec![TreePath(made.into_bytes())] } else { vec![] },
    }
}

fn folder(dir: &str, state: &str) -> SyncFolder {
    SyncFolder {
        id: "5f0a".into(),
        dir: dir.into(),
        space: "home".into(),
        path: "Documents".into(),
        state: state.into(),
        watch: true,
        changes: 40,
        pending: 0,
        in_step_at: Some(NOW - 60_000),
        problem: None,
        warnings: vec![],
    }
}
