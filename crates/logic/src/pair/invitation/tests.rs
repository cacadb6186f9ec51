//! Invitations and links against misuse.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use seal::pki::Role;
use seal::words::Code;
use seal::{CircleId, DeviceId, Timestamp};

use super::{
    Aim, BadLink, BookFull, Invitation, InvitationId, Invitations, Link, LinkSecret, Reference, State, Ticket,
};
use crate::Misbehaved;
use crate::limits::INVITATIONS;
use crate::wire::Address;

const NOW: Timestamp = Timestamp(1_000_000);
const END: Timestamp = Timestamp(2_000_000);

fn guest(byte: u8) -> DeviceId {
    DeviceId::from_bytes([byte; 32])
}

fn invitation(number: u16, uses: u32) -> Invitation {
    let id = InvitationId([u8::try_from(number % 256).unwrap(); 8]);
    let aim = Aim::Join { role: Role::Reader };
    Invitation::new(id, aim, &Code::generate(number), LinkSecret([9; 16]), NOW, END, uses)
}

fn book() -> Invitations {
    let mut book = Invitations::default();
    book.add(invitation(5, 2), NOW).unwrap();
    book
}

const BY_CODE: Reference = Reference::Nameplate(5);
const ID: InvitationId = InvitationId([5; 8]);

#[test]
fn each_way_of_being_over_has_its_name() {
    let refused = |book: &Invitations, now| book.open(&BY_CODE, guest(1), now).map(|found| found.id);
    assert_eq!(refused(&book(), NOW), Ok(ID));
    assert_eq!(refused(&book(), END), Err(Misbehaved::InvitationExpired));
    assert_eq!(book().open(&Reference::Nameplate(6), guest(1), NOW).unwrap_err(), Misbehaved::InvitationUnknown);
    let mut burned = book();
    assert!(burned.burn(ID, NOW) && !burned.burn(ID, NOW), "burned once");
    assert_eq!(refused(&burned, NOW), Err(Misbehaved::InvitationBurned));
    let mut revoked = book();
    assert!(revoked.revoke(ID, NOW));
    assert_eq!(refused(&revoked, NOW), Err(Misbehaved::InvitationUnknown));
    assert_eq!(revoked.get(ID).unwrap().state(NOW), State::Revoked);
}

#[test]
fn a_code_that_was_proven_in_time_serves_its_device_and_no_other_for_good() {
    let mut book = book();
    book.bind(ID, guest(1));
    for now in [NOW, END, Timestamp(END.0 * 10)] {
        assert!(book.open(&BY_CODE, guest(1), now).is_ok());
        assert_eq!(book.open(&BY_CODE, guest(2), now).unwrap_err(), Misbehaved::InvitationUsed);
    }
    book.burn(ID, END);
    assert_eq!(book.open(&BY_CODE, guest(1), END).unwrap_err(), Misbehaved::InvitationBurned);
}

#[test]
fn uses_are_counted() {
    let mut book = book();
    assert_eq!(book.consume(ID, guest(1), "ada", NOW), Ok(()));
    assert_eq!(book.consume(ID, guest(2), "bob", NOW), Ok(()));
    assert_eq!(book.consume(ID, guest(3), "eve", NOW), Err(Misbehaved::InvitationUsed));
    assert_eq!(book.get(ID).unwrap().joined, ["ada", "bob"]);
}

#[test]
fn a_proven_code_of_a_transfer_is_for_that_device_alone() {
    let mut book = book();
    book.bind(ID, guest(1));
    assert!(book.open(&BY_CODE, guest(1), NOW).is_ok());
    assert_eq!(book.open(&BY_CODE, guest(2), NOW).unwrap_err(), Misbehaved::InvitationUsed);
}

#[test]
fn a_nameplate_names_one_open_invitation() {
    let mut book = book();
    assert_eq!(book.add(invitation(5, 1), NOW), Err(BookFull::NameplateTaken));
    book.burn(ID, NOW);
    let mut later = invitation(5, 1);
    later.id = InvitationId([77; 8]);
    book.add(later, NOW).unwrap();
    assert_eq!(book.open(&BY_CODE, guest(1), NOW).unwrap().id, InvitationId([77; 8]));
    assert_eq!(book.nameplates(NOW).collect::<Vec<_>>(), [5]);
}

#[test]
fn open_invitations_are_bounded() {
    let mut book = Invitations::default();
    for number in 0..INVITATIONS {
        book.add(invitation(u16::try_from(number).unwrap(), 1), NOW).unwrap();
    }
    assert_eq!(book.add(invitation(200, 1), NOW), Err(BookFull::TooMany));
}

#[test]
fn secrets_do_not_print() {
    let text = format!("{:?} {:?}", invitation(5, 1), book());
    assert!(!text.contains(invitation(5, 1).code()) && !text.contains("9, 9"), "{text}");
}

fn link(addresses: Vec<Address>, circle: Option<[u8; 32]>) -> Link {
    let circle = circle.map(CircleId::from_bytes);
    Link { invitation: ID, device: guest(3), addresses, secret: LinkSecret([8; 16]), circle }
}

#[test]
fn a_link_keeps_its_text() {
    let text = link(vec![Address::Direct("192.0.2.1:7".parse().unwrap())], Some([4; 32])).to_string();
    let begin = "warren:join/aecqkbifaucqkbidamb";
    assert!(text.starts_with(begin), "{text}");
    assert!(link(Vec::new(), None).to_string().starts_with("warren:get/"));
}

#[test]
fn senseless_links_are_refused() {
    assert_eq!("https://example.org".parse::<Link>(), Err(BadLink::NotALink));
    assert_eq!("warren:sell/aaaa".parse::<Link>(), Err(BadLink::NotALink));
    assert_eq!("warren:join/a!".parse::<Link>(), Err(BadLink::Damaged));
    assert_eq!("warren:join/".parse::<Link>(), Err(BadLink::Damaged));
    let crossed = link(Vec::new(), None).to_string().replace("get/", "join/");
    assert_eq!(crossed.parse::<Link>(), Err(BadLink::Senseless));
    let nowhere = link(vec![Address::Direct("0.0.0.0:7".parse().unwrap())], None).to_string();
    assert_eq!(nowhere.parse::<Link>(), Err(BadLink::Senseless));
}

#[test]
fn a_ticket_is_a_link_or_four_words() {
    let link = link(Vec::new(), None);
    assert_eq!(link.to_string().parse::<Ticket>().unwrap().reference(), Reference::Link(ID));
    let code = Code::generate(5);
    assert_eq!(code.to_string().to_uppercase().parse::<Ticket>().unwrap().reference(), BY_CODE);
    assert!("only three words".parse::<Ticket>().is_err());
}

proptest! {
    /// Whatever a link holds survives its text, in upper and lower case.
    #[test]
    fn links_survive_their_text(port in 1u16.., v6: [u16; 8], relay in "https://[a-z]{1,20}", circle: Option<[u8; 32]>) {
        let ip = std::net::Ipv6Addr::from(v6);
        prop_assume!(!ip.is_unspecified() && !ip.is_multicast());
        let link = link(vec![Address::Direct((ip, port).into()), Address::Relay(relay)], circle);
        let text = link.to_string();
        prop_assert_eq!(text.parse::<Link>(), Ok(link.clone()));
        prop_assert_eq!(text.to_uppercase().parse::<Link>(), Ok(link));
    }

    /// No link is misread after a character was lost, doubled or changed.
    #[test]
    fn damaged_links_are_noticed(at in 11usize..100, with in "[a-z2-7]{0,2}") {
        let text = link(Vec::new(), None).to_string();
        prop_assume!(at < text.len() && text[at..=at] != with);
        let damaged = format!("{}{with}{}", &text[..at], &text[at + 1..]);
        prop_assert!(damaged.parse::<Link>().is_err());
    }
}
