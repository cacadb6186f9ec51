//! The care of what is stored: letting go of what is not needed any more.

use std::time::Duration;

use api::ApiResult;
use api::types::{History as ApiHistory, Space as ApiSpace, SpaceHistory, StoreTidy, Tidied, TidiedSpace};
use api::{ApiError, ErrorCode};
use logic::audit::Event;
use logic::ledger::SpaceRole;
use store::objects::ObjectError;

use super::{Calls, info};
use crate::clock;
use crate::running::Running;
use crate::spaces::contents::{self, GRACE, Unneeded};
use crate::spaces::list::{History, Wish};
use crate::spaces::{Kept, SpaceFault};

/// Bytes that are written anew before others get their turn.
const BUDGET: u64 = 64 << 20;
/// When it is looked for the first time, and how often, what can go that nobody has to be asked about.
const HOUSEKEEPING: (Duration, Duration) = (Duration::from_secs(15 * 60), Duration::from_secs(24 * 3600));

impl From<History> for ApiHistory {
    fn from(history: History) -> Self {
        match history {
            History::All => Self { days: None, versions: None },
            History::Days(days) => Self { days: Some(days), versions: None },
            History::Versions(count) => Self { days: None, versions: Some(count) },
        }
    }
}

impl Calls {
    /// Answers `space_history`.
    pub(super) fn history(&self, request: &SpaceHistory) -> ApiResult<ApiSpace> {
        let (kept, _) = self.find(&request.space)?;
        let history = match (request.history.days, request.history.versions) {
            (None, None) => History::All,
            (Some(days), None) => History::Days(days),
            (None, Some(count)) if count > 0 => History::Versions(count),
            _ => {
                let message = "history is kept by days, or by versions from 1 on, or all of it";
                return Err(ApiError::new(ErrorCode::BadRequest, message).hint("all, 90d or 10v"));
            }
        };
        self.spaces.set_wish(&kept, Wish { history, ..kept.wish() })?;
        self.space(&kept.space.id().to_string())
    }

    /// Answers `store_tidy`.
    pub(super) fn tidy(&self, request: &StoreTidy) -> ApiResult<Tidied> {
        let spaces = match &request.space {
            Some(space) => vec![self.find(space)?],
            None => self.named()?.iter().map(|(kept, name)| (kept.clone(), name.to_owned())).collect(),
        };
        let mut done = Tidied { preview: request.preview, spaces: Vec::new(), removed_bytes: 0, freed_bytes: 0 };
        for (kept, name) in spaces {
            let history = kept.wish().history;
            let (found, stays) = self.tidy_one(&kept, history, !request.preview)?;
            done.spaces.push(TidiedSpace {
                space: name,
                history: history.into(),
                old_objects: found.old.objects,
                old_bytes: found.old.bytes,
                unnamed_objects: found.unnamed.objects,
                unnamed_bytes: found.unnamed.bytes,
                stays,
            });
        }
        if !request.preview {
            (done.removed_bytes, done.freed_bytes) = self.give_back()?;
        }
        Ok(done)
    }

    /// What one space needs no more, and why something stays all the same.
    fn tidy_one(&self, kept: &Kept, history: History, release: bool) -> Result<(Unneeded, Vec<String>), SpaceFault> {
        if !self.reads(kept)? {
            let why = "this device cannot read it, and keeps all that was handed to it";
            return Ok((Unneeded::default(), vec![why.to_owned()]));
        }
        let found = contents::tidy(kept, &self.spaces.objects, history, release, clock::now())?;
        let mut stays = Vec::new();
        if found.unreadable > 0 {
            stays.push(format!(
                "{} changes cannot be read here yet, or list contents that are not here: all that they may name stays",
                found.unreadable
            ));
        }
        if found.busy {
            stays.push("files are being put into it: try again when that is done".to_owned());
        }
        if release && found.old.objects + found.unnamed.objects > 0 {
            self.journal.note(Event::SpaceTidied {
                space: kept.space.id().to_string(),
                objects: found.old.objects + found.unnamed.objects,
                bytes: found.old.bytes + found.unnamed.bytes,
            });
        }
        Ok((found, stays))
    }

    /// True if this device may read the space, or a part of it.
    pub(super) fn reads(&self, kept: &Kept) -> Result<bool, SpaceFault> {
        let device = kept.space.device();
        kept.space.look(|ledger, _| {
            let roles = info::realms(ledger).into_iter().filter_map(|realm| ledger.role_of(device, realm));
            Ok(roles.max().is_some_and(|role| role > SpaceRole::Storage))
        })
    }

    /// Removes what nobody has held for a day; bytes that went, and that the disk got back.
    fn give_back(&self) -> Result<(u64, u64), SpaceFault> {
        let (objects, now, mut removed, mut freed) = (&self.spaces.objects, clock::now(), 0, 0);
        loop {
            match objects.collect(now, GRACE) {
                Ok(collected) => {
                    removed += collected.bytes;
                    if !collected.more {
                        break;
                    }
                }
                Err(ObjectError::HoldsUnknown) => {
                    tracing::warn!("the index of objects was lost: nothing is removed before `warren store rebuild`");
                    return Ok((0, 0));
                }
                Err(error) => return Err(error.into()),
            }
        }
        loop {
            let compacted = objects.compact(BUDGET)?;
            freed += compacted.freed;
            if !compacted.more {
                return Ok((removed, freed));
            }
        }
    }

    /// What goes without being asked for: what nothing names.
    fn keep_house(&self) -> Result<(), SpaceFault> {
        for kept in self.spaces.all() {
            if let Err(error) = self.tidy_one(&kept, History::All, true) {
                tracing::warn!(space = %kept.space.id(), %error, "what is not needed could not be found out");
            }
        }
        self.give_back().map(drop)
    }
}

/// Gives room back once a day. Ends only by being dropped.
pub(crate) async fn housekeeping(running: std::sync::Arc<Running>) {
    tokio::time::sleep(HOUSEKEEPING.0).await;
    loop {
        let calls = Calls::of(&running);
        match crate::errors::blocking(move || calls.keep_house().map_err(ApiError::from)).await {
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "room could not be given back"),
        }
        tokio::time::sleep(HOUSEKEEPING.1).await;
    }
}
