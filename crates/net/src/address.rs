//! Where this device can be reached, as far as it can know.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use iroh::{Endpoint, TransportAddr};
use logic::wire::Address;

/// Addresses of this machine on which the endpoint listens, those that others see it under
/// (port mapping, relays' observations), and its relays. Loopback only if asked for or alone.
pub(crate) fn addresses(endpoint: &Endpoint, loopback: bool) -> Vec<Address> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let interfaces: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).collect();
    let (mut local, mut far) = (BTreeSet::new(), BTreeSet::new());
    for bound in endpoint.bound_sockets() {
        for addr in listening(bound, &interfaces) {
            match addr.ip().is_loopback() {
                true => local.insert(Address::Direct(addr)),
                false => far.insert(Address::Direct(addr)),
            };
        }
    }
    for addr in endpoint.addr().addrs {
        match addr {
            TransportAddr::Ip(addr) if usable(addr.ip()) && !addr.ip().is_loopback() => {
                far.insert(Address::Direct(addr));
            }
            TransportAddr::Relay(url) => {
                far.insert(Address::Relay(url.to_string()));
            }
            _ => {}
        }
    }
    if loopback || far.is_empty() {
        far.append(&mut local);
    }
    far.into_iter().collect()
}

/// The addresses behind one bound socket.
fn listening(bound: SocketAddr, interfaces: &[IpAddr]) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    interfaces
        .iter()
        .filter(|ip| ip.is_ipv4() == bound.is_ipv4() && usable(**ip))
        .map(|ip| SocketAddr::new(*ip, bound.port()))
        .collect()
}

/// Link-local IPv6 addresses mean nothing without an interface, so they are neither told nor called: whoever is called
/// at one sees the caller without the interface, and cannot answer.
pub(crate) fn usable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_means_something_on_one_interface_is_no_address() {
        for (ip, good) in
            [("fe80::1", false), ("0.0.0.0", false), ("fd00::1", true), ("::1", true), ("192.0.2.1", true)]
        {
            assert_eq!(usable(ip.parse().unwrap()), good, "{ip}");
        }
    }

    #[test]
    fn a_wildcard_socket_stands_for_the_interfaces_of_its_family() {
        let interfaces: Vec<IpAddr> =
            ["127.0.0.1", "192.0.2.1", "::1", "fe80::1", "2001:db8::1"].map(|ip| ip.parse().unwrap()).into();
        let v4 = listening("0.0.0.0:7".parse().unwrap(), &interfaces);
        assert_eq!(v4, ["127.0.0.1:7", "192.0.2.1:7"].map(|a| a.parse().unwrap()));
        let v6 = listening("[::]:7".parse().unwrap(), &interfaces);
        assert_eq!(v6, ["[::1]:7", "[2001:db8::1]:7"].map(|a| a.parse().unwrap()));
    }
}
