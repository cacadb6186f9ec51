//! `warren undo`.

use api::types::TreeUndo;
use clap::Args;

use crate::context::Context;
use crate::exit::Outcome;
use crate::place::space;

/// Undo everything that a device or a member did in a space
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren undo --device bo/laptop --since 2h --in home      one device, the last two hours
  warren undo --member bo --since 2026-11-20 --in home     all devices of somebody, since then
  warren undo --member bo --since 1d --in home --preview   only what would change

Shows what would change, and asks. What others did meanwhile stays. An undo is a change like any
other: `warren restore` undoes it.")]
pub(crate) struct Undo {
    #[command(flatten)]
    whose: Whose,
    /// Everything after this point
    #[arg(long, value_name = "TIME|VERSION")]
    since: String,
    /// The space
    #[arg(long = "in", value_name = "SPACE", value_parser = space())]
    space: String,
    /// Only say what it would mean
    #[arg(long)]
    preview: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// What this device did, as MEMBER/DEVICE
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// What all devices of this member did
    #[arg(long, value_name = "MEMBER")]
    member: Option<String>,
}

impl Undo {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        let asked: Vec<String> = self.whose.device.iter().chain(&self.whose.member).cloned().collect();
        let mut request = TreeUndo {
            space: self.space,
            device: self.whose.device,
            member: self.whose.member,
            since: self.since,
            preview: true,
        };
        if self.preview || !cx.yes {
            let plan = match service.tree_undo(request.clone()).await {
                Ok(plan) => plan,
                Err(error) => return Err(cx.suggest_peer(&service, &asked, error).await.into()),
            };
            if self.preview || plan.count == 0 {
                cx.show(&plan);
                return Ok(());
            }
            cx.agree(&plan, "Undo?").await?;
        }
        request.preview = false;
        match service.tree_undo(request).await {
            Ok(done) => cx.done(&done, !cx.yes),
            Err(error) => return Err(cx.suggest_peer(&service, &asked, error).await.into()),
        }
        Ok(())
    }
}
