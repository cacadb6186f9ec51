//! Very many histories, short and long, on 2 to 5 devices: in every order the same tree, which is the one that the rules
//! give when everything is worked out anew; and what is taken out never happened. Runs with `WARREN_LONG=1`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::properties::{ORDERS, nothing_lost, orders_of, retraction_of};
use super::world::World;

/// Commits of a history.
const SIZES: [usize; 4] = [10, 25, 60, 120];
/// Interleavings in all.
const INTERLEAVINGS: usize = 100_000;

/// One history in all its orders, and with some of its commits taken out.
fn examine(number: u64) {
    let size = SIZES[(number % SIZES.len() as u64) as usize];
    let seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let checked = orders_of(World::history(seed, size))
        .and_then(|()| retraction_of(World::history(seed, size)))
        .and_then(|()| nothing_lost(seed));
    if let Err(why) = checked {
        panic!("history {number} (seed {seed}, {size} commits): {why}");
    }
}

#[test]
fn a_hundred_thousand_interleavings() {
    if std::env::var_os("WARREN_LONG").is_none_or(|value| value != "1") {
        return;
    }
    let histories = INTERLEAVINGS.div_ceil(ORDERS) as u64;
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= histories {
                        return;
                    }
                    examine(number);
                }
            });
        }
    });
}
