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
            let path = path(peer);
            let verified =
                if peer.verified { (Some(Tone::Good), "yes".to_owned()) } else { (Some(Tone::Warn), "no".to_owned()) };
            table.row([
                (Some(Tone::Strong), peer.name.clone()),
                (None, peer.device.clone()),
                (None, peer.role.clone()),
                (Some(state_tone(&peer.state)), peer.state.clone()),
                (None, path.unwrap_or_else(|| "-".to_owned())),
                (None, peer.address.clone().unwrap_or_else(|| "-".to_owned())),
                (None, peer.rtt_us.map_or_else(|| "-".to_owned(), round_trip)),
                (None, last_seen(page, peer)),
                verified,
            ]);
        }
        if table.fits(page) {
            table.put(page);
        } else {
            self.iter().for_each(|peer| block(page, peer));
        }
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

/// One peer in a few lines, for terminals that the table does not fit.
fn block(page: &mut Page, peer: &Peer) {
    let state = page.paint(state_tone(&peer.state), &clean(&peer.state));
    page.line(format!("{} {state}", page.paint(Tone::Strong, &clean(&peer.name))));
    let mut about = vec![clean(&peer.device).into_owned(), clean(&peer.role).into_owned()];
    about.extend(path(peer).map(|path| clean(&path).into_owned()));
    about.push(if peer.verified { "verified" } else { "not verified" }.to_owned());
    page.line(format!("  {}", about.join(", ")));
    if let Some(address) = &peer.address {
        page.line(format!("  {}", clean(address)));
    }
    let round_trip = peer.rtt_us.map(|rtt| format!(", {}", round_trip(rtt))).unwrap_or_default();
    page.line(format!("  seen {}{round_trip}", last_seen(page, peer)));
}

/// Path and lane in use.
fn path(peer: &Peer) -> Option<String> {
    let path = peer.path.as_ref()?;
    Some(peer.bulk.as_ref().map_or_else(|| path.clone(), |bulk| format!("{path}, {bulk}")))
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
