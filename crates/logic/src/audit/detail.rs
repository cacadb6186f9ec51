//! How the fields of an event become text.

use std::fmt;
use std::net::SocketAddr;

use seal::{DeviceId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Misbehaved;
use crate::wire::TransferId;

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was done.
    Ok,
    /// Somebody, here or there, said no.
    Refused,
    /// It went wrong.
    Failed,
}

impl Outcome {
    /// `ok`, `refused` or `failed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// The other side of an event, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// Member name.
    pub member: Option<String>,
    /// Device id.
    pub device: Option<DeviceId>,
    /// Host and port.
    pub address: Option<SocketAddr>,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.member, &self.device, &self.address) {
            (Some(member), _, _) => f.write_str(member),
            (None, _, Some(address)) => address.fmt(f),
            (None, Some(device), None) => f.write_str(&device.short()),
            (None, None, None) => f.write_str("somebody"),
        }
    }
}

/// Details of an event: name and text of each field.
pub(super) type Details = Vec<(&'static str, String)>;

/// A type that may be a field of an event.
pub(super) trait Detail {
    /// Adds itself under `name`; absent values add nothing.
    fn add(&self, name: &'static str, to: &mut Details);

    /// The other side, where this field is it.
    fn who(&self) -> Option<&Who> {
        None
    }
}

/// Fields that print as they are.
macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Detail for $type {
            fn add(&self, name: &'static str, to: &mut Details) {
                to.push((name, self.to_string()));
            }
        }
    )*};
}

plain!(bool, u16, u32, u64, String, DeviceId, TransferId);

impl Detail for Timestamp {
    fn add(&self, name: &'static str, to: &mut Details) {
        to.push((name, self.0.to_string()));
    }
}

impl Detail for Misbehaved {
    fn add(&self, name: &'static str, to: &mut Details) {
        to.push((name, self.name().to_owned()));
    }
}

impl<T: Detail> Detail for Option<T> {
    fn add(&self, name: &'static str, to: &mut Details) {
        if let Some(value) = self {
            value.add(name, to);
        }
    }

    fn who(&self) -> Option<&Who> {
        self.as_ref().and_then(Detail::who)
    }
}

impl Detail for Who {
    fn add(&self, _name: &'static str, to: &mut Details) {
        self.device.add("device", to);
        if let Some(address) = self.address {
            to.push(("host", address.ip().to_string()));
            to.push(("port", address.port().to_string()));
        }
    }

    fn who(&self) -> Option<&Who> {
        Some(self)
    }
}
