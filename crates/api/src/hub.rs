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
    /// `None` is the end.
    sender: broadcast::Sender<Option<Event>>,
}

impl EventHub {
    /// A hub that keeps `capacity` events for slow readers (at least one).
    pub fn new(capacity: usize) -> Self {
        Self { sender: broadcast::Sender::new(capacity.max(1)) }
    }

    /// Hands an event to everybody who listens now.
    pub fn send(&self, event: Event) {
        // An error only says that nobody listens.
        let _ = self.sender.send(Some(event));
    }

    /// Ends the streams of all who listen now, after everything that was handed out before.
    pub fn end(&self) {
        let _ = self.sender.send(None);
    }

    /// Events from now on. Ends with [`Self::end`], or when the last clone of the hub is gone.
    pub fn subscribe(&self) -> EventStream {
        let received = BroadcastStream::new(self.sender.subscribe());
        let events = received.map(|event| match event {
            Ok(event) => event,
            Err(BroadcastStreamRecvError::Lagged(count)) => Some(Event::Lost { count }),
        });
        Box::pin(events.take_while(|event| std::future::ready(event.is_some())).filter_map(std::future::ready))
    }
}

impl Default for EventHub {
    fn default() -> Self {
        Self::new(1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hub_ends_its_streams_after_what_was_handed_out() {
        let hub = EventHub::default();
        let (stays, events) = (hub.clone(), hub.subscribe());
        hub.send(Event::Lock { locked: true });
        hub.end();
        stays.send(Event::Lock { locked: false });
        assert_eq!(events.collect::<Vec<_>>().await, [Event::Lock { locked: true }]);
    }
}
