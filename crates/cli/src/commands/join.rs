//! `warren join`.

use clap::Args;

use super::init::device_name;
use crate::context::{Context, NEW_DEVICE};
use crate::exit::Outcome;

/// Join a circle with a code or a link
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren join acid-brave-coral-dune --name bo
  warren join warren:join/... --name bo --device laptop
  warren join acid-brave-coral-dune --name bo --at 192.168.1.20:4100    where discovery cannot see the inviter

Makes the device first if this home has none (asks for a new passphrase then).
Compare the safety words with the inviter, by voice: the same words mean that nobody sits between you.")]
pub(crate) struct Join {
    /// Four words, or the link
    #[arg(value_name = "CODE|LINK", required = true, num_args = 1..)]
    invitation: Vec<String>,
    /// Your name in the circle
    #[arg(long)]
    name: String,
    /// Name of this device [default: the machine's name]
    #[arg(long)]
    device: Option<String>,
    /// Where the inviter is; may be given several times
    #[arg(long, value_name = "IP:PORT")]
    at: Vec<String>,
}

impl Join {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let join = api::types::Join {
            // Four words that were typed with blanks between them are one code.
            invitation: self.invitation.join("-"),
            name: self.name,
            device: self.device.unwrap_or_else(|| device_name(&cx.terminal.hostname)),
            at: self.at,
        };
        let running = cx.running_if_any().await?;
        let was_running = running.is_some();
        let joined = match running {
            Some(service) => service.join(join).await?,
            None => {
                let host = cx.host();
                let passphrase = if host.initialised()? {
                    cx.passphrase("Passphrase: ").await?
                } else {
                    cx.new_passphrase(NEW_DEVICE).await?
                };
                host.join(join, passphrase).await?
            }
        };
        cx.show(&joined);
        if !was_running {
            cx.note("\nNext: `warren up --detach` runs the device.");
        }
        Ok(())
    }
}
