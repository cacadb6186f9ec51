//! The side that dialled: speaks first.

use seal::pki::Crl;
use seal::{DeviceKey, Timestamp};

use super::judge::{judge, revoking};
use super::message::{Context, Message, Side, Signed, Statement};
use super::{Credentials, HelloError, PeerProven};
use crate::Misbehaved;
use crate::limits::CRL_BYTES;
use crate::wire::{Frame, VERSION_MAX, VERSION_MIN, Version};

/// Has sent its hello, waits for the reply.
#[derive(Debug)]
pub struct Dialer {
    context: Context,
    versions: (Version, Version),
    statement: Vec<u8>,
}

impl Dialer {
    /// Begins. The frame goes to the other side.
    ///
    /// # Errors
    /// [`HelloError::OwnCredentials`].
    pub fn start(key: &DeviceKey, credentials: &Credentials, context: Context) -> Result<(Self, Frame), HelloError> {
        Self::start_with((VERSION_MIN, VERSION_MAX), key, credentials, context)
    }

    /// Like [`Self::start`], for a device that speaks other versions than this one.
    ///
    /// # Errors
    /// [`HelloError::OwnCredentials`].
    pub fn start_with(
        versions: (Version, Version),
        key: &DeviceKey,
        credentials: &Credentials,
        context: Context,
    ) -> Result<(Self, Frame), HelloError> {
        let statement = Statement::new(credentials, &context, versions, None);
        let signed = Signed::make(key, Side::Dialer, &context, &[], &statement)?;
        let statement = signed.statement.clone();
        let frame = Message::Hello(signed).frame()?;
        Ok((Self { context, versions, statement }, frame))
    }

    /// Checks the reply.
    ///
    /// # Errors
    /// [`HelloError`].
    pub fn finish(self, reply: &[u8], credentials: &Credentials, now: Timestamp) -> Result<PeerProven, HelloError> {
        let signed = match Message::read(reply)? {
            Message::Reply(signed) => signed,
            Message::Refused => return Err(HelloError::Refused),
            Message::Incompatible(min, max) => return Err(HelloError::Incompatible { min, max }),
            Message::Revoked(der) => return Err(removal(der.into_vec(), credentials)),
            Message::Hello(_) => return Err(Misbehaved::HelloReflected.into()),
        };
        let judged = judge(&signed, Side::Responder, &self.context, &self.statement, credentials, now)?;
        let chosen = judged.statement.chosen.ok_or(Misbehaved::VersionUnoffered)?;
        let best = best_version(self.versions, judged.statement.versions).ok_or(Misbehaved::VersionUnoffered)?;
        match chosen {
            chosen if chosen == best => Ok(judged.proven(chosen)),
            chosen if chosen < best && chosen >= self.versions.0 => Err(Misbehaved::VersionDowngraded.into()),
            _ => Err(Misbehaved::VersionUnoffered.into()),
        }
    }
}

/// Checks what is said to show that this device was removed.
fn removal(der: Vec<u8>, credentials: &Credentials) -> HelloError {
    if der.len() > CRL_BYTES {
        return Misbehaved::CrlTooBig.into();
    }
    let Ok(crl) = Crl::from_der(der) else { return Misbehaved::CrlInvalid.into() };
    match revoking(&credentials.chain, &credentials.root, std::slice::from_ref(&crl)) {
        Some(_) => HelloError::Removed(Box::new(crl)),
        None => Misbehaved::CrlForged.into(),
    }
}

/// The newest version that both speak.
pub(super) fn best_version(ours: (Version, Version), theirs: (Version, Version)) -> Option<Version> {
    let best = ours.1.min(theirs.1);
    (best >= ours.0 && best >= theirs.0).then_some(best)
}
