//! Where a device can be reached.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::limits::RELAY_ADDRESS_BYTES;

/// One address of a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Address {
    /// IP and port: QUIC on UDP and TLS on TCP have the same number.
    Direct(SocketAddr),
    /// URL of a relay that the device keeps a connection to.
    Relay(String),
}

impl Address {
    /// True if it may be stored: a port, no unspecified or multicast IP, a relay address of sane length.
    pub fn is_usable(&self) -> bool {
        match self {
            Self::Direct(addr) => addr.port() != 0 && !addr.ip().is_unspecified() && !addr.ip().is_multicast(),
            Self::Relay(url) => !url.is_empty() && url.len() <= RELAY_ADDRESS_BYTES,
        }
    }

    /// IP and port, if it has them.
    pub fn direct(&self) -> Option<SocketAddr> {
        match self {
            Self::Direct(addr) => Some(*addr),
            Self::Relay(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(addr) => addr.fmt(f),
            Self::Relay(url) => f.write_str(url),
        }
    }
}
