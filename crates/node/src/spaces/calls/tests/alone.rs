//! Files with permissions of their own.

use api::ErrorCode;
use api::types::*;
use logic::ledger::RealmId;
use logic::space::{Content, Node, Written};

use super::world::{Home, chat, lines, meet};
use crate::spaces::epochs;

/// Paths and kinds of what somebody sees of a space.
fn list(home: &Home, space: &str) -> Vec<(String, EntryKind, bool)> {
    let query = TreeQuery { space: space.into(), recursive: true, ..TreeQuery::default() };
    let listing = home.calls.list(&query).unwrap();
    listing.entries.into_iter().map(|entry| (entry.path.shown(), entry.kind, entry.shared)).collect()
}

fn unshare(home: &Home, path: &str, member: &str) -> Result<Unshared, api::ApiError> {
    let (space, path, member) = ("ours".into(), path.into(), member.into());
    home.calls.unshare(&SpaceUnshare { space, path, member, preview: false })
}

fn restore(home: &Home, path: &str, at: Option<&str>) -> Result<PlanDone, api::ApiError> {
    let (space, at) = ("ours".into(), at.map(str::to_owned));
    home.calls.restore(&TreeRestore { space, path: path.into(), at, preview: false })
}

fn log(home: &Home, path: &str) -> Vec<TreeVersion> {
    home.calls.log(&TreeLogQuery { space: "ours".into(), path: path.into(), limit: None }).unwrap()
}

fn conflicts(home: &Home) -> Vec<Conflict> {
    home.calls.conflicts(&ConflictQuery { space: None }).unwrap()
}

/// The realm of a shared file.
fn realm(home: &Home, path: &str) -> RealmId {
    let path = logic::transfer::path::RelPath::parse(path.as_bytes()).unwrap();
    let entry = home.kept("ours").space.tree(|tree| Ok(tree.lookup(&path)?)).unwrap();
    entry.unwrap().realm.unwrap()
}

/// Whether a device has any key of a realm.
fn has_key(home: &Home, space: &str, realm: RealmId) -> bool {
    let found = home.kept(space).space.look(|ledger, reader| {
        for epoch in ledger.judgement().epochs(realm) {
            if epochs::key(reader, &epoch.id)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    });
    found.unwrap()
}

/// What a device can read of the contents of a realm's commits, whatever the tree makes of them.
fn contents_of(home: &Home, space: &str, realm: RealmId) -> Vec<[u8; 32]> {
    use logic::space::Change;
    let kept = home.kept(space);
    let found = kept.space.peek(|reader| {
        let mut found = Vec::new();
        for logged in reader.arrived(0, 10_000)? {
            if logged.header.kind != logic::ledger::Kind::Data || logged.header.realm != realm {
                continue;
            }
            let Ok((_, changes)) = kept.space.open_body(reader, &logged.id, &logged.header) else { continue };
            for change in changes {
                if let Change::Put { written: Written { content: Content::File { hash, .. }, .. }, .. } = change {
                    found.push(hash);
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

/// ada owns the space, carl reads it, bob edits one file of it.
fn story() -> (Home, Home, Home) {
    let ada = Home::founder("ada");
    let (bob, carl) = (ada.member("bob"), ada.member("carl"));
    ada.create("ours");
    ada.mkdir(&["private", "a"]).unwrap();
    ada.write("a/doc.txt", "one");
    ada.write("a/other", "secret");
    ada.share("", "carl", "reader").unwrap();
    ada.share("a/doc.txt", "bob", "editor").unwrap();
    meet(&ada, &carl);
    meet(&ada, &bob);
    (ada, bob, carl)
}

#[test]
fn a_file_is_seen_by_whoever_has_only_that() {
    let (ada, bob, carl) = story();
    let all = lines(&[("a", "Dir"), ("a/doc.txt", "one"), ("a/other", "secret"), ("private", "Dir")]);
    assert_eq!((ada.shows(), carl.shows()), (all.clone(), all));
    assert_eq!(list(&ada, "ours")[1], ("a/doc.txt".into(), EntryKind::File, true));
    assert_eq!(list(&ada, "ours")[2], ("a/other".into(), EntryKind::File, false));
    // bob: the file under its own name, and nothing else.
    let space = bob.calls.all_spaces().unwrap().remove(0);
    assert_eq!((space.role.as_str(), space.name.as_str(), space.files), ("partial", "doc.txt", 1));
    assert_eq!(list(&bob, "doc.txt"), [("doc.txt".into(), EntryKind::File, true)]);
    assert_eq!(bob.cat("doc.txt", "doc.txt", None).unwrap(), "one");
    assert!(!has_key(&bob, "doc.txt", RealmId::ROOT));
    assert_eq!(contents_of(&bob, "doc.txt", RealmId::ROOT), Vec::<[u8; 32]>::new());
    // He edits it, and nothing else.
    bob.put("doc.txt", "doc.txt", b"two").unwrap();
    assert_eq!(bob.put("doc.txt", "more", b"x").unwrap_err().code, ErrorCode::NotAllowed);
    let (space, paths) = ("doc.txt".to_owned(), vec![TreePath::from("doc.txt")]);
    let rm = TreeRemove { space: space.clone(), paths: paths.clone(), recursive: true, preview: false };
    assert_eq!(bob.calls.remove(&rm).unwrap_err().code, ErrorCode::NotAllowed);
    let mv = TreeMove { space: space.clone(), from: paths, to: "x".into() };
    assert_eq!(bob.calls.move_to(&mv).unwrap_err().code, ErrorCode::NotAllowed);
    chat(&ada.kept("ours").space, &bob.kept("doc.txt").space);
    chat(&ada.kept("ours").space, &carl.kept("ours").space);
    for home in [&ada, &carl] {
        assert_eq!(home.cat("ours", "a/doc.txt", None).unwrap(), "two");
        assert_eq!(home.cat("ours", "a/other", None).unwrap(), "secret");
        assert!(home.calls.verify(&BySpace { space: "ours".into() }).unwrap().ok);
    }
    assert!(bob.calls.verify(&BySpace { space }).unwrap().ok);
    assert_eq!(carl.put("ours", "a/doc.txt", b"carl's").unwrap_err().code, ErrorCode::NotAllowed);
    let roles = ada.calls.access(&AccessQuery { space: "ours".into(), path: "a/doc.txt".into() }).unwrap();
    let roles: Vec<_> = roles.iter().map(|one| (&*one.member, &*one.role, one.from.shown())).collect();
    let from = |path: &str| path.to_owned();
    assert_eq!(roles, [("ada", "owner", from("")), ("bob", "editor", from("a/doc.txt")), ("carl", "reader", from(""))]);
    let info = ada.calls.space("ours").unwrap();
    let bob_there = info.members.iter().find(|member| member.name == "bob").unwrap();
    assert_eq!(bob_there.parts[0].path.as_ref().unwrap().shown(), "a/doc.txt");
    assert_eq!((info.files, info.bytes), (2, 9));
}

#[test]
fn what_is_written_to_a_shared_file_is_in_its_realm_and_nowhere_else() {
    let (ada, bob, _) = story();
    let file = realm(&ada, "a/doc.txt");
    let long = "a long text\n".repeat(5000);
    for text in ["put", &long] {
        ada.put("ours", "a/doc.txt", text.as_bytes()).unwrap();
        assert_eq!(ada.cat("ours", "a/doc.txt", None).unwrap(), *text);
        assert!(contents_of(&ada, "ours", file).contains(&hash(text)));
        assert!(!contents_of(&ada, "ours", RealmId::ROOT).contains(&hash(text)));
    }
    ada.put("ours", "a/new", b"beside").unwrap();
    assert!(contents_of(&ada, "ours", RealmId::ROOT).contains(&hash("beside")));
    assert!(!contents_of(&ada, "ours", file).contains(&hash("beside")));
    chat(&ada.kept("ours").space, &bob.kept("doc.txt").space);
    assert!(contents_of(&bob, "doc.txt", file).contains(&hash(&long)));
    assert_eq!(list(&bob, "doc.txt").len(), 1);
    // A directory is not put over it.
    assert_eq!(ada.mkdir(&["a/doc.txt"]).unwrap_err().code, ErrorCode::Exists);
    // A copy has the permissions of where it lies.
    ada.cp(&["a/doc.txt"], "private").unwrap();
    let copy = list(&ada, "ours").into_iter().find(|one| one.0 == "private/doc.txt").unwrap();
    assert!(!copy.2);
    assert_eq!(ada.cat("ours", "private/doc.txt", None).unwrap(), long);
}

#[test]
fn a_shared_file_is_moved_deleted_and_brought_back_by_whoever_may_in_its_directory() {
    let (ada, bob, carl) = story();
    ada.mv(&["a/doc.txt"], "private/plan.txt").unwrap();
    chat(&ada.kept("ours").space, &bob.kept("doc.txt").space);
    assert_eq!(list(&bob, "plan.txt"), [("plan.txt".into(), EntryKind::File, true)], "it has another name now");
    bob.put("plan.txt", "plan.txt", b"two").unwrap();
    chat(&ada.kept("ours").space, &bob.kept("plan.txt").space);
    assert_eq!(ada.cat("ours", "private/plan.txt", None).unwrap(), "two");
    assert_eq!(carl.mv(&["a/doc.txt"], "a/x").unwrap_err().code, ErrorCode::NotAllowed);
    let what: Vec<_> = log(&ada, "private/plan.txt").into_iter().map(|line| (line.what, line.change.by)).collect();
    let what: Vec<_> = what.iter().map(|(what, by)| (what.as_str(), by.as_str())).collect();
    assert_eq!(what, [("written", "bob"), ("moved", "ada"), ("made", "ada")]);
    // Into a part with other permissions only as a copy.
    ada.share("a", "carl", "editor").unwrap();
    assert_eq!(ada.mv(&["private/plan.txt"], "a").unwrap_err().code, ErrorCode::BadRequest);
    // Deleted and back, with what was in it.
    ada.rm(&["private"]).unwrap();
    assert!(!ada.shows().iter().any(|(path, _)| path.starts_with("private")));
    let query = TreeQuery { space: "ours".into(), path: "private".into(), deleted: true, ..TreeQuery::default() };
    let gone = ada.calls.list(&query).unwrap();
    assert_eq!(
        gone.entries.iter().map(|entry| (entry.path.shown(), entry.deleted)).next(),
        Some(("private/plan.txt".into(), true))
    );
    restore(&ada, "private", None).unwrap();
    assert_eq!(ada.cat("ours", "private/plan.txt", None).unwrap(), "two");
    assert!(list(&ada, "ours").iter().any(|one| one.0 == "private/plan.txt" && one.2));
    ada.rm(&["private/plan.txt"]).unwrap();
    restore(&ada, "private/plan.txt", None).unwrap();
    assert_eq!(ada.cat("ours", "private/plan.txt", None).unwrap(), "two");
    // An earlier version.
    let first = log(&ada, "private/plan.txt").into_iter().find(|line| line.what == "made").unwrap().id;
    assert_eq!(ada.cat("ours", "private/plan.txt", Some(&first)).unwrap(), "one");
    restore(&ada, "private/plan.txt", Some(&first)).unwrap();
    let entries = ada.shows();
    assert!(entries.iter().any(|(path, text)| path.ends_with(".txt") && text == "one"), "{entries:?}");
    chat(&ada.kept("ours").space, &bob.kept("plan.txt").space);
    let name = bob.calls.all_spaces().unwrap().remove(0).name;
    assert_eq!(bob.cat(&name, &name, None).unwrap(), "one");
}

#[test]
fn who_loses_a_file_reads_nothing_later_and_the_keys_change() {
    let (ada, bob, carl) = story();
    let file = realm(&ada, "a/doc.txt");
    assert_eq!(unshare(&ada, "a/other", "carl").unwrap_err().code, ErrorCode::BadRequest, "no permissions of its own");
    let done = unshare(&ada, "a/doc.txt", "bob").unwrap();
    assert_eq!((done.could_read_files, done.could_read_versions, done.rekeyed), (1, 1, true));
    ada.put("ours", "a/doc.txt", b"after bob").unwrap();
    // The space was shared with carl; this file is not any more.
    unshare(&ada, "a/doc.txt", "carl").unwrap();
    ada.put("ours", "a/doc.txt", b"after carl").unwrap();
    ada.put("ours", "a/other", b"for carl").unwrap();
    chat(&ada.kept("ours").space, &bob.kept("doc.txt").space);
    chat(&ada.kept("ours").space, &carl.kept("ours").space);
    assert_eq!(contents_of(&bob, "doc.txt", file), [hash("one")]);
    assert_eq!(contents_of(&carl, "ours", file), [hash("one"), hash("after bob")]);
    assert_eq!(carl.cat("ours", "a/doc.txt", None).unwrap(), "after bob");
    assert_eq!(carl.cat("ours", "a/other", None).unwrap(), "for carl");
    // Moved about, it stays so.
    ada.mv(&["a/doc.txt"], "private").unwrap();
    ada.put("ours", "private/doc.txt", b"later").unwrap();
    chat(&ada.kept("ours").space, &carl.kept("ours").space);
    assert!(!contents_of(&carl, "ours", file).contains(&hash("later")));
    assert!(!contents_of(&carl, "ours", RealmId::ROOT).contains(&hash("later")));
    // Given again, all of it can be read.
    ada.share("private/doc.txt", "bob", "reader").unwrap();
    meet(&ada, &bob);
    assert_eq!(bob.cat("doc.txt", "doc.txt", None).unwrap(), "later");
    assert_eq!(bob.put("doc.txt", "doc.txt", b"x").unwrap_err().code, ErrorCode::NotAllowed);
}

#[test]
fn a_file_in_a_shared_directory_is_shared_on_its_own_and_with_it() {
    let ada = Home::founder("ada");
    let (bob, carl) = (ada.member("bob"), ada.member("carl"));
    ada.create("ours");
    ada.mkdir(&["part"]).unwrap();
    ada.write("part/doc", "one");
    ada.write("part/rest", "rest");
    ada.share("part", "carl", "editor").unwrap();
    ada.share("part/doc", "bob", "reader").unwrap();
    meet(&ada, &bob);
    meet(&ada, &carl);
    assert_eq!(list(&bob, "doc"), [("doc".into(), EntryKind::File, true)]);
    let paths: Vec<_> = list(&carl, "part").into_iter().map(|one| (one.0, one.2)).collect();
    assert_eq!(paths, [("part".into(), true), ("part/doc".into(), true), ("part/rest".into(), false)]);
    carl.put("part", "part/doc", b"carl's").unwrap();
    chat(&ada.kept("ours").space, &carl.kept("part").space);
    chat(&ada.kept("ours").space, &bob.kept("doc").space);
    assert_eq!(bob.cat("doc", "doc", None).unwrap(), "carl's");
    // Who loses the directory loses the file in it.
    unshare(&ada, "part", "carl").unwrap();
    ada.put("ours", "part/doc", b"after").unwrap();
    chat(&ada.kept("ours").space, &carl.kept("part").space);
    chat(&ada.kept("ours").space, &bob.kept("doc").space);
    assert_eq!(carl.cat("part", "part/doc", None).unwrap(), "carl's");
    assert_eq!(bob.cat("doc", "doc", None).unwrap(), "after");
}

#[test]
fn edits_of_a_shared_file_apart_are_a_conflict_that_is_settled() {
    let (ada, bob, _) = story();
    ada.put("ours", "a/doc.txt", b"ada's").unwrap();
    bob.put("doc.txt", "doc.txt", b"bob's").unwrap();
    chat(&ada.kept("ours").space, &bob.kept("doc.txt").space);
    for (home, path) in [(&ada, "a/doc.txt"), (&bob, "doc.txt")] {
        let found = conflicts(home);
        assert_eq!((found.len(), found[0].path.shown(), &*found[0].kind), (1, path.into(), "versions"));
    }
    let query = TreeQuery { space: "ours".into(), path: "a/doc.txt".into(), ..TreeQuery::default() };
    assert!(ada.calls.list(&query).unwrap().entries[0].conflict);
    let id = conflicts(&bob).remove(0).id;
    let resolve =
        |keep: &str| bob.calls.resolve(&ConflictResolve { id: id.clone(), keep: keep.into(), preview: false });
    assert_eq!(resolve("both").unwrap_err().code, ErrorCode::BadRequest);
    resolve("theirs").unwrap();
    chat(&ada.kept("ours").space, &bob.kept("doc.txt").space);
    assert_eq!(ada.cat("ours", "a/doc.txt", None).unwrap(), "ada's");
    assert_eq!((conflicts(&ada).len(), conflicts(&bob).len()), (0, 0));
    let texts: Vec<_> =
        log(&ada, "a/doc.txt").iter().map(|line| ada.cat("ours", "a/doc.txt", Some(&line.id)).unwrap()).collect();
    assert!(texts.contains(&"one".to_owned()), "{texts:?}");
    // What one device did is undone, in the realm of the file as well.
    let since = log(&ada, "a/doc.txt")[0].id.clone();
    bob.put("doc.txt", "doc.txt", b"vandalism").unwrap();
    chat(&ada.kept("ours").space, &bob.kept("doc.txt").space);
    let undo = TreeUndo { space: "ours".into(), member: Some("bob".into()), device: None, since, preview: false };
    ada.calls.undo(&undo).unwrap();
    assert_eq!(ada.cat("ours", "a/doc.txt", None).unwrap(), "ada's");
}

#[test]
fn an_edit_by_who_did_not_know_that_it_was_shared_is_kept_apart() {
    let ada = Home::founder("ada");
    let (bob, carl) = (ada.member("bob"), ada.member("carl"));
    ada.create("ours");
    ada.write("doc", "one");
    ada.share("", "carl", "editor").unwrap();
    meet(&ada, &carl);
    carl.put("ours", "doc", b"carl's").unwrap();
    ada.share("doc", "bob", "editor").unwrap();
    meet(&ada, &bob);
    ada.put("ours", "doc", b"ada's").unwrap();
    meet(&ada, &carl);
    chat(&ada.kept("ours").space, &bob.kept("doc").space);
    let texts: Vec<_> = ada.shows().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts.len(), 2);
    assert!(texts.contains(&"ada's".into()) && texts.contains(&"carl's".into()), "{texts:?}");
    assert_eq!(ada.shows(), carl.shows());
    assert!(!conflicts(&ada).is_empty());
    assert_eq!(bob.cat("doc", "doc", None).unwrap(), "ada's");
    assert_eq!(list(&bob, "doc").len(), 1);
    let own = contents_of(&bob, "doc", realm_of_shared(&ada));
    assert!(!own.contains(&hash("carl's")), "what was written outside stays outside");
}

fn realm_of_shared(home: &Home) -> RealmId {
    let entries = home.kept("ours").space.tree(|tree| Ok(tree.list(Node::ROOT)?)).unwrap();
    entries.into_iter().find_map(|entry| entry.realm).unwrap()
}

#[test]
fn two_devices_that_share_a_file_at_once_lose_nothing() {
    let ada = Home::founder("ada");
    let (bob, carl, dora) = (ada.member("bob"), ada.member("carl"), ada.member("dora"));
    ada.create("ours");
    ada.write("doc", "one");
    ada.share("", "carl", "owner").unwrap();
    meet(&ada, &carl);
    carl.tell(&dora);
    ada.tell(&carl);
    ada.share("doc", "bob", "editor").unwrap();
    ada.put("ours", "doc", b"ada's").unwrap();
    carl.share("doc", "dora", "editor").unwrap();
    carl.put("ours", "doc", b"carl's").unwrap();
    meet(&ada, &carl);
    meet(&ada, &bob);
    meet(&carl, &dora);
    let mut texts: Vec<_> = ada.shows().into_iter().map(|(_, text)| text).collect();
    texts.sort();
    assert_eq!(texts, ["ada's", "carl's"]);
    assert_eq!(ada.shows(), carl.shows());
    assert_eq!(conflicts(&ada)[0].kind, "names");
    assert_eq!(bob.cat("doc", "doc", None).unwrap(), "ada's");
    assert_eq!(dora.cat("doc", "doc", None).unwrap(), "carl's");
    let realms = ada
        .kept("ours")
        .space
        .look(|ledger, _| Ok(ledger.judgement().realms().map(|(realm, _)| realm).collect::<Vec<_>>()));
    for realm in realms.unwrap() {
        assert!(!contents_of(&dora, "doc", realm).contains(&hash("ada's")));
        assert!(!contents_of(&bob, "doc", realm).contains(&hash("carl's")));
    }
}

#[test]
fn a_directory_comes_back_as_it_was_before_its_file_was_shared() {
    let ada = Home::founder("ada");
    let bob = ada.member("bob");
    ada.create("ours");
    ada.mkdir(&["a"]).unwrap();
    ada.write("a/doc", "one");
    let before = log(&ada, "a/doc")[0].id.clone();
    ada.share("a/doc", "bob", "editor").unwrap();
    let shared = log(&ada, "a/doc")[0].id.clone();
    ada.put("ours", "a/doc", b"two").unwrap();
    restore(&ada, "a", Some(&before)).unwrap();
    assert_eq!(list(&ada, "ours")[1], ("a/doc".into(), EntryKind::File, false));
    assert_eq!(ada.cat("ours", "a/doc", None).unwrap(), "one");
    let file = ada.kept("ours").space.look(|ledger, _| Ok(ledger.judgement().realms().next().unwrap().0)).unwrap();
    restore(&ada, "a", Some(&shared)).unwrap();
    let entries = list(&ada, "ours");
    assert!(entries.iter().any(|one| one.0 == "a/doc" && one.2), "{entries:?}");
    assert_eq!(ada.cat("ours", "a/doc", None).unwrap(), "one");
    assert_eq!(contents_of(&ada, "ours", file).len(), 3, "nothing is lost: one, two, one");
    meet(&ada, &bob);
    assert_eq!(bob.cat("doc", "doc", None).unwrap(), "one");
}
