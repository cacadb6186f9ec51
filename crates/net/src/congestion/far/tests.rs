//! The controller on a simulated path: a router with a queue, a delay, and loss.

#![allow(clippy::unwrap_used)]

use super::*;
use std::collections::VecDeque;

const PACKET: u16 = 1400;
const STEP: Duration = Duration::from_millis(1);

/// What the path does.
#[derive(Clone, Copy)]
struct Path {
    bytes_per_second: f64,
    round_trip: Duration,
    /// How long a packet may wait in the queue.
    queue: Duration,
    /// Lost at random, of a thousand packets.
    lost: u64,
}

const GIGABIT: Path =
    Path { bytes_per_second: 125e6, round_trip: Duration::from_millis(50), queue: Duration::from_millis(50), lost: 0 };

/// A sender on the path.
struct Simulation {
    now: Instant,
    control: ByDelivery,
    path: Path,
    free_at: Instant,
    /// Answer, sending, and whether it is lost.
    flying: VecDeque<(Instant, Instant, bool)>,
    /// The last round trip and what may be sent at once: a window each round trip and a quarter more, as QUIC's pacing is.
    round_trip: Duration,
    credit: f64,
    sent: u64,
    delivered: u64,
    lost: u64,
}

impl Simulation {
    fn new(path: Path) -> Self {
        let now = Instant::now();
        let control = ByDelivery::new(now, PACKET, 14_000);
        Self {
            now,
            control,
            path,
            free_at: now,
            flying: VecDeque::new(),
            round_trip: path.round_trip,
            credit: 0.0,
            sent: 0,
            delivered: 0,
            lost: 0,
        }
    }

    fn in_flight(&self) -> u64 {
        self.flying.len() as u64 * u64::from(PACKET)
    }

    /// One millisecond in which at most so many packets are ready.
    fn step(&mut self, ready: usize) {
        self.now += STEP;
        let starved = self.in_flight() + u64::from(PACKET) <= self.control.window();
        let answered = self.flying.iter().take_while(|(answer, ..)| *answer <= self.now).count();
        for (_, sent, lost) in self.flying.drain(..answered).collect::<Vec<_>>() {
            if lost {
                self.lost += 1;
                self.control.on_packet_lost(PACKET, 0, self.now);
            } else {
                self.delivered += 1;
                self.round_trip = self.now - sent;
                self.control.delivered(self.now, sent, PACKET.into(), starved);
            }
        }
        if answered > 0 {
            self.control.on_end_acks(self.now, self.in_flight(), starved, Some(0));
        }
        let pace = 1.25 * self.control.window() as f64 * STEP.as_secs_f64() / self.round_trip.as_secs_f64();
        self.credit = (self.credit + pace).min(pace.max(f64::from(PACKET)) * 2.0);
        for _ in 0..ready {
            if self.in_flight() + u64::from(PACKET) > self.control.window() || self.credit < f64::from(PACKET) {
                break;
            }
            self.credit -= f64::from(PACKET);
            self.send();
        }
    }

    fn send(&mut self) {
        self.sent += 1;
        self.control.on_packet_sent(self.now, PACKET, self.sent);
        self.free_at = self.free_at.max(self.now);
        let dice = self.sent.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let full = self.free_at - self.now > self.path.queue;
        if !full {
            self.free_at += Duration::from_secs_f64(f64::from(PACKET) / self.path.bytes_per_second);
        }
        let answer = self.free_at + self.path.round_trip;
        self.flying.push_back((answer, self.now, full || dice % 1000 < self.path.lost));
    }

    /// The share of the path that is used for a while, and the share that is lost.
    fn run(&mut self, time: Duration) -> (f64, f64) {
        (self.delivered, self.lost) = (0, 0);
        for _ in 0..time.as_millis() {
            self.step(usize::MAX);
        }
        let possible = self.path.bytes_per_second * time.as_secs_f64() / f64::from(PACKET);
        (self.delivered as f64 / possible, self.lost as f64 / (self.lost + self.delivered) as f64)
    }
}

#[test]
fn a_far_path_is_filled_within_a_second_whatever_it_loses_at_random() {
    for lost in [0, 1, 10, 50] {
        let mut path = Simulation::new(Path { lost, ..GIGABIT });
        path.run(Duration::from_secs(1));
        let (used, missed) = path.run(Duration::from_secs(5));
        let random = lost as f64 / 1e3;
        assert!(used > 0.93 - random, "{lost} in a thousand lost: {used:.2} used");
        assert!(missed < random + 0.01, "{lost} in a thousand lost by the path, {missed:.3} in all");
    }
}

#[test]
fn a_short_queue_is_not_flooded() {
    let path = Path { queue: Duration::from_millis(5), bytes_per_second: 2e6, ..GIGABIT };
    let mut path = Simulation::new(path);
    path.run(Duration::from_secs(1));
    let (used, missed) = path.run(Duration::from_secs(10));
    assert!(used > 0.7, "{used:.2} used");
    assert!(missed < 0.15, "{missed:.3} lost");
}

#[test]
fn a_path_that_becomes_slower_or_faster_is_followed() {
    let mut path = Simulation::new(GIGABIT);
    path.run(Duration::from_secs(2));
    for (rate, seconds) in [(10e6, 3), (100e6, 3), (1e6, 10)] {
        path.path.bytes_per_second = rate;
        path.run(Duration::from_secs(seconds));
        let (used, _) = path.run(Duration::from_secs(5));
        assert!(used > 0.7, "{used:.2} of {rate} used");
    }
}

#[test]
fn a_longer_way_is_learned() {
    let mut path = Simulation::new(GIGABIT);
    path.run(Duration::from_secs(2));
    path.path.round_trip = Duration::from_millis(200);
    path.run(Duration::from_secs(20));
    let (used, _) = path.run(Duration::from_secs(10));
    assert!(used > 0.7, "{used:.2} used");
}

#[test]
fn a_sender_with_little_to_send_keeps_what_was_learned() {
    let mut path = Simulation::new(GIGABIT);
    path.run(Duration::from_secs(2));
    let full = path.control.rate();
    for _ in 0..20_000 {
        path.step(1);
    }
    assert!(path.control.rate() > full * 0.9, "{} of {full}", path.control.rate());
}

#[test]
fn after_a_long_silence_everything_begins_anew() {
    let mut path = Simulation::new(GIGABIT);
    path.run(Duration::from_secs(2));
    path.control.on_congestion_event(path.now, path.now, true, false, 0, 0);
    assert_eq!((path.control.window(), path.control.rate()), (14_000, 0.0));
}
