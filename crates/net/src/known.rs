//! Where members are known to be, so that strangers nearby cannot use up their share of handshakes.
//!
//! Filled by members who proved themselves from an address, and by the addresses at which this device looks for them.
//! Being known opens nothing: it only says under what a caller is counted by [`crate::gate`].

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

/// Addresses remembered at once.
const REMEMBERED: usize = 1024;

/// What a caller is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    /// The address and port of a member.
    Member(IpAddr, u16),
    /// The address of a member, another port: whoever shares a host or a NAT with it, or the member after a restart.
    Host(IpAddr),
    /// A network where nobody is known: IPv4 /24, IPv6 /64.
    Network(IpAddr),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Known(BTreeMap<(IpAddr, u16), Instant>);

impl Known {
    /// A member is, or may be, at `addr`.
    pub(crate) fn note(&mut self, addr: SocketAddr, now: Instant) {
        self.0.insert((addr.ip().to_canonical(), addr.port()), now);
        if self.0.len() > REMEMBERED
            && let Some(oldest) = self.0.iter().min_by_key(|(_, at)| **at).map(|(place, _)| *place)
        {
            self.0.remove(&oldest);
        }
    }

    /// What whoever calls from `addr` is counted under.
    pub(crate) fn party(&self, addr: SocketAddr) -> Party {
        let (ip, port) = (addr.ip().to_canonical(), addr.port());
        if self.0.contains_key(&(ip, port)) {
            Party::Member(ip, port)
        } else if self.0.range((ip, 0)..=(ip, u16::MAX)).next().is_some() {
            Party::Host(ip)
        } else {
            Party::Network(network(ip))
        }
    }
}

/// The network that an address stands for.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(last: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], port))
    }

    #[test]
    fn a_member_is_counted_apart_from_its_host_and_that_from_its_network() {
        let mut known = Known::default();
        let strange = known.party(at(7, 1));
        assert_eq!((strange, strange), (known.party(at(8, 2)), known.party("[::ffff:192.0.2.9]:3".parse().unwrap())));
        known.note("[::ffff:192.0.2.7]:1".parse().unwrap(), Instant::now());
        let parties = [known.party(at(7, 1)), known.party(at(7, 2)), known.party(at(8, 1))];
        let ip = IpAddr::from([192, 0, 2, 7]);
        assert_eq!(parties, [Party::Member(ip, 1), Party::Host(ip), strange]);
    }

    #[test]
    fn the_oldest_address_is_forgotten_first() {
        let mut known = Known::default();
        let start = Instant::now();
        for port in 0..2000 {
            // The first one is seen again and again.
            known.note(at(7, 0), start + Duration::from_secs(port.into()));
            known.note(at(7, port), start + Duration::from_secs(port.into()));
        }
        assert_eq!(known.0.len(), REMEMBERED);
        assert!(matches!(known.party(at(7, 0)), Party::Member(..)));
        assert!(matches!(known.party(at(7, 1999)), Party::Member(..)));
        assert!(matches!(known.party(at(7, 1)), Party::Host(_)));
    }
}
