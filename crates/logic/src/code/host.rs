//! The side that made the code.

use seal::Timestamp;
use seal::pake::{Pake, PakeKeys};
use thiserror::Error;

use super::message::{Channel, Message, Purpose, VERSION, context};
use super::proven::GuestProven;
use crate::Misbehaved;
use crate::pair::invitation::{Aim, InvitationId, Invitations, Reference};
use crate::wire::Frame;

/// A guest was turned away.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{offence}")]
pub struct Turned {
    /// What it did.
    pub offence: Misbehaved,
    /// The invitation that this ended: store it **before** sending the reply.
    pub burned: Option<InvitationId>,
    /// What to send before the stream is closed: says no more than "no".
    pub reply: Frame,
}

impl From<Misbehaved> for Turned {
    fn from(offence: Misbehaved) -> Self {
        Self { offence, burned: None, reply: Message::Refused.frame() }
    }
}

/// What a guest wants, not looked at yet.
#[derive(Debug)]
pub struct Knock {
    channel: Channel,
    purpose: Purpose,
    reference: Reference,
    pake: Vec<u8>,
}

impl Knock {
    /// Reads the guest's first frame.
    ///
    /// # Errors
    /// [`Turned`].
    pub fn read(channel: Channel, body: &[u8]) -> Result<Self, Turned> {
        match Message::read(body)? {
            Message::Knock { version: VERSION, purpose, reference, pake } => {
                Ok(Self { channel, purpose, reference, pake })
            }
            Message::Knock { .. } => Err(Misbehaved::VersionUnoffered.into()),
            _ => Err(Misbehaved::ConfirmationSkipped.into()),
        }
    }

    /// Looks the code up and answers. The frame goes to the guest.
    ///
    /// # Errors
    /// [`Turned`], all alike for the guest.
    pub fn answer(self, invitations: &Invitations, now: Timestamp) -> Result<(Host, Frame), Turned> {
        let Channel { exporter, local, remote } = self.channel;
        let invitation = invitations.open(&self.reference, remote, now)?;
        if Purpose::from(invitation.aim) != self.purpose {
            return Err(Misbehaved::InvitationUnknown.into());
        }
        let context = context(self.purpose, self.reference, remote, local, &exporter);
        let (pake, mine) = Pake::inviter(&invitation.secret(&self.reference), &context);
        let keys = pake.finish(&self.pake).map_err(|_| Misbehaved::FrameGarbled)?;
        let host =
            Host { channel: self.channel, purpose: self.purpose, reference: self.reference, id: invitation.id, keys };
        Ok((host, Message::Answer { pake: mine }.frame()))
    }
}

/// Answered; waits for the guest's proof.
#[derive(Debug)]
pub struct Host {
    channel: Channel,
    purpose: Purpose,
    reference: Reference,
    id: InvitationId,
    keys: PakeKeys,
}

impl Host {
    /// Checks the guest's proof. The frame goes to the guest and proves that this side knows the code, too.
    ///
    /// # Errors
    /// [`Turned`]. A wrong guess at a code has ended the invitation when this returns, and so has anything else that came
    /// instead of a proof.
    pub fn confirm(
        self,
        body: &[u8],
        invitations: &mut Invitations,
        now: Timestamp,
    ) -> Result<(GuestProven, Frame), Turned> {
        invitations.open(&self.reference, self.channel.remote, now)?;
        let mine = Message::Confirm(self.keys.confirm()).frame();
        let checked = match Message::read(body) {
            Ok(Message::Confirm(theirs)) => self.keys.check(&theirs).map_err(|_| Misbehaved::WrongCode),
            Ok(_) | Err(_) => Err(Misbehaved::ConfirmationSkipped),
        };
        let keys = match checked {
            Ok(keys) => keys,
            Err(offence) => {
                // The device that a code is bound to knew it once: it mistypes, it does not guess.
                let bound = invitations.get(self.id).and_then(|invitation| invitation.bound);
                let guessable = matches!(self.reference, Reference::Nameplate(_)) && bound.is_none();
                let burned = (guessable && invitations.burn(self.id, now)).then_some(self.id);
                return Err(Turned { burned, ..Turned::from(offence) });
            }
        };
        if matches!(invitations.get(self.id).map(|invitation| invitation.aim), Some(Aim::Get { .. })) {
            invitations.bind(self.id, self.channel.remote);
        }
        let Self { channel, purpose, reference, id, .. } = self;
        Ok((GuestProven { channel, purpose, invitation: Some(id), reference, keys }, mine))
    }
}
