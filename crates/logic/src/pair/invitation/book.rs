//! The inviter's side: invitations that this device made.
//!
//! Invariant: a wrong guess at a code ends its invitation before the guesser learns that it was wrong, so a code is
//! guessed once however many strangers try at the same time. A code for a transfer serves the first device that proved it,
//! for as long as the transfer takes, and no other. `node` keeps one book behind a lock and stores a changed
//! invitation before it sends the answer.

use std::collections::BTreeMap;
use std::fmt;

use seal::pki::Role;
use seal::words::Code;
use seal::{DeviceId, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::ticket::{InvitationId, LinkSecret, Reference};
use crate::Misbehaved;
use crate::limits::INVITATIONS;
use crate::wire::TransferId;

/// What an invitation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Aim {
    /// Joining the circle.
    Join {
        /// Role of whoever joins.
        role: Role,
    },
    /// Fetching one transfer.
    Get {
        /// Which.
        transfer: TransferId,
    },
}

/// Whether an invitation can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// It can.
    Open,
    /// As many joined as were invited.
    Used,
    /// Its time is over.
    Expired,
    /// Its owner took it back.
    Revoked,
    /// A wrong guess ended it.
    Burned,
}

impl State {
    /// `open`, `used`, `expired`, `revoked` or `burned`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Burned => "burned",
        }
    }
}

/// The words of a code, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Spoken(String);

/// One invitation with its secrets; stored sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Its name.
    pub id: InvitationId,
    /// What it is for.
    pub aim: Aim,
    /// The four words.
    code: Spoken,
    /// The first of them, by number.
    nameplate: u16,
    /// The secret of its link.
    pub link_secret: LinkSecret,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How many may still use it.
    pub uses_left: u32,
    /// Names of those who joined with it.
    pub joined: Vec<String>,
    /// The device that proved a code for a transfer: it alone may come back to go on.
    pub bound: Option<DeviceId>,
    /// [`State::Revoked`] or [`State::Burned`], where it ended before its time.
    ended: Option<State>,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invitation({}, {:?}, {} left)", self.id, self.aim, self.uses_left)
    }
}

impl Invitation {
    /// A fresh invitation. `id`, `code` and `link_secret` must be random.
    pub fn new(
        id: InvitationId,
        aim: Aim,
        code: &Code,
        link_secret: LinkSecret,
        now: Timestamp,
        expires_at: Timestamp,
        uses: u32,
    ) -> Self {
        Self {
            id,
            aim,
            code: Spoken(code.to_string()),
            nameplate: code.nameplate(),
            link_secret,
            created_at: now,
            expires_at,
            uses_left: uses,
            joined: Vec::new(),
            bound: None,
            ended: None,
        }
    }

    /// Whether it can be used now.
    pub fn state(&self, now: Timestamp) -> State {
        match self.ended {
            Some(end) => end,
            None if self.uses_left == 0 => State::Used,
            None if self.expires_at <= now && self.bound.is_none() => State::Expired,
            None => State::Open,
        }
    }

    /// The four words, to be shown to its owner.
    pub fn code(&self) -> &str {
        &self.code.0
    }

    /// The public word of the code, by number.
    pub fn nameplate(&self) -> u16 {
        self.nameplate
    }

    /// The secret that belongs to a way of using it.
    pub(crate) fn secret(&self, by: &Reference) -> Zeroizing<Vec<u8>> {
        match by {
            Reference::Nameplate(_) => {
                Code::parse(&self.code.0).map(|code| code.secret().to_vec()).unwrap_or_default().into()
            }
            Reference::Link(_) => self.link_secret.0.to_vec().into(),
        }
    }

    fn answers_to(&self, reference: &Reference) -> bool {
        match reference {
            Reference::Nameplate(nameplate) => self.nameplate == *nameplate,
            Reference::Link(id) => self.id == *id,
        }
    }
}

/// There are [`INVITATIONS`] open invitations already, or the nameplate is taken by one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BookFull {
    /// Too many are open.
    #[error("{INVITATIONS} invitations are open already")]
    TooMany,
    /// Another open invitation has the same first word.
    #[error("another open invitation has the same first word")]
    NameplateTaken,
}

/// All invitations of this device.
#[derive(Debug, Clone, Default)]
pub struct Invitations(BTreeMap<InvitationId, Invitation>);

impl Invitations {
    /// Those that were stored.
    pub fn load(stored: impl IntoIterator<Item = Invitation>) -> Self {
        Self(stored.into_iter().map(|invitation| (invitation.id, invitation)).collect())
    }

    /// Adds a fresh one.
    ///
    /// # Errors
    /// [`BookFull`].
    pub fn add(&mut self, invitation: Invitation, now: Timestamp) -> Result<(), BookFull> {
        let open = || self.0.values().filter(|other| other.state(now) == State::Open);
        if open().count() >= INVITATIONS {
            return Err(BookFull::TooMany);
        }
        if open().any(|other| other.nameplate == invitation.nameplate) {
            return Err(BookFull::NameplateTaken);
        }
        self.0.insert(invitation.id, invitation);
        Ok(())
    }

    /// All, open or not.
    pub fn iter(&self) -> impl Iterator<Item = &Invitation> {
        self.0.values()
    }

    /// One of them.
    pub fn get(&self, id: InvitationId) -> Option<&Invitation> {
        self.0.get(&id)
    }

    /// First words of open codes: the only thing about them that may be announced.
    pub fn nameplates(&self, now: Timestamp) -> impl Iterator<Item = u16> {
        self.0
            .values()
            .filter(move |invitation| invitation.state(now) == State::Open)
            .map(|invitation| invitation.nameplate)
    }

    /// Its owner takes an invitation back. False: there is none, or it had ended.
    pub fn revoke(&mut self, id: InvitationId, now: Timestamp) -> bool {
        self.end(id, State::Revoked, now)
    }

    /// Forgets an invitation.
    pub fn remove(&mut self, id: InvitationId) -> Option<Invitation> {
        self.0.remove(&id)
    }

    /// The open invitation that `guest` means.
    ///
    /// # Errors
    /// The offence of trying one that is unknown, used up, over, or bound to another device.
    pub(crate) fn open(
        &self,
        reference: &Reference,
        guest: DeviceId,
        now: Timestamp,
    ) -> Result<&Invitation, Misbehaved> {
        let mut named: Vec<_> = self.0.values().filter(|invitation| invitation.answers_to(reference)).collect();
        // A nameplate is free again after its invitation: the open one is meant, else the newest.
        named.sort_by_key(|invitation| (invitation.state(now) == State::Open, invitation.created_at));
        let invitation = named.pop().ok_or(Misbehaved::InvitationUnknown)?;
        match invitation.state(now) {
            State::Open if invitation.bound.is_none_or(|bound| bound == guest) => Ok(invitation),
            State::Open | State::Used => Err(Misbehaved::InvitationUsed),
            State::Expired => Err(Misbehaved::InvitationExpired),
            State::Burned => Err(Misbehaved::InvitationBurned),
            State::Revoked => Err(Misbehaved::InvitationUnknown),
        }
    }

    /// A wrong guess ends the invitation.
    pub(crate) fn burn(&mut self, id: InvitationId, now: Timestamp) -> bool {
        self.end(id, State::Burned, now)
    }

    /// The device that proved the code of a transfer may come back, others may not.
    pub(crate) fn bind(&mut self, id: InvitationId, guest: DeviceId) {
        if let Some(invitation) = self.0.get_mut(&id) {
            invitation.bound = Some(guest);
        }
    }

    /// Counts one use by somebody who is to be called `name`.
    ///
    /// # Errors
    /// [`Misbehaved::InvitationUsed`] and the like, where it ended meanwhile.
    pub(crate) fn consume(
        &mut self,
        id: InvitationId,
        guest: DeviceId,
        name: &str,
        now: Timestamp,
    ) -> Result<(), Misbehaved> {
        self.open(&Reference::Link(id), guest, now)?;
        if let Some(invitation) = self.0.get_mut(&id) {
            invitation.uses_left = invitation.uses_left.saturating_sub(1);
            invitation.joined.push(name.to_owned());
        }
        Ok(())
    }

    fn end(&mut self, id: InvitationId, end: State, now: Timestamp) -> bool {
        match self.0.get_mut(&id) {
            Some(invitation) if invitation.state(now) == State::Open => {
                invitation.ended = Some(end);
                true
            }
            _ => false,
        }
    }
}
