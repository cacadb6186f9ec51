//! This device on the local network: what it announces, and what it hears.

use std::sync::Arc;
use std::time::Duration;

use logic::wire::Address;
use net::lan::{Announcement, Hint, Lan, LanOwner, Nameplate, Sighting};
use seal::beacon::BeaconKey;
use seal::{DeviceId, Timestamp};
use tokio::sync::mpsc;

use crate::circle::Circle;
use crate::clock;
use crate::desk::Desk;

/// How long answers to a nameplate are waited for.
const PATIENCE: Duration = Duration::from_secs(4);

/// What the announcements need to know.
pub(crate) struct Voice {
    pub(crate) device: DeviceId,
    pub(crate) port: u16,
    /// Absent on a passing device.
    pub(crate) circle: Option<Arc<Circle>>,
    pub(crate) desk: Arc<Desk>,
}

impl LanOwner for Voice {
    fn announcement(&self) -> Option<Announcement> {
        let credentials = self.circle.as_ref()?.snapshot()?.credentials.as_ref()?.boot;
        Some(Announcement { device: self.device, port: self.port, boot: credentials })
    }

    fn beacon_keys(&self) -> Vec<BeaconKey> {
        let snapshot = self.circle.as_ref().and_then(|circle| circle.snapshot());
        snapshot.map(|now| now.view.beacon_keys.clone()).unwrap_or_default()
    }

    fn nameplates(&self) -> Vec<Nameplate> {
        let open = self.desk.nameplates();
        open.into_iter().map(|number| Nameplate { number, device: self.device, port: self.port }).collect()
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }
}

/// Announces and listens until dropped; sightings go to `seen`.
pub(crate) async fn run(port: u16, voice: Voice, seen: mpsc::Sender<Sighting>) {
    match Lan::start(port, Arc::new(voice)) {
        Ok((_lan, mut heard)) => {
            while let Some(sighting) = heard.recv().await {
                if seen.send(sighting).await.is_err() {
                    return;
                }
            }
        }
        Err(error) => {
            tracing::warn!(port, %error, "the local network cannot be listened to; devices are found by their known addresses only")
        }
    }
}

/// Asks the local network who has an invitation with this nameplate.
pub(crate) async fn ask(port: u16, nameplate: u16) -> Vec<(DeviceId, Vec<Address>)> {
    match net::lan::ask(port, nameplate, PATIENCE).await {
        Ok(hints) => hints.into_iter().map(|Hint { device, addrs }| (device, addrs)).collect(),
        Err(error) => {
            tracing::warn!(port, %error, "the local network cannot be asked");
            Vec::new()
        }
    }
}
