//! A long wire: Ethernet frames between two TAP interfaces, delayed, paced, and lost at random.
//!
//! `wire DELAY_MS MBIT LOSS_PERCENT` with one TAP as standard input and the other as standard output, both opened for
//! reading and writing: whoever starts this makes the interfaces. `scripts/netlab` does.
//!
//! Each direction is a queue like that of a router: what does not fit within 60 ms at the wire's rate is dropped.

#![allow(clippy::print_stderr, clippy::unwrap_used, missing_docs)]

use rand::{RngExt, SeedableRng};
use std::{
    os::fd::AsFd,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// The longest frame.
const FRAME: usize = 2048;
/// How long a frame may wait for its turn.
const QUEUE: Duration = Duration::from_millis(60);

#[derive(Clone, Copy)]
struct Wire {
    delay: Duration,
    bytes_per_second: f64,
    loss: f64,
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<f64>().unwrap());
    let mut next = || arguments.next().unwrap();
    let wire = Wire {
        delay: Duration::from_secs_f64(next() / 1e3),
        bytes_per_second: next() * 1e6 / 8.0,
        loss: next() / 100.0,
    };
    let there = thread::spawn(move || wire.carry(1, std::io::stdin(), std::io::stdout()));
    wire.carry(2, std::io::stdout(), std::io::stdin());
    there.join().unwrap();
}

impl Wire {
    fn carry(self, seed: u64, from: impl AsFd, to: impl AsFd + Send + 'static) {
        let (send, frames) = mpsc::channel::<(Instant, Vec<u8>)>();
        thread::spawn(move || {
            for (due, frame) in frames {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                // An interface that is down takes nothing.
                let _ = rustix::io::write(&to, &frame);
            }
        });
        let mut dice = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut free_at = Instant::now();
        let mut frame = [0; FRAME];
        loop {
            let Ok(len) = rustix::io::read(&from, &mut frame) else { continue };
            let now = Instant::now();
            free_at = free_at.max(now);
            if free_at - now > QUEUE || dice.random_bool(self.loss) {
                continue;
            }
            free_at += Duration::from_secs_f64(len as f64 / self.bytes_per_second);
            if send.send((free_at + self.delay, frame[..len].to_vec())).is_err() {
                return;
            }
        }
    }
}
