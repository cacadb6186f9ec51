//! This device: status and settings.

use api::types::{Identity, Settings, Status};

use super::{Page, Show, Table, Tone, clean};
use crate::units::{count, span};

impl Show for Status {
    fn human(&self, page: &mut Page) {
        let state = if self.locked { page.paint(Tone::Warn, "locked") } else { page.paint(Tone::Good, "running") };
        let ago = |at: i64| span(at.abs_diff(page.now) / 1000);
        let locked = self.locked_at.map(|at| format!(" for {}", ago(at))).unwrap_or_default();
        page.field("device", format!("{state}{locked}, up for {}, process {}", ago(self.started_at), self.pid));
        if let Some(identity) = &self.identity {
            page.field("name", format!("{} on {}", clean(&identity.member), clean(&identity.device)));
            page.field("role", clean(&identity.role));
        }
        if let Some(circle) = &self.circle {
            let members = count(circle.members.into(), "member");
            let name = clean(&circle.name);
            if circle.removed {
                page.field(
                    "circle",
                    format!("{name}; {}", page.paint(Tone::Bad, "this device has been removed from it")),
                );
            } else {
                page.field("circle", format!("{name}, {members}"));
            }
            page.field("safety words", clean(&circle.safety_words));
            page.field("certificate", format!("valid until {}", page.time(circle.certificate_ends_at)));
        } else if !self.locked {
            page.field("circle", "none yet: `warren join CODE --name NAME`");
        }
        page.field("addresses", clean(&self.addresses.join(", ")));
        if let Some(api) = &self.api {
            page.field("local API", format!("{}, token in {}/run/api.token", clean(api), clean(&self.home)));
        }
        page.field("peers", format!("{} online", self.peers_online));
        page.field(
            "transfers",
            format!(
                "{} running, {} waiting for a decision",
                self.transfers_active,
                count(self.offers_waiting.into(), "offer")
            ),
        );
        page.field("home", clean(&self.home));
        page.field("version", clean(&self.version));
        if self.locked {
            page.line("Unlock it with `warren unlock`.");
        } else if self.offers_waiting > 0 {
            page.line("Look at the offers with `warren inbox`.");
        }
    }
}

impl Show for Identity {
    fn human(&self, page: &mut Page) {
        page.field("name", format!("{} on {}", clean(&self.member), clean(&self.device)));
        if !self.role.is_empty() {
            page.field("role", clean(&self.role));
        }
        page.field("device id", clean(&self.device_id));
    }
}

impl Show for Settings {
    fn human(&self, page: &mut Page) {
        let mut table = Table::new(page, &["KEY", "VALUE", "WHAT IT IS FOR"]);
        for entry in &self.entries {
            table.row([
                (Some(Tone::Strong), entry.key.clone()),
                (None, entry.value.clone()),
                (Some(Tone::Dim), entry.help.clone()),
            ]);
        }
        table.put(page);
    }
}
