//! Listing, and changes of the tree.

use api::ErrorCode;
use api::types::*;

use super::world::{Home, lines};

#[test]
fn a_space_is_made_named_and_found() {
    let ada = Home::founder("ada");
    let space = ada.create("Our Photos");
    assert_eq!((space.name.as_str(), space.role.as_str()), ("Our Photos", "owner"));
    for name in ["our photos", &space.id, &space.id[..8]] {
        assert_eq!(ada.calls.space(name).unwrap().id, space.id, "{name}");
    }
    let error = ada.calls.space("our photo").unwrap_err();
    assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::NotFound, Some("did you mean Our Photos?")));
    let again = ada.calls.create(&SpaceCreate { name: "OUR photos".into() }).unwrap_err();
    assert_eq!(again.code, ErrorCode::Exists);
    for bad in ["", "a:b", "a/b", " x", "deadbeef", "a\u{202e}b"] {
        let error = ada.calls.create(&SpaceCreate { name: bad.into() }).unwrap_err();
        assert_eq!(error.code, ErrorCode::BadRequest, "{bad:?}");
    }
    let renamed = ada.calls.rename(&SpaceRename { space: "our photos".into(), name: "Pictures".into() }).unwrap();
    assert_eq!((renamed.name.as_str(), renamed.id), ("Pictures", space.id));
    assert_eq!(ada.calls.all_spaces().unwrap().len(), 1);
}

#[test]
fn directories_are_made_moved_copied_and_deleted() {
    let ada = Home::founder("ada");
    ada.create("ours");
    ada.mkdir(&["a/b", "c"]).unwrap();
    ada.write("a/b/file", "one");
    ada.mv(&["a/b"], "c").unwrap();
    assert_eq!(ada.shows(), lines(&[("a", "Dir"), ("c", "Dir"), ("c/b", "Dir"), ("c/b/file", "one")]));
    ada.cp(&["c/b"], "a/copy").unwrap();
    ada.mv(&["c/b/file"], "c/b/FILE").unwrap();
    ada.rm(&["c/*/F?LE"]).unwrap();
    let all = lines(&[("a", "Dir"), ("a/copy", "Dir"), ("a/copy/file", "one"), ("c", "Dir"), ("c/b", "Dir")]);
    assert_eq!(ada.shows(), all);
    let state = *ada.kept("ours").space.watch().borrow();
    for (request, code) in [
        (ada.mv(&["a"], "a/copy"), ErrorCode::BadRequest),
        (ada.mv(&["a"], "a"), ErrorCode::Exists),
        (ada.mv(&["c"], "C/x"), ErrorCode::NotFound),
        (ada.mv(&["a", "c"], "new"), ErrorCode::BadRequest),
        (ada.mkdir(&["A"]), ErrorCode::Exists),
        (ada.mkdir(&["a/../c"]), ErrorCode::BadRequest),
        (ada.cp(&["a/copy/file"], "c/b/FILE/x"), ErrorCode::NotFound),
        (ada.cp(&["c"], "c/x"), ErrorCode::BadRequest),
        (ada.cp(&["c/b"], "c/b"), ErrorCode::BadRequest),
        (ada.cp(&[""], "new"), ErrorCode::BadRequest),
        (ada.mkdir(&[".warren-sync"]), ErrorCode::BadRequest),
        (ada.mkdir(&["new/.warren-sync/x"]), ErrorCode::BadRequest),
        (ada.mv(&["a"], "c/.warren-sync"), ErrorCode::BadRequest),
        (ada.cp(&["a"], ".warren-sync"), ErrorCode::BadRequest),
        (ada.rm(&["nothing"]), ErrorCode::NotFound),
        (ada.rm(&[""]), ErrorCode::BadRequest),
        (ada.rm(&["x*"]), ErrorCode::NotFound),
    ] {
        assert_eq!(request.unwrap_err().code, code);
    }
    assert_eq!(ada.shows(), all, "what was refused has changed nothing");
    let long = ada.mkdir(&[&"n".repeat(256)]).unwrap_err();
    assert!(long.message.ends_with("is no path in a space: a name in it is too long"), "{long}");
    let commits = |home: &Home| home.kept("ours").space.look(|ledger, _| Ok(ledger.frontier())).unwrap();
    let before = commits(&ada);
    assert!(ada.mkdir(&["good", "c/b/x/..", "bad"]).is_err());
    assert_eq!(commits(&ada), before, "all or nothing");
    assert!(*ada.kept("ours").space.watch().borrow() >= state);
}

#[test]
fn nasty_names_are_meant_as_they_stand() {
    let ada = Home::founder("ada");
    ada.create("ours");
    let names = ["a*", "ab", "[x]", "x", "{a,b}", "back\\slash", "-rf", "new\nline", "CON", "e\u{301}t\u{e9}", " "];
    for name in names {
        ada.mkdir(&[name]).unwrap();
    }
    ada.rm(&["a*"]).unwrap();
    assert!(ada.shows().iter().any(|(name, _)| name == "ab"), "only the one that is called so");
    ada.rm(&["[x]", "{a,b}", "back\\slash"]).unwrap();
    assert!(ada.shows().iter().any(|(name, _)| name == "x"));
    ada.rm(&["a*", "?"]).unwrap();
    let left: Vec<_> = ada.shows().into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["-rf", "CON", "e\u{301}t\u{e9}", "new\nline"]);
    let raw = TreePath(b"\xff\xfe".to_vec());
    let request = TreeMakeDir { space: "ours".into(), paths: vec![raw.clone()], parents: false };
    ada.calls.make_dirs(&request).unwrap();
    let query = TreeQuery { space: "ours".into(), path: raw.clone(), itself: true, ..TreeQuery::default() };
    assert_eq!(ada.calls.list(&query).unwrap().entries[0].path, raw);
    ada.mkdir(&["deep/er/est"]).unwrap();
    let all = |pattern: &str| {
        let query = TreeQuery { space: "ours".into(), path: pattern.into(), itself: true, ..TreeQuery::default() };
        ada.calls.list(&query).unwrap().entries.iter().map(|entry| entry.path.shown()).collect::<Vec<_>>()
    };
    assert_eq!(all("deep/**"), ["deep/er", "deep/er/est"]);
    assert_eq!(all("**/est"), ["deep/er/est"]);
}

#[test]
fn a_listing_in_pages_is_the_listing() {
    let ada = Home::founder("ada");
    ada.create("ours");
    ada.mkdir(&["a/x", "a-", "a/y/z", "b", "a.b/c"]).unwrap();
    let whole: Vec<_> = ada.shows().into_iter().map(|(path, _)| path).collect();
    assert_eq!(whole, ["a", "a/x", "a/y", "a/y/z", "a-", "a.b", "a.b/c", "b"]);
    for limit in 1..9 {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let query = TreeQuery {
                space: "ours".into(),
                recursive: true,
                limit: Some(limit),
                after: after.take(),
                ..TreeQuery::default()
            };
            let page = ada.calls.list(&query).unwrap();
            found.extend(page.entries.iter().map(|entry| entry.path.shown()));
            if !page.more {
                break;
            }
            after = page.entries.last().map(|entry| entry.path.clone());
        }
        assert_eq!(found, whole, "{limit}");
    }
}

#[test]
fn what_is_deleted_can_be_listed_and_the_past_be_seen() {
    let ada = Home::founder("ada");
    ada.create("ours");
    ada.mkdir(&["dir"]).unwrap();
    ada.write("dir/file", "one");
    let before = ada.shows();
    let version = ada.calls.list(&TreeQuery { space: "ours".into(), path: "dir".into(), ..TreeQuery::default() });
    let version = version.unwrap().entries[0].version.clone().unwrap();
    ada.write("dir/file", "two");
    ada.rm(&["dir"]).unwrap();
    assert!(ada.shows().is_empty());
    assert_eq!(ada.shows_at(Some(&version)), before);
    assert_eq!(ada.shows_at(Some(&version[..12])), before);
    assert!(ada.shows_at(Some("1h")).is_empty());
    let query = TreeQuery { space: "ours".into(), recursive: true, deleted: true, ..TreeQuery::default() };
    let gone = ada.calls.list(&query).unwrap();
    let gone: Vec<_> = gone.entries.iter().map(|entry| (entry.path.shown(), entry.deleted, entry.size)).collect();
    assert_eq!(gone, [("dir".to_owned(), true, 0), ("dir/file".to_owned(), true, 3)]);
    for point in ["yesterday", "ffffffffff", "2026-99-01", ""] {
        let query = TreeQuery { space: "ours".into(), at: Some(point.into()), ..TreeQuery::default() };
        assert_eq!(ada.calls.list(&query).unwrap_err().code, ErrorCode::NotFound, "{point}");
    }
}
