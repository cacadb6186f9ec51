//! The side that joins.

use seal::pki::{
    CRL_LIFETIME, Certificate, CrlRequest, DEVICE_LIFETIME, IssueError, Issuer, Role, Validity, issue_crl,
    issue_device, verify_root,
};
use seal::{CircleId, DeviceKey, MemberId, MemberKey, Purpose as SignaturePurpose, SealRecipient, Timestamp};
use serde_bytes::ByteBuf;
use thiserror::Error;

use super::message::{FromInviter, FromJoiner, JoinRequest, NotForJoining, Refusal, Settlement, Welcome};
use super::safety_words;
use crate::Misbehaved;
use crate::code::{GuestProven, Purpose};
use crate::limits::PAIR_FRAME;
use crate::roster::Roster;
use crate::roster::{RosterUpdate, SignedRecord, Standing, View};
use crate::wire::{Frame, FrameTooBig};

/// What somebody wants to be called, and its keys.
#[derive(Debug, Clone, Copy)]
pub struct Application<'a> {
    /// Wanted member name.
    pub name: &'a str,
    /// Name of this device.
    pub device_name: &'a str,
    /// The new member's key.
    pub member: &'a MemberKey,
    /// This device's key, the one of the connection.
    pub device: &'a DeviceKey,
    /// To whom files for the member are sealed.
    pub recipient: &'a SealRecipient,
}

/// Why joining did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JoinFault {
    /// The inviter broke a rule or sent what does not hold.
    #[error(transparent)]
    Misbehaved(#[from] Misbehaved),
    /// Our own names, keys or records do not fit.
    #[error("this device cannot certify itself: {0}")]
    Own(#[from] IssueError),
    /// A message of our own is too big.
    #[error(transparent)]
    TooBig(#[from] FrameTooBig),
}

/// Has proven the code; may ask.
#[derive(Debug)]
pub struct Joiner {
    proven: GuestProven,
    circle: Option<CircleId>,
}

impl Joiner {
    /// Begins. `circle` is the one that the link names, if there was a link.
    ///
    /// # Errors
    /// [`NotForJoining`].
    pub fn new(proven: GuestProven, circle: Option<CircleId>) -> Result<Self, NotForJoining> {
        if proven.purpose() == Purpose::Join { Ok(Self { proven, circle }) } else { Err(NotForJoining) }
    }

    /// Asks to join under a name. The frame goes to the inviter.
    ///
    /// # Errors
    /// [`FrameTooBig`] where the names are absurd.
    pub fn ask(mut self, application: &Application<'_>) -> Result<(Asked, Frame), FrameTooBig> {
        let Application { name, device_name, member, device, recipient } = *application;
        let channel = self.proven.channel();
        let signed = JoinRequest::signed_bytes(
            &channel.exporter,
            channel.local,
            channel.remote,
            (name, device_name),
            member.id(),
            recipient,
        );
        let request = JoinRequest {
            name: name.to_owned(),
            device_name: device_name.to_owned(),
            member: member.id(),
            recipient: recipient.clone(),
            member_proof: member.sign(SignaturePurpose::JoinRequest, &signed),
            device_proof: device.sign(SignaturePurpose::JoinRequest, &signed),
        };
        let frame = self.proven.seal(&FromJoiner::Request(request), PAIR_FRAME)?;
        let asked =
            Asked { joiner: self, name: name.to_owned(), device_name: device_name.to_owned(), member: member.id() };
        Ok((asked, frame))
    }
}

/// Has asked; waits for the answer.
#[derive(Debug)]
pub struct Asked {
    joiner: Joiner,
    name: String,
    device_name: String,
    member: MemberId,
}

/// What the inviter said.
#[derive(Debug)]
pub enum Answer {
    /// Welcome.
    Welcome(Box<Welcomed>),
    /// The name is taken: ask again with another one.
    Again(Box<Joiner>),
    /// No.
    Refused(Refusal),
}

impl Asked {
    /// Takes the answer and verifies everything in it.
    ///
    /// # Errors
    /// [`Misbehaved`]: the inviter is not an admin of the circle, or what it sent does not hold.
    pub fn answered(mut self, body: &[u8], now: Timestamp) -> Result<Answer, Misbehaved> {
        match self.joiner.proven.open(body, PAIR_FRAME)? {
            FromInviter::Refused(Refusal::NameTaken) => Ok(Answer::Again(Box::new(self.joiner))),
            FromInviter::Refused(refusal) => Ok(Answer::Refused(refusal)),
            FromInviter::Welcome(welcome) => Ok(Answer::Welcome(Box::new(self.welcomed(&welcome, now)?))),
            FromInviter::Done => Err(Misbehaved::FrameOutOfTurn),
        }
    }

    fn welcomed(self, welcome: &Welcome, now: Timestamp) -> Result<Welcomed, Misbehaved> {
        let root = Certificate::from_der(welcome.root.to_vec()).map_err(|_| Misbehaved::WelcomeInvalid)?;
        let circle = verify_root(&root, now).map_err(|_| Misbehaved::WelcomeInvalid)?;
        if self.joiner.circle.is_some_and(|wanted| wanted != circle) {
            return Err(Misbehaved::InviterUnexpected);
        }
        let mut roster = Roster::new(root);
        roster.merge(&welcome.chains, now)?;
        roster.merge(&welcome.roster, now)?;
        let certificate =
            Certificate::from_der(welcome.certificate.to_vec()).map_err(|_| Misbehaved::WelcomeInvalid)?;
        let view = View::new(&roster, now);
        let own = view.members.get(&self.member).ok_or(Misbehaved::WelcomeInvalid)?;
        let inviter = self.joiner.proven.remote();
        let admin = view.owner(inviter).filter(|owner| owner.role == Role::Admin).ok_or(Misbehaved::WelcomeInvalid)?;
        let holds = own.chain[0] == certificate
            && own.standing == Standing::Active
            && own.name == self.name
            && view.devices.get(&inviter).is_some_and(|device| device.standing == Standing::Active);
        if !holds {
            return Err(Misbehaved::WelcomeInvalid);
        }
        let (inviter, inviter_member) = (admin.shown.clone(), admin.member);
        Ok(Welcomed {
            proven: self.joiner.proven,
            roster,
            certificate,
            device_name: self.device_name,
            inviter,
            inviter_member,
        })
    }
}

/// Is a member now, and certifies its own device.
#[derive(Debug)]
pub struct Welcomed {
    proven: GuestProven,
    roster: Roster,
    certificate: Certificate,
    device_name: String,
    inviter: String,
    inviter_member: MemberId,
}

impl Welcomed {
    /// Certifies this device, makes the member's first revocation list, and tells the inviter. `records`: this device's
    /// addresses. The frame goes to the inviter.
    ///
    /// # Errors
    /// [`JoinFault`].
    pub fn settle(
        mut self,
        application: &Application<'_>,
        records: Vec<SignedRecord>,
        now: Timestamp,
    ) -> Result<(Settled, Frame), JoinFault> {
        let issuer = Issuer::member(application.member, &self.certificate)?;
        let lifetime = Validity::starting(now, DEVICE_LIFETIME);
        let device = issue_device(&issuer, application.device.id(), &self.device_name, lifetime)?;
        let crl = issue_crl(
            &issuer,
            &CrlRequest { number: 1, revoked: &[], validity: Validity::starting(now, CRL_LIFETIME) },
        )?;
        self.roster.merge(&RosterUpdate::of([&device], [&crl], records.clone()), now)?;
        let settlement = Settlement { device: ByteBuf::from(device.der()), crl: ByteBuf::from(crl.der()), records };
        let frame = self.proven.seal(&FromJoiner::Settled(settlement), PAIR_FRAME)?;
        let joined = Joined {
            safety_words: safety_words(self.roster.circle(), application.member.id(), self.inviter_member),
            roster: self.roster,
            certificate: self.certificate,
            inviter: self.inviter,
            inviter_member: self.inviter_member,
        };
        Ok((Settled { proven: self.proven, joined }, frame))
    }
}

/// Has certified its device; waits for the inviter to have stored it.
#[derive(Debug)]
pub struct Settled {
    proven: GuestProven,
    joined: Joined,
}

impl Settled {
    /// What was reached. It is to be stored before [`Self::finish`]: this device is a member even if the last message
    /// is lost.
    pub fn joined(&self) -> &Joined {
        &self.joined
    }

    /// Takes the inviter's last word.
    ///
    /// # Errors
    /// [`Misbehaved`].
    pub fn finish(mut self, body: &[u8]) -> Result<Joined, Misbehaved> {
        match self.proven.open(body, PAIR_FRAME)? {
            FromInviter::Done => Ok(self.joined),
            FromInviter::Welcome(_) | FromInviter::Refused(_) => Err(Misbehaved::FrameOutOfTurn),
        }
    }
}

/// What joining brought.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The circle as the inviter knows it, this member and device included.
    pub roster: Roster,
    /// This member's certificate.
    pub certificate: Certificate,
    /// Name of the inviter.
    pub inviter: String,
    /// The inviter.
    pub inviter_member: MemberId,
    /// Words that the inviter sees as well.
    pub safety_words: String,
}
