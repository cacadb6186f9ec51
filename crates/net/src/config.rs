//! What the caller decides about the network: ports, relays, limits.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// How a device takes part in the network. The default phones nobody.
#[derive(Debug, Clone)]
pub struct NetConfig {
    /// UDP and TCP port; 0 takes any free one.
    pub port: u16,
    /// If `port` is taken by somebody else: take any free one instead of failing.
    pub any_port_if_taken: bool,
    /// Addresses to listen on; at most one per family. IPv6 that the machine lacks is left out.
    pub listen: Vec<IpAddr>,
    /// URLs of relays to be reachable through. Empty: no relay.
    pub relays: Vec<String>,
    /// Ask the router for a port (UPnP, PCP, NAT-PMP).
    pub portmap: bool,
    /// Offer and use TLS on TCP for bulk data.
    pub tcp_lane: bool,
    /// Name loopback addresses in [`crate::Network::addresses`] even if there are others: for
    /// several devices on one machine.
    pub loopback: bool,
    /// What strangers and peers may cost.
    pub limits: Limits,
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            port: 0,
            any_port_if_taken: true,
            listen: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            relays: Vec::new(),
            portmap: false,
            tcp_lane: true,
            loopback: false,
            limits: Limits::default(),
        }
    }
}

impl NetConfig {
    /// For devices that share a machine and meet nobody else.
    pub fn loopback() -> Self {
        Self { listen: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], loopback: true, ..Self::default() }
    }
}

/// Bounds on what others may cost this device.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the first packet to a proven peer.
    pub handshake: Duration,
    /// QUIC handshakes going on at once; above it callers must first prove their address. So many more for callers that
    /// come from a member's address.
    pub handshakes: usize,
    /// Handshakes per second and network (IPv4 /24, IPv6 /64) before callers must prove their
    /// address. Where a member is known to be, its address and its port count apart.
    pub calm_rate: u32,
    /// Handshakes per second and network, by callers that have proven their address, before they
    /// are ignored. A household of twenty devices may start at once.
    pub flood_rate: u32,
    /// Strangers connected at once who have not proven a code.
    pub guests: usize,
    /// How long a stranger may stay without proving a code.
    pub guest_life: Duration,
    /// Silence after which a link is dead.
    pub silence: Duration,
    /// How long dialling a TCP lane may take before QUIC is used instead.
    pub lane_dial: Duration,
    /// After a TCP lane could not be had: how long QUIC is used without trying again.
    pub lane_pause: Duration,
    /// With a longer round trip, bulk data stays on QUIC: there the network is the limit and not the
    /// processor, and most systems' TCP (CUBIC) takes every loss for congestion, our QUIC does not.
    pub lane_round_trip: Duration,
    /// TCP lanes that one peer may be about to open.
    pub lane_tickets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            handshakes: 64,
            calm_rate: 5,
            flood_rate: 60,
            guests: 3,
            guest_life: Duration::from_secs(30),
            silence: Duration::from_secs(9),
            lane_dial: Duration::from_millis(1500),
            lane_pause: Duration::from_secs(60),
            lane_round_trip: Duration::from_millis(25),
            lane_tickets: 16,
        }
    }
}

impl Limits {
    /// How often a link is kept alive: three chances before it counts as dead.
    pub(crate) fn keep_alive(&self) -> Duration {
        self.silence / 3
    }
}
