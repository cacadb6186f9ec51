//! Both ends of a fresh channel prove that they are devices of the circle.
//!
//! | step | dialer | responder |
//! |---|---|---|
//! | 1 | [`Dialer::start`]: versions, chain, revocation lists, proof | [`Responder::answer`]: checks everything |
//! | 2 | [`Dialer::finish`]: checks the same | the same of its own, or one generic refusal |
//!
//! Invariants:
//! - the proof is a signature of the device key over side, TLS exporter, both device ids and everything said so far: it
//!   cannot be replayed on another channel, reflected, or combined with other versions;
//! - the responder says nothing about itself until the dialer's chain and proof hold: strangers learn no names. The
//!   dialer shows its names to the key that it dialled, so dial only keys that the roster knows. Who proves the key of a
//!   revoked chain is told that, with the revocation list;
//! - of every revocation list the newest counts, whoever brought it; newer ones are handed out for the roster;
//! - a [`PeerProven`] exists only after all of this, and states consume themselves: no step can be repeated or skipped.
//!
//! Called by `net` right after TLS, on the first stream of the connection. Byte level: `docs/formats/hello.md`.

mod dialer;
mod judge;
mod message;
mod proven;
mod responder;

pub use dialer::Dialer;
pub use message::Context;
pub use proven::PeerProven;
pub use responder::{Denied, Responder};

use seal::pki::{Certificate, Crl};
use thiserror::Error;

use crate::Misbehaved;
use crate::wire::Version;

/// What this device shows, and what it judges others by.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// This device's chain: device first, the root left out.
    pub chain: Vec<Certificate>,
    /// The newest revocation list known of every issuer in the circle.
    pub crls: Vec<Crl>,
    /// The anchor of the circle.
    pub root: Certificate,
    /// Names this run of the device: random at each start.
    pub boot: [u8; 16],
}

/// Why a hello did not work, as the dialer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HelloError {
    /// The responder refused without a reason: it does not know this device, or does not want it any more.
    #[error("the other device refused the connection: it may not know this one, or not any more")]
    Refused,
    /// The responder has shown that this device, its member or an admin above was revoked; the list belongs into the roster.
    #[error("this device has been removed from the circle")]
    Removed(Box<Crl>),
    /// No version in common.
    #[error("the other device speaks protocol versions {min} to {max} only")]
    Incompatible {
        /// Its oldest.
        min: Version,
        /// Its newest.
        max: Version,
    },
    /// The responder broke a rule.
    #[error(transparent)]
    Misbehaved(#[from] Misbehaved),
    /// Our own chain and lists do not fit a hello, or are not ours.
    #[error("this device's own certificates cannot be shown")]
    OwnCredentials,
}
