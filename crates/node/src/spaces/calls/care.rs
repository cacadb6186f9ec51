//! What is stored, looked at as a whole, mended, and made anew.

use api::ApiResult;
use api::types::{StoreAction, StoreCare, StoreCared, Verified};
use logic::audit::Event;
use store::space::Part;

use super::Calls;
use crate::clock;
use crate::spaces::{SpaceFault, contents};

/// Bytes of objects that are read in one step.
const BUDGET: u64 = 64 << 20;

impl Calls {
    /// Answers `store_care`.
    pub(super) fn care(&self, request: &StoreCare) -> ApiResult<StoreCared> {
        let mut said = StoreCared {
            ok: false,
            holds: Vec::new(),
            damaged: Vec::new(),
            missing: Vec::new(),
            mended: Vec::new(),
            next: Vec::new(),
        };
        match request.action {
            StoreAction::Check => {}
            StoreAction::Repair => {
                self.make_anew(&mut said)?;
                self.mend(&mut said)?;
                self.logs_anew(&mut said)?;
            }
            StoreAction::Rebuild => {
                self.make_anew(&mut said)?;
                self.logs_anew(&mut said)?;
                self.index_anew(&mut said)?;
            }
        }
        self.look_over_all(&mut said)?;
        said.ok = said.damaged.is_empty();
        if !said.ok && request.action == StoreAction::Check {
            said.next.push(
                "`warren store repair` mends what can be mended here, and asks other devices for the rest".into(),
            );
        }
        let action = match request.action {
            StoreAction::Check => "check",
            StoreAction::Repair => "repair",
            StoreAction::Rebuild => "rebuild",
        };
        self.journal.note(Event::StoreCared {
            action: action.into(),
            damaged: said.damaged.len() as u64,
            mended: said.mended.len() as u64,
        });
        Ok(said)
    }

    /// Reads everything, and says what is wrong.
    fn look_over_all(&self, said: &mut StoreCared) -> ApiResult<()> {
        for (kept, name) in self.named()?.iter() {
            let mut found =
                Verified { ok: false, holds: Vec::new(), missing: Vec::new(), damaged: Vec::new(), cheats: Vec::new() };
            self.look_over(kept, &mut found)?;
            let report = kept.space.read_log(|_| Ok(()))?;
            match report {
                Some(report) if report.damaged > 0 => found.damaged.push(format!(
                    "{} places in the log of its changes; {} changes can be read there",
                    report.damaged, report.commits
                )),
                Some(_) => found.holds.push("the log from which its file can be made anew".into()),
                None => found.missing.push("the log from which its file could be made anew".into()),
            }
            let gone = contents::lost(kept, &self.spaces.objects, |_| Ok(()))?;
            if gone > 0 {
                found.damaged.push(format!("contents: {gone} objects that were stored here are lost or damaged"));
            }
            let named =
                |lines: Vec<String>| lines.into_iter().map(|line| format!("{name}: {line}")).collect::<Vec<_>>();
            said.holds.extend(named(found.holds));
            said.missing.extend(named(found.missing));
            said.damaged.extend(named(found.damaged));
        }
        for path in self.spaces.broken().iter().filter(|path| path.exists()) {
            said.damaged.push(format!("the file of a space cannot be opened: {}", path.display()));
        }
        let (objects, bytes, bad, mended) = self.read_objects()?;
        said.holds
            .push(format!("contents: {} of {objects} objects ({bytes} bytes) are what their names say", objects - bad));
        if bad > 0 {
            said.damaged.push(format!("contents: {bad} objects are damaged on this disk"));
        }
        if mended > 0 {
            said.mended.push(format!("{mended} objects were stored once more: what says where they lie was damaged"));
        }
        Ok(())
    }

    /// Reads all objects: how many there are, their bytes, how many are damaged, and how many were stored once more.
    fn read_objects(&self) -> Result<(u64, u64, u64, u64), SpaceFault> {
        let (mut place, mut all) = (None, (0, 0, 0, 0));
        loop {
            let found = self.spaces.objects.check(place, BUDGET)?;
            all.0 += found.objects;
            all.1 += found.bytes;
            all.2 += found.damaged.len() as u64;
            all.3 += found.mended;
            place = found.next;
            if place.is_none() {
                return Ok(all);
            }
        }
    }

    /// Makes the files of spaces anew that are missing or cannot be opened.
    fn make_anew(&self, said: &mut StoreCared) -> ApiResult<()> {
        for (ledger, made) in self.spaces.rebuild()? {
            match made {
                Ok(kept) => {
                    let commits = kept.space.peek(|reader| Ok(reader.commits()?))?;
                    let name = self
                        .named()?
                        .iter()
                        .find(|(kept, _)| kept.space.id() == ledger)
                        .map_or(ledger.to_string(), |(_, name)| name.to_owned());
                    said.mended.push(format!("{name}: its file was made anew from {commits} changes"));
                }
                Err(error) => said.damaged.push(format!("the space {ledger} could not be made anew: {error}")),
            }
        }
        Ok(())
    }

    /// Mends what is open.
    fn mend(&self, said: &mut StoreCared) -> ApiResult<()> {
        for (kept, name) in self.named()?.iter() {
            let report = kept.space.check()?;
            let damaged = |part: &Part| report.damage.contains_key(part);
            let heavy = [Part::Heads, Part::Pasts, Part::Values].iter().any(damaged)
                || report.damage.get(&Part::File).is_some_and(|damage| damage.values > 0);
            if heavy {
                self.spaces.rebuild_later(kept)?;
                said.next.push(format!(
                    "{name}: its file is made anew from the log of its changes at the next start: `warren down`, `warren up`"
                ));
                continue;
            }
            if let Some(damage) = report.damage.get(&Part::Bodies) {
                let (mended, all) = (kept.space.mend()?, damage.values);
                said.mended.push(format!("{name}: {mended} of {all} damaged changes, from the log of its changes"));
                if mended < all {
                    self.spaces.rebuild_later(kept)?;
                    said.next.push(format!(
                        "{name}: what is damaged in both is fetched from other devices after the next start: `warren down`, \
                         `warren up`"
                    ));
                }
            }
            if !report.is_whole() {
                kept.space.change(|work| Ok(work.store.clear_tree()?))?;
                kept.space.store.recount().map_err(SpaceFault::from)?;
                said.mended.push(format!("{name}: the tree was made anew from the changes"));
            }
        }
        self.read_objects()?;
        let wanted = self.want_damaged()?;
        if wanted > 0 {
            said.next.push(format!(
                "{wanted} damaged or lost objects are fetched as soon as a device that has them is online; `warren store check` \
                 tells when that is done"
            ));
        }
        Ok(())
    }

    /// Writes logs anew in which something is damaged. Last: what can only be read there has been taken from there.
    fn logs_anew(&self, said: &mut StoreCared) -> ApiResult<()> {
        for (kept, name) in self.named()?.iter() {
            let report = kept.space.read_log(|_| Ok(()))?;
            if report.is_some_and(|report| report.damaged > 0) {
                let commits = kept.space.renew_log()?;
                said.mended.push(format!("{name}: the log of its changes was written anew, with {commits} of them"));
            }
        }
        Ok(())
    }

    /// Asks others for what somebody holds here and that is damaged or lost.
    fn want_damaged(&self) -> Result<u64, SpaceFault> {
        let mut wanted = 0;
        for kept in self.spaces.all() {
            wanted += contents::lost(&kept, &self.spaces.objects, |ids| match self.spaces.between() {
                Some(between) => between.want_again(&kept, ids),
                None => Ok(()),
            })?;
        }
        Ok(wanted)
    }

    /// Makes the index of objects anew, and finds out who holds what.
    fn index_anew(&self, said: &mut StoreCared) -> ApiResult<()> {
        let objects = &self.spaces.objects;
        let found = objects.rebuild(clock::now()).map_err(SpaceFault::from)?;
        said.mended.push(format!("the index of objects was made anew: {} were not in it", found.objects_found));
        let mut sure = self.spaces.broken().iter().all(|path| !path.exists());
        for kept in self.spaces.all() {
            contents::hold_again(&kept)?;
            contents::hold_new(&kept, objects, true, |_| Ok(()))?;
            sure &= contents::all_held(&kept)? && self.reads(&kept)?;
            // Once more, for what is absent: whoever fetches it looks for itself.
            contents::hold_again(&kept)?;
        }
        if objects.holds_known().map_err(SpaceFault::from)? {
            return Ok(());
        }
        match sure {
            true => objects.confirm_holds().map_err(SpaceFault::from)?,
            false => said.missing.push(
                "what belongs to spaces that this device cannot read, or not all of: nothing is removed from the disk before \
                 that is known"
                    .into(),
            ),
        }
        Ok(())
    }
}
