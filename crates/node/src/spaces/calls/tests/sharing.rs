//! Who may do what: on a space, and on parts of it.

use api::ErrorCode;
use api::types::*;

use super::world::{Home, chat, lines, meet};

#[test]
fn a_shared_space_is_read_and_written_by_role() {
    let ada = Home::founder("ada");
    let bob = ada.member("bob");
    ada.create("ours");
    ada.write("file", "one");
    let access = ada.share("", "bob", "reader").unwrap();
    let roles: Vec<_> = access.iter().map(|access| (access.member.as_str(), access.role.as_str())).collect();
    assert_eq!(roles, [("ada", "owner"), ("bob", "reader")]);
    assert_eq!((access[0].granted_by.as_str(), access[1].granted_by.as_str()), ("", "ada"));
    meet(&ada, &bob);
    assert_eq!(bob.shows(), lines(&[("file", "one")]));
    let error = bob.mkdir(&["mine"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotAllowed);
    assert!(error.hint.unwrap().contains("ask ada"));
    assert_eq!(bob.share("", "ada", "reader").unwrap_err().code, ErrorCode::NotAllowed);
    assert_eq!(ada.share("", "bob", "storage").unwrap_err().code, ErrorCode::Exists);
    ada.share("", "bob", "editor").unwrap();
    meet(&ada, &bob);
    bob.mkdir(&["mine"]).unwrap();
    meet(&ada, &bob);
    assert_eq!(ada.shows(), lines(&[("file", "one"), ("mine", "Dir")]));
}

#[test]
fn a_part_is_seen_by_whoever_has_only_that() {
    let ada = Home::founder("ada");
    let (bob, carl) = (ada.member("bob"), ada.member("carl"));
    ada.create("ours");
    ada.mkdir(&["private", "a/part/deep"]).unwrap();
    ada.write("a/part/deep/file", "one");
    ada.share("", "carl", "reader").unwrap();
    ada.share("a/part", "bob", "editor").unwrap();
    meet(&ada, &carl);
    meet(&ada, &bob);
    let all = lines(&[
        ("a", "Dir"),
        ("a/part", "Realm"),
        ("a/part/deep", "Dir"),
        ("a/part/deep/file", "one"),
        ("private", "Dir"),
    ]);
    assert_eq!((ada.shows(), carl.shows()), (all.clone(), all));
    let space = bob.calls.all_spaces().unwrap().remove(0);
    assert_eq!(
        (space.role.as_str(), space.name.as_str()),
        ("partial", "part"),
        "the name of the space is not readable"
    );
    let list = |path: &str| {
        let query = TreeQuery { space: "part".into(), path: path.into(), recursive: true, ..TreeQuery::default() };
        let listing = bob.calls.list(&query).unwrap();
        listing.entries.into_iter().map(|entry| entry.path.shown()).collect::<Vec<_>>()
    };
    assert_eq!(list(""), ["part", "part/deep", "part/deep/file"]);
    let paths = vec!["part/deep/mine".into()];
    bob.calls.make_dirs(&TreeMakeDir { space: "part".into(), paths, parents: false }).unwrap();
    let paths = vec!["outside".into()];
    let error = bob.calls.make_dirs(&TreeMakeDir { space: "part".into(), paths, parents: false }).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotAllowed);
    chat(&ada.kept("ours").space, &bob.kept("part").space);
    assert!(ada.shows().iter().any(|(path, _)| path == "a/part/deep/mine"));
}

#[test]
fn a_role_that_is_taken_away_is_gone_and_the_keys_change() {
    let ada = Home::founder("ada");
    let (bob, carl) = (ada.member("bob"), ada.member("carl"));
    ada.create("ours");
    ada.write("file", "three");
    ada.share("", "bob", "editor").unwrap();
    ada.share("", "carl", "owner").unwrap();
    meet(&ada, &bob);
    meet(&ada, &carl);
    let unshare = |home: &Home, member: &str, preview| {
        let (space, path) = ("ours".into(), TreePath::default());
        home.calls.unshare(&SpaceUnshare { space, path, member: member.into(), preview })
    };
    let preview = unshare(&ada, "bob", true).unwrap();
    assert_eq!((preview.could_read_files, preview.could_read_versions, preview.could_read_bytes), (1, 1, 5));
    assert_eq!((preview.devices.len(), preview.access.len(), preview.rekeyed), (1, 3, false));
    for (home, member, code) in [
        (&ada, "ada", ErrorCode::NotAllowed),
        (&carl, "ada", ErrorCode::NotAllowed),
        (&carl, "carl", ErrorCode::NotAllowed),
        (&bob, "carl", ErrorCode::NotAllowed),
    ] {
        assert_eq!(unshare(home, member, false).unwrap_err().code, code, "{member}");
    }
    let done = unshare(&ada, "bob", false).unwrap();
    assert_eq!((done.rekeyed, done.access.len()), (true, 2));
    assert_eq!(unshare(&ada, "bob", false).unwrap_err().code, ErrorCode::NotFound);
    ada.write("later", "secret");
    meet(&ada, &bob);
    assert_eq!(bob.shows(), lines(&[("file", "three")]));
    assert_eq!(bob.calls.space("ours").unwrap().state, SpaceState::Revoked);
    assert_eq!(bob.mkdir(&["x"]).unwrap_err().code, ErrorCode::NotAllowed);
}

#[test]
fn a_space_that_is_forgotten_and_comes_back_signs_no_number_twice() {
    let ada = Home::founder("ada");
    let bob = ada.member("bob");
    ada.create("ours");
    let forget = |home: &Home, force| home.calls.forget(&SpaceForget { space: "ours".into(), force });
    assert_eq!(forget(&ada, false).unwrap_err().code, ErrorCode::Refused, "nobody else has it");
    ada.share("", "bob", "editor").unwrap();
    meet(&ada, &bob);
    bob.mkdir(&["one"]).unwrap();
    meet(&ada, &bob);
    bob.mkdir(&["two"]).unwrap();
    forget(&bob, false).unwrap();
    assert!(bob.calls.all_spaces().unwrap().is_empty());
    meet(&ada, &bob);
    assert_eq!(bob.calls.space("ours").unwrap().state, SpaceState::Behind);
    assert!(bob.mkdir(&["three"]).is_err(), "what it had signed is lost: it would sign the number twice");
    assert_eq!(bob.shows(), lines(&[("one", "Dir")]));
}
