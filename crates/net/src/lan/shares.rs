//! So much a second, shared among those who ask.
//!
//! No sockets and no clock. Invariants: what is refused costs its asker nothing, so whoever keeps asking is served at
//! its rate and not locked out; one socket cannot use up its address's share, nor one address the share of all. Only
//! what was granted is remembered, so memory is bounded by the rates.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// How much a second, at the most. As much may come at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// For one address and port.
    pub(super) socket: u32,
    /// For one address.
    pub(super) address: u32,
    /// For everybody together.
    pub(super) all: u32,
}

/// What was used lately; it is forgotten at the rate.
#[derive(Debug, Clone, Copy)]
struct Used {
    amount: f64,
    at: Instant,
}

impl Used {
    fn at(self, rate: u32, now: Instant) -> f64 {
        let past = now.saturating_duration_since(self.at).as_secs_f64();
        (self.amount - past * f64::from(rate)).max(0.0)
    }
}

/// Who used how much.
#[derive(Debug)]
pub(super) struct Shares {
    rates: Rates,
    sockets: HashMap<SocketAddr, Used>,
    addresses: HashMap<IpAddr, Used>,
    all: HashMap<(), Used>,
}

impl Shares {
    pub(super) fn new(rates: Rates) -> Self {
        Self { rates, sockets: HashMap::new(), addresses: HashMap::new(), all: HashMap::new() }
    }

    /// Takes one for `from`; false if a share is used up.
    pub(super) fn take(&mut self, from: SocketAddr, now: Instant) -> bool {
        let Rates { socket, address, all } = self.rates;
        let fits = has_room(&self.sockets, &from, socket, now)
            && has_room(&self.addresses, &from.ip(), address, now)
            && has_room(&self.all, &(), all, now);
        if fits {
            self.forget(now);
            add(&mut self.sockets, from, socket, now);
            add(&mut self.addresses, from.ip(), address, now);
            add(&mut self.all, (), all, now);
        }
        fits
    }

    /// What was used up to a second ago is forgotten whole: so many at the most are left.
    fn forget(&mut self, now: Instant) {
        let Rates { socket, address, all } = self.rates;
        if self.sockets.len() > 2 * all as usize {
            self.sockets.retain(|_, used| used.at(socket, now) > 0.0);
            self.addresses.retain(|_, used| used.at(address, now) > 0.0);
        }
    }
}

fn has_room<K: Eq + Hash>(used: &HashMap<K, Used>, who: &K, rate: u32, now: Instant) -> bool {
    used.get(who).is_none_or(|used| used.at(rate, now) + 1.0 <= f64::from(rate))
}

fn add<K: Eq + Hash>(used: &mut HashMap<K, Used>, who: K, rate: u32, now: Instant) {
    let entry = used.entry(who).or_insert(Used { amount: 0.0, at: now });
    *entry = Used { amount: entry.at(rate, now) + 1.0, at: now };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATES: Rates = Rates { socket: 4, address: 16, all: 64 };

    fn from(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 168, 7, host], port))
    }

    /// How many of `asked` are granted to each, second for second, when all ask again and again.
    fn served(shares: &mut Shares, asked: &[SocketAddr], start: Instant, seconds: u32) -> Vec<u32> {
        let mut served = vec![0; asked.len()];
        for milli in 0..u64::from(seconds) * 1000 {
            for (count, from) in served.iter_mut().zip(asked) {
                *count += u32::from(shares.take(*from, start + Duration::from_millis(milli)));
            }
        }
        served
    }

    #[test]
    fn who_asks_all_the_time_is_served_at_its_rate() {
        let mut shares = Shares::new(RATES);
        let served = served(&mut shares, &[from(1, 1)], Instant::now(), 10);
        assert!((40..=44).contains(&served[0]), "{served:?}");
    }

    #[test]
    fn a_flood_from_one_socket_or_address_leaves_the_share_of_others() {
        let mut shares = Shares::new(RATES);
        let start = Instant::now();
        let flood: Vec<_> = (0..200).map(|port| from(1, port)).collect();
        let sum: u32 = served(&mut shares, &flood, start, 3).iter().sum();
        assert!((48..=64).contains(&sum), "{sum} for one address");
        let later = start + Duration::from_secs(3);
        for host in 2..5 {
            assert!(shares.take(from(host, 1), later), "{host}");
        }
    }

    #[test]
    fn there_are_never_more_than_all_may_have_and_little_is_remembered() {
        let mut shares = Shares::new(RATES);
        let start = Instant::now();
        let everybody: Vec<_> = (0..=255).flat_map(|host| (0..8).map(move |port| from(host, port))).collect();
        let sum: u32 = served(&mut shares, &everybody, start, 2).iter().sum();
        assert!((128..=192).contains(&sum), "{sum}");
        assert!(shares.sockets.len() <= 3 * 64 && shares.addresses.len() <= 3 * 64);
    }
}
