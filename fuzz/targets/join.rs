//! Joining: after the code is proven, either side may still be anybody. The other one checks all that it says.
#![no_main]

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use logic::code::{Channel, Guest, GuestProven, Knock, Purpose};
use logic::pair::invitation::{Aim, Invitation, InvitationId, Invitations, LinkSecret, Reference, Ticket};
use logic::pair::{Answer, Application, Decision, Inviter, Joiner, Refusal};
use logic::roster::{Roster, RosterUpdate};
use logic::wire::decode;
use seal::pake::{Confirmed, Pake};
use seal::pki::{Issuer, Role, valid_name};
use seal::words::Code;
use seal::{Purpose as Signs, SealRecipient};
use serde_bytes::ByteBuf;
use testkit::forge::bytes;
use warren_fuzz::edit;
use warren_fuzz::forge::{self, FromInviter, FromJoiner, JoinRequest};
use warren_fuzz::world::{EXPORTER, FOUNDED, LIFETIME, NOW, WORLD, device_key, identity, member_key};

const ID: InvitationId = InvitationId([3; 8]);
const WORDS: &str = "acid-brave-zoo-able";

fn channels() -> (Channel, Channel) {
    let (host, guest) = (device_key(0).id(), device_key(2).id());
    let exporter = EXPORTER;
    (Channel { exporter, local: guest, remote: host }, Channel { exporter, local: host, remote: guest })
}

fn code() -> Code {
    Code::parse(WORDS).expect("a code")
}

/// An honest inviter, and the keys of a guest that knows the code but follows no rules.
fn against_inviter(book: &mut Invitations) -> (GuestProven, Confirmed) {
    let (of_guest, of_host) = channels();
    let reference = Reference::Nameplate(code().nameplate());
    let context = forge::code_context(Purpose::Join, reference, &of_guest);
    let (pake, mine) = Pake::joiner(&code().secret(), &context);
    let knock = forge::Code::Knock { version: 1, purpose: Purpose::Join, reference, pake: mine };
    let knocked = Knock::read(of_host, &bytes(&knock)).expect("a knock");
    let (host, answer) = knocked.answer(book, NOW).expect("an open invitation");
    let Ok(forge::Code::Answer { pake: theirs }) = decode(answer.body()) else { panic!("an answer") };
    let keys = pake.finish(&theirs).expect("an honest message");
    let proof = bytes(&forge::Code::Confirm(keys.confirm()));
    let (proven, reply) = host.confirm(&proof, book, NOW).expect("the right code");
    let Ok(forge::Code::Confirm(theirs)) = decode(reply.body()) else { panic!("a proof") };
    (proven, keys.check(&theirs).expect("the right code"))
}

/// An honest joiner, and the keys of a host that knows the code but follows no rules.
fn against_joiner() -> (GuestProven, Confirmed) {
    let (of_guest, _) = channels();
    let reference = Reference::Nameplate(code().nameplate());
    let context = forge::code_context(Purpose::Join, reference, &of_guest);
    let (guest, knock) = Guest::knock(of_guest, Purpose::Join, &Ticket::Code(code()));
    let Ok(forge::Code::Knock { pake: theirs, .. }) = decode(knock.body()) else { panic!("a knock") };
    let (pake, mine) = Pake::inviter(&code().secret(), &context);
    let keys = pake.finish(&theirs).expect("an honest message");
    let (confirming, proof) = guest.confirm(&bytes(&forge::Code::Answer { pake: mine })).expect("an answer");
    let proven = confirming.finish(&bytes(&forge::Code::Confirm(keys.confirm()))).expect("the right code");
    let Ok(forge::Code::Confirm(theirs)) = decode(proof.body()) else { panic!("a proof") };
    (proven, keys.check(&theirs).expect("the right code"))
}

fn request(name: &str, device_name: &str, recipient: &SealRecipient) -> FromJoiner {
    let (member, device) = (member_key(2), device_key(2));
    let inviter = device_key(0).id();
    let signed = forge::join_bytes(&EXPORTER, device.id(), inviter, (name, device_name), member.id(), recipient);
    FromJoiner::Request(JoinRequest {
        name: name.to_owned(),
        device_name: device_name.to_owned(),
        member: member.id(),
        recipient: recipient.clone(),
        member_proof: member.sign(Signs::JoinRequest, &signed),
        device_proof: device.sign(Signs::JoinRequest, &signed),
    })
}

fn inviter(u: &mut Unstructured<'_>) -> Result<()> {
    let mut book = Invitations::default();
    let aim = Aim::Join { role: Role::Editor };
    let invitation = Invitation::new(ID, aim, &code(), LinkSecret([8; 16]), FOUNDED, FOUNDED.plus(LIFETIME), 1);
    book.add(invitation, FOUNDED).expect("room for one");
    let (proven, mut keys) = against_inviter(&mut book);
    let recipient = identity().recipient();
    let name: String = if u.arbitrary()? { "Cy".into() } else { u.arbitrary()? };
    let device_name: String = if u.arbitrary()? { "pad".into() } else { u.arbitrary()? };
    let body = bytes(&request(&name, &device_name, &recipient));
    let body = if u.arbitrary()? { body } else { edit(&body, u)? };
    let Ok(asking) = Inviter::new(proven).expect("for joining").asked(&keys.seal(&body)) else { return Ok(()) };
    assert!(valid_name(asking.name()).is_ok());
    let (key, mut roster) = (member_key(0), WORLD.roster());
    let issuer = Issuer::member(&key, &WORLD.members[0]).expect("her key");
    let Ok(decision) = asking.decide(&issuer, &roster, &mut book, NOW) else { return Ok(()) };
    let Decision::Welcome(welcoming, welcome) = decision else { return Ok(()) };
    let opened = keys.open(welcome.body()).expect("the next message");
    let Ok(FromInviter::Welcome { certificate, .. }) = decode(&opened) else { panic!("a welcome") };
    let honest = || {
        let certificate = seal::pki::Certificate::from_der(certificate.to_vec()).ok()?;
        let key = member_key(2);
        let issuer = Issuer::member(&key, &certificate).ok()?;
        let validity = seal::pki::Validity::starting(NOW, LIFETIME);
        let device = seal::pki::issue_device(&issuer, device_key(2).id(), "pad", validity).ok()?;
        let crl = seal::pki::CrlRequest { number: 1, revoked: &[], validity };
        let crl = seal::pki::issue_crl(&issuer, &crl).ok()?;
        let (device, crl) = (ByteBuf::from(device.der()), ByteBuf::from(crl.der()));
        Some(bytes(&FromJoiner::Settled { device, crl, records: vec![WORLD.address(2, 1)] }))
    };
    let settled = edit(&honest().unwrap_or_default(), u)?;
    let before = roster.clone();
    match welcoming.settled(&keys.seal(&settled), &mut roster, NOW) {
        Ok((admitted, _)) => {
            assert_eq!((admitted.device, admitted.member), (device_key(2).id(), member_key(2).id()));
            assert!(valid_name(&admitted.name).is_ok());
        }
        Err(_) => assert!(roster == before, "a refused settlement left traces"),
    }
    Ok(())
}

fn joiner(u: &mut Unstructured<'_>) -> Result<()> {
    let (proven, mut keys) = against_joiner();
    let (member, device, recipient) = (member_key(1), device_key(2), identity().recipient());
    let application =
        Application { name: "Bea", device_name: "pad", member: &member, device: &device, recipient: &recipient };
    let (asked, _) = Joiner::new(proven, None).expect("for joining").ask(&application).expect("short names");
    let welcome = FromInviter::Welcome {
        root: ByteBuf::from(WORLD.root.der()),
        certificate: ByteBuf::from(WORLD.members[1].der()),
        chains: RosterUpdate::of([&WORLD.members[0], &WORLD.devices[0], &WORLD.members[1]], &WORLD.crls, []),
        roster: WORLD.roster().missing(&logic::roster::Summary::default()),
    };
    let message = match u.int_in_range(0..=5)? {
        0 => bytes(&FromInviter::Refused(Refusal::NameTaken)),
        1 => bytes(&FromInviter::Done),
        _ => bytes(&welcome),
    };
    let answer = asked.answered(&keys.seal(&edit(&message, u)?), NOW);
    let Ok(Answer::Welcome(welcomed)) = answer else { return Ok(()) };
    let Ok((settled, _)) = welcomed.settle(&application, Vec::new(), NOW) else { return Ok(()) };
    let roster = settled.joined().roster.clone();
    assert_eq!(Roster::from_bytes(&roster.to_bytes()), Ok(roster));
    let _ = settled.finish(&keys.seal(&edit(&bytes(&FromInviter::Done), u)?));
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    let _ = match u.arbitrary() {
        Ok(true) => inviter(&mut u),
        _ => joiner(&mut u),
    };
});
