//! Where events are handed out: one sender, any number of readers, bounded memory. A reader that is too slow loses the
//! oldest events and is told how many ([`Event::Lost`]); nobody ever waits for a reader.

use futures_util::StreamExt;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use crate::EventStream;
use crate::types::Event;

/// Hands events to all who listen. Cheap to clone; all clones are the same hub.
#[derive(Debug, Clone)]
pub struct EventHub {
    sender: broadcast::Sender<Event>,
}

impl EventHub {
    /// A hub that keeps `capacity` events for slow readers (at least one).
    pub fn new(capacity: usize) -> Self {
        Self { sender: broadcast::Sender::new(capacity.max(1)) }
    }

    /// Hands an event to everybody who listens now.
    pub fn send(&self, event: Event) {
        // An error only says that nobody listens.
        let _ = self.sender.send(event);
    }

    /// Events from now on. Ends when the last clone of the hub is gone.
    pub fn subscribe(&self) -> EventStream {
        let received = BroadcastStream::new(self.sender.subscribe());
        Box::pin(received.map(|event| match event {
            Ok(event) => event,
            Err(BroadcastStreamRecvError::Lagged(count)) => Event::Lost { count },
        }))
    }
}

impl Default for EventHub {
    fn default() -> Self {
        Self::new(1024)
    }
}
