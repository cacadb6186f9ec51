//! The side that was dialled: listens first.

use seal::{DeviceKey, Timestamp};
use serde_bytes::ByteBuf;
use thiserror::Error;

use super::dialer::best_version;
use super::judge::{judge, revoking};
use super::message::{Context, Message, Side, Signed, Statement};
use super::{Credentials, HelloError, PeerProven};
use crate::Misbehaved;
use crate::wire::{self, Frame, VERSION_MAX, VERSION_MIN, Version};

/// A dialer that gets no link.
#[derive(Debug, Error)]
#[error("{fault}")]
pub struct Denied {
    /// Why; [`HelloError::Misbehaved`] belongs into the activity log.
    #[source]
    pub fault: HelloError,
    /// What to send before the connection is closed: the same for everybody who is not a member, and was none.
    pub reply: Option<Frame>,
}

impl Denied {
    /// Whoever was removed is told so, with the evidence: its proof holds, so it is the owner of the revoked key who asks.
    fn removed(signed: &Signed, credentials: &Credentials) -> Self {
        let offence = Misbehaved::CertificateRevoked;
        let chain = wire::decode(&signed.statement).and_then(|said: Statement| said.chain()).unwrap_or_default();
        match revoking(&chain, &credentials.root, &credentials.crls) {
            Some(crl) => Self { fault: offence.into(), reply: Message::Revoked(ByteBuf::from(crl.der())).frame().ok() },
            None => offence.into(),
        }
    }
}

impl From<HelloError> for Denied {
    fn from(fault: HelloError) -> Self {
        let message = match fault {
            HelloError::Incompatible { .. } => Message::Incompatible(VERSION_MIN, VERSION_MAX),
            HelloError::Refused | HelloError::Removed(_) | HelloError::Misbehaved(_) | HelloError::OwnCredentials => {
                Message::Refused
            }
        };
        Self { fault, reply: message.frame().ok() }
    }
}

impl From<Misbehaved> for Denied {
    fn from(offence: Misbehaved) -> Self {
        HelloError::from(offence).into()
    }
}

/// Waits for a hello.
#[derive(Debug)]
pub struct Responder {
    context: Context,
    versions: (Version, Version),
}

impl Responder {
    /// Begins.
    pub fn new(context: Context) -> Self {
        Self::new_with((VERSION_MIN, VERSION_MAX), context)
    }

    /// Like [`Self::new`], for a device that speaks other versions than this one.
    pub fn new_with(versions: (Version, Version), context: Context) -> Self {
        Self { context, versions }
    }

    /// The refusal for a device that is not even listened to (blocked), the same as for a stranger.
    pub fn refuse(self) -> Denied {
        HelloError::Refused.into()
    }

    /// Checks the hello. The frame goes to the other side.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn answer(
        self,
        hello: &[u8],
        key: &DeviceKey,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<(PeerProven, Frame), Denied> {
        let Message::Hello(signed) = Message::read(hello)? else {
            return Err(Misbehaved::FrameOutOfTurn.into());
        };
        let judged = match judge(&signed, Side::Dialer, &self.context, &[], credentials, now) {
            Err(Misbehaved::CertificateRevoked) => return Err(Denied::removed(&signed, credentials)),
            judged => judged?,
        };
        let (min, max) = judged.statement.versions;
        let version = best_version(self.versions, (min, max)).ok_or(HelloError::Incompatible { min, max })?;
        let statement = Statement::new(credentials, &self.context, self.versions, Some(version));
        let reply = Signed::make(key, Side::Responder, &self.context, &signed.statement, &statement)?;
        Ok((judged.proven(version), Message::Reply(reply).frame()?))
    }
}
