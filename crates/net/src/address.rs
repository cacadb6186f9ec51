//! Where this device can be reached, as far as it can know.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use iroh::{Endpoint, TransportAddr};
use logic::limits::ADDRESSES_PER_DEVICE;
use logic::wire::Address;

/// Addresses of this machine on which the endpoint listens, those that others see it under
/// (port mapping, relays' observations), and its relays. Loopback only if asked for or alone. At most
/// [`ADDRESSES_PER_DEVICE`]: relays first, as they get through where nothing else does.
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
    at_most(far)
}

fn at_most(addresses: BTreeSet<Address>) -> Vec<Address> {
    let (mut first, rest): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| matches!(address, Address::Relay(_)));
    first.extend(rest);
    first.truncate(ADDRESSES_PER_DEVICE);
    first
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
    fn of_many_addresses_the_relays_are_kept() {
        let many = (0..40u16).map(|port| Address::Direct(([192, 0, 2, 1], port).into()));
        let relay = Address::Relay("https://relay.example".into());
        let kept = at_most(many.chain([relay.clone()]).collect());
        assert_eq!((kept.len(), kept.contains(&relay)), (ADDRESSES_PER_DEVICE, true));
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
