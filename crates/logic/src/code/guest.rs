//! The side that was told the code.

use seal::pake::{Pake, PakeKeys};
use thiserror::Error;

use super::message::{Channel, Message, Purpose, VERSION, context};
use super::proven::GuestProven;
use crate::Misbehaved;
use crate::pair::invitation::{Reference, Ticket};
use crate::wire::Frame;

/// Why a guest got nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GuestFault {
    /// The host said no: the code is wrong, over, used, or not made there.
    #[error("the other side does not accept this code: it may be mistyped, used, expired or ended by a wrong try")]
    Refused,
    /// The host broke the rules, or is not who made the code.
    #[error(transparent)]
    Misbehaved(#[from] Misbehaved),
}

/// Knocked; waits for the host's SPAKE2 message.
#[derive(Debug)]
pub struct Guest {
    channel: Channel,
    purpose: Purpose,
    reference: Reference,
    pake: Pake,
}

impl Guest {
    /// Begins. The frame goes to the host.
    pub fn knock(channel: Channel, purpose: Purpose, ticket: &Ticket) -> (Self, Frame) {
        let reference = ticket.reference();
        let context = context(purpose, reference, channel.local, channel.remote, &channel.exporter);
        let (pake, mine) = Pake::joiner(&ticket.secret(), &context);
        let knock = Message::Knock { version: VERSION, purpose, reference, pake: mine };
        (Self { channel, purpose, reference, pake }, knock.frame())
    }

    /// Takes the host's answer and proves the code. The frame goes to the host.
    ///
    /// # Errors
    /// [`GuestFault`].
    pub fn confirm(self, answer: &[u8]) -> Result<(Confirming, Frame), GuestFault> {
        let theirs = match Message::read(answer)? {
            Message::Answer { pake } => pake,
            Message::Refused => return Err(GuestFault::Refused),
            Message::Knock { .. } | Message::Confirm(_) => {
                return Err(Misbehaved::FrameOutOfTurn.into());
            }
        };
        let keys = self.pake.finish(&theirs).map_err(|_| Misbehaved::FrameGarbled)?;
        let frame = Message::Confirm(keys.confirm()).frame();
        Ok((Confirming { channel: self.channel, purpose: self.purpose, reference: self.reference, keys }, frame))
    }
}

/// Proved the code; waits for the host to prove it as well.
#[derive(Debug)]
pub struct Confirming {
    channel: Channel,
    purpose: Purpose,
    reference: Reference,
    keys: PakeKeys,
}

impl Confirming {
    /// Takes the host's proof.
    ///
    /// # Errors
    /// [`GuestFault`]; [`Misbehaved::WrongCode`] means that the host does not know the code: it is another one, or
    /// somebody sits between.
    pub fn finish(self, reply: &[u8]) -> Result<GuestProven, GuestFault> {
        let theirs = match Message::read(reply)? {
            Message::Confirm(theirs) => theirs,
            Message::Refused => return Err(GuestFault::Refused),
            Message::Knock { .. } | Message::Answer { .. } => {
                return Err(Misbehaved::FrameOutOfTurn.into());
            }
        };
        let keys = self.keys.check(&theirs).map_err(|_| Misbehaved::WrongCode)?;
        Ok(GuestProven {
            channel: self.channel,
            purpose: self.purpose,
            invitation: None,
            reference: self.reference,
            keys,
        })
    }
}
