//! The side that invited: an admin's device.

use seal::pki::{
    Certificate, Crl, IssueError, Issuer, MEMBER_LIFETIME, MemberRequest, Role, Validity, issue_member, valid_name,
};
use seal::{DeviceId, MemberId, Purpose as SignaturePurpose, Timestamp};
use serde_bytes::ByteBuf;
use thiserror::Error;

use super::invitation::{Aim, InvitationId, Invitations};
use super::message::{FromInviter, FromJoiner, JoinRequest, NotForJoining, Refusal, Welcome};
use super::safety_words;
use crate::Misbehaved;
use crate::code::{GuestProven, Purpose};
use crate::limits::{NAME_ATTEMPTS, PAIR_FRAME};
use crate::roster::{Change, Roster, RosterUpdate, Summary, View};
use crate::wire::{Frame, FrameTooBig};

/// Why a joiner was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InviterFault {
    /// The joiner broke a rule.
    #[error(transparent)]
    Misbehaved(#[from] Misbehaved),
    /// This device cannot certify members.
    #[error(transparent)]
    Own(#[from] IssueError),
    /// A message of our own is too big.
    #[error(transparent)]
    TooBig(#[from] FrameTooBig),
    /// This device has no valid chain of its own.
    #[error("this device is not certified at the moment")]
    NotCertified,
}

/// Waits for a request.
#[derive(Debug)]
pub struct Inviter {
    proven: GuestProven,
    invitation: InvitationId,
    attempts: u32,
}

impl Inviter {
    /// Begins.
    ///
    /// # Errors
    /// [`NotForJoining`].
    pub fn new(proven: GuestProven) -> Result<Self, NotForJoining> {
        match (proven.purpose(), proven.invitation()) {
            (Purpose::Join, Some(invitation)) => Ok(Self { proven, invitation, attempts: 0 }),
            _ => Err(NotForJoining),
        }
    }

    /// Reads the request and checks the proofs of possession.
    ///
    /// # Errors
    /// [`Misbehaved`].
    pub fn asked(mut self, body: &[u8]) -> Result<Asking, Misbehaved> {
        let FromJoiner::Request(request) = self.proven.open(body, PAIR_FRAME)? else {
            return Err(Misbehaved::FrameOutOfTurn);
        };
        self.attempts += 1;
        if self.attempts > NAME_ATTEMPTS {
            return Err(Misbehaved::NameAttemptsExceeded);
        }
        let signed = request.bytes_to_check(self.proven.channel());
        let by_member = request.member.verify(SignaturePurpose::JoinRequest, &signed, &request.member_proof);
        let by_device = self.proven.remote().verify(SignaturePurpose::JoinRequest, &signed, &request.device_proof);
        by_member.and(by_device).map_err(|_| Misbehaved::JoinProofInvalid)?;
        valid_name(&request.name).and(valid_name(&request.device_name)).map_err(|_| Misbehaved::JoinNameInvalid)?;
        Ok(Asking { inviter: self, request })
    }
}

/// A request whose proofs hold.
#[derive(Debug)]
pub struct Asking {
    inviter: Inviter,
    request: JoinRequest,
}

/// What an inviter answers.
#[derive(Debug)]
pub enum Decision {
    /// Certified. The invitation was counted down: store it before the frame is sent.
    Welcome(Box<Welcoming>, Frame),
    /// The name is taken; another request may follow.
    Again(Box<Inviter>, Frame),
    /// No; the stream ends.
    Over(Refusal, Frame),
}

impl Asking {
    /// The wanted name.
    pub fn name(&self) -> &str {
        &self.request.name
    }

    /// Decides: checks the name, uses the invitation up, certifies.
    ///
    /// # Errors
    /// [`InviterFault`], of this side alone.
    pub fn decide(
        mut self,
        issuer: &Issuer<'_>,
        roster: &Roster,
        invitations: &mut Invitations,
        now: Timestamp,
    ) -> Result<Decision, InviterFault> {
        let channel = *self.inviter.proven.channel();
        let view = View::new(roster, now);
        if view.name_taken(&self.request.name, self.request.member) {
            let frame = self.inviter.proven.seal(&FromInviter::Refused(Refusal::NameTaken), PAIR_FRAME)?;
            return Ok(Decision::Again(Box::new(self.inviter), frame));
        }
        let own_chain = roster.chain_of(channel.local, now).ok_or(InviterFault::NotCertified)?;
        let id = self.inviter.invitation;
        let Some(Aim::Join { role }) = invitations.get(id).map(|invitation| invitation.aim) else {
            return self.over();
        };
        let request = MemberRequest {
            member: self.request.member,
            name: &self.request.name,
            role,
            recipient: &self.request.recipient,
        };
        let certificate = issue_member(issuer, &request, Validity::starting(now, MEMBER_LIFETIME))?;
        // The certificate leaves this function only if the invitation was open until now.
        if invitations.consume(id, channel.remote, &self.request.name, now).is_err() {
            return self.over();
        }
        let welcome = Welcome {
            root: ByteBuf::from(roster.root().der()),
            certificate: ByteBuf::from(certificate.der()),
            chains: chains(roster, &own_chain, &certificate),
            roster: roster.missing(&Summary::default()),
        };
        let frame = self.inviter.proven.seal(&FromInviter::Welcome(Box::new(welcome)), PAIR_FRAME)?;
        let inviter_member = own_chain.get(1).and_then(Certificate::member).ok_or(InviterFault::NotCertified)?;
        let welcoming = Welcoming { proven: self.inviter.proven, invitation: id, certificate, role, inviter_member };
        Ok(Decision::Welcome(Box::new(welcoming), frame))
    }
}

impl Asking {
    fn over(mut self) -> Result<Decision, InviterFault> {
        let refusal = Refusal::InvitationOver;
        let frame = self.inviter.proven.seal(&FromInviter::Refused(refusal), PAIR_FRAME)?;
        Ok(Decision::Over(refusal, frame))
    }
}

/// The inviter's device and the new member, with the lists of their issuers; issuers first.
fn chains(roster: &Roster, own_chain: &[Certificate], certificate: &Certificate) -> RosterUpdate {
    let certificates: Vec<_> = own_chain.iter().rev().chain([certificate]).collect();
    let shown: Vec<_> = certificates.iter().map(|certificate| (*certificate).clone()).collect();
    RosterUpdate::of(certificates, &roster.crls_for(&shown), [])
}

/// Has certified a member; waits for what it makes itself.
#[derive(Debug)]
pub struct Welcoming {
    proven: GuestProven,
    invitation: InvitationId,
    certificate: Certificate,
    role: Role,
    inviter_member: MemberId,
}

impl Welcoming {
    /// Verifies the new member's device and takes both into the roster. Store the roster, then send the frame.
    ///
    /// # Errors
    /// [`InviterFault`]; the roster is as before then.
    pub fn settled(
        mut self,
        body: &[u8],
        roster: &mut Roster,
        now: Timestamp,
    ) -> Result<(Admitted, Frame), InviterFault> {
        let FromJoiner::Settled(settlement) = self.proven.open(body, PAIR_FRAME)? else {
            return Err(Misbehaved::FrameOutOfTurn.into());
        };
        let device = Certificate::from_der(settlement.device.to_vec()).map_err(|_| Misbehaved::CertificateInvalid)?;
        let crl = Crl::from_der(settlement.crl.to_vec()).map_err(|_| Misbehaved::CrlInvalid)?;
        if device.device() != Some(self.proven.remote())
            || settlement.records.iter().any(|record| record.by() != self.proven.remote())
        {
            return Err(Misbehaved::DeviceKeyMismatch.into());
        }
        let changes = roster.merge(&RosterUpdate::of([&self.certificate, &device], [&crl], settlement.records), now)?;
        let frame = self.proven.seal(&FromInviter::Done, PAIR_FRAME)?;
        let member = self.certificate.member().ok_or(InviterFault::NotCertified)?;
        let admitted = Admitted {
            member,
            name: self.certificate.facts().name.clone(),
            device: self.proven.remote(),
            device_name: device.facts().name.clone(),
            role: self.role,
            invitation: self.invitation,
            safety_words: safety_words(roster.circle(), member, self.inviter_member),
            changes,
        };
        Ok((admitted, frame))
    }
}

/// Somebody has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Who.
    pub member: MemberId,
    /// Name.
    pub name: String,
    /// Its device.
    pub device: DeviceId,
    /// Name of the device.
    pub device_name: String,
    /// What it may do.
    pub role: Role,
    /// By which invitation.
    pub invitation: InvitationId,
    /// Words that the new member sees as well.
    pub safety_words: String,
    /// What changed in the roster.
    pub changes: Vec<Change>,
}
