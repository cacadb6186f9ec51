//! What the network asks its owner: who we are, who may come in, and whom to tell of offences.

use std::net::SocketAddr;

use logic::{Misbehaved, hello::Credentials};
use seal::{DeviceId, Timestamp};

/// Decides about peers. Called from many tasks; must answer without waiting.
pub trait Admission: Send + Sync + 'static {
    /// What this device proves its membership with; `None` while it is in no circle or locked.
    fn credentials(&self) -> Option<Credentials>;

    /// The time by which certificates are judged.
    fn now(&self) -> Timestamp;

    /// True if this device is not to be talked with.
    fn blocked(&self, device: DeviceId) -> bool;

    /// True while strangers are expected: an invitation or a one-time code is open.
    fn guests_welcome(&self) -> bool;

    /// True if this stranger has proven a code before and may come back with it: it is let in however many other
    /// strangers are here.
    fn expected(&self, _: DeviceId) -> bool {
        false
    }

    /// Somebody broke a rule. `from` is set where a key was proven. Floods are reported once a
    /// second at most.
    fn report(&self, from: Option<DeviceId>, addr: Option<SocketAddr>, offence: Misbehaved);
}
