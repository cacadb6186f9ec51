//! What the log says of calls about spaces: what was done, and what was not allowed. Looking is not logged.

use api::types::{Keep, PlanDone};
use api::{ApiResult, ErrorCode, Reply, Request};
use logic::audit::{Event, Who};

use super::people::People;

/// The space that a request names.
pub(super) fn space_named(request: &Request) -> Option<String> {
    let fields: serde_json::Value = serde_json::from_slice(&request.body().ok()?).ok()?;
    Some(fields.get("space")?.as_str()?.to_owned())
}

/// What is to be said of a call; `space` is the one that it is about.
pub(super) fn events(
    request: &Request,
    done: &ApiResult<Reply>,
    space: Option<String>,
    people: Option<&People>,
) -> Option<Event> {
    let space = space.unwrap_or_default();
    let reply = match done {
        Ok(reply) => reply,
        Err(error) if matches!(error.code, ErrorCode::NotAllowed | ErrorCode::Refused) => {
            let (call, reason) = (request.name().to_owned(), error.message.clone());
            return Some(Event::SpaceNotAllowed { space, call, reason });
        }
        Err(_) => return None,
    };
    let written = |change: &str, done: &PlanDone| {
        let event = || Event::SpaceWritten { space: space.clone(), change: change.into(), count: done.count };
        (!done.preview && !done.commits.is_empty()).then(event)
    };
    let who = |name: &str| {
        let member = people.and_then(|people| people.member_meant(name).ok().map(|member| people.name(member)));
        Who { member: Some(member.unwrap_or_else(|| name.to_owned())), device: None, address: None }
    };
    let on = |whole: bool| if whole { "space" } else { "part" }.to_owned();
    match (request, reply) {
        (_, Reply::SpaceCreate(made)) => Some(Event::SpaceCreated { space: made.id.clone() }),
        (_, Reply::SpaceRename(_)) => Some(Event::SpaceRenamed { space }),
        (Request::SpaceShare(asked), Reply::SpaceShare(_)) => {
            let (role, on) = (asked.role.clone(), on(asked.path.is_root()));
            Some(Event::SpaceShared { who: who(&asked.member), space, role, on })
        }
        (Request::SpaceUnshare(asked), Reply::SpaceUnshare(done)) if !done.preview => {
            Some(Event::SpaceUnshared { who: who(&asked.member), space, on: on(asked.path.is_root()) })
        }
        (Request::SpaceKeep(asked), _) => {
            let keep = if asked.keep == Keep::OnDemand { "on_demand" } else { "everything" };
            Some(Event::SpaceKept { space, keep: keep.into() })
        }
        (Request::SpaceQuota(asked), _) => {
            let limit = asked.limit.map_or("none".to_owned(), |limit| limit.to_string());
            Some(Event::SpaceLimited { space, limit })
        }
        (Request::SpaceHistory(asked), _) => {
            let history = match (asked.history.days, asked.history.versions) {
                (Some(days), _) => format!("{days}d"),
                (_, Some(count)) => format!("{count}v"),
                _ => "all".to_owned(),
            };
            Some(Event::SpaceHistory { space, history })
        }
        (Request::SpaceTrust(_), _) => Some(Event::SpaceTrusted { space }),
        (Request::SpaceForget(_), _) => Some(Event::SpaceForgotten { space }),
        (_, Reply::EvidenceExport(file)) => {
            Some(Event::SpaceEvidenceExported { space, count: file.proves.len() as u64 })
        }
        (_, Reply::TreeMakeDir(done)) => written("make", done),
        (_, Reply::TreeMove(done)) => written("move", done),
        (_, Reply::TreeCopy(done)) => written("copy", done),
        (_, Reply::TreeRemove(done)) => written("delete", done),
        (_, Reply::TreeRestore(done)) => written("restore", done),
        (_, Reply::TreeUndo(done)) => written("undo", done),
        (_, Reply::ConflictResolve(done)) => written("resolve", done),
        _ => None,
    }
}
