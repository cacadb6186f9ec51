//! Files with permissions of their own, in folders.

use logic::ledger::{Kind, RealmId};
use logic::space::{Change, NodeKind};

use super::*;

/// Two members with a folder each; carl has a role on `doc` alone, and no folder.
fn shared() -> (Device, Device, Home) {
    let (mut ada, mut bob) = pair();
    ada.write("dir/doc", "one");
    ada.write("dir/rest", "rest");
    ada.round();
    let carl = ada.home.member("carl");
    ada.home.share("dir/doc", "carl", "editor").unwrap();
    world::meet(&ada.home, &carl);
    settle(&mut ada, &mut bob);
    (ada, bob, carl)
}

/// What was ever written to the realm of the shared file, or outside of it.
fn written(device: &Device, alone: bool) -> BTreeSet<[u8; 32]> {
    let kept = device.kept();
    let found = kept.space.look(|ledger, reader| {
        let mut found = BTreeSet::new();
        for logged in reader.arrived(0, 100_000)?.into_iter().filter(|logged| logged.header.kind == Kind::Data) {
            let file = ledger.judgement().realm(logged.header.realm).is_some_and(|facts| facts.file);
            for change in kept.space.open_body(reader, &logged.id, &logged.header)?.1 {
                if let Change::Put { written: Written { content: Content::File { hash, .. }, .. }, .. } = change
                    && file == alone
                {
                    found.insert(hash);
                }
            }
        }
        Ok(found)
    });
    found.unwrap()
}

fn hash(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}

fn is_shared(device: &Device, path: &str) -> bool {
    device.node(path).is_some_and(|node| node.id.kind() == Some(NodeKind::FileRealm))
}

/// It was written to the realm of the file, and nowhere else.
fn check_inside(device: &Device, text: &str) {
    assert!(written(device, true).contains(&hash(text)), "{text}");
    assert!(!written(device, false).contains(&hash(text)), "{text} leaked");
}

fn carls(ada: &Device, carl: &Home) -> (String, String) {
    let space = carl.all().remove(0).name;
    chat(&ada.kept().space, &carl.kept(&space).space);
    let name = carl.all().remove(0).name;
    (name.clone(), carl.cat(&name, &name, None).unwrap())
}

#[test]
fn edits_go_to_the_file_and_come_from_it() {
    let (mut ada, mut bob, carl) = shared();
    let before = (ada.commits(), bob.commits());
    for device in [&mut ada, &mut bob] {
        device.round();
        assert!(device.standing().warnings.is_empty(), "{:?}", device.standing().warnings);
        assert!(is_shared(device, "dir/doc"));
    }
    assert_eq!(before, (ada.commits(), bob.commits()), "nothing happened");
    // Written in place, and by renaming over it.
    ada.write("dir/doc", "in place");
    settle(&mut ada, &mut bob);
    bob.write("dir/.doc.tmp", "renamed over");
    bob.mv("dir/.doc.tmp", "dir/doc");
    settle(&mut ada, &mut bob);
    fs::set_permissions(bob.at("dir/doc"), fs::Permissions::from_mode(0o600)).unwrap();
    settle(&mut ada, &mut bob);
    assert_eq!(
        (ada.read("dir/doc"), ada.at("dir/doc").metadata().unwrap().permissions().mode() & 0o777),
        ("renamed over".into(), 0o600)
    );
    for text in ["in place", "renamed over"] {
        check_inside(&ada, text);
    }
    assert_eq!(carls(&ada, &carl), ("doc".into(), "renamed over".into()));
    // From who has nothing else.
    carl.put("doc", "doc", b"carl's").unwrap();
    carls(&ada, &carl);
    assert_eq!(ada.hear(), 0);
    assert_eq!(ada.read("dir/doc"), "carl's");
    settle(&mut ada, &mut bob);
    assert!(is_shared(&bob, "dir/doc"));
    check_inside(&bob, "carl's");
}

#[test]
fn a_rename_is_a_move_and_tells_its_name() {
    let (mut ada, mut bob, carl) = shared();
    bob.mv("dir/doc", "plan");
    settle(&mut ada, &mut bob);
    assert!(is_shared(&ada, "plan") && !ada.has("dir/doc"));
    assert_eq!(carls(&ada, &carl), ("plan".into(), "one".into()));
    // With what is around it, while somebody edits it.
    ada.mv("plan", "dir/plan");
    ada.mv("dir", "other");
    bob.write("plan", "edited");
    ada.round();
    bob.round();
    exchange(&ada, &bob);
    settle(&mut ada, &mut bob);
    assert_eq!(ada.read("other/plan"), "edited");
    assert!(is_shared(&ada, "other/plan"));
    check_inside(&ada, "edited");
    assert_eq!(carls(&ada, &carl), ("plan".into(), "edited".into()));
}

#[test]
fn what_is_deleted_comes_back_with_its_permissions() {
    let (mut ada, mut bob, carl) = shared();
    bob.rm("dir/doc");
    settle(&mut ada, &mut bob);
    assert!(!ada.has("dir/doc"));
    let restore = api::types::TreeRestore { space: "ours".into(), path: "dir/doc".into(), at: None, preview: false };
    ada.home.call(api::Request::TreeRestore(restore)).unwrap();
    settle(&mut ada, &mut bob);
    assert!(is_shared(&bob, "dir/doc"));
    assert_eq!(bob.read("dir/doc"), "one");
    // An edit that the deleter has not seen stays, and so does the file.
    bob.rm("dir/doc");
    carl.put("doc", "doc", b"carl's").unwrap();
    carls(&ada, &carl);
    exchange(&ada, &bob);
    settle(&mut ada, &mut bob);
    assert_eq!((ada.read("dir/doc"), bob.read("dir/doc")), ("carl's".into(), "carl's".into()));
    // Written anew before anybody looked: it is the same file.
    bob.rm("dir/doc");
    bob.write("dir/doc", "anew");
    settle(&mut ada, &mut bob);
    assert!(is_shared(&ada, "dir/doc"));
    check_inside(&ada, "anew");
}

#[test]
fn edits_apart_are_heads_of_the_file() {
    let (mut ada, mut bob, carl) = shared();
    ada.write("dir/doc", "ada's");
    bob.write("dir/doc", "bob's, longer");
    ada.round();
    bob.round();
    exchange(&ada, &bob);
    settle(&mut ada, &mut bob);
    for text in ["ada's", "bob's, longer"] {
        check_inside(&ada, text);
    }
    assert_eq!(ada.conflicts(), vec![]);
    let all = ada.home.all();
    assert_eq!(all[0].conflicts, 1);
    assert_eq!(carls(&ada, &carl).1, ada.read("dir/doc"));
}

#[test]
fn who_lost_what_was_in_step_tells_nothing() {
    let (mut ada, mut bob, _carl) = shared();
    let commits = ada.commits();
    bob.forget();
    settle(&mut bob, &mut ada);
    assert_eq!(ada.commits(), commits);
    // And what was changed meanwhile is a head of the file, not a file beside it.
    bob.forget();
    bob.write("dir/doc", "changed meanwhile");
    settle(&mut bob, &mut ada);
    assert!(is_shared(&ada, "dir/doc"));
    check_inside(&ada, "changed meanwhile");
    assert_eq!(ada.folder().len(), 3);
}

#[test]
fn a_file_that_is_shared_while_it_is_edited_keeps_both_apart() {
    let (mut ada, mut bob) = pair();
    ada.write("doc", "one");
    settle(&mut ada, &mut bob);
    let carl = ada.home.member("carl");
    bob.write("doc", "before bob knew");
    bob.round();
    ada.home.share("doc", "carl", "reader").unwrap();
    world::meet(&ada.home, &carl);
    settle(&mut ada, &mut bob);
    assert_eq!(ada.folder().len(), 2, "{:?}", ada.folder());
    let contents = ada.contents();
    assert!(contents.contains(&hash("one")) && contents.contains(&hash("before bob knew")));
    assert!(!written(&ada, true).contains(&hash("before bob knew")));
    assert_eq!(carls(&ada, &carl).1, "one");
    // Not yet told when it was shared: the folder had the file that is shared now.
    let (mut ada, mut bob) = pair();
    ada.write("doc", "one");
    settle(&mut ada, &mut bob);
    let carl = ada.home.member("carl");
    bob.write("doc", "not told yet");
    ada.home.share("doc", "carl", "reader").unwrap();
    world::meet(&ada.home, &carl);
    exchange(&ada, &bob);
    settle(&mut ada, &mut bob);
    assert!(ada.contents().contains(&hash("not told yet")));
    assert_eq!(carls(&ada, &carl).1, "one");
}

#[test]
fn who_may_write_one_file_only_tells_that_one() {
    let (mut ada, mut bob) = with_role("reader");
    ada.write("doc", "one");
    ada.write("rest", "rest");
    ada.round();
    ada.home.share("doc", "bob", "editor").unwrap();
    world::meet(&ada.home, &bob.home);
    carry(&ada, &bob);
    bob.round();
    bob.write("doc", "bob's");
    bob.write("rest", "bob's rest");
    bob.write("new/one", "new");
    bob.round();
    assert_eq!(bob.standing().warnings.len(), 1, "{:?}", bob.standing().warnings);
    exchange(&ada, &bob);
    ada.round();
    assert_eq!((ada.read("doc"), ada.read("rest"), ada.has("new")), ("bob's".into(), "rest".into(), false));
    assert_eq!(
        (bob.read("doc"), bob.read("rest"), bob.read("new/one")),
        ("bob's".into(), "bob's rest".into(), "new".into())
    );
    check_inside(&ada, "bob's");
}

#[test]
fn who_may_write_all_but_one_file_keeps_what_it_changed_of_that() {
    let (mut ada, mut bob, _carl) = shared();
    let unshare =
        api::types::SpaceUnshare { space: "ours".into(), path: "dir/doc".into(), member: "bob".into(), preview: false };
    ada.home.call(api::Request::SpaceUnshare(unshare)).unwrap();
    ada.write("dir/doc", "secret now");
    ada.round();
    exchange(&ada, &bob);
    bob.round();
    assert_eq!(bob.read("dir/doc"), "one");
    bob.write("dir/doc", "bob's");
    bob.write("dir/rest", "bob's rest");
    bob.round();
    exchange(&ada, &bob);
    ada.round();
    assert_eq!((ada.read("dir/doc"), ada.read("dir/rest")), ("secret now".into(), "bob's rest".into()));
    assert!(!written(&ada, false).contains(&hash("secret now")));
    assert_eq!(bob.standing().warnings.len(), 1, "{:?}", bob.standing().warnings);
}

#[test]
fn a_link_with_permissions_of_its_own_is_a_link() {
    let (mut ada, mut bob) = pair();
    symlink("here", ada.at("link")).unwrap();
    ada.round();
    let carl = ada.home.member("carl");
    ada.home.share("link", "carl", "editor").unwrap();
    world::meet(&ada.home, &carl);
    settle(&mut ada, &mut bob);
    fs::remove_file(bob.at("link")).unwrap();
    symlink("there", bob.at("link")).unwrap();
    settle(&mut ada, &mut bob);
    assert_eq!(fs::read_link(ada.at("link")).unwrap(), Path::new("there"));
    assert_eq!(ada.node("link").unwrap().id.kind(), Some(NodeKind::LinkRealm));
    assert_eq!(ada.node("link").unwrap().realm, RealmId::ROOT);
}
