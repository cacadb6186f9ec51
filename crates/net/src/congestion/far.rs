//! Congestion control for far paths: the window follows what the path delivers, not what it loses.
//!
//! After BBR (draft-ietf-ccwg-bbr), with what a far path needs of it and no more. Time goes in rounds: one ends when
//! something is acknowledged that was sent after it began. Each gives one sample: bytes delivered by time. The best of the
//! last rounds is the path's rate, and the window is that rate times the shortest round trip, times a gain that probes in
//! one round, empties the queue in the next, and otherwise keeps a small queue. Loss counts only where it is heavy: a path
//! that loses one packet in a hundred delivers the other ninety-nine.
//!
//! Nothing is kept per packet, so an acknowledgement costs the same whatever is in flight.

use std::{
    any::Any,
    time::{Duration, Instant},
};

use iroh::endpoint::{Controller, ControllerMetrics};
use noq_proto::RttEstimator;

/// Rounds whose best is the path's rate; more than one cycle of gains.
const ROUNDS: usize = 10;
/// The window while the path's rate is being found: it doubles each round, as long as that helps.
const STARTING: f64 = 2.25;
/// A round that is not faster by this factor has not helped; so many of them end the start.
const FASTER: f64 = 1.25;
const PATIENCE: u32 = 3;
/// The window after that, in turn, in rates times round trips: probe, drain, cruise.
const GAINS: [f64; 8] = [1.5, 0.75, 1.25, 1.25, 1.25, 1.25, 1.25, 1.25];
/// Where the cycle goes on after heavy loss: draining, the whole cycle before it probes again.
const DRAIN: usize = 1;
/// What processes on both sides may add to a round trip.
const SLACK: Duration = Duration::from_millis(5);
/// A larger share of lost bytes means that the path is too full; a few packets more may always be chance.
const HEAVY: f64 = 0.1;
const CHANCE: u64 = 8;
/// After this time or twice that, a shortest round trip that was not seen again is forgotten.
const FRESH: Duration = Duration::from_secs(5);
/// Packets that may always be in flight.
const FEWEST: u64 = 4;

/// The controller.
#[derive(Debug, Clone)]
pub(super) struct ByDelivery {
    mtu: u16,
    initial: u64,
    window: u64,
    in_flight: u64,
    round: Round,
    /// Bytes per second of the last rounds, and how many rounds were counted.
    rates: [f64; ROUNDS],
    rounds: usize,
    start: Option<Start>,
    shortest: Shortest,
}

/// What happened since a round began.
#[derive(Debug, Clone)]
struct Round {
    began: Instant,
    delivered: u64,
    lost: u64,
    /// The application had nothing to send, so this says little about the path.
    starved: bool,
    /// Something that was sent in this round has been acknowledged.
    over: bool,
}

/// The search for the path's rate.
#[derive(Debug, Clone, Default)]
struct Start {
    best: f64,
    in_vain: u32,
}

/// The shortest round trip of the last while.
#[derive(Debug, Clone)]
struct Shortest {
    since: Instant,
    now: Duration,
    before: Duration,
}

impl Round {
    fn new(began: Instant) -> Self {
        Self { began, delivered: 0, lost: 0, starved: false, over: false }
    }

    fn rate(&self, now: Instant) -> f64 {
        self.delivered as f64 / now.duration_since(self.began).as_secs_f64().max(1e-6)
    }

    fn heavy_loss(&self, mtu: u16) -> bool {
        self.lost.saturating_sub(CHANCE * u64::from(mtu)) as f64 > HEAVY * (self.lost + self.delivered) as f64
    }
}

impl Shortest {
    fn see(&mut self, now: Instant, round_trip: Duration) {
        if now.duration_since(self.since) > FRESH {
            *self = Self { since: now, now: Duration::MAX, before: self.now };
        }
        self.now = self.now.min(round_trip);
    }

    fn get(&self) -> Duration {
        self.now.min(self.before)
    }
}

impl ByDelivery {
    pub(super) fn new(now: Instant, mtu: u16, initial: u64) -> Self {
        Self {
            mtu,
            initial,
            window: initial,
            in_flight: 0,
            round: Round::new(now),
            rates: [0.0; ROUNDS],
            rounds: 0,
            start: Some(Start::default()),
            shortest: Shortest { since: now, now: Duration::MAX, before: Duration::MAX },
        }
    }

    /// The best rate of the last rounds.
    fn rate(&self) -> f64 {
        self.rates.iter().copied().fold(0.0, f64::max)
    }

    /// What is in flight at the path's rate, times a gain.
    fn filling(&self, gain: f64) -> u64 {
        let round_trip = self.shortest.get().min(FRESH);
        (self.rate() * (round_trip.mul_f64(gain) + SLACK).as_secs_f64()) as u64
    }

    fn delivered(&mut self, now: Instant, sent: Instant, bytes: u64, starved: bool) {
        self.shortest.see(now, now.duration_since(sent));
        self.round.delivered += bytes;
        self.round.over |= sent >= self.round.began;
        if self.start.is_some() && !starved && self.window < self.filling(STARTING) {
            self.window += bytes;
        }
    }

    fn end_round(&mut self, now: Instant) {
        let (rate, heavy) = (self.round.rate(now), self.round.heavy_loss(self.mtu));
        let starved = std::mem::replace(&mut self.round, Round::new(now)).starved;
        if starved && rate < self.rate() && !heavy {
            return;
        }
        self.rounds += 1;
        self.rates[self.rounds % ROUNDS] = rate;
        if heavy {
            self.rates = [rate; ROUNDS];
            self.rounds = DRAIN;
        }
        if let Some(start) = &mut self.start {
            if rate > start.best * FASTER {
                *start = Start { best: rate, in_vain: 0 };
            } else {
                start.in_vain += 1;
            }
            if start.in_vain < PATIENCE && !heavy {
                return;
            }
            self.start = None;
            self.rounds = DRAIN;
        }
        self.window = self.filling(GAINS[self.rounds % GAINS.len()]).max(FEWEST * u64::from(self.mtu));
    }
}

impl Controller for ByDelivery {
    fn on_packet_sent(&mut self, now: Instant, bytes: u16, _number: u64) {
        if self.in_flight == 0 {
            self.round = Round::new(now);
        }
        self.in_flight += u64::from(bytes);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, _number: u64, starved: bool, _rtt: &RttEstimator) {
        self.delivered(now, sent, bytes, starved);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, starved: bool, _largest: Option<u64>) {
        self.in_flight = in_flight;
        self.round.starved |= starved;
        if self.round.over {
            self.end_round(now);
        }
    }

    fn on_packet_lost(&mut self, lost: u16, _number: u64, _now: Instant) {
        self.round.lost += u64::from(lost);
        self.in_flight = self.in_flight.saturating_sub(lost.into());
    }

    fn on_congestion_event(&mut self, now: Instant, _: Instant, lasts: bool, _: bool, _: u64, _: u64) {
        // Nothing came through for a while: everything that was known of the path is void.
        if lasts {
            *self = Self { in_flight: self.in_flight, ..Self::new(now, self.mtu, self.initial) };
        }
    }

    fn on_mtu_update(&mut self, mtu: u16) {
        self.mtu = mtu;
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = ControllerMetrics::default();
        metrics.congestion_window = self.window;
        metrics.bandwidth_estimate = Some((self.rate() * 8.0) as u64);
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.initial
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests;
