//! How fast a path may be filled: CUBIC (RFC 9438) on near paths, [`far`] on far ones.
//!
//! CUBIC takes every loss for congestion: with a round trip of 50 ms and one packet in a hundred lost it all but stops,
//! while `far` measures what gets through. iroh's own BBR does so too, but its speed varied fivefold from run to run, for
//! twice the work of the processor: with each acknowledgement it walks through everything in flight (measured:
//! `docs/experiments/transfer.md`). A path does not say beforehand what it is, so both controllers listen until its round
//! trip is known; then one stays.

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use iroh::endpoint::{Controller, ControllerFactory, ControllerMetrics};
use noq_proto::{RttEstimator, congestion::CubicConfig};

mod far;
use far::ByDelivery;

/// A path with a longer round trip is far. Cables and good radio stay below; distance does not.
const FAR: Duration = Duration::from_millis(8);
/// Acknowledgements until the shortest round trip is taken for the path's: the first ones carry the time that key
/// agreement takes.
const SAMPLES: u32 = 16;

/// Builds the controller of a new path.
#[derive(Debug, Default)]
pub(crate) struct ByDistance;

impl ControllerFactory for ByDistance {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let near = Arc::new(CubicConfig::default()).build(now, mtu);
        let far = ByDelivery::new(now, mtu, near.initial_window());
        Box::new(Listening { heard: vec![near, Box::new(far)], samples: 0 })
    }
}

/// A controller that becomes one of two.
#[derive(Debug)]
struct Listening {
    /// The one for near paths, which rules meanwhile, and the one for far paths; or the one that stayed.
    heard: Vec<Box<dyn Controller>>,
    samples: u32,
}

impl Listening {
    fn each(&mut self, mut tell: impl FnMut(&mut Box<dyn Controller>)) {
        self.heard.iter_mut().for_each(&mut tell);
    }

    fn ruling(&self) -> &dyn Controller {
        self.heard[0].as_ref()
    }

    fn decide(&mut self, rtt: Duration) {
        self.samples += 1;
        if self.samples == SAMPLES && self.heard.len() == 2 {
            self.heard.swap_remove(if rtt > FAR { 0 } else { 1 });
        }
    }
}

impl Controller for Listening {
    fn on_sent(&mut self, now: Instant, bytes: u64, largest: u64) {
        self.each(|one| one.on_sent(now, bytes, largest));
    }

    fn on_packet_sent(&mut self, now: Instant, bytes: u16, number: u64) {
        self.each(|one| one.on_packet_sent(now, bytes, number));
    }

    fn on_cwnd_limited(&mut self) {
        self.each(|one| one.on_cwnd_limited());
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, number: u64, starved: bool, rtt: &RttEstimator) {
        self.each(|one| one.on_ack(now, sent, bytes, number, starved, rtt));
        self.decide(rtt.min());
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, starved: bool, largest: Option<u64>) {
        self.each(|one| one.on_end_acks(now, in_flight, starved, largest));
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, lasts: bool, ecn: bool, lost: u64, largest: u64) {
        self.each(|one| one.on_congestion_event(now, sent, lasts, ecn, lost, largest));
    }

    fn on_packet_lost(&mut self, lost: u16, number: u64, now: Instant) {
        self.each(|one| one.on_packet_lost(lost, number, now));
    }

    fn on_spurious_congestion_event(&mut self) {
        self.each(|one| one.on_spurious_congestion_event());
    }

    fn on_mtu_update(&mut self, mtu: u16) {
        self.each(|one| one.on_mtu_update(mtu));
    }

    fn on_ack_frequency_update(&mut self, threshold: u64, delay: Duration) {
        self.each(|one| one.on_ack_frequency_update(threshold, delay));
    }

    fn window(&self) -> u64 {
        self.ruling().window()
    }

    fn metrics(&self) -> ControllerMetrics {
        self.ruling().metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        let heard = self.heard.iter().map(|one| one.clone_box()).collect();
        Box::new(Self { heard, samples: self.samples })
    }

    fn initial_window(&self) -> u64 {
        self.ruling().initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use noq_proto::congestion::Cubic;

    /// The controller that stays on a path with these round trips.
    fn stays(rtts: impl Iterator<Item = u64>) -> Box<dyn Any> {
        let built = Arc::new(ByDistance).build(Instant::now(), 1200);
        let mut listening = built.into_any().downcast::<Listening>().unwrap();
        for (seen, rtt) in (1..).zip(rtts) {
            listening.decide(Duration::from_millis(rtt));
            assert_eq!(listening.heard.len(), if seen < SAMPLES { 2 } else { 1 });
        }
        listening.heard.pop().unwrap().into_any()
    }

    #[test]
    fn near_paths_keep_one_controller_and_far_paths_the_other() {
        assert!(stays([1; 20].into_iter()).is::<Cubic>());
        assert!(stays([50; 20].into_iter()).is::<ByDelivery>());
        // The first round trips carry the key agreement; the shortest counts at the end.
        assert!(stays([vec![50; 10], vec![1; 10]].concat().into_iter()).is::<Cubic>());
    }
}
