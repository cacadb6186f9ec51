//! Who may start a handshake now: a rate per network, or per member where it is known, and a bound on what is
//! remembered.
//!
//! No sockets and no clock: time comes in. Used for QUIC, TCP and datagrams of the LAN. A caller whose address is not
//! proven (its source may be forged) is at worst sent away for a proof, which is shorter than what it sent; only those
//! who have proven theirs are counted towards being ignored. So somebody who forges the address of an honest peer can
//! at most cost it one round trip; and somebody who floods from the network, or from behind the NAT, of a member whose
//! address is known ([`crate::known`]) uses up a share that is not the member's.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::known::Party;

/// Parties remembered at once.
const REMEMBERED: usize = 4096;

/// What to do with a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on.
    Admit,
    /// Let the caller prove its address first, then count it again.
    Prove,
    /// Do not answer.
    Ignore,
}

/// Handshakes per party over about the last second.
pub(crate) struct Gate {
    calm: f64,
    flood: f64,
    /// By party, those who have proven their address apart from those who have not.
    seen: HashMap<(Party, bool), (f64, Instant)>,
}

impl Gate {
    /// `calm` and `flood`: handshakes per second and party.
    pub(crate) fn new(calm: u32, flood: u32) -> Self {
        Self { calm: f64::from(calm), flood: f64::from(flood), seen: HashMap::new() }
    }

    /// Counts a handshake from `from`; `proven`: the address was proven; `busy`: too many
    /// handshakes are going on.
    pub(crate) fn knock(&mut self, from: Party, proven: bool, busy: bool, now: Instant) -> Verdict {
        let count = self.count((from, proven), now);
        match proven {
            true if count > self.flood => Verdict::Ignore,
            false if busy || count > self.calm => Verdict::Prove,
            _ => Verdict::Admit,
        }
    }

    /// A leaky count: every handshake adds one, and it decays to nothing in one second at the
    /// flood rate.
    fn count(&mut self, who: (Party, bool), now: Instant) -> f64 {
        if self.seen.len() >= REMEMBERED && !self.seen.contains_key(&who) {
            self.forget(now);
        }
        let entry = self.seen.entry(who).or_insert((0.0, now));
        let past = now.saturating_duration_since(entry.1).as_secs_f64();
        *entry = ((entry.0 - past * self.flood).max(0.0) + 1.0, now);
        entry.0 = entry.0.min(2.0 * self.flood);
        entry.0
    }

    /// Makes room: first those who have been quiet; if nobody has, everybody.
    fn forget(&mut self, now: Instant) {
        self.seen.retain(|_, (_, at)| now.saturating_duration_since(*at) < Duration::from_secs(2));
        if self.seen.len() >= REMEMBERED {
            self.seen.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::*;
    use crate::known::Known;

    fn v4(last: u8) -> Party {
        Known::default().party(at(last, 4433))
    }

    fn at(last: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], port))
    }

    #[test]
    fn a_calm_network_is_admitted_for_ever() {
        let mut gate = Gate::new(5, 20);
        let start = Instant::now();
        for i in 0..1000 {
            let now = start + Duration::from_millis(250 * i);
            assert_eq!(gate.knock(v4(1), false, false, now), Verdict::Admit);
        }
    }

    #[test]
    fn a_flood_is_ignored_and_only_in_its_network() {
        let mut gate = Gate::new(5, 20);
        let now = Instant::now();
        let verdicts: Vec<_> = (0..60).map(|i| gate.knock(v4(i), true, false, now)).collect();
        assert_eq!(verdicts[19], Verdict::Admit);
        assert_eq!(verdicts[20], Verdict::Ignore);
        assert_eq!(verdicts[59], Verdict::Ignore);
        let other = Known::default().party(SocketAddr::from(([198, 51, 100, 1], 4433)));
        assert_eq!(gate.knock(other, true, false, now), Verdict::Admit);
        let later = now + Duration::from_secs(3);
        assert_eq!(gate.knock(v4(1), true, false, later), Verdict::Admit);
    }

    #[test]
    fn whoever_forges_an_honest_callers_address_costs_it_one_round_trip() {
        let mut gate = Gate::new(5, 20);
        let now = Instant::now();
        let forged: Vec<_> = (0..1000).map(|_| gate.knock(v4(1), false, false, now)).collect();
        assert_eq!(forged[4], Verdict::Admit);
        assert!(forged[5..].iter().all(|verdict| *verdict == Verdict::Prove));
        assert_eq!(gate.knock(v4(1), true, false, now), Verdict::Admit, "it has proven its address");
    }

    #[test]
    fn a_busy_device_wants_proof_of_address_from_everybody() {
        let mut gate = Gate::new(5, 20);
        let now = Instant::now();
        assert_eq!(gate.knock(v4(1), false, true, now), Verdict::Prove);
        assert_eq!(gate.knock(v4(1), true, true, now), Verdict::Admit);
    }

    #[test]
    fn memory_is_bounded_whoever_knocks() {
        let mut gate = Gate::new(5, 20);
        let now = Instant::now();
        for i in 0..3 * REMEMBERED as u32 {
            let caller = SocketAddr::from((IpAddr::from(i.rotate_left(8).to_be_bytes()), 4433));
            gate.knock(Known::default().party(caller), false, false, now);
        }
        assert!(gate.seen.len() <= REMEMBERED);
    }

    /// Ten minutes of two thousand handshakes a second by `attacker`, in between a member's attempt every three seconds;
    /// tells whether each of them was let in.
    fn besieged(known: &Known, attacker: SocketAddr, member: impl Fn(u16) -> SocketAddr) -> Vec<bool> {
        let mut gate = Gate::new(5, 60);
        let start = Instant::now();
        let mut admitted = Vec::new();
        for tick in 0..600 * 2000_u32 {
            let now = start + Duration::from_micros(500) * tick;
            gate.knock(known.party(attacker), true, false, now);
            if tick % 6000 == 5999 {
                let caller = known.party(member(u16::try_from(tick / 6000).unwrap_or_default()));
                // Without a proof of its address, then with it, as QUIC does it.
                admitted.push(match gate.knock(caller, false, true, now) {
                    Verdict::Prove => gate.knock(caller, true, true, now) == Verdict::Admit,
                    verdict => verdict == Verdict::Admit,
                });
            }
        }
        admitted
    }

    #[test]
    fn a_flood_from_a_members_network_or_from_behind_its_nat_does_not_keep_the_member_out() {
        let mut known = Known::default();
        known.note(at(7, 4433), Instant::now());
        let neighbour = besieged(&known, at(66, 5000), |_| at(7, 4433));
        assert!(neighbour.len() == 200 && neighbour.iter().all(|admitted| *admitted));
        let moved = besieged(&known, at(66, 5000), |attempt| at(7, 6000 + attempt));
        assert!(moved.iter().all(|admitted| *admitted), "it is known by its address, whatever its port");
        let behind_one_nat = besieged(&known, at(7, 5000), |_| at(7, 4433));
        assert!(behind_one_nat.iter().all(|admitted| *admitted));
        // What cannot be told apart: nobody knows this caller, or it shares a NAT and has another port than before.
        let unknown = besieged(&known, at(66, 5000), |_| at(8, 4433));
        let other_port = besieged(&known, at(7, 5000), |_| at(7, 6000));
        assert!(!unknown.contains(&true) && !other_port.contains(&true));
    }
}
