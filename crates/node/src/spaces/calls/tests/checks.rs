//! Verification, evidence, lost devices, and what the log says.

use api::types::*;
use api::{ErrorCode, Request};
use data_encoding::BASE64;

use super::world::{Home, lines, meet};

fn verify(home: &Home) -> Verified {
    home.calls.verify(&BySpace { space: "ours".into() }).unwrap()
}

#[test]
fn a_whole_space_is_verified_and_a_damaged_one_is_not() {
    let ada = Home::founder("ada");
    ada.create("ours");
    ada.mkdir(&["dir"]).unwrap();
    ada.write("dir/file", "one");
    let said = verify(&ada);
    assert!(said.ok && said.damaged.is_empty() && said.missing.is_empty(), "{said:?}");
    assert!(said.holds.len() >= 4, "{said:?}");
    let export = ada.calls.export(&EvidenceQuery { space: "ours".into(), evidence: None });
    assert_eq!(export.unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn who_signs_a_number_twice_is_shown_with_evidence_that_others_can_check() {
    use logic::ledger::{Commit, Header, Kind, Shelf};
    let ada = Home::founder("ada");
    let bob = ada.member("bob");
    ada.create("ours");
    ada.share("", "bob", "editor").unwrap();
    meet(&ada, &bob);
    bob.mkdir(&["one"]).unwrap();
    meet(&ada, &bob);
    // Another commit with the number of the last one.
    let kept = ada.kept("ours");
    let (first, forged) = kept
        .space
        .look(|ledger, reader| {
            let (_, id) = ledger.frontier().of(bob.keys.device.id()).unwrap();
            let commit = Shelf::commit(reader, &id).unwrap();
            let header: Header = commit.header().clone();
            assert_eq!(header.kind, Kind::Data);
            let forged = Commit::make(&bob.keys.device, header, vec![0; 64]).unwrap();
            Ok((commit, forged))
        })
        .unwrap();
    let bytes = |commit: &Commit| serde_bytes::ByteBuf::from(commit.to_bytes());
    let (genesis, entered) = kept
        .space
        .look(|ledger, _| {
            let entered = ledger.judgement().devices().find(|(id, _)| *id == bob.keys.device.id()).unwrap().1.entered;
            let id = ledger.id();
            Ok((ledger.control(&id).unwrap().clone(), ledger.control(&entered).unwrap().clone()))
        })
        .unwrap();
    let signed = logic::ledger::evidence::Signed::Fork { one: bytes(&first), other: bytes(&forged) };
    let piece = logic::ledger::evidence::Piece { entry: bytes(&entered), signed };
    let file = logic::ledger::evidence::write(&genesis, vec![piece]).unwrap();
    // It comes to Ada.
    let (_, outcome) = kept
        .space
        .change(|work| Ok(work.ledger.handle(forged, Some(bob.keys.device.id()), crate::clock::now(), work.store)?))
        .unwrap();
    assert_eq!(outcome.forks.len(), 1);
    crate::spaces::between::evidence::keep_fork(&kept.space, &outcome.forks[0], crate::clock::now()).unwrap();
    let said = verify(&ada);
    assert!(!said.ok && said.damaged.is_empty());
    assert_eq!((said.cheats.len(), said.cheats[0].device.as_str(), said.cheats[0].proven), (1, "bob/desk", true));
    let evidence = Some(said.cheats[0].evidence.clone());
    let export = ada.calls.export(&EvidenceQuery { space: "ours".into(), evidence }).unwrap();
    assert!(export.proves[0].contains("bob/desk"), "{:?}", export.proves);
    let exported = logic::ledger::evidence::check(&BASE64.decode(export.bytes.as_bytes()).unwrap()).unwrap();
    assert_eq!(exported.words(), logic::ledger::evidence::check(&file).unwrap().words());
    assert_eq!(ada.calls.space("ours").unwrap().alerts, 1);
}

#[test]
fn a_lost_device_is_revoked_everywhere_with_one_call() {
    let ada = Home::founder("ada");
    let phone = ada.second("phone");
    let bob = ada.member("bob");
    ada.create("ours");
    ada.write("file", "three");
    ada.share("", "bob", "owner").unwrap();
    meet(&ada, &phone);
    meet(&ada, &bob);
    let lost = |home: &Home, name: &str, preview| home.calls.lost(&DeviceLost { name: name.into(), preview });
    assert_eq!(lost(&ada, "ada/desk", false).unwrap_err().code, ErrorCode::BadRequest, "it is this one");
    assert_eq!(lost(&ada, "ada", false).unwrap_err().code, ErrorCode::BadRequest, "which of the two?");
    let preview = lost(&ada, "ada/phone", true).unwrap();
    assert_eq!((preview.could_read.len(), preview.could_read[0].files, preview.could_read[0].revoked), (1, 1, true));
    assert_eq!(ada.calls.space("ours").unwrap().members[0].devices.len(), 2, "a preview does nothing");
    // Bob owns the space by Ada's grant: he stands below her, and what he does does not count.
    let theirs = lost(&bob, "ada/phone", false).unwrap();
    assert!(!theirs.could_read[0].revoked && !theirs.to_do.is_empty());
    let done = lost(&ada, "ada/phone", false).unwrap();
    assert!(done.could_read[0].revoked && done.done.len() >= 2, "{done:?}");
    ada.write("later", "secret");
    meet(&ada, &bob);
    super::world::chat(&ada.kept("ours").space, &phone.kept("ours").space);
    assert_eq!(phone.shows(), lines(&[("file", "three")]));
    assert!(phone.mkdir(&["x"]).is_err());
    let members = ada.calls.space("ours").unwrap().members;
    let own = members.iter().find(|member| member.name == "ada").unwrap();
    assert_eq!(own.devices.iter().map(|device| device.name.as_str()).collect::<Vec<_>>(), ["ada/desk"]);
    let snapshot = ada.calls.circle.now().unwrap();
    assert_eq!(snapshot.view.devices[&phone.keys.device.id()].standing, logic::roster::Standing::Removed);
}

#[test]
fn the_log_has_what_was_done_and_what_was_not_allowed() {
    let ada = Home::founder("ada");
    let bob = ada.member("bob");
    ada.call(Request::SpaceCreate(SpaceCreate { name: "ours".into() })).unwrap();
    let share = |role: &str| {
        let (space, path) = ("ours".into(), TreePath::default());
        Request::SpaceShare(SpaceShare { space, path, member: "bob".into(), role: role.into(), quota: None })
    };
    ada.call(share("reader")).unwrap();
    meet(&ada, &bob);
    let make = TreeMakeDir { space: "ours".into(), paths: vec!["secret name".into()], parents: false };
    ada.call(Request::TreeMakeDir(make.clone())).unwrap();
    bob.call(Request::TreeMakeDir(make)).unwrap_err();
    let log = |home: &Home| {
        home.calls.journal.close();
        home.calls.journal.entries(&LogQuery::default()).unwrap()
    };
    let (hers, his) = (log(&ada), log(&bob));
    let names: Vec<_> = hers.iter().map(|entry| entry.event.as_str()).collect();
    assert_eq!(names, ["space.created", "space.shared", "space.written"]);
    assert_eq!((hers[1].peer.as_deref(), hers[1].details["role"].as_str()), (Some("bob"), "reader"));
    assert_eq!(hers[2].details["count"], "1");
    assert_eq!((his[0].event.as_str(), his[0].outcome.as_str()), ("space.not_allowed", "refused"));
    assert!(!format!("{hers:?}{his:?}").contains("secret name"), "names of files are not in it");
}
