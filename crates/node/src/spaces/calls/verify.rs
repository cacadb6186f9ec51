//! Checking all that can be checked of a space, in words; and evidence for others.

use std::collections::BTreeMap;

use api::types::{BySpace, Cheat, EvidenceFile, EvidenceQuery, Verified};
use api::{ApiError, ApiResult, ErrorCode};
use data_encoding::{BASE64, HEXLOWER};
use logic::audit::Event;
use logic::ledger::evidence::{self as file, Piece, Signed};
use logic::ledger::{Control, Ledger, Shelf, Verdict};
use seal::DeviceId;
use serde_bytes::ByteBuf;
use store::objects::ObjectError;
use store::space::{Logged, Reader, Reading, Standing, Worth};

use super::people::People;
use super::scene::{Eye, Scene, is_dir};
use super::{Calls, info, list};
use crate::spaces::between::evidence::{Evidence, Kind, all};
use crate::spaces::space::verdict;
use crate::spaces::{Kept, SpaceFault, epochs};

/// Commits that are looked at at a time.
const BATCH: usize = 1000;

/// What was found out about the commits.
#[derive(Default)]
struct Chains {
    commits: u64,
    /// Not what the commit before it, or one that it has seen, says.
    broken: u64,
    /// Said to count, or not, against the rules.
    misjudged: u64,
    void: u64,
    waits: u64,
    unreadable: u64,
    newer: u64,
}

impl Calls {
    /// Answers `space_verify`.
    pub(super) fn verify(&self, request: &BySpace) -> ApiResult<Verified> {
        let (kept, _) = self.find(&request.space)?;
        let people = self.people()?;
        let mut said =
            Verified { ok: false, holds: Vec::new(), missing: Vec::new(), damaged: Vec::new(), cheats: Vec::new() };
        if self.look_over(&kept, &mut said)? {
            self.contents(&kept, &mut said)?;
        }
        said.cheats = cheats(&kept, &people)?;
        said.ok = said.damaged.is_empty() && said.cheats.is_empty();
        self.journal.note(Event::SpaceVerified {
            space: kept.space.id().to_string(),
            ok: said.ok,
            damaged: said.damaged.len() as u64,
            cheats: said.cheats.len() as u64,
        });
        Ok(said)
    }

    /// Checks the file of a space and what is in it; true: nothing there is damaged.
    pub(super) fn look_over(&self, kept: &Kept, said: &mut Verified) -> Result<bool, SpaceFault> {
        let report = kept.space.check()?;
        for (part, damage) in &report.damage {
            let values =
                if damage.values > 0 { format!("{} values do not open", damage.values) } else { String::new() };
            let totals = if damage.totals { "some are missing, doubled or older than they should be" } else { "" };
            let what: Vec<_> = [values.as_str(), totals].into_iter().filter(|text| !text.is_empty()).collect();
            said.damaged.push(format!("{part}: {}", what.join("; ")));
        }
        if report.is_whole() {
            let (commits, rows) = (report.commits, report.rows);
            said.holds
                .push(format!("the file of the space: all {commits} changes and {rows} rows open where they lie"));
        }
        match kept.space.standing()? {
            Standing::RolledBack { .. } => said
                .damaged
                .push("the file of the space is older than what this device has signed: the disk was put back".into()),
            Standing::Unknown => said.missing.push(
                "whether this is the newest copy: it was put back or copied, or what tells is lost; nothing is written here before \
                 another device was asked"
                    .into(),
            ),
            Standing::Good | Standing::Behind => {
                said.holds.push("the file is the newest one that this device wrote".into())
            }
        }
        // What is damaged cannot be read by what follows.
        if report.is_whole() {
            kept.space.look(|ledger, reader| {
                chains(ledger, reader)?.say(said);
                keys(ledger, reader, said)
            })?;
        }
        Ok(report.is_whole())
    }

    /// Reads every object that is held, and looks which files are not whole here.
    fn contents(&self, kept: &Kept, said: &mut Verified) -> Result<(), SpaceFault> {
        let (mut sound, mut bytes, mut bad, mut absent) = (0_u64, 0_u64, 0_u64, 0_u64);
        let mut place = Default::default();
        loop {
            let (held, next) = self.spaces.objects.held(&kept.namespace(), place)?;
            for id in held {
                match self.spaces.objects.get(&id) {
                    Ok(object) => (sound, bytes) = (sound + 1, bytes + object.bytes().len() as u64),
                    Err(ObjectError::Missing(_)) => absent += 1,
                    Err(ObjectError::Damaged(_)) => bad += 1,
                    Err(error) => return Err(error.into()),
                }
            }
            match next {
                Some(next) => place = next,
                None => break,
            }
        }
        said.holds.push(format!("contents: {sound} objects ({bytes} bytes) are what their names say"));
        if bad > 0 {
            said.damaged.push(format!("contents: {bad} objects are damaged on this disk"));
        }
        if absent > 0 {
            said.missing.push(format!("contents: {absent} objects that are wanted here"));
        }
        let scene = Scene::of(&kept.space)?;
        let away = kept.space.tree(|tree| {
            let (eye, mut away, mut open) = (Eye::new(tree, None, &scene), 0_u64, vec![logic::space::Node::ROOT]);
            while let Some(dir) = open.pop() {
                for entry in eye.list(dir)? {
                    if is_dir(&entry) {
                        open.push(entry.node);
                        continue;
                    }
                    let written = eye.version(&entry)?.and_then(|version| version.written);
                    away += u64::from(!list::is_local(&self.spaces.objects, written.as_ref())?);
                }
            }
            Ok(away)
        })?;
        if away > 0 {
            said.missing.push(format!("the content of {away} files is not on this device"));
        }
        Ok(())
    }

    /// Answers `evidence_export`.
    pub(super) fn export(&self, request: &EvidenceQuery) -> ApiResult<EvidenceFile> {
        let (kept, name) = self.find(&request.space)?;
        let wanted = |id: &[u8]| {
            request.evidence.as_ref().is_none_or(|prefix| HEXLOWER.encode(id).starts_with(&prefix.to_lowercase()))
        };
        let found: Vec<_> = all(&kept.space)?.into_iter().filter(|(id, _)| wanted(id)).collect();
        let (genesis, pieces) = kept.space.look(|ledger, _| {
            let genesis = ledger.control(&ledger.id()).cloned().ok_or(SpaceFault::Unfinished)?;
            let pieces = found.iter().filter_map(|(_, evidence)| piece(ledger, evidence));
            Ok((genesis, pieces.collect::<Vec<_>>()))
        })?;
        if pieces.is_empty() {
            let message = format!("there is no evidence in {name} that others could check");
            return Err(ApiError::new(ErrorCode::NotFound, message)
                .hint("`warren verify` lists what there is; what a device withholds is suspected, not proven"));
        }
        let bytes = file::write(&genesis, pieces).map_err(crate::errors::internal)?;
        let proves = file::check(&bytes).map(|proof| proof.words()).unwrap_or_default();
        Ok(EvidenceFile { bytes: BASE64.encode(&bytes), proves })
    }
}

/// What third parties need to check a piece.
fn piece(ledger: &Ledger, evidence: &Evidence) -> Option<Piece> {
    let Kind::Proof(signed) = &evidence.kind else { return None };
    let entered = ledger.judgement().devices().find(|(device, _)| *device == evidence.device)?.1.entered;
    let entry = ByteBuf::from(ledger.control(&entered)?.to_bytes());
    Some(Piece { entry, signed: signed.clone() })
}

/// Every commit follows those that it says it follows, and is worth what the rules say.
fn chains(ledger: &Ledger, reader: &Reader<'_>) -> Result<Chains, SpaceFault> {
    let (mut found, mut after) = (Chains::default(), 0);
    loop {
        let batch = reader.arrived(after, BATCH)?;
        let Some(last) = batch.last() else { return Ok(found) };
        after = last.moment.arrival();
        for logged in &batch {
            found.commits += 1;
            found.broken += u64::from(!follows(reader, logged));
            found.misjudged += u64::from(!is_judged(ledger, logged));
            found.void += u64::from(matches!(logged.note.worth, Worth::Void(_)));
            match logged.note.reading {
                Reading::Waits => found.waits += 1,
                Reading::Unreadable | Reading::Lost => found.unreadable += 1,
                Reading::TooNew => found.newer += 1,
                Reading::Clear | Reading::Sealed | Reading::Opened => {}
            }
        }
    }
}

fn follows(reader: &Reader<'_>, logged: &Logged) -> bool {
    let header = &logged.header;
    let before = |id, device: DeviceId, seq: u64| {
        let stored = reader.stored(&id)?;
        (stored.header.device == device && stored.header.seq == seq).then_some(stored.header.lamport)
    };
    let previous = match header.seq.checked_sub(1) {
        Some(seq) => match before(header.previous, header.device, seq) {
            Some(lamport) => lamport,
            None => return false,
        },
        None => 0,
    };
    let seen: Option<Vec<u64>> = header.seen.iter().map(|seen| before(seen.id, seen.device, seen.seq)).collect();
    seen.is_some_and(|seen| seen.into_iter().chain([previous]).max().unwrap_or(0) + 1 == header.lamport)
}

fn is_judged(ledger: &Ledger, logged: &Logged) -> bool {
    match verdict(ledger, logged) {
        Some(Verdict::Effective) => logged.note.worth.counts(),
        Some(Verdict::Void(_)) => matches!(logged.note.worth, Worth::Void(_)),
        None => false,
    }
}

impl Chains {
    fn say(&self, said: &mut Verified) {
        let count = self.commits;
        match (self.broken, self.misjudged) {
            (0, 0) => said.holds.push(format!(
                "all {count} signatures hold, every change follows what it says it has seen, and what counts is what the \
                 permissions say"
            )),
            (broken, misjudged) => said.damaged.push(format!(
                "{broken} changes do not follow what they say they have seen; of {misjudged} it is noted wrongly whether they \
                 count"
            )),
        }
        if self.void > 0 {
            said.holds.push(format!("{} changes are kept and count for nothing (`warren log` says why)", self.void));
        }
        for (count, what) in [
            (self.waits, "changes whose key is not here"),
            (self.newer, "changes that a newer version of Warren wrote"),
            (self.unreadable, "changes that open to nothing that can be read; they count for nothing"),
        ] {
            if count > 0 {
                said.missing.push(format!("{count} {what}"));
            }
        }
    }
}

/// Every key that is here is the one that its commit commits to.
fn keys(ledger: &Ledger, reader: &Reader<'_>, said: &mut Verified) -> Result<(), SpaceFault> {
    let (mut good, mut absent, mut wrong) = (0_u64, 0_u64, 0_u64);
    for realm in info::realms(ledger) {
        for epoch in ledger.judgement().epochs(realm) {
            let Some(Control::Rekey(rekey)) = ledger.control(&epoch.id).and_then(|commit| commit.control()) else {
                continue;
            };
            match epochs::key(reader, &epoch.id)? {
                None => absent += 1,
                Some(key) if key.commitment() == rekey.commitment => good += 1,
                Some(_) => wrong += 1,
            }
        }
    }
    said.holds.push(format!("{good} keys are those that their commitments name"));
    if wrong > 0 {
        said.damaged.push(format!("{wrong} keys are not those that their commitments name"));
    }
    if absent > 0 {
        said.missing.push(format!("{absent} keys of this space are not for this device, or not here yet"));
    }
    let gaps = ledger.gaps().count();
    if gaps > 0 {
        said.missing.push(format!("{gaps} changes that others name and nobody has sent"));
    }
    Ok(())
}

/// Who cheated: what evidence says, and whose chains are forked without any.
fn cheats(kept: &Kept, people: &People) -> Result<Vec<Cheat>, SpaceFault> {
    let mut found: BTreeMap<DeviceId, Vec<Cheat>> = BTreeMap::new();
    let owners = Scene::of(&kept.space)?.owners;
    let name = |device: DeviceId| people.device_name(device, owners.get(&device).copied());
    for (id, Evidence { kind, device, found: at }) in all(&kept.space)? {
        let what = match &kind {
            Kind::Proof(Signed::Fork { .. }) => "signed two different changes with one number",
            Kind::Proof(Signed::Rollback { .. }) => "signed that it holds less than it had signed before",
            Kind::Withheld { .. } => "shows less than it signed that it holds",
        };
        let proven = kind.proves(device);
        let evidence = if proven { HEXLOWER.encode(&id) } else { String::new() };
        let cheat = Cheat { evidence, device: name(device), what: what.into(), found_at: at.0, proven };
        found.entry(device).or_default().push(cheat);
    }
    let forked: Vec<_> = kept.space.look(|ledger, _| Ok(ledger.judgement().forked().collect()))?;
    for device in forked {
        found.entry(device).or_insert_with(|| {
            let what = "signed two different changes with one number".to_owned();
            vec![Cheat { evidence: String::new(), device: name(device), what, found_at: 0, proven: true }]
        });
    }
    Ok(found.into_values().flatten().collect())
}
