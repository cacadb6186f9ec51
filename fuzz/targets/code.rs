//! The code exchange: whoever does not know the code proves nothing, and a wrong guess at a code burns it.
#![no_main]

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use logic::code::{Channel, Guest, Knock, Purpose};
use logic::pair::invitation::{Aim, Invitation, InvitationId, Invitations, Link, LinkSecret, State, Ticket};
use logic::wire::decode;
use seal::pki::Role;
use seal::words::Code;
use warren_fuzz::world::{EXPORTER, FOUNDED, LIFETIME, NOW, device_key};
use warren_fuzz::{edit, forge};

const ID: InvitationId = InvitationId([3; 8]);
const SECRET: LinkSecret = LinkSecret([8; 16]);
const WORDS: &str = "acid-brave-zoo-able";

fn book() -> Invitations {
    let code = Code::parse(WORDS).expect("a code");
    let aim = Aim::Join { role: Role::Editor };
    let mut book = Invitations::default();
    let invitation = Invitation::new(ID, aim, &code, SECRET, FOUNDED, FOUNDED.plus(LIFETIME), 1);
    book.add(invitation, FOUNDED).expect("room for one");
    book
}

fn ticket(link: bool) -> Ticket {
    if link {
        let device = device_key(0).id();
        let link = Link { invitation: ID, device, addresses: Vec::new(), secret: SECRET, circle: None };
        return Ticket::Link(Box::new(link));
    }
    Ticket::Code(Code::parse(WORDS).expect("a code"))
}

fn run(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let (host, guest) = (device_key(0).id(), device_key(2).id());
    let of_guest = Channel { exporter: EXPORTER, local: guest, remote: host };
    let of_host = Channel { exporter: EXPORTER, local: host, remote: guest };
    let mut book = book();
    let ticket = ticket(u.arbitrary()?);
    match u.int_in_range(0..=3)? {
        0 => {
            let (knock, proof): (Vec<u8>, Vec<u8>) = u.arbitrary()?;
            let Ok(knocked) = Knock::read(of_host, &knock) else { return Ok(()) };
            let Ok((waiting, _)) = knocked.answer(&book, NOW) else { return Ok(()) };
            let turned = waiting.confirm(&proof, &mut book, NOW).expect_err("a stranger was proven");
            assert_eq!(turned.burned.is_some(), book.get(ID).expect("kept").state(NOW) == State::Burned);
        }
        1 => {
            let (guest, knock) = Guest::knock(of_guest, Purpose::Join, &ticket);
            let knock = edit(knock.body(), &mut u)?;
            let Ok(knocked) = Knock::read(of_host, &knock) else { return Ok(()) };
            let Ok((waiting, answer)) = knocked.answer(&book, NOW) else { return Ok(()) };
            let (_, proof) = guest.confirm(answer.body()).expect("an honest answer");
            let honest = decode::<forge::Code>(proof.body()).map(|message| testkit::forge::bytes(&message));
            let proof = edit(proof.body(), &mut u)?;
            let same = decode::<forge::Code>(&proof).map(|message| testkit::forge::bytes(&message)) == honest;
            match waiting.confirm(&proof, &mut book, NOW) {
                Ok(_) => assert!(same, "a changed proof was taken"),
                Err(turned) => assert_eq!(
                    turned.burned.is_some(),
                    matches!(ticket, Ticket::Code(_)) && book.get(ID).expect("kept").state(NOW) == State::Burned
                ),
            }
        }
        2 => {
            let (answer, proof): (Vec<u8>, Vec<u8>) = u.arbitrary()?;
            let (guest, _) = Guest::knock(of_guest, Purpose::Join, &ticket);
            let Ok((confirming, _)) = guest.confirm(&answer) else { return Ok(()) };
            assert!(confirming.finish(&proof).is_err(), "a stranger was proven");
        }
        _ => {
            let (guest, knock) = Guest::knock(of_guest, Purpose::Join, &ticket);
            let knocked = Knock::read(of_host, knock.body()).expect("an honest knock");
            let (waiting, answer) = knocked.answer(&book, NOW).expect("an open invitation");
            let answer = edit(answer.body(), &mut u)?;
            let Ok((confirming, proof)) = guest.confirm(&answer) else { return Ok(()) };
            let Ok((_, reply)) = waiting.confirm(proof.body(), &mut book, NOW) else { return Ok(()) };
            let honest = decode::<forge::Code>(reply.body()).map(|message| testkit::forge::bytes(&message));
            let reply = edit(reply.body(), &mut u)?;
            let same = decode::<forge::Code>(&reply).map(|message| testkit::forge::bytes(&message)) == honest;
            assert!(same || confirming.finish(&reply).is_err(), "a changed proof was taken");
        }
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
