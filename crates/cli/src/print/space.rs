//! Spaces: the list, one in full, who may do what, what a check found, what a loss means.

use api::types::{Access, EvidenceProof, LostDevice, LostSpace, Space, SpaceState, Unshared, Verified};
use serde::Serialize;

use super::{Page, Show, Table, Tone, clean, clean_bytes};
use crate::units::{count, size};

impl Show for Vec<Space> {
    fn human(&self, page: &mut Page) {
        if self.is_empty() {
            page.line("No spaces yet. `warren space create NAME` makes one.");
            return;
        }
        let mut table = Table::new(page, &["NAME", "ROLE", "STATE", ">FILES", ">SIZE", "LAST CHANGE"]);
        for space in self {
            let last = space.last_change.as_ref();
            table.row([
                (Some(Tone::Strong), space.name.clone()),
                (None, space.role.clone()),
                (Some(tone(space.state)), state(space.state).to_owned()),
                (None, space.files.to_string()),
                (None, size(space.bytes)),
                (None, last.map_or("-".to_owned(), |change| format!("{} by {}", page.relative(change.at), change.by))),
            ]);
        }
        table.put(page);
        for space in self {
            attention(page, space);
        }
    }
}

/// What people should look at.
fn attention(page: &mut Page, space: &Space) {
    let name = clean(&space.name);
    if space.conflicts > 0 {
        let what = count(space.conflicts, "conflict");
        page.line(format!("{} {name}: {what} (`warren conflicts`)", page.paint(Tone::Warn, "!")));
    }
    if space.alerts > 0 {
        let what = count(space.alerts, "sign");
        page.line(format!("{} {name}: {what} of cheating (`warren verify`)", page.paint(Tone::Bad, "✗")));
    }
}

impl Show for Space {
    fn human(&self, page: &mut Page) {
        page.field("name", page.paint(Tone::Strong, &clean(&self.name)));
        page.field("id", clean(&self.id));
        let role = if self.role.is_empty() { "none".into() } else { clean(&self.role) };
        page.field("your role", role);
        page.field("state", page.paint(tone(self.state), explained(self.state)));
        page.field("contents", format!("{} in {}", size(self.bytes), count(self.files, "file")));
        let keeps = match self.keep {
            api::types::Keep::Everything => "everything",
            api::types::Keep::OnDemand => "on demand",
        };
        page.field("kept here", format!("{keeps}, {} of encrypted objects", size(self.stored_bytes)));
        if self.history != Default::default() {
            page.field("of its past", super::store::history(self.history));
        }
        if let Some(limit) = self.limit {
            page.field("room here", format!("{} of {} taken", size(self.taken_bytes), size(limit)));
        }
        if let Some(full) = &self.full {
            page.field("full", page.paint(Tone::Bad, &clean(full)));
        }
        if self.missing_objects > 0 {
            page.field("on the way", count(self.missing_objects, "object"));
        }
        if let Some(change) = &self.last_change {
            page.field("last change", format!("{} by {}", page.time(change.at), clean(&change.device)));
        }
        if !self.members.is_empty() {
            page.line("");
            members(page, self);
        }
        attention(page, self);
    }
}

/// Who has a role, and how their devices stand.
fn members(page: &mut Page, space: &Space) {
    let mut table = Table::new(page, &["MEMBER", "ROLE", "DEVICE", "STATE", "HAS ALL", "TOLD"]);
    for member in &space.members {
        let parts = member.parts.iter().map(|part| {
            let path = part.path.as_ref().map_or("a part you cannot see".to_owned(), |path| path.shown());
            format!("{} of {path}", part.role)
        });
        let roles: Vec<String> =
            Some(member.role.clone()).filter(|role| !role.is_empty()).into_iter().chain(parts).collect();
        let (mut name, mut roles) = (member.name.clone(), roles.join(", "));
        if member.devices.is_empty() {
            table.row([
                (Some(Tone::Strong), name),
                (None, roles),
                (Some(Tone::Dim), "none yet".to_owned()),
                (None, String::new()),
                (None, String::new()),
                (None, String::new()),
            ]);
            continue;
        }
        for device in &member.devices {
            let (tone, state) = match (device.forked, device.full, device.online) {
                (true, ..) => (Tone::Bad, "forked"),
                (_, true, _) => (Tone::Warn, "full"),
                (_, _, true) => (Tone::Good, "online"),
                (_, _, false) => (Tone::Dim, "away"),
            };
            let state = device.limit.map_or(state.to_owned(), |limit| format!("{state}, {} asked", size(limit)));
            let current = match device.current {
                Some(true) => "yes",
                Some(false) => "no",
                None => "unknown",
            };
            table.row([
                (Some(Tone::Strong), std::mem::take(&mut name)),
                (None, std::mem::take(&mut roles)),
                (None, device.name.clone()),
                (Some(tone), state),
                (None, current.to_owned()),
                (None, device.told_at.map_or("never".to_owned(), |at| page.relative(at))),
            ]);
        }
    }
    table.put(page);
}

fn state(state: SpaceState) -> &'static str {
    match state {
        SpaceState::Current => "current",
        SpaceState::Syncing => "syncing",
        SpaceState::Alone => "alone",
        SpaceState::WaitsForKey => "waits for key",
        SpaceState::Behind => "behind",
        SpaceState::Storage => "storage",
        SpaceState::Revoked => "revoked",
    }
}

fn explained(state: SpaceState) -> &'static str {
    match state {
        SpaceState::Current => "current: everything that anybody online told of is here",
        SpaceState::Syncing => "syncing: changes or contents are on their way",
        SpaceState::Alone => "alone: nobody else who has it is online",
        SpaceState::WaitsForKey => "waits for the key: an owner has to come online",
        SpaceState::Behind => {
            "behind: this may be an older copy of the home; nothing is written until another device has told what is newer"
        }
        SpaceState::Storage => "storage: this device keeps it and cannot read it",
        SpaceState::Revoked => "revoked: it may no longer be read here",
    }
}

fn tone(state: SpaceState) -> Tone {
    match state {
        SpaceState::Current | SpaceState::Storage => Tone::Good,
        SpaceState::Syncing => Tone::Accent,
        SpaceState::Alone => Tone::Dim,
        SpaceState::WaitsForKey => Tone::Warn,
        SpaceState::Behind | SpaceState::Revoked => Tone::Bad,
    }
}

/// Who may do what, and why.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Accesses(pub(crate) Vec<Access>);

impl Show for Accesses {
    fn human(&self, page: &mut Page) {
        access(page, &self.0);
    }
}

fn access(page: &mut Page, access: &[Access]) {
    if access.is_empty() {
        page.line("Nobody may do anything there.");
        return;
    }
    let mut table = Table::new(page, &["MEMBER", "ROLE", "FROM", "GRANTED BY", "WHEN"]);
    for access in access {
        let from = if access.from.is_root() { "the space".to_owned() } else { access.from.shown() };
        let founder = access.granted_by.is_empty();
        table.row([
            (Some(Tone::Strong), access.member.clone()),
            (None, access.role.clone()),
            (None, from),
            (None, if founder { "made the space".to_owned() } else { access.granted_by.clone() }),
            (None, access.granted_at.map_or("-".to_owned(), |at| page.time(at))),
        ]);
    }
    table.put(page);
}

impl Show for Unshared {
    fn human(&self, page: &mut Page) {
        let member = clean(&self.member).into_owned();
        let (files, versions) = (count(self.could_read_files, "file"), count(self.could_read_versions, "version"));
        page.line(format!(
            "{member} could read {files} ({versions}, {}) until now. Nothing takes back what somebody has read.",
            size(self.could_read_bytes)
        ));
        if !self.devices.is_empty() {
            page.line(format!("Devices that had the keys: {}", clean(&self.devices.join(", "))));
        }
        page.line(match (self.preview, self.rekeyed) {
            (true, _) => format!("From then on, what is written would be under keys that {member} does not have."),
            (false, true) => format!("What is written from now on is under keys that {member} does not have."),
            (false, false) => "The keys are the same as before.".to_owned(),
        });
        if !self.preview {
            page.line("");
            access(page, &self.access);
        }
    }
}

impl Show for LostDevice {
    fn human(&self, page: &mut Page) {
        let device = clean(&self.device).into_owned();
        if self.could_read.is_empty() {
            page.line(format!("{device} could read nothing in spaces."));
        } else {
            page.line(format!("{device} could read:"));
            lost_spaces(page, self);
        }
        list(page, if self.preview { "This would be done:" } else { "Done:" }, &self.done);
        list(page, "What you have to do yourself:", &self.to_do);
    }
}

fn lost_spaces(page: &mut Page, lost: &LostDevice) {
    let mut table = Table::new(page, &["SPACE", "ROLE", ">FILES", ">SIZE", "REVOKED"]);
    for space in &lost.could_read {
        table.row([
            (Some(Tone::Strong), space.space.clone()),
            (None, space.role.clone()),
            (None, space.files.to_string()),
            (None, size(space.bytes)),
            revoked(space, lost.preview),
        ]);
    }
    table.put(page);
}

fn revoked(space: &LostSpace, preview: bool) -> (Option<Tone>, String) {
    match (space.revoked, preview) {
        (true, true) => (None, "would be, and new keys".to_owned()),
        (true, false) => (Some(Tone::Good), "yes, and new keys".to_owned()),
        (false, _) if space.owners.is_empty() => (Some(Tone::Bad), "not by you".to_owned()),
        (false, _) => (Some(Tone::Warn), format!("ask {}", space.owners.join(" or "))),
    }
}

/// A heading and lines under it; nothing where there are none.
fn list(page: &mut Page, heading: &str, lines: &[String]) {
    if !lines.is_empty() {
        page.line(heading);
    }
    for line in lines {
        page.line(format!("  - {}", clean(line)));
    }
}

impl Show for Verified {
    fn human(&self, page: &mut Page) {
        let (good, bad) = (page.paint(Tone::Good, "✓"), page.paint(Tone::Bad, "✗"));
        for line in &self.holds {
            page.line(format!("{good} {}", clean(line)));
        }
        for line in &self.missing {
            page.line(format!("{} {}", page.paint(Tone::Warn, "?"), clean(line)));
        }
        for line in &self.damaged {
            page.line(format!("{bad} {}", clean(line)));
        }
        for cheat in &self.cheats {
            let proof = match (cheat.proven, cheat.evidence.is_empty()) {
                (true, false) => format!("signed by the device itself: evidence {}", clean(&cheat.evidence)),
                (true, true) => "signed by the device itself".to_owned(),
                (false, _) => "suspected, not proven".to_owned(),
            };
            let (device, what) = (clean(&cheat.device), clean(&cheat.what));
            page.line(format!("{bad} {device}: {what} (found {}; {proof})", page.time(cheat.found_at)));
        }
        page.line(if self.ok { "Nothing is wrong." } else { "Something is wrong." });
        if self.cheats.iter().any(|cheat| cheat.proven && !cheat.evidence.is_empty()) {
            page.line("`warren evidence export` writes a file that anybody can check with `warren evidence check`.");
        }
    }
}

/// Evidence that was written.
#[derive(Serialize)]
pub(crate) struct Exported {
    pub(crate) output: String,
    pub(crate) bytes: u64,
    pub(crate) proves: Vec<String>,
}

impl Show for Exported {
    fn human(&self, page: &mut Page) {
        page.line(format!("{} ({})", clean(&self.output), size(self.bytes)));
        list(page, "It proves to anybody:", &self.proves);
    }
}

impl Show for EvidenceProof {
    fn human(&self, page: &mut Page) {
        let good = page.paint(Tone::Good, "✓");
        for line in &self.proves {
            page.line(format!("{good} {}", clean(line)));
        }
    }
}

/// A place for a table.
pub(super) fn path(path: &api::types::TreePath) -> String {
    if path.is_root() { "/".to_owned() } else { clean_bytes(&path.0) }
}
