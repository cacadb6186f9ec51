//! `warren invite`.

use std::time::Duration;

use api::types::{ById, Invite as Request};
use clap::{Args, ValueEnum};

use crate::context::Context;
use crate::exit::Outcome;
use crate::units::parse_duration;

/// Invite somebody into the circle: a code to speak, a link, a QR code
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren invite                              one editor, within the hour
  warren invite --role reader --expires 2days --uses 5
  warren invite --json | jq -r .code         for scripts (`code` and `link`)
  warren invite --revoke 3kq7                end an invitation before it is used

Whoever is invited says: warren join CODE --name NAME
One wrong guess at the code ends the invitation. The link has a long secret: send it only by a safe way.")]
pub(crate) struct Invite {
    /// What whoever joins may do
    #[arg(long, value_enum, default_value_t = Role::Editor)]
    role: Role,
    /// How long the invitation is good
    #[arg(long, value_parser = parse_duration, default_value = "1h", value_name = "DURATION")]
    expires: Duration,
    /// How many may join with it
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    uses: u32,
    /// End the invitation with this id (or its beginning)
    #[arg(long, value_name = "ID", conflicts_with_all = ["role", "expires", "uses"])]
    revoke: Option<String>,
}

/// Roles in a circle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// may invite as well, and remove those whom it admitted or who were admitted by them
    Admin,
    /// may read and write
    Editor,
    /// may read
    Reader,
    /// holds ciphertext only
    Storage,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Editor => "editor",
            Self::Reader => "reader",
            Self::Storage => "storage",
        }
    }
}

impl Invite {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        if let Some(id) = self.revoke {
            let ended = service.revoke_invitation(ById { id }).await?;
            cx.show(&ended);
            return Ok(());
        }
        let invitation = service
            .invite(Request { role: self.role.name().to_owned(), expires_s: self.expires.as_secs(), uses: self.uses })
            .await?;
        cx.show(&invitation);
        cx.draw(&invitation.link);
        cx.note(&format!("\nThey say: warren join {} --name NAME", crate::print::clean(&invitation.code)));
        Ok(())
    }
}
