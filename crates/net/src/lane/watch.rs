//! The TCP lanes that a link has open, and what happens to them when its path changes.
//!
//! QUIC follows a device to another address; a TCP connection cannot, and would notice only after
//! [`SILENCE`] that nobody answers. So whenever the link takes another path, its lanes have to show
//! within [`HURRY`] that they are alive; a lane that is not is cut, and whoever used it opens
//! another one on the new path. A lane that the change does not concern goes on unharmed.

use std::{
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{Stream, StreamExt};
use iroh::endpoint::PathEvent;
use tokio::time::timeout;

use crate::tls::Pulse;

/// How long the system may keep resending, or find the other side's buffers full, before it gives a
/// lane up. A slow disk may take a while; that the peer is gone, the link notices sooner.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);
/// The same after the path has changed.
const HURRY: Duration = Duration::from_secs(4);
/// So long after the last change the path counts as settled. Longer than [`HURRY`] and the pause
/// between two attempts of the system to resend.
const SETTLED: Duration = Duration::from_secs(15);

/// The lanes of one link.
#[derive(Default)]
pub(crate) struct Lanes(Mutex<Vec<Pulse>>);

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, Vec<Pulse>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lane was opened.
    pub(crate) fn add(&self, lane: Pulse) {
        let mut lanes = self.lock();
        lanes.retain(Pulse::beats);
        lanes.push(lane);
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn bound(&self, silence: Duration) {
        self.lock().retain(|lane| lane.bound(silence));
    }
}

/// The path in use has become another one, or may have.
pub(crate) async fn changed(event: PathEvent) -> Option<()> {
    matches!(event, PathEvent::Selected { .. } | PathEvent::Lagged { .. }).then_some(())
}

/// Follows the changes of the path until the link ends.
pub(crate) async fn follow(lanes: &Lanes, changes: impl Stream<Item = ()>) {
    let mut changes = pin!(changes);
    while changes.next().await.is_some() {
        lanes.bound(HURRY);
        while let Ok(Some(())) = timeout(SETTLED, changes.next()).await {
            lanes.bound(HURRY);
        }
        lanes.bound(SILENCE);
    }
}
