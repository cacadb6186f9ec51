//! The sockets of announcements, and where announcements go.
//!
//! Every device of a machine binds the same port (SO_REUSEADDR and SO_REUSEPORT): broadcasts and
//! multicasts are given to each of them, but a datagram to one address only to some one of them.
//! Whoever expects an answer therefore asks from a port of its own.

use std::{
    collections::{BTreeSet, HashSet},
    future::pending,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
};

use if_addrs::{IfAddr, Ifv4Addr, Interface, get_if_addrs};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// Length of every datagram.
pub(super) const DATAGRAM: usize = seal::beacon::SIZE;
/// What a datagram is received into: a longer one shows by filling it.
pub(super) type Buffer = [u8; DATAGRAM + 1];

/// Link-local, transient group (RFC 4291 section 2.7): "Warren" in ASCII.
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0x5761, 0x7272, 0x656e);
/// The loopback network's broadcast address: all devices on this machine.
const LOOPBACK: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

/// One socket per address family, as far as the machine has it.
pub(super) struct Sockets {
    v4: UdpSocket,
    v6: Option<UdpSocket>,
    /// Where to shout.
    port: u16,
    joined: HashSet<u32>,
}

impl Sockets {
    /// On the port that all devices share.
    pub(super) fn shared(port: u16) -> io::Result<Self> {
        let mut sockets = Self {
            v4: open(Domain::IPV4, port, true)?,
            v6: open(Domain::IPV6, port, true).ok(),
            port,
            joined: HashSet::new(),
        };
        sockets.join(&interfaces());
        Ok(sockets)
    }

    /// On a port of our own, to ask and be answered.
    pub(super) fn own(port: u16) -> io::Result<Self> {
        Ok(Self {
            v4: open(Domain::IPV4, 0, false)?,
            v6: open(Domain::IPV6, 0, false).ok(),
            port,
            joined: HashSet::new(),
        })
    }

    /// Listens for the group on interfaces that are new.
    fn join(&mut self, interfaces: &[Interface]) {
        let Some(v6) = &self.v6 else { return };
        for index in interfaces.iter().filter_map(|i| i.index) {
            if self.joined.insert(index) {
                // An interface without IPv6 cannot join, and need not.
                let _ = v6.join_multicast_v6(&GROUP, index);
            }
        }
    }

    /// Sends to everybody near. Interfaces come and go, so each time to those there are; one that
    /// fails does not stop the others.
    pub(super) async fn shout(&mut self, datagram: &[u8; DATAGRAM]) {
        let interfaces = interfaces();
        self.join(&interfaces);
        for to in targets(&interfaces, self.port) {
            self.send(datagram, to).await;
        }
    }

    /// Sends to one address; a datagram may be lost anyway, so an error is a loss.
    pub(super) async fn send(&self, datagram: &[u8; DATAGRAM], to: SocketAddr) {
        let socket = match to.is_ipv4() {
            true => Some(&self.v4),
            false => self.v6.as_ref(),
        };
        if let Some(socket) = socket
            && let Err(error) = socket.send_to(datagram, to).await
        {
            tracing::trace!(%to, %error, "not sent");
        }
    }

    /// The next datagram.
    pub(super) async fn recv(&self, buf: &mut Buffer) -> (usize, SocketAddr) {
        let mut other = [0; DATAGRAM + 1];
        loop {
            let received = tokio::select! {
                received = self.v4.recv_from(buf) => received,
                received = recv_or_never(self.v6.as_ref(), &mut other) => {
                    buf.copy_from_slice(&other);
                    received
                }
            };
            match received {
                Ok((len, from)) => return (len, canonical(from)),
                // ICMP errors of earlier sends turn up here.
                Err(error) => tracing::trace!(%error, "not received"),
            }
        }
    }
}

async fn recv_or_never(socket: Option<&UdpSocket>, buf: &mut Buffer) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buf).await,
        None => pending().await,
    }
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), addr.port()),
        IpAddr::V6(_) => addr,
    }
}

fn open(domain: Domain, port: u16, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if shared {
        socket.set_reuse_address(true)?;
        #[cfg(unix)]
        socket.set_reuse_port(true)?;
    }
    let any = if domain == Domain::IPV4 {
        socket.set_broadcast(true)?;
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
    } else {
        socket.set_only_v6(true)?;
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))
    };
    socket.set_nonblocking(true)?;
    socket.bind(&any.into())?;
    UdpSocket::from_std(socket.into())
}

fn interfaces() -> Vec<Interface> {
    get_if_addrs().unwrap_or_default()
}

/// The limited broadcast, each interface's own, the loopback's, and the group on each interface.
fn targets(interfaces: &[Interface], port: u16) -> BTreeSet<SocketAddr> {
    let mut targets =
        BTreeSet::from([SocketAddr::from((Ipv4Addr::BROADCAST, port)), SocketAddr::from((LOOPBACK, port))]);
    for interface in interfaces {
        match &interface.addr {
            IfAddr::V4(addr) => {
                targets.extend(broadcast(addr).map(|ip| SocketAddr::from((ip, port))));
            }
            IfAddr::V6(_) => {
                targets.extend(interface.index.map(|index| SocketAddr::from(SocketAddrV6::new(GROUP, port, 0, index))))
            }
        }
    }
    targets
}

/// The broadcast address of a network. Where the interface was given none, the system names its own address instead.
fn broadcast(addr: &Ifv4Addr) -> Option<Ipv4Addr> {
    let last = Ipv4Addr::from_bits(addr.ip.to_bits() | !addr.netmask.to_bits());
    // RFC 3021: a link between two has none.
    let of_the_network = (addr.netmask.to_bits().count_ones() < 31).then_some(last);
    addr.broadcast.filter(|given| *given != addr.ip).or(of_the_network)
}

/// Answers go to the neighbourhood only: private, link-local and loopback addresses.
pub(super) fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_unique_local() || ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_stay_in_the_neighbourhood() {
        for near in ["192.168.1.9", "10.0.0.1", "127.0.0.1", "fe80::1", "fd00::1", "::1"] {
            assert!(is_near(near.parse().unwrap()), "{near}");
        }
        for far in ["8.8.8.8", "172.32.0.1", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!is_near(far.parse().unwrap()), "{far}");
        }
    }

    #[test]
    fn a_network_whose_broadcast_address_was_not_set_is_reached() {
        let at = |netmask: &str, broadcast: Option<&str>| {
            let (ip, netmask) = ("10.99.7.77".parse().unwrap(), netmask.parse::<Ipv4Addr>().unwrap());
            let broadcast = broadcast.map(|ip| ip.parse().unwrap());
            let prefixlen = netmask.to_bits().count_ones() as u8;
            super::broadcast(&Ifv4Addr { ip, netmask, prefixlen, broadcast }).map(|ip| ip.to_string())
        };
        let expected = Some("10.99.7.255".to_owned());
        for missing in [None, Some("10.99.7.77"), Some("10.99.7.255")] {
            assert_eq!(at("255.255.255.0", missing), expected);
        }
        assert_eq!(at("255.255.0.0", None), Some("10.99.255.255".to_owned()));
        assert_eq!(at("255.255.255.255", Some("10.99.7.77")), None);
        assert_eq!(at("255.255.255.254", None), None);
    }

    /// Several devices on one machine depend on this property of the system.
    #[tokio::test]
    async fn every_socket_on_the_shared_port_hears_a_broadcast_on_loopback() {
        let first = open(Domain::IPV4, 0, true).unwrap();
        let port = first.local_addr().unwrap().port();
        let second = open(Domain::IPV4, port, true).unwrap();
        let speaker = open(Domain::IPV4, 0, false).unwrap();
        let to = SocketAddr::from((LOOPBACK, port));
        speaker.send_to(&[7; DATAGRAM], to).await.unwrap();
        let mut buf = [0; DATAGRAM];
        for socket in [&first, &second] {
            let (len, from) = socket.recv_from(&mut buf).await.unwrap();
            assert_eq!((len, buf), (DATAGRAM, [7; DATAGRAM]));
            assert!(from.ip().is_loopback());
        }
    }
}
