//! Invitations and peers.

use api::types::{Invitation, InvitationInfo, Joined, Peer};

use super::{Page, Show, Table, Tone, clean};
use crate::units::{round_trip, size};

impl Show for Invitation {
    fn human(&self, page: &mut Page) {
        page.field("code", page.paint(Tone::Accent, &clean(&self.code)));
        page.field("link", clean(&self.link));
        page.field("role", clean(&self.role));
        page.field(
            "valid",
            format!(
                "until {} ({}), for {}",
                page.time(self.expires_at),
                page.relative(self.expires_at),
                crate::units::count(self.uses.into(), "device")
            ),
        );
        page.field("id", clean(&self.id));
    }
}

impl Show for Vec<InvitationInfo> {
    fn human(&self, page: &mut Page) {
        if self.is_empty() {
            page.line("No invitations. Make one with `warren invite`.");
            return;
        }
        let mut table = Table::new(page, &["ID", "STATE", "ROLE", "USES LEFT", "EXPIRES", "JOINED"]);
        for invitation in self {
            let tone = match invitation.state.as_str() {
                "open" => Some(Tone::Good),
                "burned" => Some(Tone::Bad),
                _ => Some(Tone::Dim),
            };
            table.row([
                (None, short(&invitation.id)),
                (tone, invitation.state.clone()),
                (None, invitation.role.clone()),
                (None, invitation.uses_left.to_string()),
                (None, page.relative(invitation.expires_at)),
                (None, invitation.joined.join(", ")),
            ]);
        }
        table.put(page);
        if self.iter().any(|invitation| invitation.state == "burned") {
            page.line("Burned: somebody guessed wrong. Whoever was invited needs a new one.");
        }
    }
}

impl Show for InvitationInfo {
    fn human(&self, page: &mut Page) {
        page.line(format!("Invitation {} is {}.", clean(&short(&self.id)), clean(&self.state)));
    }
}

impl Show for Joined {
    fn human(&self, page: &mut Page) {
        page.line(format!(
            "You are {} ({}) in the circle {}, invited by {}.",
            page.paint(Tone::Strong, &clean(&self.name)),
            clean(&self.role),
            page.paint(Tone::Strong, &clean(&self.circle)),
            clean(&self.inviter)
        ));
        page.field("safety words", page.paint(Tone::Accent, &clean(&self.safety_words)));
        page.line(format!(
            "Compare them with {}, by voice: `warren peers verify {}` shows theirs. The same words: nobody sits between you.",
            clean(&self.inviter),
            clean(&self.inviter)
        ));
    }
}

impl Show for Vec<Peer> {
    fn human(&self, page: &mut Page) {
        if self.is_empty() {
            page.line("Nobody else is in the circle yet. Invite somebody with `warren invite`.");
            return;
        }
        let mut table = Table::new(
            page,
            &["NAME", "DEVICE", "ROLE", "STATE", "PATH", "ADDRESS", ">ROUND TRIP", "LAST SEEN", "VERIFIED"],
        );
        for peer in self {
            let path = match (&peer.path, &peer.bulk) {
                (Some(path), Some(bulk)) => format!("{path}, {bulk}"),
                (Some(path), None) => path.clone(),
                _ => "-".to_owned(),
            };
            let verified =
                if peer.verified { (Some(Tone::Good), "yes".to_owned()) } else { (Some(Tone::Warn), "no".to_owned()) };
            table.row([
                (Some(Tone::Strong), peer.name.clone()),
                (None, peer.device.clone()),
                (None, peer.role.clone()),
                (Some(state_tone(&peer.state)), peer.state.clone()),
                (None, path),
                (None, peer.address.clone().unwrap_or_else(|| "-".to_owned())),
                (None, peer.rtt_us.map_or_else(|| "-".to_owned(), round_trip)),
                (None, last_seen(page, peer)),
                verified,
            ]);
        }
        table.put(page);
    }
}

impl Show for Peer {
    fn human(&self, page: &mut Page) {
        let state = page.paint(state_tone(&self.state), &clean(&self.state));
        page.field("name", format!("{}, {state}", clean(&self.name)));
        page.field("member", format!("{} ({})", clean(&self.member), clean(&self.role)));
        page.field("device", format!("{} {}", clean(&self.device), clean(&self.device_id)));
        if let Some(address) = &self.address {
            let path = self.path.as_deref().unwrap_or("last known");
            page.field("address", format!("{} ({})", clean(address), clean(path)));
        }
        if let Some(rtt) = self.rtt_us {
            page.field("round trip", round_trip(rtt));
        }
        if let Some(agreement) = &self.key_agreement {
            page.field("key exchange", clean(agreement));
        }
        page.field("last seen", last_seen(page, self));
        let verified = if self.verified { "yes" } else { "not yet" };
        page.field("verified", verified);
        page.field("safety words", clean(&self.safety_words));
        let rule = match self.auto_accept {
            None => "asked about".to_owned(),
            Some(u64::MAX) => "accepted without asking".to_owned(),
            Some(bytes) => format!("accepted without asking up to {}", size(bytes)),
        };
        page.field("offers", rule);
        page.field("certificate", format!("valid until {}", page.time(self.certificate_ends_at)));
    }
}

/// The beginning of an id, enough to name it in commands.
fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

fn last_seen(page: &Page, peer: &Peer) -> String {
    match peer.last_seen {
        _ if peer.state == "online" => "now".to_owned(),
        Some(time) => page.relative(time),
        None => "never".to_owned(),
    }
}

fn state_tone(state: &str) -> Tone {
    match state {
        "online" => Tone::Good,
        "blocked" | "removed" => Tone::Bad,
        _ => Tone::Dim,
    }
}
