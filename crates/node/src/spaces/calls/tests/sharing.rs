//! Who may do what: on a space, and on parts of it.

use api::ErrorCode;

use super::world::{Home, lines, meet};

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
}
