//! `warren init`.

use clap::Args;

use crate::context::{Context, NEW_DEVICE};
use crate::exit::Outcome;

/// Make this device, and a new circle if you name one
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren init --name ada --circle family   found the circle `family`; you are its first admin
  warren init --name ada                   make the device only; join a circle later
  WARREN_PASSPHRASE=... warren init --name ada --circle lab --json    for scripts

The passphrase seals the keys on this disk. Nobody can recover it for you.
To join a circle that exists, `warren join CODE --name NAME` is enough: it makes the device as well.")]
pub(crate) struct Init {
    /// Your name in the circle
    #[arg(long)]
    name: String,
    /// Found a circle of this name
    #[arg(long)]
    circle: Option<String>,
    /// Name of this device [default: the machine's name]
    #[arg(long)]
    device: Option<String>,
}

impl Init {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let host = cx.host();
        if host.initialised()? {
            return Err(api::ApiError::new(
                api::ErrorCode::Exists,
                format!("there is a device in {} already", host.home().display()),
            )
            .hint("`warren up` runs it; another folder for another device: `--home DIR` or WARREN_HOME")
            .into());
        }
        let passphrase = cx.new_passphrase(NEW_DEVICE).await?;
        let founded = self.circle.is_some();
        let init = api::Init {
            name: self.name,
            device: self.device.unwrap_or_else(|| device_name(&cx.terminal.hostname)),
            circle: self.circle,
            passphrase,
        };
        let identity = host.init(init).await?;
        cx.show(&identity);
        cx.note("");
        cx.note("Next: `warren up --detach` runs the device.");
        cx.note(if founded {
            "Then: `warren invite` makes a code for somebody else."
        } else {
            "Then: `warren join CODE --name NAME` joins a circle."
        });
        Ok(())
    }
}

/// A device name from the machine's name: its first label, without what names may not have.
pub(crate) fn device_name(hostname: &str) -> String {
    let label = hostname.split('.').next().unwrap_or_default();
    let name: String = label.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).take(32).collect();
    if name.is_empty() { "device".to_owned() } else { name }
}
