//! Codes and joining: the whole way, and every way in which it must not work.

use logic::Misbehaved;
use logic::code::{Channel, Confirming, Guest, GuestFault, GuestProven, Host, Knock, Purpose, Turned};
use logic::limits::{GUEST_FRAME, NAME_ATTEMPTS};
use logic::pair::invitation::{Aim, Invitation, InvitationId, Invitations, Link, LinkSecret, State, Ticket};
use logic::pair::{
    Admitted, Answer, Application, Asked, Decision, Inviter, InviterFault, JoinFault, Joined, Joiner, Refusal,
    Welcomed, Welcoming,
};
use logic::roster::{Roster, Standing, View};
use logic::wire::{Frame, TransferId};
use seal::pki::Role;
use seal::words::Code;
use seal::{CircleId, DeviceKey, MemberKey, SealIdentity, SealRecipient, Timestamp};
use testkit::TestCircle;
use testkit::circle::{FOUNDED, LIFETIME, TestDevice, TestMember};

const ID: InvitationId = InvitationId([3; 8]);
const SECRET: LinkSecret = LinkSecret([8; 16]);

/// The inviter's side with one open invitation.
struct Host1 {
    circle: TestCircle,
    ada_member: TestMember,
    ada: TestDevice,
    roster: Roster,
    invitations: Invitations,
    code: Code,
}

impl Host1 {
    fn new(aim: Aim, uses: u32) -> Self {
        let mut circle = TestCircle::new(3);
        let ada_member = circle.member("Ada", Role::Admin);
        let ada = circle.device(&ada_member, "desk");
        let roster = circle.roster(&[&ada]);
        let code = Code::generate(77);
        let mut invitations = Invitations::default();
        let end = FOUNDED.plus(LIFETIME);
        invitations.add(Invitation::new(ID, aim, &code, SECRET, FOUNDED, end, uses), FOUNDED).unwrap();
        Self { circle, ada_member, ada, roster, invitations, code }
    }

    fn joining() -> Self {
        Self::new(Aim::Join { role: Role::Editor }, 1)
    }

    fn state(&self) -> State {
        self.invitations.get(ID).unwrap().state(FOUNDED)
    }

    fn link(&self) -> Ticket {
        let circle = Some(CircleId::of_root_key(&self.circle.root.facts().public_key));
        let (device, addresses) = (self.ada.id(), Vec::new());
        Ticket::Link(Box::new(Link { invitation: ID, device, addresses, secret: SECRET, circle }))
    }

    fn code(&self) -> Ticket {
        Ticket::Code(self.code.clone())
    }

    fn channels(&self, guest: &DeviceKey) -> (Channel, Channel) {
        let (local, remote) = (guest.id(), self.ada.id());
        let exporter = [6; 32];
        (Channel { exporter, local, remote }, Channel { exporter, local: remote, remote: local })
    }

    /// As far as the guest's confirmation.
    fn knocked(
        &self,
        guest: &DeviceKey,
        ticket: &Ticket,
        purpose: Purpose,
    ) -> Result<(Confirming, Frame, Host), Turned> {
        let (of_guest, of_host) = self.channels(guest);
        let (waiting, knock) = Guest::knock(of_guest, purpose, ticket);
        let (host, answer) = Knock::read(of_host, knock.body())?.answer(&self.invitations, FOUNDED)?;
        let (confirming, confirmation) = waiting.confirm(answer.body()).unwrap();
        Ok((confirming, confirmation, host))
    }

    /// Both proofs: the guest's and the host's.
    fn proven(
        &mut self,
        guest: &DeviceKey,
        ticket: &Ticket,
        purpose: Purpose,
    ) -> Result<(GuestProven, GuestProven), Turned> {
        let (confirming, confirmation, host) = self.knocked(guest, ticket, purpose)?;
        let (of_host, reply) = host.confirm(confirmation.body(), &mut self.invitations, FOUNDED)?;
        Ok((confirming.finish(reply.body()).unwrap(), of_host))
    }

    fn decide(&mut self, asking: logic::pair::Asking) -> Decision {
        asking.decide(&self.ada_member.issuer(), &self.roster, &mut self.invitations, FOUNDED).unwrap()
    }
}

/// Somebody who wants to join.
struct Newcomer {
    member: MemberKey,
    device: DeviceKey,
    recipient: SealRecipient,
}

impl Newcomer {
    fn new(seed: u8) -> Self {
        let recipient = SealIdentity::generate().recipient();
        Self { member: MemberKey::from_seed(&[seed; 32]), device: DeviceKey::from_seed(&[seed + 100; 32]), recipient }
    }

    fn application<'a>(&'a self, name: &'a str) -> Application<'a> {
        Application {
            name,
            device_name: "phone",
            member: &self.member,
            device: &self.device,
            recipient: &self.recipient,
        }
    }
}

/// As far as both proofs of the code.
fn met(host: &mut Host1, newcomer: &Newcomer) -> (Joiner, Inviter) {
    let ticket = host.link();
    let (guest, of_host) = host.proven(&newcomer.device, &ticket, Purpose::Join).unwrap();
    (Joiner::new(guest, Some(host.roster.circle())).unwrap(), Inviter::new(of_host).unwrap())
}

/// As far as the welcome.
fn welcomed(host: &mut Host1, newcomer: &Newcomer, name: &str) -> (Welcomed, Box<Welcoming>) {
    let (joiner, inviter) = met(host, newcomer);
    let (asked, request) = joiner.ask(&newcomer.application(name)).unwrap();
    let Decision::Welcome(welcoming, frame) = host.decide(inviter.asked(request.body()).unwrap()) else {
        panic!("not welcome")
    };
    let Answer::Welcome(welcomed) = asked.answered(frame.body(), FOUNDED).unwrap() else { panic!("not welcomed") };
    (*welcomed, welcoming)
}

fn join(host: &mut Host1, newcomer: &Newcomer, name: &str) -> (Joined, Admitted) {
    let (welcomed, welcoming) = welcomed(host, newcomer, name);
    let (settled, settlement) = welcomed.settle(&newcomer.application(name), Vec::new(), FOUNDED).unwrap();
    let (admitted, done) = welcoming.settled(settlement.body(), &mut host.roster, FOUNDED).unwrap();
    (settled.finish(done.body()).unwrap(), admitted)
}

#[track_caller]
fn turned<T: std::fmt::Debug>(result: Result<T, Turned>, offence: Misbehaved) -> Turned {
    let turned = result.unwrap_err();
    assert_eq!(turned.offence, offence);
    assert_eq!(turned.reply.as_bytes(), [0, 0, 0, 1, 3], "the guest learns nothing but no");
    turned
}

#[test]
fn somebody_joins_and_both_see_the_same() {
    let mut host = Host1::joining();
    let (joined, admitted) = join(&mut host, &Newcomer::new(1), "Bob");
    assert_eq!(joined.safety_words, admitted.safety_words);
    assert_eq!((joined.inviter.as_str(), admitted.name.as_str(), admitted.role), ("Ada", "Bob", Role::Editor));
    assert_eq!(joined.roster.digest(), host.roster.digest());
    let view = View::new(&host.roster, FOUNDED);
    assert_eq!(view.members[&admitted.member].standing, Standing::Active);
    assert_eq!(view.devices[&admitted.device].standing, Standing::Active);
    assert_eq!(host.state(), State::Used);
    assert_eq!(host.invitations.get(ID).unwrap().joined, ["Bob"]);
}

#[test]
fn one_wrong_guess_burns_a_code() {
    let mut host = Host1::joining();
    let guesser = Newcomer::new(2);
    let wrong = Ticket::Code(Code::generate(77));
    let refused = turned(host.proven(&guesser.device, &wrong, Purpose::Join), Misbehaved::WrongCode);
    assert_eq!((refused.burned, host.state()), (Some(ID), State::Burned));
    let ticket = host.code();
    turned(host.proven(&guesser.device, &ticket, Purpose::Join), Misbehaved::InvitationBurned);
}

#[test]
fn guesses_at_the_same_time_are_one_guess() {
    let mut host = Host1::joining();
    let (first, second) = (Newcomer::new(2), Newcomer::new(3));
    let wrong = Ticket::Code(Code::generate(77));
    let (_, guess, waiting) = host.knocked(&first.device, &wrong, Purpose::Join).unwrap();
    let right = host.code();
    let (_, other_guess, other_waiting) = host.knocked(&second.device, &right, Purpose::Join).unwrap();
    turned(waiting.confirm(guess.body(), &mut host.invitations, FOUNDED), Misbehaved::WrongCode);
    let late = other_waiting.confirm(other_guess.body(), &mut host.invitations, FOUNDED);
    turned(late, Misbehaved::InvitationBurned);
}

#[test]
fn a_wrong_link_burns_nothing() {
    let mut host = Host1::joining();
    let Ticket::Link(link) = host.link() else { panic!("a link") };
    let wrong = Ticket::Link(Box::new(Link { secret: LinkSecret([0; 16]), ..*link }));
    let refused = turned(host.proven(&Newcomer::new(2).device, &wrong, Purpose::Join), Misbehaved::WrongCode);
    assert_eq!((refused.burned, host.state()), (None, State::Open));
}

#[test]
fn whoever_skips_the_proof_is_out() {
    let mut host = Host1::joining();
    let guest = Newcomer::new(2);
    let ticket = host.code();
    let (_, _, waiting) = host.knocked(&guest.device, &ticket, Purpose::Join).unwrap();
    let sealed_request = [7; 200];
    turned(waiting.confirm(&sealed_request, &mut host.invitations, FOUNDED), Misbehaved::ConfirmationSkipped);
    let (_, of_host) = host.channels(&guest.device);
    turned(Knock::read(of_host, &[2; 33]), Misbehaved::ConfirmationSkipped);
}

#[test]
fn hostile_first_frames_are_named() {
    let host = Host1::joining();
    let (of_guest, of_host) = host.channels(&Newcomer::new(2).device);
    turned(Knock::read(of_host, &[200]), Misbehaved::FrameGarbled);
    turned(Knock::read(of_host, &vec![0; GUEST_FRAME.bytes() + 1]), Misbehaved::FrameTooLong);
    let (_, knock) = Guest::knock(of_guest, Purpose::Join, &host.code());
    turned(Knock::read(of_host, &[knock.body(), &[0]].concat()), Misbehaved::FrameTrailingBytes);
    let mut newer = knock.body().to_vec();
    newer[1] = 2;
    turned(Knock::read(of_host, &newer), Misbehaved::VersionUnoffered);
}

#[test]
fn a_code_serves_its_own_purpose_only() {
    let mut host = Host1::joining();
    let ticket = host.code();
    turned(host.proven(&Newcomer::new(2).device, &ticket, Purpose::Get), Misbehaved::InvitationUnknown);
    assert_eq!(host.state(), State::Open);
    let mut host = Host1::new(Aim::Get { transfer: TransferId([1; 16]) }, 1);
    let ticket = host.code();
    let (guest, of_host) = host.proven(&Newcomer::new(2).device, &ticket, Purpose::Get).unwrap();
    assert_eq!(guest.safety_words(), of_host.safety_words());
    assert!(Joiner::new(guest, None).is_err() && Inviter::new(of_host).is_err());
    turned(host.proven(&Newcomer::new(4).device, &ticket, Purpose::Get), Misbehaved::InvitationUsed);
    assert!(host.proven(&Newcomer::new(2).device, &ticket, Purpose::Get).is_ok(), "the same device may come back");
}

#[test]
fn a_device_that_comes_back_and_mistypes_ends_nothing() {
    let mut host = Host1::new(Aim::Get { transfer: TransferId([1; 16]) }, 1);
    let (receiver, stranger) = (Newcomer::new(2), Newcomer::new(4));
    let (right, wrong) = (host.code(), Ticket::Code(Code::generate(77)));
    host.proven(&receiver.device, &right, Purpose::Get).unwrap();
    turned(host.proven(&receiver.device, &wrong, Purpose::Get), Misbehaved::WrongCode);
    turned(host.proven(&stranger.device, &wrong, Purpose::Get), Misbehaved::InvitationUsed);
    assert_eq!(host.state(), State::Open);
    assert!(host.proven(&receiver.device, &right, Purpose::Get).is_ok());
}

#[test]
fn somebody_in_the_middle_gets_nowhere() {
    // The middle relays frames between two channels: exporters and keys differ.
    let mut host = Host1::joining();
    let (victim, middle) = (Newcomer::new(5), Newcomer::new(6));
    let (of_victim, _) = host.channels(&victim.device);
    let towards_middle = Channel { remote: middle.device.id(), exporter: [1; 32], ..of_victim };
    let (_, from_middle) = host.channels(&middle.device);
    let (waiting, knock) = Guest::knock(towards_middle, Purpose::Join, &host.code());
    let (of_host, answer) = Knock::read(from_middle, knock.body()).unwrap().answer(&host.invitations, FOUNDED).unwrap();
    let (_, confirmation) = waiting.confirm(answer.body()).unwrap();
    turned(of_host.confirm(confirmation.body(), &mut host.invitations, FOUNDED), Misbehaved::WrongCode);
}

#[test]
fn a_host_that_does_not_know_the_code_is_noticed() {
    let host = Host1::joining();
    let guest = Newcomer::new(2);
    let ticket = host.code();
    let (confirming, confirmation, _) = host.knocked(&guest.device, &ticket, Purpose::Join).unwrap();
    // The impostor sends the guest's own confirmation back.
    let fault = confirming.finish(confirmation.body()).unwrap_err();
    assert_eq!(fault, GuestFault::Misbehaved(Misbehaved::WrongCode));
    let (confirming, _, _) = host.knocked(&guest.device, &ticket, Purpose::Join).unwrap();
    assert_eq!(confirming.finish(&[3]).unwrap_err(), GuestFault::Refused);
}

#[test]
fn a_taken_name_may_be_changed_three_times() {
    let mut host = Host1::joining();
    let newcomer = Newcomer::new(1);
    let (mut joiner, mut inviter) = met(&mut host, &newcomer);
    for _ in 0..NAME_ATTEMPTS {
        let (asked, request) = joiner.ask(&newcomer.application("ADA")).unwrap();
        let Decision::Again(next, frame) = host.decide(inviter.asked(request.body()).unwrap()) else {
            panic!("the name is taken")
        };
        let Answer::Again(again) = asked.answered(frame.body(), FOUNDED).unwrap() else { panic!("told so") };
        (joiner, inviter) = (*again, *next);
    }
    assert_eq!(host.state(), State::Open, "nothing was used up");
    let (_, request) = joiner.ask(&newcomer.application("Bob")).unwrap();
    assert_eq!(inviter.asked(request.body()).unwrap_err(), Misbehaved::NameAttemptsExceeded);
}

#[test]
fn a_second_name_is_welcome() {
    let mut host = Host1::joining();
    let newcomer = Newcomer::new(1);
    let (joiner, inviter) = met(&mut host, &newcomer);
    let (asked, request) = joiner.ask(&newcomer.application("ada")).unwrap();
    let Decision::Again(inviter, frame) = host.decide(inviter.asked(request.body()).unwrap()) else { panic!("taken") };
    let Answer::Again(joiner) = asked.answered(frame.body(), FOUNDED).unwrap() else { panic!("told so") };
    let (_, request) = joiner.ask(&newcomer.application("Bob")).unwrap();
    assert!(matches!(host.decide(inviter.asked(request.body()).unwrap()), Decision::Welcome(..)));
}

#[test]
fn one_use_admits_one() {
    let mut host = Host1::joining();
    let (first, second) = (Newcomer::new(1), Newcomer::new(2));
    let (joiner, inviter) = met(&mut host, &first);
    let (late_joiner, late_inviter) = met(&mut host, &second);
    let (_, request) = joiner.ask(&first.application("Bob")).unwrap();
    assert!(matches!(host.decide(inviter.asked(request.body()).unwrap()), Decision::Welcome(..)));
    let (asked, request) = late_joiner.ask(&second.application("Eve")).unwrap();
    let Decision::Over(Refusal::InvitationOver, frame) = host.decide(late_inviter.asked(request.body()).unwrap())
    else {
        panic!("over")
    };
    assert!(matches!(asked.answered(frame.body(), FOUNDED), Ok(Answer::Refused(Refusal::InvitationOver))));
}

#[test]
fn keys_that_are_not_held_are_not_certified() {
    let mut host = Host1::joining();
    let newcomer = Newcomer::new(1);
    let (joiner, inviter) = met(&mut host, &newcomer);
    let other_device = DeviceKey::from_seed(&[9; 32]);
    let borrowed = Application { device: &other_device, ..newcomer.application("Bob") };
    let (_, request) = joiner.ask(&borrowed).unwrap();
    assert_eq!(inviter.asked(request.body()).unwrap_err(), Misbehaved::JoinProofInvalid);
}

#[test]
fn names_that_nobody_may_have_are_refused() {
    let mut host = Host1::joining();
    let newcomer = Newcomer::new(1);
    for name in ["", "a/b", "ada\u{202e}", " bob"] {
        let (joiner, inviter) = met(&mut host, &newcomer);
        let (_, request) = joiner.ask(&newcomer.application(name)).unwrap();
        assert_eq!(inviter.asked(request.body()).unwrap_err(), Misbehaved::JoinNameInvalid, "{name:?}");
    }
}

#[test]
fn a_message_that_was_changed_or_repeated_does_not_open() {
    let mut host = Host1::joining();
    let newcomer = Newcomer::new(1);
    let (joiner, inviter) = met(&mut host, &newcomer);
    let (_, request) = joiner.ask(&newcomer.application("Bob")).unwrap();
    let mut changed = request.body().to_vec();
    changed[50] ^= 1;
    assert_eq!(inviter.asked(&changed).unwrap_err(), Misbehaved::SealedMessageInvalid);
    let (joiner, inviter) = met(&mut host, &newcomer);
    let (asked, request) = joiner.ask(&newcomer.application("ada")).unwrap();
    let Decision::Again(inviter, _) = host.decide(inviter.asked(request.body()).unwrap()) else { panic!("taken") };
    assert_eq!(inviter.asked(request.body()).unwrap_err(), Misbehaved::SealedMessageInvalid, "a repeated request");
    assert_eq!(answer(asked, request.body(), FOUNDED), Misbehaved::SealedMessageInvalid, "a reflected request");
}

fn answer(asked: Asked, body: &[u8], now: Timestamp) -> Misbehaved {
    asked.answered(body, now).unwrap_err()
}

#[test]
fn another_circle_than_that_of_the_link_is_noticed() {
    let mut host = Host1::joining();
    let newcomer = Newcomer::new(1);
    let ticket = host.link();
    let (guest, of_host) = host.proven(&newcomer.device, &ticket, Purpose::Join).unwrap();
    let joiner = Joiner::new(guest, Some(CircleId::from_bytes([1; 32]))).unwrap();
    let (asked, request) = joiner.ask(&newcomer.application("Bob")).unwrap();
    let Decision::Welcome(_, frame) = host.decide(Inviter::new(of_host).unwrap().asked(request.body()).unwrap()) else {
        panic!("welcome")
    };
    assert_eq!(answer(asked, frame.body(), FOUNDED), Misbehaved::InviterUnexpected);
}

#[test]
fn another_device_than_the_one_that_joined_cannot_be_slipped_in() {
    let mut host = Host1::joining();
    let newcomer = Newcomer::new(1);
    let (welcomed, welcoming) = welcomed(&mut host, &newcomer, "Bob");
    let before = host.roster.digest();
    let other = DeviceKey::from_seed(&[9; 32]);
    let slipped = Application { device: &other, ..newcomer.application("Bob") };
    let (_, settlement) = welcomed.settle(&slipped, Vec::new(), FOUNDED).unwrap();
    let fault = welcoming.settled(settlement.body(), &mut host.roster, FOUNDED).unwrap_err();
    assert_eq!(fault, InviterFault::Misbehaved(Misbehaved::DeviceKeyMismatch));
    assert_eq!(host.roster.digest(), before);
}

#[test]
fn a_joiner_needs_its_own_member_key() {
    let mut host = Host1::joining();
    let newcomer = Newcomer::new(1);
    let (welcomed, _) = welcomed(&mut host, &newcomer, "Bob");
    let other = MemberKey::from_seed(&[9; 32]);
    let fault = welcomed
        .settle(&Application { member: &other, ..newcomer.application("Bob") }, Vec::new(), FOUNDED)
        .unwrap_err();
    assert!(matches!(fault, JoinFault::Own(_)));
}
