//! What the transfers of a passing device stand on.

use std::path::PathBuf;

use logic::transfer::{Offer, TransferId};
use seal::{DeviceId, DeviceKey, Signature};
use store::landing::Landing;

use crate::transfers::{Decision, Happened, Host};

/// See the module.
pub(super) struct Ground {
    key: DeviceKey,
    /// Where things land.
    to: PathBuf,
    /// Everything is accepted without asking.
    yes: bool,
}

impl Ground {
    /// For sending.
    pub(super) fn giving(key: DeviceKey) -> Self {
        Self { key, to: PathBuf::from("."), yes: false }
    }

    /// For receiving into `to`.
    pub(super) fn taking(key: DeviceKey, to: PathBuf, yes: bool) -> Self {
        Self { key, to, yes }
    }

    pub(super) fn key(&self) -> &DeviceKey {
        &self.key
    }

    /// True if a transfer is accepted without asking: always, or because it was accepted before an interruption.
    pub(super) fn accepts(&self, id: TransferId) -> bool {
        self.yes || Landing::open(&self.to).and_then(|landing| landing.has(&id.0)).unwrap_or(false)
    }
}

impl Host for Ground {
    fn me(&self) -> DeviceId {
        self.key.id()
    }

    fn peer_name(&self, _: &DeviceId) -> String {
        "guest".into()
    }

    fn decide(&self, _: &DeviceId, offer: &Offer) -> Decision {
        match (self.accepts(offer.id), offer.complete) {
            (true, _) => Decision::Accept { to: Some(self.to.clone()), ceiling: Some(u64::MAX) },
            (false, true) => Decision::Ask,
            (false, false) => Decision::Wait,
        }
    }

    fn received_dir(&self) -> PathBuf {
        self.to.clone()
    }

    fn sign(&self, receipt: &[u8]) -> Signature {
        self.key.sign(seal::Purpose::TransferReceipt, receipt)
    }

    fn happened(&self, event: Happened) {
        tracing::info!(transfer = %event.transfer, what = ?event.what, "transfer");
    }
}
