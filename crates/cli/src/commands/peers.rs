//! `warren peers`.

use api::types::{AcceptRule, AddPeer, ByName, Peer, PeerQuery, Remove, Rename, Verify};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Failure, INTERRUPTED, Outcome};
use crate::print::{Page, Show, Tone, clean};
use crate::units::parse_size;

/// Who is in the circle, and how this device reaches them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren peers                            all devices: online or away, path, address, round trip
  warren peers --all                      also those that were removed
  warren peers show bo                    everything about one
  warren peers add 192.168.1.20:4100      connect by hand
  warren peers verify bo                  compare safety words, by voice
  warren peers rename bo brother          a name of your own for bo
  warren peers rule bo --auto-accept 2GiB accept what bo sends without asking, up to 2 GiB
  warren peers rule bo --ask              ask again
  warren peers block bo                   nothing from bo reaches this device
  warren peers remove bo --reason left    bo's certificate is revoked for everybody (admins)

NAME is a pet name, a member name, MEMBER/DEVICE, or at least 6 characters of a device id.")]
pub(crate) struct Peers {
    #[command(flatten)]
    list: List,
    #[command(subcommand)]
    action: Option<Action>,
}

/// What is listed.
#[derive(Debug, Args)]
struct List {
    /// Also those that were removed from the circle
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List all devices (the same as no action)
    List(List),
    /// Show everything about one
    Show {
        /// Who
        name: String,
    },
    /// Connect to an address by hand
    Add {
        /// Where
        #[arg(value_name = "IP:PORT")]
        address: String,
    },
    /// Compare safety words and mark as verified
    Verify {
        /// Who
        name: String,
        /// Take the mark back
        #[arg(long)]
        undo: bool,
    },
    /// Refuse everything from somebody, on this device
    Block {
        /// Who
        name: String,
    },
    /// End a block
    Unblock {
        /// Who
        name: String,
    },
    /// Remove somebody from the circle, for everybody: revokes the certificate
    Remove {
        /// A member (all devices) or one device as MEMBER/DEVICE
        name: String,
        /// Why, for the log
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Give somebody a name of your own
    Rename {
        /// Who
        name: String,
        /// The pet name; nothing takes it away
        #[arg(default_value = "")]
        pet_name: String,
    },
    /// What to do with offers
    Rule {
        /// Who
        name: String,
        #[command(flatten)]
        rule: OfferRule,
    },
}

/// What happens to offers.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct OfferRule {
    /// Accept without asking up to this size, for example 500M, or `always`
    #[arg(long, value_name = "SIZE|always", value_parser = parse_accept)]
    auto_accept: Option<u64>,
    /// Ask
    #[arg(long)]
    ask: bool,
}

fn parse_accept(text: &str) -> Result<u64, String> {
    if text == "always" { Ok(u64::MAX) } else { parse_size(text) }
}

/// What `remove` did.
#[derive(Serialize)]
struct Removed {
    removed: String,
}

impl Show for Removed {
    fn human(&self, page: &mut Page) {
        page.line(format!("{} is no longer in the circle.", clean(&self.removed)));
        page.line("Whatever was sent to them before stays with them.");
    }
}

impl Peers {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let action = match self.action {
            None => Action::List(self.list),
            Some(Action::List(list)) => Action::List(List { all: list.all || self.list.all }),
            Some(_) if self.list.all => return Err(Failure::usage("--all is for the list only").into()),
            Some(action) => action,
        };
        let service = cx.running().await?;
        let asked: Vec<String> = action.name().into_iter().map(str::to_owned).collect();
        match act(cx, &service, action).await {
            Err(Failure::Error(error)) => Err(cx.suggest_peer(&service, &asked, error).await.into()),
            other => other,
        }
    }
}

impl Action {
    /// Whom it is about.
    fn name(&self) -> Option<&str> {
        match self {
            Self::List(_) | Self::Add { .. } => None,
            Self::Show { name }
            | Self::Verify { name, .. }
            | Self::Block { name }
            | Self::Unblock { name }
            | Self::Remove { name, .. }
            | Self::Rename { name, .. }
            | Self::Rule { name, .. } => Some(name),
        }
    }
}

async fn act(cx: &mut Context, service: &std::sync::Arc<dyn api::Service>, action: Action) -> Outcome {
    let peer = match action {
        Action::List(List { all }) => {
            let peers = service.peers(PeerQuery { removed: all }).await?;
            cx.show(&peers);
            return Ok(());
        }
        Action::Remove { name, reason } => {
            let question = format!("Remove {} from the circle, for everybody?", clean(&name));
            if !cx.confirm(&question).await? {
                return Err(Failure::Said(INTERRUPTED));
            }
            let request = Remove { name: name.clone(), reason };
            service.remove_peer(request).await?;
            cx.show(&Removed { removed: name });
            return Ok(());
        }
        Action::Verify { name, undo } => verify(cx, service, name, undo).await?,
        Action::Show { name } => service.peer(ByName { name }).await?,
        Action::Add { address } => service.add_peer(AddPeer { address }).await?,
        Action::Block { name } => service.block_peer(ByName { name }).await?,
        Action::Unblock { name } => service.unblock_peer(ByName { name }).await?,
        Action::Rename { name, pet_name } => {
            let taken_away = pet_name.is_empty();
            let peer = service.rename_peer(Rename { name, pet_name }).await?;
            if taken_away {
                cx.note(&format!("Your own name for it is taken away: it is called {} now.", clean(&peer.name)));
            }
            peer
        }
        Action::Rule { name, rule } => {
            let auto_accept = rule.auto_accept;
            service.accept_rule(AcceptRule { name, auto_accept }).await?
        }
    };
    cx.show(&peer);
    Ok(())
}

/// Shows the safety words, asks, and sets the mark.
async fn verify(
    cx: &mut Context,
    service: &std::sync::Arc<dyn api::Service>,
    name: String,
    undo: bool,
) -> Result<Peer, Failure> {
    if !undo && !cx.yes {
        let peer = service.peer(ByName { name: name.clone() }).await?;
        let words = cx.paint(Tone::Accent, &clean(&peer.safety_words));
        cx.note(&format!(
            "Ask {} to run `warren peers verify` for you, and read to each other:\n\n  {words}\n",
            clean(&peer.name)
        ));
        if !cx.confirm("Are the words the same on both sides?").await? {
            cx.note("Not verified. Different words mean that somebody may sit between you: remove the peer and invite again.");
            return Err(Failure::Said(INTERRUPTED));
        }
    }
    let verified = !undo;
    Ok(service.verify_peer(Verify { name, verified }).await?)
}
