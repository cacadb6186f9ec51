//! `warren device`.

use api::types::DeviceLost;
use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Outcome;
use crate::print::clean;

/// What to do when a device is lost or stolen
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren device lost bo/phone              shows what it could read, asks, then revokes it everywhere
  warren device lost bo/phone --preview    only what it could read and what would be done
  warren device lost me/phone --yes        without a question

Its certificate is revoked, it loses its place in every space, and what is written from then on is
under keys that it does not have. Nothing takes back what it has read already: the list says what
that is, and what you have to do yourself.")]
pub(crate) struct Device {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Revoke a lost device everywhere
    Lost {
        /// The device: MEMBER/DEVICE, or the beginning of its id
        name: String,
        /// Only say what it would mean
        #[arg(long)]
        preview: bool,
    },
}

impl Device {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let Action::Lost { name, preview } = self.action;
        let service = cx.running().await?;
        let asked = [name.clone()];
        if preview || !cx.yes {
            let meaning = match service.device_lost(DeviceLost { name: name.clone(), preview: true }).await {
                Ok(meaning) => meaning,
                Err(error) => return Err(cx.suggest_peer(&service, &asked, error).await.into()),
            };
            if preview {
                cx.show(&meaning);
                return Ok(());
            }
            let question = format!("Revoke {} everywhere? It can never come back.", clean(&meaning.device));
            cx.agree(&meaning, &question).await?;
        }
        match service.device_lost(DeviceLost { name, preview: false }).await {
            Ok(lost) => cx.show(&lost),
            Err(error) => return Err(cx.suggest_peer(&service, &asked, error).await.into()),
        }
        Ok(())
    }
}
